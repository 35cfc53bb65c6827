/* responses.c -- what there is beside POST /v1/responses: how long a prompt
 * is; and, since nothing is kept, no response to get, cancel or delete. */
#include "api/api_state.h"
#include "api/prompt/responses_fit.h"
#include "api/request/responses_request.h"
#include "api/task.h"
#include "model/model.h"
#include "server/http/http.h"

/* What would be left of the input, to be counted. */
static int fit(const struct task *t, struct chat_request *r, bool truncates,
               struct err *err)
{
    int rc = task_own_chat(t, r, err);
    if (rc == 0 && truncates)
        rc = responses_truncate(r, t->api->model, err);
    if (rc != 0)
        chat_request_deinit(r);
    return rc;
}

static int count(struct task *t)
{
    struct responses_asked asked = {0};
    struct chat_request r;
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc =
        responses_request_parse(&r, &asked, body, n, t->api->model->hp.n_vocab,
                                api_request_bytes(t->api->options), &t->err);
    if (rc == 0)
        rc = fit(t, &r, asked.truncates, &t->err);
    if (rc == 0)
        rc = task_count_chat(t, &r, "response.input_tokens");
    buf_deinit(&asked.echo);
    return rc;
}

void api_count_responses(struct exchange *ex, void *user)
{
    task_start_as(user, ex, count, responses_error_body);
}

void api_no_response(struct exchange *ex, void *user)
{
    struct err err = {0};
    (void)user;
    err_set(&err, ERR_NOT_FOUND,
            "there is no such response: this server is stateless and keeps "
            "none");
    error_reply(ex, &err);
}
