/* messages_count.c -- POST /v1/messages/count_tokens: how long the prompt of
 * these messages is, which is what usage would say of them (its input_tokens
 * and cache_read_input_tokens together). */
#include "api/api_state.h"
#include "api/base/messages_error.h"
#include "api/request/messages_request.h"
#include "api/task.h"
#include "model/model.h"
#include "server/http/http.h"

static int parse(const struct task *t, struct chat_request *r, struct err *err)
{
    const struct model *m = t->api->model;
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc = messages_request_parse(r, body, n, m->hp.n_vocab,
                                    api_request_bytes(t->api->options),
                                    MESSAGES_COUNT, err);
    if (rc != 0)
        return rc;
    rc = task_own_chat(t, r, err);
    if (rc != 0)
        chat_request_deinit(r);
    return rc;
}

static int count(struct task *t)
{
    struct chat_request r;
    int rc = parse(t, &r, &t->err);
    return rc == 0 ? task_count_chat(t, &r, NULL) : rc;
}

void api_count_messages(struct exchange *ex, void *user)
{
    task_start_as(user, ex, count, messages_error_write);
}
