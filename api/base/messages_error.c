/* messages_error.c -- see messages_error.h. */
#include "api/base/messages_error.h"

#include <stddef.h>
#include <string.h>

#include "api/base/error.h"
#include "api/base/writer.h"

static const char *type_of(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 408:
        return "timeout_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

static void write_object(struct buf *out, int status, const char *message,
                         const char *param, const char *code)
{
    struct writer w;
    writer_init(&w, out);
    writer_object(&w);
    writer_key_string(&w, "type", "error");
    writer_key(&w, "error");
    writer_object(&w);
    writer_key_string(&w, "type", type_of(status));
    writer_key_string(&w, "message", message);
    if (param != NULL)
        writer_key_string(&w, "param", param);
    if (code != NULL)
        writer_key_string(&w, "code", code);
    writer_end_object(&w);
    writer_end_object(&w);
}

/* What a chat finds wrong in a tool's schema is told where Anthropic's tools
 * have theirs: "tools[0].input_schema". */
static void rename_schema(char *s)
{
    static const char chats[] = ".function.parameters",
                      ours[] = ".input_schema";
    char *at = strncmp(s, "tools[", 6) == 0 ? strstr(s, chats) : NULL;
    if (at == NULL)
        return;
    memcpy(at, ours, sizeof ours - 1);
    at += sizeof ours - 1;
    const char *rest = at + (sizeof chats - sizeof ours);
    memmove(at, rest, strlen(rest) + 1);
}

/* By these words clients know that they must shorten the conversation. */
static const char too_long[] = "prompt is too long";

void messages_error_write(struct buf *out, const struct err *err)
{
    struct err told = *err;
    if (told.class_ == ERR_CONTEXT)
        (void)err_wrap(&told, "%s", too_long);
    rename_schema(told.param);
    rename_schema(told.text);
    const struct error_shape *shape = error_shape(told.class_);
    write_object(out, shape->status, told.text,
                 told.param[0] != '\0' ? told.param : NULL, shape->code);
}

void messages_error_write_status(struct buf *out, int status,
                                 const char *message)
{
    write_object(out, status, message, NULL, NULL);
}
