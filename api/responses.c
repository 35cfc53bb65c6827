/* responses.c -- what there is beside POST /v1/responses: how long a prompt
 * is; and, since nothing is kept, no response to get, cancel or delete. */
#include "api/api_state.h"
#include "api/prepare.h"
#include "api/responses_fit.h"
#include "api/responses_request.h"
#include "api/task.h"
#include "api/writer.h"
#include "model/model.h"
#include "server/http/http.h"

static int count_request(const struct task *t, struct chat_request *r,
                         bool truncates, size_t *n, struct err *err)
{
    const struct model *m = t->api->model;
    int rc = task_own_chat(t, r, err);
    if (rc == 0 && truncates)
        rc = responses_truncate(r, m, err);
    return rc == 0 ? prepare_chat_count(n, m, r, err) : rc;
}

static int count(struct task *t)
{
    struct responses_asked asked = {0};
    struct chat_request r;
    struct writer w;
    size_t n, n_tokens = 0;
    const char *body = exchange_body(t->ex, &n);
    int rc =
        responses_request_parse(&r, &asked, body, n, t->api->model->hp.n_vocab,
                                api_request_bytes(t->api->options), &t->err);
    if (rc == 0) {
        rc = count_request(t, &r, asked.truncates, &n_tokens, &t->err);
        chat_request_deinit(&r);
    }
    if (rc == 0) {
        writer_init(&w, &t->out);
        writer_object(&w);
        writer_key_string(&w, "object", "response.input_tokens");
        writer_key_int(&w, "input_tokens", (int64_t)n_tokens);
        writer_end_object(&w);
    }
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
