/* exchange.h -- the inside of struct exchange, for this room only.
 *
 * An exchange has up to three kinds of owner, counted in `refs`: MHD (from the
 * request line to its notice of completion), the handler (while `open`), and
 * whoever called exchange_hold.
 *
 * Suspend and resume happen in exchange.c and nowhere else, because MHD breaks
 * when either is called twice.  Loop thread only. */
#ifndef LFMD_SERVER_HTTP_EXCHANGE_H
#define LFMD_SERVER_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "model/base/list.h"
#include "server/http/http.h"
#include "server/http/request_id.h"
#include "server/http/stream.h"

#define EXCHANGE_MAX_HEADERS 16
#define EXCHANGE_METHOD_BYTES 24

struct conn;

enum flow { FLOW_ACTIVE, FLOW_SUSPENDED, FLOW_RESUMING };

enum answer { ANSWER_NONE, ANSWER_REPLY, ANSWER_STREAM };

struct exchange_header {
    char *name, *value; /* owned, one allocation: name */
};

struct exchange {
    struct http *http;   /* one reference */
    struct list node;    /* in http->exchanges while MHD has it */
    struct list pending; /* in http->pending while a callback is due */
    uint32_t refs;

    struct MHD_Connection *mhd; /* NULL once MHD is through with it */
    struct conn *conn;          /* as long as mhd */
    int fd;
    struct loop_watch *hangup;
    enum flow flow;

    bool seen;       /* headers judged */
    bool dispatched; /* body complete, handler called or request refused */
    bool open;       /* the handler may still answer: it has a reference */
    bool queued;     /* MHD has the response */
    bool gone;       /* client left, was cut, or the server stops */
    bool ended;      /* stream: the handler is through */
    bool clean;      /* and wants the terminating chunk */
    bool stalled;
    bool tell_gone, tell_drained;

    char method[EXCHANGE_METHOD_BYTES];
    char *target; /* owned; cut at its '?' */
    const char *query;
    const struct route *route; /* NULL until known */
    const char *tail;
    char request_id[REQUEST_ID_BYTES];
    char *origin; /* owned: Access-Control-Allow-Origin, or NULL */

    char *body; /* owned, [n_body], NUL after it */
    size_t n_body, cap_body;
    size_t n_dropped;  /* bytes read and thrown away */
    int refuse_status; /* 413 or 503 once the body has ended; 0: accepted */

    enum answer answer;
    int status;
    struct MHD_Response *response; /* owned until queued */
    struct exchange_header headers[EXCHANGE_MAX_HEADERS];
    uint32_t n_headers;
    struct stream stream;
    uint64_t bytes_out, began_ms;

    void *user;
    exchange_fn *gone_fn, *drained_fn;
    void *gone_user, *drained_user;
};

/* MHD's callbacks: the request line arrived (NULL when memory is short), the
 * request advances, it is over. */
struct exchange *exchange_begin(struct http *http, struct MHD_Connection *mhd,
                                const char *target);
enum MHD_Result exchange_serve(struct exchange *ex, const char *method,
                               const char *version, const char *upload,
                               size_t *n_upload);
void exchange_finish(struct exchange *ex);

/* MHD's reader of a stream's bytes. */
ssize_t exchange_pull(void *ex, uint64_t pos, char *out, size_t max);

/* Gives the exchange to the handler, or takes it back (may free it). */
void exchange_open(struct exchange *ex);
void exchange_close(struct exchange *ex);

/* The client is lost, or we want to lose it: on_gone is due if the handler has
 * not answered; MHD is made to let go. */
void exchange_cut(struct exchange *ex);
/* The deadline of its headers or body has passed: 408, then its end. */
void exchange_time_out(struct exchange *ex);
void exchange_check_stall(struct exchange *ex, uint64_t now_ms);
void exchange_wake(struct exchange *ex); /* resumes it if it is suspended */
void exchange_due(struct exchange *ex);  /* a callback is due */
void exchange_tell(struct exchange *ex); /* makes those that are */

/* answer.c */
void exchange_refuse(struct exchange *ex, int status, const char *message);
/* Appends the body of an error, as the options have it. */
void exchange_error_body(const struct exchange *ex, int status,
                         const char *message, struct buf *body);
void exchange_free_answer(struct exchange *ex);

/* request.c: judges the headers, finds the route, asks the gate; may answer. */
void request_judge(struct exchange *ex, const char *method,
                   const char *version);
/* Stores a piece of the body; false when the connection should be closed. */
bool request_take(struct exchange *ex, const char *bytes, size_t n);

#endif
