/* form_responses.c -- POST /v1/responses as a form.
 *
 * A stream is a list of named events, numbered from 0; every item and its
 * content is opened, grows and is closed:
 *
 *     created, in_progress,
 *         output_item.added,
 *             content_part.added, output_text.delta ..., output_text.done,
 *             content_part.done,
 *         output_item.done, ...
 *     completed | incomplete | error, failed
 *
 * There is no [DONE]: the last event says the whole response again. */
#include "api/answer/answer_render.h"
#include "api/answer/logprob_render.h"
#include "api/answer/responses_render.h"
#include "api/api_state.h"
#include "api/base/error.h"
#include "api/prompt/responses_fit.h"
#include "api/request/responses_request.h"
#include "api/turn_state.h"
#include "model/base/alloc.h"
#include "model/model.h"
#include "server/engine/job.h"

static int parse(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err)
{
    struct responses *x = mem_calloc(1, sizeof *x);
    if (x == NULL)
        return err_nomem(err, "the request");
    t->extra = x;
    struct chat_request *r = &t->chat;
    int rc = responses_request_parse(r, &x->asked, body, n,
                                     t->api->model->hp.n_vocab, limit, err);
    if (rc != 0 || !x->asked.truncates)
        return rc;
    r->replay = t->api->replay; /* which makes some prompts longer */
    r->tenant = t->tenant;
    rc = responses_truncate(r, t->api->model, err);
    if (rc != 0)
        chat_request_deinit(r);
    return rc;
}

static void free_extra(struct turn *t)
{
    struct responses *x = t->extra;
    if (x == NULL)
        return;
    buf_deinit(&x->asked.echo);
    responses_logprobs_deinit(&x->logprobs);
    mem_free(x);
}

static void settle(struct turn *t, struct choice *c)
{
    struct responses *x = t->extra;
    if (!t->answer.want_logprobs)
        return;
    responses_logprobs_settle(&x->logprobs, &c->parts);
    c->parts.failed = c->parts.failed || x->logprobs.failed;
}

/* The parts hold all but this event's text.  Thoughts that are hidden leave no
 * part that would show whose a token is; the count of them does. */
static void hear(struct turn *t, const struct turn_job *tj, struct choice *c,
                 const struct job_event *e)
{
    struct responses *x = t->extra;
    (void)tj;
    settle(t, c);
    const bool is_thought = c->n_thought > x->n_thought;
    x->n_thought = c->n_thought;
    if (e->kind == EVENT_TOKEN && t->answer.want_logprobs && !is_thought)
        logprob_render_chat(&x->logprobs.waiting, t->api->model->tokenizer, e,
                            t->answer.tokens_as_ids);
}

/* --- events -----------------------------------------------------------------
 */

static struct writer event_open(struct turn *t, const char *type)
{
    struct responses *x = t->extra;
    struct writer w;
    writer_init(&w, &t->json);
    writer_object(&w);
    writer_key_string(&w, "type", type);
    writer_key_int(&w, "sequence_number", x->n_events++);
    return w;
}

static void event_close(struct turn *t, struct writer *w, const char *type)
{
    writer_end_object(w);
    form_frame(t, type);
}

/* One about an item. */
static struct writer item_event(struct turn *t, const char *type,
                                const struct choice *c, uint32_t i)
{
    char id[IDS_BYTES];
    struct writer w = event_open(t, type);
    responses_item_id(id, c, i);
    writer_key_string(&w, "item_id", id);
    writer_key_int(&w, "output_index", i);
    if (responses_item_kind(c, i) != PART_CALL)
        writer_key_int(&w, "content_index", 0);
    return w;
}

static void say_response(struct turn *t, const char *type,
                         const struct err *err)
{
    const struct choice *c = &t->answer.choices[0];
    struct writer w = event_open(t, type);
    writer_key(&w, "response");
    responses_object(&w, t->extra, c, t->jobs[0].job, err);
    if (c->ended)
        answer_timings(&w, c);
    event_close(t, &w, type);
}

static void say_begin(struct turn *t)
{
    say_response(t, "response.created", NULL);
    say_response(t, "response.in_progress", NULL);
}

static void say_item(struct turn *t, const char *type, const struct choice *c,
                     uint32_t i, bool begun)
{
    struct writer w = event_open(t, type);
    writer_key_int(&w, "output_index", i);
    writer_key(&w, "item");
    if (begun)
        responses_item_begun(&w, c, i);
    else
        responses_item(&w, t->extra, c, i);
    event_close(t, &w, type);
}

static void say_content(struct turn *t, const char *type,
                        const struct choice *c, uint32_t i, bool empty)
{
    struct writer w = item_event(t, type, c, i);
    writer_key(&w, "part");
    responses_content(&w, t->extra, c, i, empty);
    event_close(t, &w, type);
}

