/* http.h -- the exchange as handlers see it: a request with its whole body, and
 * an answer that is either one reply or a stream.
 *
 * A handler may answer inside its call or any time later; meanwhile the
 * exchange costs nothing.  libmicrohttpd lives behind this header.
 *
 * Life of an exchange, for the handler: it may use `ex` from its call until
 * the first of
 *   - exchange_reply(), whatever that returns,
 *   - exchange_stream_end(),
 *   - the return of its on_gone callback.
 * After that `ex` may be freed memory, unless exchange_hold() was called: a
 * held exchange stays readable (body, headers, user), and every answering call
 * on it is a harmless -ERR_UNAVAILABLE.  Background work that reads the body
 * holds the exchange.
 *
 * Loop thread only; on_gone and on_drained are called from the loop, never
 * from within another call into this header (save http_stop). */
#ifndef LFMD_SERVER_HTTP_HTTP_H
#define LFMD_SERVER_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "server/http/http_options.h"

struct exchange;
struct http;
struct loop;

/* `user` is the one given to http_new. */
typedef void http_handler_fn(struct exchange *ex, void *user);

/* Called when the headers are in and the route is known, before the body is
 * read; may refuse with exchange_reply (the body is then not read).  It must
 * not begin a stream, hold the exchange, or answer later. */
typedef void http_gate_fn(struct exchange *ex, void *user);

typedef void exchange_fn(struct exchange *ex, void *user);

enum {
    ROUTE_PUBLIC = 1u,   /* for the gate: needs no key; also still answered
                            when connections run short */
    ROUTE_DRAINING = 2u, /* still answered after http_drain */
    ROUTE_QUIET = 4u     /* logged at debug level only */
};

struct route {
    const char *method; /* "GET" also serves HEAD */
    const char *path;   /* "/v1/models", or with a tail: "/v1/models/" "*" */
    http_handler_fn *handler;
    unsigned flags;
};

/* Listens and serves on `loop`.  `routes` is borrowed and outlives the server;
 * gate may be NULL.  Ignores SIGPIPE for the process.  The error names the
 * address: "cannot listen on 127.0.0.1:8080: Address already in use". */
int http_new(struct http **out, struct loop *loop,
             const struct http_options *options, const struct route *routes,
             size_t n_routes, http_gate_fn *gate, void *user, struct err *err);

uint16_t http_port(const struct http *http); /* 0 for a unix socket */

/* Closes the listening socket at once; requests that still arrive on open
 * connections are answered 503, exchanges that run go on.  Idempotent. */
void http_drain(struct http *http);

/* Ends every exchange (on_gone is called for those not answered yet), gives
 * answered ones up to a second to leave, closes everything and frees `http`.
 * Answers already ended with exchange_stream_end are flushed first.  Not from
 * within a handler or callback of an exchange.  NULL is fine. */
void http_stop(struct http *http);

struct http_stats {
    uint32_t n_connections; /* open now */
    uint32_t n_exchanges;   /* request line seen, answer not finished */
    uint64_t n_requests;    /* exchanges ended, ever */
    uint64_t n_gone;        /* of these: the client left too early */
    uint64_t n_stalled;     /* of these: cut as slow readers */
    uint64_t n_deadlines;   /* connections cut at a deadline */
    uint64_t n_runs;        /* MHD_run calls: bounded when idle */
    uint64_t bytes_in;      /* of bodies */
    uint64_t bytes_out;     /* of bodies */
};

void http_stats(const struct http *http, struct http_stats *out);

#define HTTP_CLASSES 6u /* of statuses: 2 is 200 to 299; 0 is no answer */

/* Exchanges that ended so, ever; `route` is one given to http_new, or NULL for
 * paths and methods that name none. */
uint64_t exchange_n_answers(const struct exchange *ex,
                            const struct route *route, unsigned class_);

/* -- The request.  Strings live as long as the exchange may be used. --------
 */

const char *exchange_method(const struct exchange *ex); /* "HEAD" as HEAD */
const char *exchange_path(const struct exchange *ex);   /* without query */
const char *exchange_query(const struct exchange *ex);  /* raw, or "" */
const char *exchange_tail(const struct exchange *ex);   /* what "*" matched */
unsigned exchange_flags(const struct exchange *ex);     /* of its route */
const char *exchange_request_id(const struct exchange *ex);

/* NULL if absent; case-insensitive; of several the first.  Only until the
 * handler or gate returns: copy what is needed later. */
const char *exchange_header(const struct exchange *ex, const char *name);

/* Never NULL, followed by a NUL that is not counted.  Complete in handlers,
 * empty in the gate. */
const char *exchange_body(const struct exchange *ex, size_t *n);

void *exchange_user(const struct exchange *ex); /* NULL until set */
void exchange_set_user(struct exchange *ex, void *user);

/* -- The answer. ------------------------------------------------------------
 */

/* For the reply or stream begun later.  -ERR_INVALID for a name or value that
 * would break the framing, -ERR_LIMIT after 16. */
int exchange_add_header(struct exchange *ex, const char *name,
                        const char *value);

/* The whole answer, copied.  -ERR_UNAVAILABLE if the client is gone,
 * -ERR_INVALID if already answered, -ERR_NOMEM (the client is then cut). */
int exchange_reply(struct exchange *ex, int status, const char *content_type,
                   const void *bytes, size_t n);

/* Sends the headers at once (to HEAD nothing else, so on_gone follows).  Errors
 * as exchange_reply; on one, the exchange is not ended: on_gone follows, or
 * exchange_stream_end ends it. */
int exchange_stream_begin(struct exchange *ex, int status,
                          const char *content_type);

/* Queues a copy.  -ERR_LIMIT when a slow reader let the queue reach the hard
 * limit, -ERR_UNAVAILABLE when the client is gone, -ERR_NOMEM; after any of
 * these the client is cut, and on_gone follows. */
int exchange_stream_write(struct exchange *ex, const void *bytes, size_t n);

/* What is queued still goes out.  `clean` false: then the connection breaks
 * without the terminating chunk, so that the client sees the truncation. */
void exchange_stream_end(struct exchange *ex, bool clean);

size_t exchange_stream_queued(const struct exchange *ex); /* bytes */
/* The queue has reached the soft limit: pause, on_drained will be called. */
bool exchange_stream_slow(const struct exchange *ex);
bool exchange_gone(const struct exchange *ex);

/* Called once, if the client leaves (or is cut, or the server stops) before
 * the answer ended.  Set it in the handler, before returning. */
void exchange_on_gone(struct exchange *ex, exchange_fn *fn, void *user);

/* Called each time the queue falls below the soft limit after having reached
 * it. */
void exchange_on_drained(struct exchange *ex, exchange_fn *fn, void *user);

void exchange_hold(struct exchange *ex);
void exchange_release(struct exchange *ex);

#endif
