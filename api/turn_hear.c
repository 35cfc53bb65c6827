/* turn_hear.c -- the engine's events, taken into the choice they belong to.
 *
 * A stream empties the choice into a chunk after each event, a whole answer
 * renders all choices at the end, both from the same parts: so both say the
 * same by construction. */
#include <stdio.h>

#include "api/answer/logprob_render.h"
#include "api/api_state.h"
#include "api/prompt/prepare.h"
#include "api/prompt/replay.h"
#include "api/turn_state.h"
#include "model/base/clock.h"
#include "server/http/http.h"

/* Under the client's own name for it if it has one, as in vLLM. */
static void name_answer(struct turn *t)
{
    char *id = t->answer.id;
    const char *name = turn_fields(t)->request_id;
    if (name == NULL && t->named)
        name = exchange_request_id(t->ex);
    if (name == NULL)
        ids_new(id, t->form->id_prefix);
    else
        snprintf(id, ANSWER_ID_BYTES, "%s%s", t->form->id_prefix, name);
}

void turn_describe(struct turn *t)
{
    struct answer *a = &t->answer;
    const struct sampling_fields *f = turn_fields(t);
    const bool chat = t->form->is_chat;
    name_answer(t);
    a->created = clock_unix_s();
    a->model = prepare_served_name(t->api->model, t->api->options);
    a->fingerprint = t->api->version;
    a->stream = f->stream;
    a->return_ids = f->return_token_ids;
    a->include_usage = f->include_usage;
    a->continuous_usage = f->continuous_usage;
    a->timings_per_token = f->timings_per_token;
    a->want_logprobs =
        chat ? t->chat.want_logprobs : t->completion.want_logprobs;
    a->hide_thoughts = chat && t->chat.thinking.shown == THINKING_HIDDEN;
    a->tokens_as_ids = f->tokens_as_ids;
    a->want_prompt_logprobs = f->has & SAMPLING_PROMPT_LOGPROBS;
    a->n_prompt_logprobs = f->n_prompt_logprobs;
    a->n_told = chat ? a->n_choices : t->n_jobs * f->n;
}

void turn_on_speech(void *user, enum speech_kind kind, const char *bytes,
                    size_t n)
{
    struct choice *c = user;
    if (kind != SPEECH_REASONING || !c->answer->hide_thoughts)
        parts_speech(&c->parts, kind, bytes, n);
}

static int hear_text(struct turn *t, struct choice *c, const char *text,
                     size_t n)
{
    if (n == 0)
        return 0;
    if (!t->form->is_chat) {
        parts_text(&c->parts, text, n);
        return 0;
    }
    if (t->speech.calls)
        buf_put(&c->said, text, n);
    return speech_feed(&c->speech, text, n);
}

static void hear_prompt_logprob(struct turn *t, struct choice *c,
                                const struct job_event *e)
{
    const struct answer *a = &t->answer;
    if (e->kind != EVENT_PROMPT_LOGPROB || !a->want_prompt_logprobs ||
        c != c->first)
        return;
    logprob_render_prompt(&c->prompt_logprobs, t->api->model->tokenizer, e,
                          a->n_prompt_logprobs);
}

static void hear_id(struct choice *c, token_id id)
{
    buf_printf(&c->ids, c->ids.len > 0 ? ",%d" : "%d", id);
}

/* The calls may come back in the next turn.  Without memory they are only
 * rendered, not replayed. */
static void remember_said(struct turn *t, const struct choice *c)
{
    struct buf ids = {0};
    if (c->parts.n_calls == 0 || !buf_ok(&c->said) || !parts_ok(&c->parts))
        return;
    parts_call_ids(&c->parts, &ids);
    if (buf_ok(&ids))
        replay_put(t->api->replay, t->tenant, ids.data, c->parts.n_calls,
                   c->said.data, c->said.len, &t->speech);
    buf_deinit(&ids);
}

static void hear_finish(struct turn *t, struct turn_job *tj, struct choice *c,
                        const struct job_event *e)
{
    const struct sampling_fields *f = turn_fields(t);
    c->ended = true;
    c->finish = e->finish;
    t->n_open--;
    tj->n_open--;
    if (e->stop_token != TOKEN_NONE && t->answer.return_ids)
        hear_id(c, e->stop_token);
    if (e->stop_string >= 0)
        c->stop_string = tj->job->stop[e->stop_string];
    for (uint32_t i = 0; i < f->n_stop_ids; i++)
        if (f->stop_ids[i] == e->stop_token)
            c->stop_token = e->stop_token;
}

/* It was not the model that ended the reply. */
static bool is_cut(const struct job_event *e)
{
    return e->stop_token == TOKEN_NONE;
}

static bool is_kept(const struct choice *c)
{
    const struct logprob_lists *l = &c->logprobs;
    return parts_ok(&c->parts) && buf_ok(&c->ids) && buf_ok(&l->content) &&
           buf_ok(&l->tokens) && buf_ok(&l->values) && buf_ok(&l->tops) &&
           buf_ok(&l->offsets) && buf_ok(&c->prompt_logprobs);
}

int turn_hear(struct turn *t, struct turn_job *tj, struct choice *c,
              const struct job_event *e)
{
    int rc = 0;
    if (!tj->counted) {
        tj->counted = true;
        t->answer.n_prompt += e->n_prompt;
        t->answer.n_cached += e->n_cached;
    }
    c->n_cached = e->n_cached;
    c->n_completion = e->n_completion;
    c->n_thought = e->n_thought;
    c->prefill_us = e->prefill_us;
    c->decode_us = e->decode_us;
    if (e->kind != EVENT_PROMPT_LOGPROB)
        c->logprob_sum += (double)e->logprob;
    hear_prompt_logprob(t, c, e);
    if (t->form->hear != NULL)
        t->form->hear(t, tj, c, e);
    if (e->kind == EVENT_TOKEN && t->answer.return_ids)
        hear_id(c, e->token);
    if (e->kind == EVENT_TOKEN || e->kind == EVENT_FINISH)
        rc = hear_text(t, c, e->text, e->n_text);
    if (e->kind == EVENT_FINISH) {
        if (rc == 0 && t->form->is_chat)
            rc = speech_finish(&c->speech, is_cut(e));
        remember_said(t, c);
        hear_finish(t, tj, c, e);
    }
    return rc != 0 ? rc : is_kept(c) ? 0 : -ERR_NOMEM;
}

void turn_forget_told(struct turn *t, struct choice *c)
{
    struct logprob_lists *l = &c->logprobs;
    parts_told(&c->parts, !t->form->keeps_told);
    buf_clear(&c->ids);
    buf_clear(&l->content);
    buf_clear(&l->tokens);
    buf_clear(&l->values);
    buf_clear(&l->tops);
    buf_clear(&l->offsets);
}
