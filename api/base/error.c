/* error.c -- see error.h. */
#include "api/base/error.h"

#include <stdio.h>
#include <string.h>

#include "api/base/writer.h"
#include "server/http/http.h"

#define INVALID "invalid_request_error"

static const struct error_shape shapes[] = {
    [ERR_NONE] = {500, "server_error", "internal_error", NULL, NULL},
    [ERR_NOMEM] = {503, "server_error", "out_of_memory", "1", NULL},
    [ERR_INVALID] = {400, INVALID, NULL, NULL, NULL},
    [ERR_FORMAT] = {500, "server_error", "internal_error", NULL, NULL},
    [ERR_IO] = {500, "server_error", "internal_error", NULL, NULL},
    [ERR_LIMIT] = {400, INVALID, "limit_exceeded", NULL, NULL},
    [ERR_CONTEXT] = {400, INVALID, "context_length_exceeded", NULL, NULL},
    [ERR_BUSY] = {429, "rate_limit_error", "server_busy", "1", NULL},
    [ERR_UNAVAILABLE] = {503, "server_error", "unavailable", "1", NULL},
    [ERR_NOT_FOUND] = {404, INVALID, "not_found", NULL, NULL},
    [ERR_AUTH] = {401, "authentication_error", "invalid_api_key", NULL,
                  "Bearer"},
    [ERR_UNSUPPORTED] = {400, INVALID, "not_supported", NULL, NULL},
    [ERR_INTERNAL] = {500, "server_error", "internal_error", NULL, NULL},
};

const struct error_shape *error_shape(enum err_class class_)
{
    size_t i = (size_t)class_;
    return &shapes[i < sizeof shapes / sizeof *shapes ? i : ERR_INTERNAL];
}

/* llama-server's clients read how much too long a prompt is from the numbers.
 */
static void put_tokens(struct writer *w, const struct err *err)
{
    if (err == NULL || err->class_ != ERR_CONTEXT || err->n_ctx == 0)
        return;
    writer_key_int(w, "n_prompt_tokens", err->n_tokens);
    writer_key_int(w, "n_ctx", err->n_ctx);
}

/* `err` is for what some classes have besides; NULL: nothing. */
static void write_body(struct buf *out, const char *message, const char *type,
                       const char *param, const char *code,
                       const struct err *err)
{
    struct writer w;
    writer_init(&w, out);
    writer_object(&w);
    writer_key(&w, "error");
    writer_object(&w);
    writer_key_string(&w, "message", message);
    writer_key_string(&w, "type", type);
    writer_key_string(&w, "param", param);
    writer_key_string(&w, "code", code);
    put_tokens(&w, err);
    writer_end_object(&w);
    writer_end_object(&w);
}

void error_write(struct buf *out, const struct err *err)
{
    const struct error_shape *shape = error_shape(err->class_);
    const char *param = err->param[0] != '\0' ? err->param : NULL;
    const char *code = shape->code;
    if (err->class_ == ERR_NOT_FOUND && param != NULL &&
        strcmp(param, "model") == 0)
        code = "model_not_found";
    write_body(out, err->text, shape->type, param, code, err);
}

void error_write_status(struct buf *out, int status, const char *text)
{
    const char *type = INVALID, *code = NULL;
    if (status >= 500)
        type = "server_error";
    else if (status == 401)
        type = "authentication_error";
    else if (status == 429)
        type = "rate_limit_error";
    switch (status) {
    case 404:
        code = "not_found";
        break;
    case 405:
        code = "method_not_allowed";
        break;
    case 408:
        code = "request_timeout";
        break;
    case 413:
        code = "request_too_large";
        break;
    case 414:
        code = "uri_too_long";
        break;
    case 415:
        code = "unsupported_media_type";
        break;
    case 431:
        code = "headers_too_large";
        break;
    case 503:
        code = "unavailable";
        break;
    default:
        break;
    }
    write_body(out, text, type, NULL, code, NULL);
}

/* Sends `body`, or a fixed one when memory was short, and frees it. */
static void send_body(struct exchange *ex, int status, struct buf *body)
{
    static const char short_of_memory[] =
        "{\"error\":{\"message\":\"memory is short\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"out_of_memory\"}}";
    if (buf_ok(body))
        (void)exchange_reply(ex, status, "application/json", buf_str(body),
                             body->len);
    else
        (void)exchange_reply(ex, 503, "application/json", short_of_memory,
                             sizeof short_of_memory - 1);
    buf_deinit(body);
}

void error_reply(struct exchange *ex, const struct err *err)
{
    error_reply_as(ex, err, 0, NULL);
}

void error_reply_as(struct exchange *ex, const struct err *err,
                    uint32_t retry_s, error_body_fn *write)
{
    const struct error_shape *shape = error_shape(err->class_);
    struct buf body = {0};
    if (write == NULL)
        write = error_write;
    write(&body, err);
    const char *retry_after = shape->retry_after;
    char seconds[16];
    if (retry_s > 0) {
        snprintf(seconds, sizeof seconds, "%u", (unsigned)retry_s);
        retry_after = seconds;
    }
    if (retry_after != NULL)
        (void)exchange_add_header(ex, "Retry-After", retry_after);
    if (shape->authenticate != NULL)
        (void)exchange_add_header(ex, "WWW-Authenticate", shape->authenticate);
    send_body(ex, shape->status, &body);
}