/* What the tokens of the text are worth: those not told yet, or all. */
static void put_logprobs(struct writer *w, struct turn *t, uint32_t i, bool all)
{
    struct responses *x = t->extra;
    struct text_logprobs *text = responses_logprobs_of(&x->logprobs, i);
    size_t at = text != NULL && !all ? text->n_told : 0;
    writer_key(w, "logprobs");
    writer_array(w);
    if (text != NULL && text->list.len > at) {
        writer_raw(w, buf_str(&text->list) + at, text->list.len - at);
        text->n_told = text->list.len + 1; /* the comma */
    }
    writer_end_array(w);
}

static void say_delta(struct turn *t, const struct choice *c, uint32_t i)
{
    static const char *const types[] = {
        [PART_TEXT] = "response.output_text.delta",
        [PART_REASONING] = "response.reasoning_text.delta",
        [PART_CALL] = "response.function_call_arguments.delta",
    };
    const struct part *part = &c->parts.items[i];
    struct writer w = item_event(t, types[part->kind], c, i);
    writer_key(&w, "delta");
    writer_string_n(&w, buf_str(&part->bytes) + part->n_told,
                    part->bytes.len - part->n_told);
    if (part->kind == PART_TEXT)
        put_logprobs(&w, t, i, false);
    if (t->answer.timings_per_token)
        answer_timings(&w, c);
    event_close(t, &w, types[part->kind]);
}

static void begin_item(struct turn *t, const struct choice *c, uint32_t i)
{
    say_item(t, "response.output_item.added", c, i, true);
    if (responses_item_kind(c, i) != PART_CALL)
        say_content(t, "response.content_part.added", c, i, true);
}

/* All of its text or arguments, once more. */
static void say_done(struct turn *t, const struct choice *c, uint32_t i)
{
    static const struct {
        const char *type, *key;
    } rows[] = {
        [PART_TEXT] = {"response.output_text.done", "text"},
        [PART_REASONING] = {"response.reasoning_text.done", "text"},
        [PART_CALL] = {"response.function_call_arguments.done", "arguments"},
    };
    static const struct part nothing = {.kind = PART_TEXT};
    const struct part *part = i < c->parts.n ? &c->parts.items[i] : &nothing;
    struct writer w = item_event(t, rows[part->kind].type, c, i);
    writer_key(&w, rows[part->kind].key);
    writer_string_n(&w, buf_str(&part->bytes), part->bytes.len);
    if (part->kind == PART_TEXT)
        put_logprobs(&w, t, i, true);
    if (part->kind == PART_CALL) {
        writer_key(&w, "name");
        writer_string_n(&w, buf_str(&part->name), part->name.len);
    }
    event_close(t, &w, rows[part->kind].type);
    if (part->kind != PART_CALL)
        say_content(t, "response.content_part.done", c, i, false);
    say_item(t, "response.output_item.done", c, i, false);
}

/* An item is closed when another begins or nothing follows. */
static void say_chunks(struct turn *t, struct choice *c)
{
    const uint32_t n = responses_n_items(c);
    settle(t, c);
    for (uint32_t i = c->parts.first_new; i < n; i++) {
        const struct part *part = i < c->parts.n ? &c->parts.items[i] : NULL;
        if (part == NULL || !part->begun)
            begin_item(t, c, i);
        if (part != NULL && part->bytes.len > part->n_told)
            say_delta(t, c, i);
        if (i + 1 < n || c->ended)
            say_done(t, c, i);
    }
    turn_forget_told(t, c);
    if (c->parts.failed)
        t->out.failed = true;
}

static void say_end(struct turn *t)
{
    const struct choice *c = &t->answer.choices[0];
    say_response(t,
                 c->finish == FINISH_LENGTH ? "response.incomplete"
                                            : "response.completed",
                 NULL);
}

static void say_whole(struct turn *t)
{
    struct choice *c = &t->answer.choices[0];
    struct writer w;
    settle(t, c);
    writer_init(&w, &t->out);
    responses_object(&w, t->extra, c, t->jobs[0].job, NULL);
    if (c->parts.failed)
        t->out.failed = true;
}

/* --- failure ----------------------------------------------------------------
 */

static void say_error(struct turn *t, const struct err *err)
{
    static const char type[] = "error";
    struct writer w = event_open(t, type);
    writer_key_string(&w, "code", error_shape(err->class_)->code);
    writer_key_string(&w, "message", err->text);
    writer_key_null(&w, "param");
    event_close(t, &w, type);
    say_response(t, "response.failed", err);
}

const struct turn_form form_responses = {
    .id_prefix = IDS_RESPONSE,
    .is_chat = true,
    .keeps_told = true,
    .parse = parse,
    .hear = hear,
    .say_begin = say_begin,
    .say_chunks = say_chunks,
    .say_end = say_end,
    .say_whole = say_whole,
    .error_body = responses_error_body,
    .say_error = say_error,
    .free_extra = free_extra,
};
