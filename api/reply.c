/* reply.c -- see reply.h. */
#include "api/reply.h"

#include "api/base/error.h"
#include "model/base/err.h"
#include "server/http/http.h"

void reply_json(struct exchange *ex, int status, struct buf *body)
{
    struct err err = {0};
    if (buf_ok(body)) {
        exchange_reply(ex, status, "application/json", buf_str(body),
                       body->len);
    } else {
        err_nomem(&err, "the answer");
        error_reply(ex, &err);
    }
    buf_deinit(body);
}
