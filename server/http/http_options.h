/* http_options.h -- what can be set about the HTTP server.
 *
 * A plain struct, so that config fills it and tests shorten its deadlines.
 * Strings are borrowed and outlive the server. */
#ifndef LFMD_SERVER_HTTP_HTTP_OPTIONS_H
#define LFMD_SERVER_HTTP_HTTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Writes the body of an error that HTTP itself found, as application/json.
 * `path` is what was asked for, perhaps with a query, or NULL; `message` is a
 * sentence that quotes nothing of the request. */
typedef void http_error_body_fn(void *user, const char *path, int status,
                                const char *message, struct buf *out);

struct http_options {
    const char *host; /* an address or name, or "unix:/path" */
    uint16_t port;    /* 0: the system chooses, see http_port() */

    uint32_t max_connections;        /* beyond it clients wait unanswered */
    uint32_t max_connections_per_ip; /* 0: no limit (behind a proxy) */
    uint32_t max_headers;
    size_t max_header_bytes; /* of all headers; MHD's pool of a connection is
                                twice that */
    size_t max_target_bytes; /* path and query */
    size_t max_body_bytes;

    /* Milliseconds; 0 is no limit. */
    uint32_t header_deadline_ms; /* from accept to the end of the headers */
    uint32_t body_deadline_ms;   /* from there to the end of the body */
    uint32_t idle_ms;            /* between requests, with keepalive */
    uint32_t stall_ms;           /* a reader that takes nothing is cut */

    size_t stream_soft_bytes; /* queued: the writer should pause */
    size_t stream_hard_bytes; /* queued before a write: the client is cut */

    bool keepalive; /* false: every answer says Connection: close */

    const char *const *allowed_hosts; /* names without port; NULL: any */
    size_t n_allowed_hosts;
    const char *cors_origin; /* NULL: no CORS; "*", or "a, b, c" */

    http_error_body_fn *error_body; /* NULL: {"error":{"message":...}} */
    void *error_user;
};

/* 127.0.0.1:8080 and the limits of a public service. */
void http_options_default(struct http_options *options);

#endif
