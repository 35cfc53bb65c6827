/* request_id.c -- the name under which a request appears.
 *
 * Made ids are hashes of a random seed and a counter: unique, not secret.
 * Loop thread only. */
#include "server/http/request_id.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "model/base/clock.h"
#include "model/base/hash.h"

void request_ids_init(struct request_ids *ids)
{
    ids->next = 0;
    if (getrandom(&ids->seed, sizeof ids->seed, GRND_NONBLOCK) !=
        (ssize_t)sizeof ids->seed)
        ids->seed = clock_now_us() ^ (uint64_t)clock_unix_s() << 20;
}

static bool sane(const char *s, size_t n)
{
    if (s == NULL || n == 0 || n >= REQUEST_ID_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] <= 0x20 || s[i] >= 0x7f)
            return false;
    return true;
}

void request_id_choose(struct request_ids *ids, const char *given,
                       size_t n_given, char out[REQUEST_ID_BYTES])
{
    if (sane(given, n_given)) {
        memcpy(out, given, n_given);
        out[n_given] = '\0';
        return;
    }
    uint64_t n = ids->next++;
    uint64_t high = hash_bytes(&n, sizeof n, ids->seed);
    uint64_t low = hash_bytes(&n, sizeof n, ~ids->seed);
    (void)snprintf(out, REQUEST_ID_BYTES, "req_%016" PRIx64 "%016" PRIx64, high,
                   low);
}
