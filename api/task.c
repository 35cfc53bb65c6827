/* task.c -- see task.h. */
#include "api/task.h"

#include "api/api_state.h"
#include "api/base/writer.h"
#include "api/prompt/prepare.h"
#include "api/reply.h"
#include "api/request/request_body.h"
#include "api/tenant.h"
#include "model/base/alloc.h"
#include "server/http/http.h"

static void task_work(void *user)
{
    struct task *t = user;
    t->rc = t->work(t);
}

static void task_done(void *user)
{
    struct task *t = user;
    if (t->rc == 0 && !buf_ok(&t->out))
        t->rc = err_nomem(&t->err, "the answer");
    if (t->rc == 0)
        reply_json(t->ex, 200, &t->out);
    else
        error_reply_as(t->ex, &t->err, 0, t->error_body);
    t->api->n_tasks--;
    exchange_release(t->ex);
    buf_deinit(&t->out);
    mem_free(t);
}

void task_start(struct api *api, struct exchange *ex, task_fn *work)
{
    task_start_as(api, ex, work, NULL);
}

void task_start_as(struct api *api, struct exchange *ex, task_fn *work,
                   error_body_fn *error_body)
{
    struct task *t = mem_calloc(1, sizeof *t);
    struct err err = {0};
    if (t != NULL) {
        *t = (struct task){
            .api = api,
            .ex = ex,
            .work = work,
            .error_body = error_body,
            .tenant = tenant_of(api, ex),
        };
        exchange_hold(ex);
        if (loop_background(api->loop, task_work, task_done, t) == 0) {
            api->n_tasks++;
            return;
        }
        exchange_release(ex);
        mem_free(t);
    }
    err_nomem(&err, "the request");
    error_reply_as(ex, &err, 0, error_body);
}

int task_own_chat(const struct task *t, struct chat_request *r, struct err *err)
{
    r->replay = t->api->replay;
    r->tenant = t->tenant;
    return prepare_check_model(t->api->model, t->api->options, r->model, err);
}

int task_count_chat(struct task *t, struct chat_request *r, const char *object)
{
    struct writer w;
    size_t n = 0;
    int rc = prepare_chat_count(&n, t->api->model, r, &t->err);
    chat_request_deinit(r);
    if (rc != 0)
        return rc;
    writer_init(&w, &t->out);
    writer_object(&w);
    if (object != NULL)
        writer_key_string(&w, "object", object);
    writer_key_int(&w, "input_tokens", (int64_t)n);
    writer_end_object(&w);
    return 0;
}

int task_body(const struct task *t, json_t **out, struct err *err)
{
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    return request_body_parse(out, body, n, err);
}
