/* access_log.h -- one line per exchange: method, path, status, bytes, ms, id.
 *
 * No query strings, no bodies, no header values save the request id: prompts
 * and keys never reach a log.  Loop thread only. */
#ifndef LFMD_SERVER_HTTP_ACCESS_LOG_H
#define LFMD_SERVER_HTTP_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct access {
    const char *method, *path, *request_id;
    int status;         /* 0: nothing was answered */
    uint64_t bytes_out; /* of the body */
    uint64_t ms;
    bool gone;  /* the client left too early, or was cut */
    bool quiet; /* debug level */
};

void access_log(const struct access *a);

#endif
