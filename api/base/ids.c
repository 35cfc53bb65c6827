/* ids.c -- see ids.h. */
#define _GNU_SOURCE
#include "api/base/ids.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "model/base/clock.h"
#include "model/base/hash.h"

#define CHARS 24u
#define PREFIX_MAX 16u

static void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (errno != EINTR) {
            break; /* a kernel without it: see below */
        }
    }
    /* Only a kernel older than any we build for gets here; ids must still
     * differ from each other. */
    for (uint64_t i = 0; n > 0; i++, n--, p++) {
        uint64_t now[2] = {clock_now_us(), i};
        *p = (unsigned char)hash_bytes(now, sizeof now, (uintptr_t)p);
    }
}

uint64_t ids_random(void)
{
    uint64_t v;
    random_bytes(&v, sizeof v);
    return v;
}

void ids_new(char out[IDS_BYTES], const char *prefix)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[2 * CHARS];
    size_t n = strnlen(prefix, PREFIX_MAX);
    memcpy(out, prefix, n);
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < CHARS; i++) {
        unsigned v = bytes[2 * i] * 256u + bytes[2 * i + 1];
        out[n + i] = alphabet[v % 62u];
    }
    out[n + CHARS] = '\0';
}
