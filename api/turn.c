/* turn.c -- see turn.h; what a turn hears is in turn_hear.c, what it says in
 * its form. */
#include "api/turn.h"

#include <string.h>

#include "api/api_state.h"
#include "api/base/error.h"
#include "api/prompt/prepare.h"
#include "api/tenant.h"
#include "api/turn_state.h"
#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "server/engine/engine.h"
#include "server/http/http.h"
#include "server/http/sse.h"

#define PING_MS 10000u
#define PROMPT_SCORES_MAX (1u << 21) /* up to 100 bytes each */

/* --- the end of a turn --------------------------------------------------- */

static void free_choice(struct choice *c)
{
    struct logprob_lists *l = &c->logprobs;
    struct buf *bufs[] = {&c->ids,    &l->content,        &l->tokens,
                          &l->values, &l->tops,           &l->offsets,
                          &c->said,   &c->prompt_logprobs};
    speech_deinit(&c->speech);
    parts_deinit(&c->parts);
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        buf_deinit(bufs[i]);
}

static void cancel_jobs(struct turn *t)
{
    for (uint32_t i = 0; i < t->n_jobs; i++)
        if (t->jobs[i].job != NULL && t->jobs[i].submitted)
            engine_cancel(t->api->engine, t->jobs[i].job);
}

static void turn_free(struct turn *t)
{
    cancel_jobs(t);
    for (uint32_t i = 0; i < t->n_jobs; i++)
        job_release(t->jobs[i].job);
    for (uint32_t i = 0; i < t->answer.n_choices; i++)
        free_choice(&t->answer.choices[i]);
    if (t->parsed && t->form->is_chat)
        chat_request_deinit(&t->chat);
    else if (t->parsed)
        completion_request_deinit(&t->completion);
    if (t->form->free_extra != NULL)
        t->form->free_extra(t);
    mem_free(t->jobs);
    mem_free(t->answer.choices);
    buf_deinit(&t->answer.prompt_text);
    buf_deinit(&t->out);
    buf_deinit(&t->json);
    list_remove(&t->node);
    exchange_release(t->ex);
    mem_free(t);
}

static void say_error(struct turn *t, const struct err *err)
{
    if (t->form->say_error != NULL) {
        t->form->say_error(t, err);
        return;
    }
    error_write(&t->json, err);
    sse_event(&t->out, buf_str(&t->json), t->json.len);
}

/* The client gets the error in whichever way is still open to it. */
static void turn_fail(struct turn *t, const struct err *err)
{
    if (!t->began) {
        error_reply_as(t->ex, err, tenant_retry_s(t->api, t->n_own, err),
                       t->form->error_body);
    } else {
        buf_clear(&t->out);
        buf_clear(&t->json);
        say_error(t, err);
        exchange_stream_write(t->ex, buf_str(&t->out), t->out.len);
        exchange_stream_end(t->ex, false);
    }
    turn_free(t);
}

static void on_gone(struct exchange *ex, void *user)
{
    struct turn *t = user;
    (void)ex;
    if (t->preparing)
        t->gone = true;
    else
        turn_free(t);
}

/* --- events ----------------------------------------------------------------
 */

/* The engine need not compute what nobody takes.  http alone decides when a
 * reader is slow, so that a pause is always followed by on_drained. */
static void pause_if_slow(struct turn *t)
{
    if (t->paused || !exchange_stream_slow(t->ex))
        return;
    t->paused = true;
    for (uint32_t i = 0; i < t->n_jobs; i++)
        engine_pause(t->api->engine, t->jobs[i].job);
}

static void on_drained(struct exchange *ex, void *user)
{
    struct turn *t = user;
    (void)ex;
    if (!t->paused)
        return;
    t->paused = false;
    for (uint32_t i = 0; i < t->n_jobs; i++)
        engine_resume(t->api->engine, t->jobs[i].job);
}

/* Everything the event made certain goes out in one write. */
static void stream_out(struct turn *t, struct choice *c)
{
    /* Prompt logprobs are part of the first chunk, not chunks of their own. */
    if (c->n_completion > 0 || c->ended)
        t->form->say_chunks(t, c);
    if (t->n_open == 0)
        t->form->say_end(t);
    if (!buf_ok(&t->out)) {
        struct err err = {0};
        err_nomem(&err, "a part of the answer");
        turn_fail(t, &err);
        return;
    }
    if (t->out.len > 0) {
        exchange_stream_write(t->ex, t->out.data, t->out.len);
        t->wrote_ms = clock_now_ms();
        buf_clear(&t->out);
    }
    if (t->n_open == 0) {
        exchange_stream_end(t->ex, true);
        turn_free(t);
        return;
    }
    pause_if_slow(t);
}

