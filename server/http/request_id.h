/* request_id.h -- the name under which a request appears in logs and answers.
 *
 * Loop thread only. */
#ifndef LFMD_SERVER_HTTP_REQUEST_ID_H
#define LFMD_SERVER_HTTP_REQUEST_ID_H

#include <stddef.h>
#include <stdint.h>

#define REQUEST_ID_BYTES 129

struct request_ids {
    uint64_t seed; /* random, so that two processes do not meet */
    uint64_t next;
};

void request_ids_init(struct request_ids *ids);

/* The client's own id if it is 1 to 128 visible ASCII bytes, else a new one.
 * `given` may be NULL. */
void request_id_choose(struct request_ids *ids, const char *given,
                       size_t n_given, char out[REQUEST_ID_BYTES]);

#endif
