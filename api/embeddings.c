/* embeddings.c -- see embeddings.h. */
#include "api/embeddings.h"

#include "api/answer/embedding_render.h"
#include "api/api_state.h"
#include "api/base/error.h"
#include "api/base/writer.h"
#include "api/prompt/embedding_job.h"
#include "api/prompt/prepare.h"
#include "api/request/embedding_request.h"
#include "api/tenant.h"
#include "model/base/alloc.h"
#include "model/base/list.h"
#include "model/model.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

#define AT_ONCE 32u     /* inputs of one call in the engine */
#define BASE64_BYTES 6u /* of a number: more than 4/3 of four */

struct embed;

struct input {
    struct embed *call;
    struct job *job; /* one reference is the call's, until it has ended */
    bool submitted;
};

struct embed {
    struct list node; /* in api->embeddings */
    struct api *api;
    struct exchange *ex; /* held */
    uint64_t tenant;
    bool on_pool; /* it is prepared or written */
    bool gone;    /* the client left meanwhile */
    struct embedding_request request;
    struct input *inputs;   /* owned; [n_inputs] */
    struct capture *tables; /* owned; [n_inputs], each once its job has ended */
    uint32_t n_inputs;
    uint32_t n_submitted, n_ended;
    uint64_t n_prompt; /* tokens of all inputs */
    uint32_t n_own;    /* as tenant_check said when there was no place */
    int rc;            /* of the preparation, with err */
    struct err err;
    struct buf out;
};

/* --- the end of a call ---------------------------------------------------- */

static void embed_free(struct embed *c)
{
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        struct input *in = &c->inputs[i];
        if (in->job != NULL && in->submitted)
            engine_cancel(c->api->engine, in->job);
        job_release(in->job);
        capture_deinit(&c->tables[i]);
    }
    embedding_request_deinit(&c->request);
    mem_free(c->inputs);
    mem_free(c->tables);
    buf_deinit(&c->out);
    list_remove(&c->node);
    exchange_release(c->ex);
    mem_free(c);
}

static void embed_fail(struct embed *c, const struct err *err)
{
    error_reply_as(c->ex, err, tenant_retry_s(c->api, c->n_own, err), NULL);
    embed_free(c);
}

static void on_gone(struct exchange *ex, void *user)
{
    struct embed *c = user;
    (void)ex;
    if (c->on_pool)
        c->gone = true;
    else
        embed_free(c);
}

/* --- the answer ----------------------------------------------------------- */

static void write_on_pool(void *user)
{
    struct embed *c = user;
    embedding_render(&c->out, &c->request, c->tables, c->n_prompt,
                     prepare_served_name(c->api->model, c->api->options));
}

static void written(void *user)
{
    struct embed *c = user;
    struct err err = {0};
    c->on_pool = false;
    if (c->gone) {
        embed_free(c);
        return;
    }
    if (!buf_ok(&c->out)) {
        err_nomem(&err, "the answer");
        embed_fail(c, &err);
        return;
    }
    exchange_reply(c->ex, 200, "application/json", c->out.data, c->out.len);
    embed_free(c);
}

/* --- events --------------------------------------------------------------- */

/* Puts inputs into the engine while there is a place.  There may be none only
 * for the first of all: others wait for one of their own call to end, or for
 * embeddings_go_on_all. */
static int submit_more(struct embed *c)
{
    while (c->n_submitted < c->n_inputs &&
           c->n_submitted - c->n_ended < AT_ONCE) {
        struct input *in = &c->inputs[c->n_submitted];
        c->n_own = 0;
        int rc = tenant_check(c->api, c->tenant, 1, &c->n_own, &c->err);
        if (rc == 0)
            rc = engine_submit(c->api->engine, in->job, &c->err);
        if (rc == -ERR_BUSY && c->n_submitted > 0)
            return 0;
        if (rc != 0)
            return rc;
        in->submitted = true;
        c->n_submitted++;
    }
    return 0;
}

static void go_on(struct embed *c)
{
    struct err err = {0};
    if (c->n_ended < c->n_inputs) {
        if (submit_more(c) != 0)
            embed_fail(c, &c->err);
        return;
    }
    c->on_pool = true;
    if (loop_background(c->api->loop, write_on_pool, written, c) != 0) {
        c->on_pool = false;
        err_nomem(&err, "the answer");
        embed_fail(c, &err);
    }
}

static void on_event(void *user, const struct job_event *e)
{
    struct input *in = user;
    struct embed *c = in->call;
    struct err err = e->err;
    if (e->kind == EVENT_FINISH && e->finish == FINISH_ABORT)
        err_set(&err, ERR_UNAVAILABLE,
                "The server is shutting down; use another replica.");
    if (e->kind != EVENT_FINISH || e->finish == FINISH_ABORT) {
        embed_fail(c, &err);
        return;
    }
    /* The rest of the job is needed no more. */
    c->tables[in - c->inputs] = in->job->captured;
    in->job->captured = (struct capture){0};
    job_release(in->job);
    in->job = NULL;
    c->n_ended++;
    go_on(c);
}

