/* exchange.c -- the life of one request and its answer.
 *
 * MHD calls exchange_serve again and again: once with the headers, then with
 * pieces of the body, then with none left, and once more after each resume.
 * An exchange without an answer yet is suspended there; a stream without bytes
 * is suspended in exchange_pull.  Both leave with flow SUSPENDED, and only
 * exchange_wake brings them back.
 *
 * It does not know what is asked or answered (request.c, answer.c).
 * Loop thread only. */
#include "server/http/exchange.h"

#include <string.h>
#include <sys/socket.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/clock.h"
#include "model/base/log.h"
#include "server/http/access_log.h"
#include "server/http/conn.h"
#include "server/http/hangup.h"
#include "server/http/server.h"

/* Nobody reads slower than this on purpose: a reply's deadline. */
#define MIN_BYTES_PER_MS 16u

/* -- Owners. ----------------------------------------------------------------
 */

struct exchange *exchange_begin(struct http *http, struct MHD_Connection *mhd,
                                const char *target)
{
    struct conn *c = conn_of(mhd);
    struct exchange *ex = mem_calloc(1, sizeof *ex);

    if (ex == NULL || c == NULL)
        goto fail;
    ex->target = mem_strdup(target != NULL ? target : "");
    if (ex->target == NULL)
        goto fail;
    ex->query = ex->tail = "";
    ex->http = http;
    ex->refs = 1;
    ex->mhd = mhd;
    ex->conn = c;
    ex->fd = c->fd;
    ex->began_ms = clock_now_ms();
    list_init(&ex->pending);
    list_append(&http->exchanges, &ex->node);
    http->n_exchanges++;
    http->refs++;
    c->exchange = ex;
    if (c->reused) /* the first one counts from accept */
        conn_deadline(c, http->opt.header_deadline_ms);
    stream_init(&ex->stream, http->opt.stream_soft_bytes,
                http->opt.stream_hard_bytes);
    return ex;
fail:
    mem_free(ex);
    return NULL;
}

void exchange_hold(struct exchange *ex)
{
    ex->refs++;
}

void exchange_release(struct exchange *ex)
{
    if (--ex->refs > 0)
        return;
    struct http *http = ex->http;
    list_remove(&ex->pending);
    exchange_free_answer(ex);
    stream_deinit(&ex->stream);
    mem_free(ex->body);
    mem_free(ex->origin);
    mem_free(ex->target);
    mem_free(ex);
    http_unref(http);
}

void exchange_open(struct exchange *ex)
{
    ex->open = true;
    exchange_hold(ex);
}

void exchange_close(struct exchange *ex)
{
    ex->open = false;
    exchange_release(ex);
}

/* -- Suspend and resume. ----------------------------------------------------
 */

static void suspend(struct exchange *ex)
{
    if (ex->flow != FLOW_ACTIVE) {
        log_at(LOG_ERROR, "http", "an exchange was to be suspended twice");
        return;
    }
    MHD_suspend_connection(ex->mhd);
    ex->flow = FLOW_SUSPENDED;
}

void exchange_wake(struct exchange *ex)
{
    if (ex->mhd == NULL || ex->flow != FLOW_SUSPENDED)
        return;
    ex->flow = FLOW_RESUMING;
    MHD_resume_connection(ex->mhd);
    /* MHD 0.9.75 forgets pending resumes in its timeout. */
    mhd_loop_kick(&ex->http->mhd);
}

/* MHD calls us for this connection, so a resume has come through. */
static void entered(struct exchange *ex)
{
    if (ex->flow == FLOW_RESUMING)
        ex->flow = FLOW_ACTIVE;
}

/* -- What MHD calls. --------------------------------------------------------
 */

static enum MHD_Result queue(struct exchange *ex)
{
    struct MHD_Response *response = ex->response;
    struct conn *c = ex->conn;
    uint32_t stall_ms = ex->http->opt.stall_ms;

