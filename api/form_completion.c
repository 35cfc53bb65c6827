/* form_completion.c -- POST /v1/completions as a form. */
#include <string.h>

#include "api/answer/completion_render.h"
#include "api/answer/logprob_render.h"
#include "api/api_state.h"
#include "api/tokenize.h"
#include "api/turn_state.h"
#include "model/model.h"
#include "model/text/tokenizer.h"

static int parse(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err)
{
    return completion_request_parse(&t->completion, body, n,
                                    t->api->model->hp.n_vocab, limit, err);
}

/* The prompt is echoed as the client sent it. */
static bool echoes_text(const struct turn *t, const struct turn_job *tj)
{
    return t->completion.prompts[tj->number].text != NULL &&
           t->completion.sampling.truncate == 0;
}

/* The prompt as the client sent it, or the ids that are left of it as text. */
static void echo_prompt(struct turn *t, const struct turn_job *tj,
                        struct choice *c)
{
    const struct completion_prompt *p = &t->completion.prompts[tj->number];
    if (echoes_text(t, tj)) {
        parts_text(&c->parts, p->text, p->n_text);
        return;
    }
    struct buf text = {0};
    tokenize_join(&text, t->api->model->tokenizer, c->prompt, c->n_prompt,
                  tj->job->skip_special);
    parts_text(&c->parts, buf_str(&text), text.len);
    c->parts.failed = c->parts.failed || !buf_ok(&text);
    buf_deinit(&text);
}

/* The token is not in the text: of a prompt echoed as it came only the BOS is
 * not, unless the client wrote that, too. */
static bool is_hidden(const struct turn *t, const struct turn_job *tj,
                      const struct job_event *e, bool is_first)
{
    const struct tokenizer *tok = t->api->model->tokenizer;
    if (e->kind != EVENT_PROMPT_LOGPROB || !echoes_text(t, tj))
        return tj->job->skip_special && tokenizer_is_special(tok, e->token);
    const struct completion_prompt *p = &t->completion.prompts[tj->number];
    size_t n;
    const char *bytes = tokenizer_token_bytes(tok, e->token, &n);
    return is_first && (n > p->n_text || memcmp(p->text, bytes, n) != 0);
}

/* Offsets count what is in the text, and a hidden token is not. */
static void put_completion_logprob(struct turn *t, const struct turn_job *tj,
                                   struct choice *c, const struct job_event *e,
                                   bool certain)
{
    const struct tokenizer *tok = t->api->model->tokenizer;
    uint32_t before = c->text_offset;
    struct job_event told = *e;
    if (told.n_top > t->completion.n_logprobs) /* prompt_logprobs has more */
        told.n_top = t->completion.n_logprobs;
    logprob_render_completion(&c->logprobs, tok, &told, certain,
                              t->answer.tokens_as_ids, &c->text_offset);
    if (is_hidden(t, tj, e, !certain))
        c->text_offset = before;
}

/* Before the first event of an echoing choice: the prompt, whose first token
 * nothing predicted. */
static void hear_echo(struct turn *t, const struct turn_job *tj,
                      struct choice *c)
{
    if (!t->completion.echo || c->echoed)
        return;
    c->echoed = true;
    echo_prompt(t, tj, c);
    if (!t->answer.want_logprobs)
        return;
    struct job_event first = {.kind = EVENT_PROMPT_LOGPROB,
                              .token = c->prompt[0]};
    put_completion_logprob(t, tj, c, &first, false);
}

static void hear(struct turn *t, const struct turn_job *tj, struct choice *c,
                 const struct job_event *e)
{
    struct job_event drawn = *e;
    hear_echo(t, tj, c);
    /* The token that ends a reply is one of it: who scores a text with
     * max_tokens 1 counts on one token behind it. */
    if (e->kind == EVENT_FINISH)
        drawn.token = e->stop_token;
    if (!t->answer.want_logprobs || drawn.token == TOKEN_NONE)
        return;
    if (e->kind != EVENT_PROMPT_LOGPROB || t->completion.echo)
        put_completion_logprob(t, tj, c, &drawn, true);
}

static bool has_news(const struct choice *c)
{
    return parts_have_news(&c->parts) || c->logprobs.tokens.len > 0 ||
           c->ids.len > 0;
}

static void say_chunk(struct turn *t, struct choice *c)
{
    completion_render_chunk(&t->json, &t->answer, c);
    c->started = true;
    form_frame(t, NULL);
    turn_forget_told(t, c);
}

static void say_chunks(struct turn *t, struct choice *c)
{
    struct answer *a = &t->answer;
    /* Clients append a choice when its index first appears, so indices must
     * appear in order. */
    for (uint32_t i = 0; i < c->index; i++)
        if (!a->choices[i].started)
            say_chunk(t, &a->choices[i]);
    if (has_news(c) || c->ended || !c->started)
        say_chunk(t, c);
}

static void say_end(struct turn *t)
{
    form_say_done(t, COMPLETION_OBJECT);
}

/* OpenAI's best: with the highest logprob a token. */
static double worth(const struct choice *c)
{
    return c->n_completion > 0 ? c->logprob_sum / c->n_completion : 0;
}

/* Numbers the n best of one prompt's choices, the best first. */
static void choose(struct choice *choices, uint32_t n_choices, uint32_t n,
                   uint32_t first_index)
{
    for (uint32_t i = 0; i < n_choices; i++)
        choices[i].index = CHOICE_UNTOLD;
    for (uint32_t k = 0; k < n; k++) {
        struct choice *best = NULL;
        for (uint32_t i = 0; i < n_choices; i++) {
            struct choice *c = &choices[i];
            if (c->index == CHOICE_UNTOLD &&
                (best == NULL || worth(c) > worth(best)))
                best = c;
        }
        best->index = first_index + k;
    }
}

static void say_whole(struct turn *t)
{
    const struct completion_request *r = &t->completion;
    const uint32_t n = r->sampling.n;
    for (uint32_t p = 0; r->best_of > n && p < r->n_prompts; p++)
        choose(&t->answer.choices[p * r->best_of], r->best_of, n, p * n);
    completion_render_whole(&t->out, &t->answer);
}

const struct turn_form form_completion = {
    .id_prefix = IDS_COMPLETION,
    .parse = parse,
    .hear = hear,
    .say_chunks = say_chunks,
    .say_end = say_end,
    .say_whole = say_whole,
};