/* --- the beginning of a call ---------------------------------------------- */

static size_t limit_of(const struct api *api)
{
    return api_request_bytes(api->options);
}

/* The tables are less than their text, so this bounds both. */
static int check_answer(struct embed *c, uint64_t n_numbers)
{
    const uint64_t most =
        limit_of(c->api) /
        (c->request.base64 ? BASE64_BYTES : WRITER_FLOAT_BYTES);
    if (n_numbers <= most)
        return 0;
    return err_field(&c->err, "input",
                     "the answer would have more than %llu numbers, the most "
                     "that %s may have; ask for fewer tokens%s",
                     (unsigned long long)most,
                     c->request.base64 ? "a base64 answer" : "an answer",
                     c->request.base64 ? "" : " or for base64");
}

static int make_jobs(struct embed *c)
{
    const struct api *api = c->api;
    const uint32_t n = c->request.n_inputs;
    uint64_t n_numbers = 0;
    c->inputs = mem_calloc(n, sizeof *c->inputs);
    c->tables = mem_calloc(n, sizeof *c->tables);
    if (c->inputs == NULL || c->tables == NULL)
        return err_nomem(&c->err, "the request");
    c->n_inputs = n;
    for (uint32_t i = 0; i < n; i++) {
        struct input *in = &c->inputs[i];
        int rc = embedding_job(&in->job, api->model, &c->request, i,
                               limit_of(api), &c->err);
        if (rc != 0)
            return rc;
        in->call = c;
        in->job->tenant = c->tenant;
        in->job->cache_salt = tenant_salt(c->tenant, in->job->cache_salt);
        in->job->on_event = on_event;
        in->job->user = in;
        c->n_prompt += in->job->n_prompt;
        if (__builtin_add_overflow(
                n_numbers,
                embedding_numbers(api->model, &c->request, in->job->n_prompt),
                &n_numbers))
            n_numbers = UINT64_MAX;
        if ((rc = check_answer(c, n_numbers)) != 0)
            return rc;
    }
    return 0;
}

static int prepare(struct embed *c)
{
    const struct api *api = c->api;
    const struct hparams *hp = &api->model->hp;
    size_t n;
    const char *body = exchange_body(c->ex, &n);
    int rc = embedding_request_parse(&c->request, body, n, hp->n_vocab,
                                     hp->hidden, limit_of(api), &c->err);
    if (rc == 0)
        rc = prepare_check_model(api->model, api->options, c->request.model,
                                 &c->err);
    if (rc == 0 && c->request.is_chat)
        rc = embedding_read_chat(&c->request, api->model, body, n,
                                 limit_of(api), &c->err);
    return rc == 0 ? make_jobs(c) : rc;
}

static void prepare_on_pool(void *user)
{
    struct embed *c = user;
    c->rc = prepare(c);
}

static void prepared(void *user)
{
    struct embed *c = user;
    c->on_pool = false;
    if (c->gone)
        embed_free(c);
    else if (c->rc != 0)
        embed_fail(c, &c->err);
    else
        go_on(c);
}

void api_embeddings(struct exchange *ex, void *user)
{
    struct api *api = user;
    struct err err = {0};
    if (api_check_serving(api, &err) != 0) {
        error_reply(ex, &err);
        return;
    }
    struct embed *c = mem_calloc(1, sizeof *c);
    if (c == NULL) {
        err_nomem(&err, "the request");
        error_reply(ex, &err);
        return;
    }
    c->api = api;
    c->ex = ex;
    c->tenant = tenant_of(api, ex);
    c->on_pool = true;
    list_append(&api->embeddings, &c->node);
    exchange_hold(ex);
    exchange_on_gone(ex, on_gone, c);
    if (loop_background(api->loop, prepare_on_pool, prepared, c) != 0) {
        c->on_pool = false;
        err_nomem(&err, "the request");
        embed_fail(c, &err);
    }
}

/* --- all of them ---------------------------------------------------------- */

static struct embed *embed_at(struct list *node)
{
    return list_owner(node, struct embed, node);
}

uint32_t embeddings_jobs_of(const struct api *api, uint64_t tenant)
{
    uint32_t n = 0;
    for (struct list *at = api->embeddings.next; at != &api->embeddings;
         at = at->next) {
        const struct embed *c = embed_at(at);
        if (!c->on_pool && c->tenant == tenant)
            n += c->n_submitted - c->n_ended;
    }
    return n;
}

void embeddings_go_on_all(struct api *api)
{
    for (struct list *at = api->embeddings.next; at != &api->embeddings;) {
        struct embed *c = embed_at(at);
        at = at->next;
        if (!c->on_pool && c->n_submitted < c->n_inputs)
            go_on(c);
    }
}

void embeddings_cut_all(struct api *api)
{
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE,
            "The server shut down before the answer was complete.");
    for (struct list *at = api->embeddings.next; at != &api->embeddings;) {
        struct embed *c = embed_at(at);
        at = at->next;
        if (!c->on_pool)
            embed_fail(c, &err);
    }
}
