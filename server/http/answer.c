/* answer.c -- the answer to an exchange: one reply, or a stream.
 *
 * The response is built here and handed to MHD by exchange_serve, the only
 * place where MHD accepts it.  Loop thread only. */
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/clock.h"
#include "server/http/conn.h"
#include "server/http/exchange.h"
#include "server/http/server.h"

#define BLOCK_BYTES 4096u /* what MHD asks the reader for at a time */

void exchange_free_answer(struct exchange *ex)
{
    for (uint32_t i = 0; i < ex->n_headers; i++)
        mem_free(ex->headers[i].name);
    ex->n_headers = 0;
    if (ex->response != NULL)
        MHD_destroy_response(ex->response);
    ex->response = NULL;
}

int exchange_add_header(struct exchange *ex, const char *name,
                        const char *value)
{
    size_t n = strlen(name) + 1, m = strlen(value) + 1;

    if (!header_sendable(name, value))
        return -ERR_INVALID;
    if (ex->n_headers == EXCHANGE_MAX_HEADERS)
        return -ERR_LIMIT;
    struct exchange_header *h = &ex->headers[ex->n_headers];
    h->name = mem_alloc(n + m);
    if (h->name == NULL)
        return -ERR_NOMEM;
    h->value = h->name + n;
    memcpy(h->name, name, n);
    memcpy(h->value, value, m);
    ex->n_headers++;
    return 0;
}

static bool put(struct MHD_Response *r, const char *name, const char *value)
{
    return MHD_add_response_header(r, name, value) == MHD_YES;
}

static bool put_cors(const struct exchange *ex, struct MHD_Response *r)
{
    if (ex->http->opt.cors_origin == NULL)
        return true;
    if (ex->origin == NULL)
        return put(r, "Vary", "Origin");
    bool ok =
        put(r, "Access-Control-Allow-Origin", ex->origin) &&
        put(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    if (strcmp(ex->origin, "*") != 0)
        ok = ok && put(r, "Vary", "Origin");
    return ok;
}

/* Adds what every answer has; keeps the response, or frees it when short. */
static bool adopt(struct exchange *ex, struct MHD_Response *r, int status,
                  const char *content_type)
{
    bool ok =
        r != NULL && put_cors(ex, r) && put(r, "X-Request-Id", ex->request_id);

    if (content_type != NULL)
        ok = ok && put(r, "Content-Type", content_type);
    if (!ex->http->opt.keepalive || status >= 400)
        ok = ok && put(r, "Connection", "close");
    for (uint32_t i = 0; i < ex->n_headers; i++)
        ok = ok && put(r, ex->headers[i].name, ex->headers[i].value);
    if (!ok && r != NULL)
        MHD_destroy_response(r);
    ex->response = ok ? r : NULL;
    ex->status = status;
    return ok;
}

/* 0 when an answer may begin. */
static int may_answer(const struct exchange *ex)
{
    if (ex->gone)
        return -ERR_UNAVAILABLE;
    return ex->answer == ANSWER_NONE ? 0 : -ERR_INVALID;
}

int exchange_reply(struct exchange *ex, int status, const char *content_type,
                   const void *bytes, size_t n)
{
    int rc = may_answer(ex);

    if (rc == 0) {
        void *from = (void *)(uintptr_t)(n > 0 ? bytes : "");
        ex->answer = ANSWER_REPLY;
        ex->bytes_out = n;
        if (!adopt(
                ex,
                MHD_create_response_from_buffer(n, from, MHD_RESPMEM_MUST_COPY),
                status, content_type))
            rc = -ERR_NOMEM;
    }
    bool was_open = ex->open;
    ex->open = false;
    if (rc == -ERR_NOMEM)
        exchange_cut(ex);
    exchange_wake(ex);
    if (was_open)
        exchange_release(ex);
    return rc;
}

void exchange_error_body(const struct exchange *ex, int status,
                         const char *message, struct buf *body)
{
    const struct http_options *opt = &ex->http->opt;

    if (opt->error_body != NULL)
        opt->error_body(opt->error_user, ex->target, status, message, body);
    else
        buf_printf(body, "{\"error\":{\"message\":\"%s\",\"code\":%d}}",
                   message, status);
}

void exchange_refuse(struct exchange *ex, int status, const char *message)
{
    struct buf body;

    buf_init(&body, 0);
    exchange_error_body(ex, status, message, &body);
    (void)exchange_reply(ex, status, "application/json", buf_str(&body),
                         body.len);
    buf_deinit(&body);
}

int exchange_stream_begin(struct exchange *ex, int status,
                          const char *content_type)
{
    int rc = may_answer(ex);

    if (rc != 0)
        return rc;
    ex->answer = ANSWER_STREAM;
    (void)exchange_add_header(ex, "Cache-Control", "no-cache");
    (void)exchange_add_header(ex, "X-Accel-Buffering", "no");
    if (!adopt(ex,
               MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                 exchange_pull, ex, NULL),
               status, content_type)) {
        exchange_cut(ex);
        return -ERR_NOMEM;
    }
    exchange_wake(ex);
    return 0;
}

int exchange_stream_write(struct exchange *ex, const void *bytes, size_t n)
{
    if (ex->gone)
        return -ERR_UNAVAILABLE;
    if (ex->answer != ANSWER_STREAM || ex->ended)
        return -ERR_INVALID;
    int rc = stream_push(&ex->stream, bytes, n, clock_now_ms());
    if (rc != 0) {
        ex->stalled = rc == -ERR_LIMIT;
        exchange_cut(ex);
        return rc;
    }
    exchange_wake(ex);
    return 0;
}

void exchange_stream_end(struct exchange *ex, bool clean)
{
    if (!ex->open)
        return;
    ex->open = false;
    ex->ended = true;
    ex->clean = clean;
    if (ex->answer != ANSWER_STREAM)
        exchange_cut(ex); /* ended without an answer */
    exchange_wake(ex);
    exchange_release(ex);
}

size_t exchange_stream_queued(const struct exchange *ex)
{
    return ex->stream.len;
}

bool exchange_stream_slow(const struct exchange *ex)
{
    return ex->stream.above_soft;
}

bool exchange_gone(const struct exchange *ex)
{
    return ex->gone;
}

void exchange_on_gone(struct exchange *ex, exchange_fn *fn, void *user)
{
    ex->gone_fn = fn;
    ex->gone_user = user;
}

void exchange_on_drained(struct exchange *ex, exchange_fn *fn, void *user)
{
    ex->drained_fn = fn;
    ex->drained_user = user;
}

void *exchange_user(const struct exchange *ex)
{
    return ex->user;
}

void exchange_set_user(struct exchange *ex, void *user)
{
    ex->user = user;
}
