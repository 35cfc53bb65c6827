/* headers.h -- which request headers we accept, before anything else is done.
 *
 * libmicrohttpd 0.9.75 mis-frames several kinds of request (two lengths, length
 * and chunked, names with spaces): whatever two readers could understand in two
 * ways is refused here, and the connection closed.
 *
 * Pure: it sees names and values, no connection.  Any thread. */
#ifndef LFMD_SERVER_HTTP_HEADERS_H
#define LFMD_SERVER_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct header {
    const char *name;
    size_t n_name;
    const char *value; /* may be NULL when n_value is 0 */
    size_t n_value;
};

struct header_rules {
    uint32_t max_headers;
    size_t max_bytes; /* of names and values, with ": " and line end */
    const char *const *allowed_hosts; /* NULL: any */
    size_t n_allowed_hosts;
};

struct header_facts {
    uint64_t content_length; /* 0 unless has_length */
    bool has_length;
    bool chunked;
};

/* Returns 0 and fills `facts`, or the HTTP status to refuse with and sets
 * `*why` to a sentence.  `version` is "HTTP/1.1" or what the client sent. */
int headers_check(const struct header *headers, size_t n, const char *version,
                  const struct header_rules *rules, struct header_facts *facts,
                  const char **why);

/* Of several the first; NULL if absent.  `name` is compared without case. */
const struct header *headers_find(const struct header *headers, size_t n,
                                  const char *name);

bool header_is(const struct header *h, const char *name);

/* For what we send: a token, and a value without control characters. */
bool header_sendable(const char *name, const char *value);

#endif
