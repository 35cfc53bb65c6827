/* turn_say.c -- from the engine's events to the client's bytes.
 *
 * Events are taken into a choice; a stream empties the choice into a chunk
 * after each event, a whole answer renders all choices at the end.  So both
 * forms say the same by construction. */
#include <string.h>

#include "api/answer_render.h"
#include "api/api_state.h"
#include "api/chat_render.h"
#include "api/completion_render.h"
#include "api/logprob_render.h"
#include "api/prepare.h"
#include "api/replay.h"
#include "api/turn_state.h"
#include "api/writer.h"
#include "model/base/clock.h"
#include "model/text/detok.h"
#include "model/text/tokenizer.h"
#include "server/http/sse.h"

static const struct sampling_fields *fields(const struct turn *t)
{
    return t->is_chat ? &t->chat.sampling : &t->completion.sampling;
}

void turn_describe(struct turn *t)
{
    struct answer *a = &t->answer;
    const struct sampling_fields *f = fields(t);
    ids_new(a->id, t->is_chat ? IDS_CHAT : IDS_COMPLETION);
    a->created = clock_unix_s();
    a->model = prepare_served_name(t->api->model, t->api->options);
    a->fingerprint = t->api->version;
    a->stream = f->stream;
    a->return_ids = f->return_token_ids;
    a->include_usage = f->include_usage;
    a->continuous_usage = f->continuous_usage;
    a->want_logprobs =
        t->is_chat ? t->chat.want_logprobs : t->completion.want_logprobs;
    a->tokens_as_ids = !t->is_chat && t->completion.tokens_as_ids;
}

/* --- hearing ---------------------------------------------------------------
 */

static void put_call(struct choice *c)
{
    char id[IDS_BYTES] = {0};
    struct writer w;
    ids_new(id, IDS_CALL);
    if (c->calls.len > 0)
        buf_putc(&c->calls, ',');
    writer_init(&w, &c->calls);
    writer_object(&w);
    if (c->answer->stream)
        writer_key_int(&w, "index", c->n_calls);
    writer_key_string(&w, "id", id);
    writer_key_string(&w, "type", "function");
    writer_key(&w, "function");
    writer_object(&w);
    writer_key(&w, "name");
    writer_string_n(&w, buf_str(&c->call_name), c->call_name.len);
    writer_key(&w, "arguments");
    writer_string_n(&w, buf_str(&c->call_args), c->call_args.len);
    writer_end_object(&w);
    writer_end_object(&w);
    buf_put(&c->call_ids, id, sizeof id);
    c->n_calls++;
    if (!buf_ok(&c->call_name) || !buf_ok(&c->call_args))
        c->calls.failed = true;
}

void turn_on_speech(void *user, enum speech_kind kind, const char *bytes,
                    size_t n)
{
    struct choice *c = user;
    switch (kind) {
    case SPEECH_TEXT:
        buf_put(&c->text, bytes, n);
        break;
    case SPEECH_REASONING:
        buf_put(&c->reasoning, bytes, n);
        break;
    case SPEECH_CALL_BEGIN:
        buf_clear(&c->call_name);
        buf_clear(&c->call_args);
        buf_put(&c->call_name, bytes, n);
        break;
    case SPEECH_CALL_ARGS:
        buf_put(&c->call_args, bytes, n);
        break;
    case SPEECH_CALL_END:
        put_call(c);
        break;
    }
}

static int hear_text(struct turn *t, struct choice *c, const char *text,
                     size_t n)
{
    if (n == 0)
        return 0;
    if (t->is_chat && t->speech.calls)
        buf_put(&c->said, text, n);
    if (t->is_chat)
        return speech_feed(&c->speech, text, n);
    buf_put(&c->text, text, n);
    return 0;
}

/* The prompt as the client sent it, or its ids as text. */
static void echo_prompt(struct turn *t, const struct turn_job *tj,
                        struct choice *c)
{
    const struct completion_prompt *p = &t->completion.prompts[tj->number];
    const struct tokenizer *tok = t->api->model->tokenizer;
    if (p->text != NULL) {
        buf_put(&c->text, p->text, p->n_text);
        return;
    }
    struct detok d;
    detok_init(&d);
    for (uint32_t i = 0; i < c->n_prompt; i++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(tok, c->prompt[i], &n);
        if (tokenizer_is_special(tok, c->prompt[i]) && tj->job->skip_special)
            continue;
        char *room = buf_room(&c->text, DETOK_ROOM(n));
        if (room != NULL)
            buf_added(&c->text, detok_push(&d, bytes, n, room));
    }
    char *room = buf_room(&c->text, DETOK_ROOM(0));
    if (room != NULL)
        buf_added(&c->text, detok_finish(&d, room));
}

/* Offsets count what is in the text, and a hidden token is not. */
static void put_completion_logprob(struct turn *t, const struct turn_job *tj,
                                   struct choice *c, const struct job_event *e,
                                   bool certain)
{
    const struct tokenizer *tok = t->api->model->tokenizer;
    uint32_t before = c->text_offset;
    logprob_render_completion(&c->logprobs, tok, e, certain,
                              t->answer.tokens_as_ids, &c->text_offset);
    if (tj->job->skip_special && tokenizer_is_special(tok, e->token))
        c->text_offset = before;
}

/* Before the first event of an echoing choice: the prompt, whose first token
 * nothing predicted. */
