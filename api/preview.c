/* preview.c -- what a request would become, without running it: vLLM's
 * /v1/chat/completions/render and /v1/completions/render, llama-server's
 * /v1/chat/completions/input_tokens.
 *
 * A preview goes the way of the request itself (prepare.h), so its tokens and
 * numbers are those that would run, and whatever would be refused is refused
 * here in the same words.  Counting alone asks for no room in the context. */
#include "api/answer/answer_render.h"
#include "api/api_state.h"
#include "api/base/ids.h"
#include "api/base/writer.h"
#include "api/prompt/prepare.h"
#include "api/task.h"
#include "api/tokenize.h"
#include "model/model.h"
#include "server/engine/job.h"
#include "server/http/http.h"

static void put_ids(struct writer *w, const char *key, const token_id *ids,
                    uint32_t n)
{
    writer_key(w, key);
    writer_array(w);
    for (uint32_t i = 0; i < n; i++)
        writer_int(w, ids[i]);
    writer_end_array(w);
}

/* Under the names that requests use. */
static void put_sampling(struct writer *w, const struct job *job,
                         const struct sampling_fields *f)
{
    const struct sample_params *p = &job->params;
    writer_key(w, "sampling_params");
    writer_object(w);
    writer_key_int(w, "n", job->n_choices);
    answer_params(w, p, "repetition_penalty");
    if (f->has & SAMPLING_SEED)
        writer_key_int(w, "seed", (int64_t)p->seed);
    else
        writer_key_null(w, "seed");
    writer_key_int(w, "max_tokens", job->max_tokens);
    writer_key_int(w, "min_tokens", job->min_tokens);
    writer_key(w, "stop");
    writer_array(w);
    for (uint32_t i = 0; i < job->n_stop; i++)
        writer_string(w, job->stop[i]);
    writer_end_array(w);
    put_ids(w, "stop_token_ids", job->stop_ids, job->n_stop_ids);
    writer_key_bool(w, "ignore_eos", job->ignore_eos);
    writer_key_bool(w, "include_stop_str_in_output", job->include_stop);
    writer_key_bool(w, "skip_special_tokens", job->skip_special);
    if (p->want_logprob)
        writer_key_int(w, "logprobs", p->n_logprobs);
    else
        writer_key_null(w, "logprobs");
    writer_end_object(w);
}

/* vLLM's GenerateRequest, and the prompt as text beside it. */
static void put_job(struct writer *w, const struct api *api,
                    const char *id_prefix, const struct job *job,
                    const struct sampling_fields *f)
{
    char id[IDS_BYTES];
    struct buf text = {0};
    ids_new(id, id_prefix);
    tokenize_join(&text, api->model->tokenizer, job->prompt, job->n_prompt,
                  false);
    writer_object(w);
    writer_key_string(w, "request_id", id);
    writer_key_string(w, "model",
                      prepare_served_name(api->model, api->options));
    writer_key(w, "prompt");
    writer_string_n(w, buf_str(&text), text.len);
    put_ids(w, "token_ids", job->prompt, job->n_prompt);
    writer_key_null(w, "features");
    put_sampling(w, job, f);
    writer_key_bool(w, "stream", f->stream);
    writer_key_string(w, "cache_salt", f->cache_salt);
    writer_key_int(w, "priority", job->priority);
    writer_end_object(w);
    if (!buf_ok(&text))
        w->out->failed = true;
    buf_deinit(&text);
}

static int parse_chat(const struct task *t, struct chat_request *r,
                      struct err *err)
{
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc = chat_request_parse(r, body, n, t->api->model->hp.n_vocab,
                                api_request_bytes(t->api->options), err);
    if (rc != 0)
        return rc;
    rc = task_own_chat(t, r, err);
    if (rc != 0)
        chat_request_deinit(r);
    return rc;
}

static int render_chat(struct task *t)
{
    struct chat_request r;
    struct speech_options speech;
    struct job *job = NULL;
    struct writer w;
    int rc = parse_chat(t, &r, &t->err);
    if (rc != 0)
        return rc;
    rc = prepare_chat(&job, &speech, t->api->model, t->api->options, &r,
                      &t->err);
    if (rc == 0) {
        writer_init(&w, &t->out);
        put_job(&w, t->api, IDS_CHAT, job, &r.sampling);
        job_release(job);
    }
    chat_request_deinit(&r);
    return rc;
}

void api_render_chat(struct exchange *ex, void *user)
{
    task_start(user, ex, render_chat);
}

/* One for every prompt. */
static int render_completion(struct task *t)
{
    const struct model *m = t->api->model;
    struct completion_request r;
    struct writer w;
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc =
        completion_request_parse(&r, body, n, m->hp.n_vocab,
                                 api_request_bytes(t->api->options), &t->err);
    if (rc != 0)
        return rc;
    rc = prepare_check_model(m, t->api->options, r.model, &t->err);
    writer_init(&w, &t->out);
    writer_array(&w);
    for (uint32_t i = 0; rc == 0 && i < r.n_prompts; i++) {
        struct job *job = NULL;
        rc = prepare_completion(&job, m, t->api->options, &r, i, &t->err);
        if (rc != 0)
            break;
        put_job(&w, t->api, IDS_COMPLETION, job, &r.sampling);
        job_release(job);
    }
    writer_end_array(&w);
    completion_request_deinit(&r);
    return rc;
}

void api_render_completion(struct exchange *ex, void *user)
{
    task_start(user, ex, render_completion);
}

static int count_chat(struct task *t)
{
    struct chat_request r;
    int rc = parse_chat(t, &r, &t->err);
    return rc == 0 ? task_count_chat(t, &r, "response.input_tokens") : rc;
}

void api_count_chat(struct exchange *ex, void *user)
{
    task_start(user, ex, count_chat);
}