static void reply_whole(struct turn *t)
{
    t->form->say_whole(t);
    if (buf_ok(&t->out)) {
        exchange_reply(t->ex, 200, "application/json", t->out.data, t->out.len);
    } else {
        struct err err = {0};
        err_nomem(&err, "the answer");
        error_reply_as(t->ex, &err, 0, t->form->error_body);
    }
    turn_free(t);
}

static void on_event(void *user, const struct job_event *e)
{
    struct turn_job *tj = user;
    struct turn *t = tj->turn;
    uint32_t per_job = tj->job->n_choices;
    struct choice *c = &t->answer.choices[tj->number * per_job + e->choice];

    if (e->kind == EVENT_ERROR ||
        (e->kind == EVENT_FINISH && e->finish == FINISH_ABORT)) {
        struct err err = e->err;
        if (e->kind == EVENT_FINISH)
            err_set(&err, ERR_UNAVAILABLE,
                    "The server is shutting down; use another replica.");
        turn_fail(t, &err);
        return;
    }
    if (turn_hear(t, tj, c, e) != 0) {
        struct err err = {0};
        err_nomem(&err, "the answer");
        turn_fail(t, &err);
        return;
    }
    if (t->answer.stream)
        stream_out(t, c);
    else if (t->n_open == 0)
        reply_whole(t);
}

/* --- the beginning of a turn -----------------------------------------------
 */

static int parse(struct turn *t)
{
    const struct api *api = t->api;
    const size_t limit = api_request_bytes(api->options);
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc = t->form->parse(t, body, n, limit, &t->err);
    t->parsed = rc == 0;
    if (rc != 0)
        return rc;
    t->chat.replay = api->replay;
    t->chat.tenant = t->tenant;
    return prepare_check_model(
        api->model, api->options,
        t->form->is_chat ? t->chat.model : t->completion.model, &t->err);
}

static int make_jobs(struct turn *t)
{
    const struct api *api = t->api;
    uint32_t n = t->form->is_chat ? 1 : t->completion.n_prompts;
    t->jobs = mem_calloc(n, sizeof *t->jobs);
    if (t->jobs == NULL)
        return err_nomem(&t->err, "the request");
    t->n_jobs = n;
    for (uint32_t i = 0; i < n; i++) {
        struct turn_job *tj = &t->jobs[i];
        int rc = t->form->is_chat
                     ? prepare_chat(&tj->job, &t->speech, api->model,
                                    api->options, &t->chat, &t->err)
                     : prepare_completion(&tj->job, api->model, api->options,
                                          &t->completion, i, &t->err);
        if (rc != 0)
            return rc;
        tj->turn = t;
        tj->number = i;
        tj->job->cache_salt = tenant_salt(t->tenant, tj->job->cache_salt);
        tj->job->tenant = t->tenant;
        tj->job->on_event = on_event;
        tj->job->user = tj;
    }
    return 0;
}

/* Prompts are scored a hundred times faster than replies are said, so that
 * their lists are what an answer could grow without end by. */
static int check_scores(struct turn *t)
{
    const bool echo = !t->form->is_chat && t->completion.echo;
    uint64_t n = 0;
    for (uint32_t i = 0; i < t->n_jobs; i++) {
        const struct job *job = t->jobs[i].job;
        if (job->want_prompt_logprobs)
            n += (uint64_t)job->n_prompt * (job->n_prompt_logprobs + 1) *
                 (echo ? job->n_choices : 1);
    }
    if (n <= PROMPT_SCORES_MAX)
        return 0;
    return err_field(&t->err, t->form->is_chat ? "prompt_logprobs" : "prompt",
                     "the logprobs of all prompts are %llu numbers, more than "
                     "the %u that an answer may hold",
                     (unsigned long long)n, PROMPT_SCORES_MAX);
}

static int make_choices(struct turn *t)
{
    struct answer *a = &t->answer;
    uint32_t per_job = t->jobs[0].job->n_choices;
    a->choices = mem_calloc((size_t)t->n_jobs * per_job, sizeof *a->choices);
    if (a->choices == NULL)
        return err_nomem(&t->err, "the request");
    a->n_choices = t->n_open = t->n_jobs * per_job;
    for (uint32_t i = 0; i < a->n_choices; i++) {
        struct choice *c = &a->choices[i];
        const struct job *job = t->jobs[i / per_job].job;
        c->index = i;
        c->answer = a;
        c->first = &a->choices[i - i % per_job];
        c->prompt = job->prompt;
        c->n_prompt = job->n_prompt;
        c->stop_token = TOKEN_NONE;
        c->parts.call_prefix = t->form->call_prefix;
        speech_init(&c->speech, &t->speech, turn_on_speech, c);
    }
    return 0;
}