static void hear_echo(struct turn *t, const struct turn_job *tj,
                      struct choice *c)
{
    if (t->is_chat || !t->completion.echo || c->echoed)
        return;
    c->echoed = true;
    echo_prompt(t, tj, c);
    if (!t->answer.want_logprobs)
        return;
    struct job_event first = {.kind = EVENT_PROMPT_LOGPROB,
                              .token = c->prompt[0]};
    put_completion_logprob(t, tj, c, &first, false);
}

static void hear_logprob(struct turn *t, const struct turn_job *tj,
                         struct choice *c, const struct job_event *e)
{
    if (!t->answer.want_logprobs)
        return;
    if (t->is_chat)
        logprob_render_chat(&c->logprobs, t->api->model->tokenizer, e);
    else
        put_completion_logprob(t, tj, c, e, true);
}

static void hear_id(struct choice *c, token_id id)
{
    buf_printf(&c->ids, c->ids.len > 0 ? ",%d" : "%d", id);
}

/* The calls may come back in the next turn.  Without memory they are only
 * rendered, not replayed. */
static void remember_said(struct turn *t, const struct choice *c)
{
    if (c->n_calls > 0 && buf_ok(&c->said) && buf_ok(&c->call_ids))
        replay_put(t->api->replay, t->tenant, c->call_ids.data, c->n_calls,
                   c->said.data, c->said.len, &t->speech);
}

static void hear_finish(struct turn *t, struct turn_job *tj, struct choice *c,
                        const struct job_event *e)
{
    const struct sampling_fields *f = fields(t);
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

int turn_hear(struct turn *t, struct turn_job *tj, struct choice *c,
              const struct job_event *e)
{
    int rc = 0;
    if (!tj->counted) {
        tj->counted = true;
        t->answer.n_prompt += e->n_prompt;
        t->answer.n_cached += e->n_cached;
    }
    c->n_completion = e->n_completion;
    hear_echo(t, tj, c);
    if (e->kind == EVENT_PROMPT_LOGPROB || e->kind == EVENT_TOKEN)
        hear_logprob(t, tj, c, e);
    if (e->kind == EVENT_TOKEN && t->answer.return_ids)
        hear_id(c, e->token);
    if (e->kind == EVENT_TOKEN || e->kind == EVENT_FINISH)
        rc = hear_text(t, c, e->text, e->n_text);
    if (e->kind == EVENT_FINISH) {
        if (rc == 0 && t->is_chat)
            rc = speech_finish(&c->speech);
        remember_said(t, c);
        hear_finish(t, tj, c, e);
    }
    bool kept = buf_ok(&c->text) && buf_ok(&c->reasoning) &&
                buf_ok(&c->calls) && buf_ok(&c->ids) &&
                buf_ok(&c->logprobs.content) && buf_ok(&c->logprobs.tokens) &&
                buf_ok(&c->logprobs.values) && buf_ok(&c->logprobs.tops) &&
                buf_ok(&c->logprobs.offsets);
    return rc != 0 ? rc : kept ? 0 : -ERR_NOMEM;
}

/* --- saying ----------------------------------------------------------------
 */

static void frame(struct turn *t)
{
    if (!buf_ok(&t->json))
        t->out.failed = true;
    else
        sse_event(&t->out, buf_str(&t->json), t->json.len);
    buf_clear(&t->json);
}

static void forget_said(struct choice *c)
{
    struct logprob_lists *l = &c->logprobs;
    buf_clear(&c->text);
    buf_clear(&c->reasoning);
    buf_clear(&c->calls);
    buf_clear(&c->ids);
    buf_clear(&l->content);
    buf_clear(&l->tokens);
    buf_clear(&l->values);
    buf_clear(&l->tops);
    buf_clear(&l->offsets);
}

static bool has_something(const struct choice *c)
{
    return c->text.len > 0 || c->reasoning.len > 0 || c->calls.len > 0 ||
           c->logprobs.content.len > 0 || c->logprobs.tokens.len > 0 ||
           c->ids.len > 0;
}

static void start_choice(struct turn *t, struct choice *c)
{
    if (c->started)
        return;
    if (t->is_chat)
        chat_render_role(&t->json, &t->answer, c);
    else
        completion_render_chunk(&t->json, &t->answer, c);
    c->started = true;
    frame(t);
    if (!t->is_chat)
        forget_said(c);
}

void turn_say_chunks(struct turn *t, struct choice *c)
{
    struct answer *a = &t->answer;
    /* Prompt logprobs are part of the first chunk, not chunks of their own. */
    if (c->n_completion == 0 && !c->ended)
        return;
    /* Clients append a choice when its index first appears, so indices must
     * appear in order. */
    for (uint32_t i = 0; i < c->index; i++)
        start_choice(t, &a->choices[i]);
    if (t->is_chat) {
        start_choice(t, c);
        if (has_something(c)) {
            chat_render_delta(&t->json, a, c);
            frame(t);
        }
        if (c->ended) {
            chat_render_finish(&t->json, a, c);
            frame(t);
        }
    } else if (has_something(c) || c->ended || !c->started) {
        completion_render_chunk(&t->json, a, c);
        c->started = true;
        frame(t);
    }
    forget_said(c);
}

void turn_say_end(struct turn *t)
{
    struct writer w;
    if (t->answer.include_usage) {
        writer_init(&w, &t->json);
        answer_usage_chunk(&w, &t->answer,
                           t->is_chat ? CHAT_CHUNK : COMPLETION_OBJECT);
        frame(t);
    }
    buf_puts(&t->out, SSE_DONE);
}

void turn_say_whole(struct turn *t)
{
    if (t->is_chat)
        chat_render_whole(&t->out, &t->answer);
    else
        completion_render_whole(&t->out, &t->answer);
}
