/* form_chat.c -- POST /v1/chat/completions as a form. */
#include "api/answer/chat_render.h"
#include "api/answer/logprob_render.h"
#include "api/api_state.h"
#include "api/tokenize.h"
#include "api/turn_state.h"
#include "model/model.h"

static int parse(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err)
{
    return chat_request_parse(&t->chat, body, n, t->api->model->hp.n_vocab,
                              limit, err);
}

/* What a reply goes on from is said again if the request wants it whole. */
static void hear_echo(const struct turn *t, struct choice *c)
{
    const struct chat_request *r = &t->chat;
    const json_t *last =
        json_array_get(r->messages, json_array_size(r->messages) - 1);
    const json_t *v = json_object_get(last, "content");
    if (!r->echo || !r->continues || c->echoed)
        return;
    c->echoed = true;
    parts_text(&c->parts, json_string_value(v), json_string_length(v));
}

static void hear(struct turn *t, const struct turn_job *tj, struct choice *c,
                 const struct job_event *e)
{
    (void)tj;
    hear_echo(t, c);
    if (e->kind == EVENT_TOKEN && t->answer.want_logprobs)
        logprob_render_chat(&c->logprobs, t->api->model->tokenizer, e,
                            t->answer.tokens_as_ids);
}

static bool has_news(const struct choice *c)
{
    return parts_have_news(&c->parts) || c->logprobs.content.len > 0 ||
           c->ids.len > 0;
}

static void start_choice(struct turn *t, struct choice *c)
{
    if (c->started)
        return;
    chat_render_role(&t->json, &t->answer, c);
    c->started = true;
    form_frame(t, NULL);
}

/* Clients append a choice when its index first appears, so indices must appear
 * in order. */
static void say_chunks(struct turn *t, struct choice *c)
{
    struct answer *a = &t->answer;
    for (uint32_t i = 0; i <= c->index; i++)
        start_choice(t, &a->choices[i]);
    if (has_news(c)) {
        chat_render_delta(&t->json, a, c);
        form_frame(t, NULL);
    }
    if (c->ended) {
        chat_render_finish(&t->json, a, c);
        form_frame(t, NULL);
    }
    turn_forget_told(t, c);
}

static void say_end(struct turn *t)
{
    form_say_done(t, CHAT_CHUNK);
}

static void say_whole(struct turn *t)
{
    struct answer *a = &t->answer;
    a->verbose = t->chat.verbose;
    if (a->verbose)
        tokenize_join(&a->prompt_text, t->api->model->tokenizer,
                      a->choices[0].prompt, a->choices[0].n_prompt, false);
    if (!buf_ok(&a->prompt_text))
        t->out.failed = true;
    chat_render_whole(&t->out, &t->answer);
}

const struct turn_form form_chat = {
    .id_prefix = IDS_CHAT,
    .is_chat = true,
    .parse = parse,
    .hear = hear,
    .say_chunks = say_chunks,
    .say_end = say_end,
    .say_whole = say_whole,
};