    ex->response = NULL;
    ex->queued = true;
    conn_deadline(c, 0);
    if (ex->answer == ANSWER_REPLY) {
        /* From here on it is between MHD and the client. */
        hangup_stop(ex);
        if (stall_ms != 0)
            conn_deadline(c, stall_ms + ex->bytes_out / MIN_BYTES_PER_MS);
    }
    enum MHD_Result rc =
        MHD_queue_response(ex->mhd, (unsigned)ex->status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result answer_or_wait(struct exchange *ex)
{
    if (ex->gone)
        return MHD_NO;
    if (ex->response != NULL)
        return queue(ex);
    suspend(ex);
    return MHD_YES;
}

static void dispatch(struct exchange *ex)
{
    ex->dispatched = true;
    conn_deadline(ex->conn, 0);
    ex->http->stats.bytes_in += ex->n_body;
    if (ex->refuse_status == 413) {
        exchange_refuse(ex, 413, "the request body is too large");
        return;
    }
    if (ex->refuse_status != 0 || !hangup_start(ex)) {
        exchange_refuse(ex, 503, "the server is short of memory");
        return;
    }
    exchange_open(ex);
    ex->route->handler(ex, ex->http->user);
}

enum MHD_Result exchange_serve(struct exchange *ex, const char *method,
                               const char *version, const char *upload,
                               size_t *n_upload)
{
    entered(ex);
    if (!ex->seen) {
        ex->seen = true;
        conn_deadline(ex->conn, ex->http->opt.body_deadline_ms);
        request_judge(ex, method, version);
        if (ex->answer == ANSWER_NONE)
            return MHD_YES;
        ex->dispatched = true;
        return answer_or_wait(ex);
    }
    if (*n_upload > 0) {
        size_t n = *n_upload;
        *n_upload = 0;
        return request_take(ex, upload, n) ? MHD_YES : MHD_NO;
    }
    if (ex->queued)
        return MHD_YES;
    if (!ex->dispatched)
        dispatch(ex);
    return answer_or_wait(ex);
}

ssize_t exchange_pull(void *user, uint64_t pos, char *out, size_t max)
{
    struct exchange *ex = user;
    bool drained;

    (void)pos;
    entered(ex);
    if (ex->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = stream_pull(&ex->stream, out, max, clock_now_ms(), &drained);
    if (n > 0) {
        ex->bytes_out += n;
        if (drained && ex->open && ex->drained_fn != NULL) {
            ex->tell_drained = true;
            exchange_due(ex);
        }
        return (ssize_t)n;
    }
    if (ex->ended)
        return ex->clean ? MHD_CONTENT_READER_END_OF_STREAM
                         : MHD_CONTENT_READER_END_WITH_ERROR;
    suspend(ex);
    return 0;
}

static void log_access(const struct exchange *ex)
{
    const struct access a = {
        .method = ex->seen ? ex->method : "-",
        .path = ex->target,
        .request_id = ex->request_id,
        .status = ex->queued ? ex->status : 0,
        .bytes_out = ex->bytes_out,
        .ms = clock_now_ms() - ex->began_ms,
        .gone = ex->gone,
        .quiet = ex->route != NULL && (ex->route->flags & ROUTE_QUIET),
    };

    access_log(&a);
}

/* Where the answers of a route are counted. */
static uint64_t *answers_of(const struct http *http, const struct route *route,
                            unsigned class_)
{
    size_t i = http->router.n_routes;
    if (route != NULL)
        i = (size_t)(route - http->router.routes);
    return &http->answers[i * HTTP_CLASSES + class_];
}

uint64_t exchange_n_answers(const struct exchange *ex,
                            const struct route *route, unsigned class_)
{
    return class_ < HTTP_CLASSES ? *answers_of(ex->http, route, class_) : 0;
}

static void count_answer(const struct exchange *ex)
{
    int hundreds = ex->queued ? ex->status / 100 : 0;
    if (hundreds >= 0 && hundreds < (int)HTTP_CLASSES)
        ++*answers_of(ex->http, ex->route, (unsigned)hundreds);
}

void exchange_finish(struct exchange *ex)
{
    struct http *http = ex->http;

    hangup_stop(ex);
    if (!ex->seen)
        (void)router_split(ex->target); /* no query in the log */
    if (!ex->queued || (ex->answer == ANSWER_STREAM && !ex->ended))
        exchange_cut(ex);
    /* MHD 0.9.75 may not come back to a connection whose answer broke off, and
     * the client waits for its end. */
    if (ex->answer == ANSWER_STREAM && !ex->clean)
        conn_shutdown(ex->conn);
    ex->mhd = NULL;
    ex->conn->exchange = NULL;
    ex->conn->reused = true;
    conn_deadline(ex->conn, http->opt.idle_ms);
    ex->conn = NULL;
    ex->fd = -1;
    ex->flow = FLOW_ACTIVE;
    http->n_exchanges--;
    http->stats.n_requests++;
    count_answer(ex);
    http->stats.n_gone += ex->gone;
    http->stats.n_stalled += ex->stalled;
    http->stats.bytes_out += ex->bytes_out;
    log_access(ex);
    list_remove(&ex->node);
    exchange_release(ex);
}

/* -- Losing the client. -----------------------------------------------------
 */

void exchange_cut(struct exchange *ex)
{
    if (ex->gone)
        return;
    ex->gone = true;
    if (ex->open && ex->gone_fn != NULL) {
        ex->tell_gone = true;
        exchange_due(ex);
    }
    if (ex->mhd == NULL)
        return;
    exchange_wake(ex);
    if (ex->queued)
        conn_shutdown(ex->conn); /* MHD may be waiting to write */
}

/* MHD takes an answer only when the body is over, so this one is put on the
 * socket by ourselves.  MHD has written nothing there but, perhaps, a whole
 * "100 Continue", and will find the connection shut.  A client that said no
 * whole request line has no exchange, and gets nothing. */
void exchange_time_out(struct exchange *ex)
{
    struct buf head = {0}, body = {0};

    if (ex->answer != ANSWER_NONE || ex->queued || ex->dispatched || ex->gone)
        return;
    exchange_error_body(ex, 408, "the request did not arrive in time", &body);
    buf_printf(&head,
               "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n",
               body.len);
    if (ex->request_id[0] != '\0')
        buf_printf(&head, "X-Request-Id: %s\r\n", ex->request_id);
    buf_puts(&head, "\r\n");
    buf_put(&head, buf_str(&body), body.len);
    if (buf_ok(&head) && buf_ok(&body) &&
        send(ex->fd, buf_str(&head), head.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
            (ssize_t)head.len) {
        ex->answer = ANSWER_REPLY;
        ex->queued = true;
        ex->status = 408;
        ex->bytes_out = body.len;
    }
    buf_deinit(&head);
    buf_deinit(&body);
}

void exchange_check_stall(struct exchange *ex, uint64_t now_ms)
{
    uint32_t stall_ms = ex->http->opt.stall_ms;

    if (ex->gone || ex->answer != ANSWER_STREAM || stall_ms == 0 ||
        !stream_stalled(&ex->stream, now_ms, stall_ms))
        return;
    ex->stalled = true;
    exchange_cut(ex);
}

void exchange_due(struct exchange *ex)
{
    if (list_empty(&ex->pending))
        list_append(&ex->http->pending, &ex->pending);
    mhd_loop_kick(&ex->http->mhd);
}

void exchange_tell(struct exchange *ex)
{
    bool gone = ex->tell_gone, drained = ex->tell_drained;

    ex->tell_gone = ex->tell_drained = false;
    if (!ex->open)
        return;
    if (gone) {
        ex->open = false;
        ex->gone_fn(ex, ex->gone_user);
        exchange_release(ex); /* the handler's reference */
    } else if (drained && !ex->gone) {
        ex->drained_fn(ex, ex->drained_user);
    }
}
