/* form_native.c -- llama-server's own POST /completion as a form.
 *
 * Its streams end without [DONE]: the last object says "stop": true. */
#include <string.h>

#include "api/answer/logprob_render.h"
#include "api/answer/native_render.h"
#include "api/api_state.h"
#include "api/request/native_request.h"
#include "api/tokenize.h"
#include "api/turn_state.h"
#include "model/model.h"

static int parse(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err)
{
    const struct model *m = t->api->model;
    struct sampling_fields *f = &t->completion.sampling;
    int rc = native_request_parse(&t->completion, body, n, m->tokenizer,
                                  m->hp.n_vocab, limit, err);
    if (rc != 0)
        return rc;
    /* As there, a length beyond the context is cut and not refused. */
    if (!(f->has & SAMPLING_MAX_TOKENS))
        f->max_tokens = t->api->options->default_max_tokens;
    f->clips_max_tokens = true;
    f->return_token_ids = f->return_token_ids || f->stream;
    return 0;
}

static void hear(struct turn *t, const struct turn_job *tj, struct choice *c,
                 const struct job_event *e)
{
    (void)tj;
    c->has_newline =
        c->has_newline || (e->n_text > 0 && memchr(e->text, '\n', e->n_text));
    if (e->kind == EVENT_TOKEN && t->answer.want_logprobs)
        logprob_render_native(&c->logprobs, t->api->model->tokenizer, e);
}

static void put_end(struct turn *t, const struct choice *c, struct buf *out)
{
    struct buf prompt = {0};
    const uint32_t per_job = t->jobs[0].job->n_choices;
    tokenize_join(&prompt, t->api->model->tokenizer, c->prompt, c->n_prompt,
                  false);
    if (!buf_ok(&prompt))
        out->failed = true;
    native_render_end(out, &t->answer, c, t->jobs[c->index / per_job].job,
                      &prompt, t->api->model->ctx_tokens);
    buf_deinit(&prompt);
}

static void say_chunks(struct turn *t, struct choice *c)
{
    if (parts_have_news(&c->parts) || c->ids.len > 0) {
        const bool ended = c->ended;
        c->ended = false; /* the text that came with the end comes before it */
        native_render_chunk(&t->json, &t->answer, c);
        c->ended = ended;
        form_frame(t, NULL);
    }
    if (c->ended) {
        put_end(t, c, &t->json);
        form_frame(t, NULL);
    }
    turn_forget_told(t, c);
}

static void say_end(struct turn *t)
{
    (void)t; /* each choice has said it */
}

static void say_whole(struct turn *t)
{
    const struct answer *a = &t->answer;
    if (a->n_choices > 1)
        buf_putc(&t->out, '[');
    for (uint32_t i = 0; i < a->n_choices; i++) {
        if (i > 0)
            buf_putc(&t->out, ',');
        put_end(t, &a->choices[i], &t->out);
    }
    if (a->n_choices > 1)
        buf_putc(&t->out, ']');
}

const struct turn_form form_native = {
    .id_prefix = IDS_COMPLETION,
    .parse = parse,
    .hear = hear,
    .say_chunks = say_chunks,
    .say_end = say_end,
    .say_whole = say_whole,
};