static void prepare_on_pool(void *user)
{
    struct turn *t = user;
    t->rc = parse(t);
    if (t->rc == 0)
        t->rc = make_jobs(t);
    if (t->rc == 0)
        t->rc = check_scores(t);
    if (t->rc == 0)
        t->rc = make_choices(t);
}

uint32_t turn_jobs_of(const struct api *api, uint64_t tenant)
{
    uint32_t n = 0;
    for (struct list *at = api->turns.next; at != &api->turns; at = at->next) {
        const struct turn *t = list_owner(at, struct turn, node);
        if (t->preparing || t->tenant != tenant)
            continue; /* the pool has the one */
        for (uint32_t i = 0; i < t->n_jobs; i++)
            n += t->jobs[i].submitted && t->jobs[i].n_open > 0;
    }
    return n;
}

static int check_share(struct turn *t)
{
    const uint32_t most = t->api->options->max_per_key;
    if (most > 0 && t->n_jobs > most)
        return err_field(&t->err, "prompt",
                         "the request has %u prompts, but a key may have %u "
                         "at once (max-per-key)",
                         t->n_jobs, most);
    return tenant_check(t->api, t->tenant, t->n_jobs, &t->n_own, &t->err);
}

static int submit(struct turn *t)
{
    int rc = check_share(t);
    for (uint32_t i = 0; rc == 0 && i < t->n_jobs; i++) {
        rc = engine_submit(t->api->engine, t->jobs[i].job, &t->err);
        t->jobs[i].submitted = rc == 0;
        t->jobs[i].n_open = t->jobs[i].job->n_choices;
    }
    return rc;
}

static void begin_saying(struct turn *t)
{
    t->form->say_begin(t);
    if (!buf_ok(&t->out)) {
        struct err err = {0};
        err_nomem(&err, "the beginning of the answer");
        turn_fail(t, &err);
        return;
    }
    if (t->out.len > 0)
        exchange_stream_write(t->ex, t->out.data, t->out.len);
    buf_clear(&t->out);
}

static void prepared(void *user)
{
    struct turn *t = user;
    t->preparing = false;
    if (t->gone) {
        turn_free(t);
        return;
    }
    if (t->rc == 0)
        t->rc = submit(t);
    if (t->rc != 0) {
        turn_fail(t, &t->err);
        return;
    }
    turn_describe(t);
    if (t->answer.stream) {
        exchange_on_drained(t->ex, on_drained, t);
        exchange_stream_begin(t->ex, 200, SSE_CONTENT_TYPE);
        t->began = true;
        t->wrote_ms = clock_now_ms();
        if (t->form->say_begin != NULL)
            begin_saying(t);
    }
}

void turn_begin(struct api *api, struct exchange *ex,
                const struct turn_form *form)
{
    struct err err = {0};
    if (api_check_serving(api, &err) != 0) {
        error_reply_as(ex, &err, 0, form->error_body);
        return;
    }
    struct turn *t = mem_calloc(1, sizeof *t);
    if (t == NULL) {
        err_nomem(&err, "the request");
        error_reply_as(ex, &err, 0, form->error_body);
        return;
    }
    t->api = api;
    t->ex = ex;
    t->form = form;
    t->tenant = tenant_of(api, ex);
    const char *name = exchange_header(ex, "X-Request-Id");
    t->named = name != NULL && strcmp(name, exchange_request_id(ex)) == 0;
    t->preparing = true;
    list_append(&api->turns, &t->node);
    exchange_hold(ex);
    exchange_on_gone(ex, on_gone, t);
    if (loop_background(api->loop, prepare_on_pool, prepared, t) != 0) {
        t->preparing = false;
        err_nomem(&err, "the request");
        turn_fail(t, &err);
    }
}

/* --- all of them -----------------------------------------------------------
 */

void turn_ping_all(struct api *api)
{
    uint64_t now = clock_now_ms();
    uint64_t after = api->options->ping_ms ? api->options->ping_ms : PING_MS;
    for (struct list *n = api->turns.next; n != &api->turns; n = n->next) {
        struct turn *t = list_owner(n, struct turn, node);
        if (!t->began || t->paused || now - t->wrote_ms < after)
            continue;
        const char *ping = t->form->ping != NULL ? t->form->ping : SSE_PING;
        exchange_stream_write(t->ex, ping, strlen(ping));
        t->wrote_ms = now;
    }
}

void turn_cut_all(struct api *api)
{
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE,
            "The server shut down before the answer was complete.");
    for (struct list *n = api->turns.next; n != &api->turns;) {
        struct turn *t = list_owner(n, struct turn, node);
        n = n->next;
        if (!t->preparing)
            turn_fail(t, &err);
    }
}
