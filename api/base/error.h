/* error.h -- error classes as HTTP: the only table of status, type and code.
 *
 * The body is OpenAI's: {"error":{"message","type","param","code"}}, all four
 * always there.  openai-python retries 408, 409, 429 and 5xx, so what will
 * fail again must not be one of them.
 *
 * Any thread, but the replies: loop. */
#ifndef LFMD_API_BASE_ERROR_H
#define LFMD_API_BASE_ERROR_H

#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/err.h"

struct exchange;

struct error_shape {
    int status;
    const char *type;
    const char *code;         /* NULL is null */
    const char *retry_after;  /* header value, or NULL */
    const char *authenticate; /* WWW-Authenticate value, or NULL */
};

const struct error_shape *error_shape(enum err_class class_);

/* Appends {"error":{...}}: a body, or the data of an SSE event. */
void error_write(struct buf *out, const struct err *err);

/* The same for errors that have only a status (those http makes itself). */
void error_write_status(struct buf *out, int status, const char *text);

/* Answers with status, headers and body; ends the exchange.  When memory is
 * short the body is a fixed one. */
void error_reply(struct exchange *ex, const struct err *err);

/* Writes an error as the body of an answer. */
typedef void error_body_fn(struct buf *out, const struct err *err);

/* The same with a Retry-After of so many seconds (0: the class's own) and the
 * body of another protocol (NULL: OpenAI's, as error_write). */
void error_reply_as(struct exchange *ex, const struct err *err,
                    uint32_t retry_s, error_body_fn *body);

#endif
