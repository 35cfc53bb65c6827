/* completion_render.c -- see completion_render.h. */
#include "api/answer/completion_render.h"

#include "api/answer/answer_render.h"
#include "api/base/writer.h"

static void put_choice(struct writer *w, const struct answer *a,
                       const struct choice *c)
{
    const struct logprob_lists *l = &c->logprobs;
    writer_object(w);
    writer_key_int(w, "index", c->index);
    answer_news(w, "text", &c->parts, PART_TEXT);
    if (a->want_logprobs) {
        writer_key(w, "logprobs");
        writer_object(w);
        answer_list(w, "tokens", &l->tokens);
        answer_list(w, "token_logprobs", &l->values);
        answer_list(w, "top_logprobs", &l->tops);
        answer_list(w, "text_offset", &l->offsets);
        writer_end_object(w);
    } else {
        writer_key_null(w, "logprobs");
    }
    if (c->ended)
        answer_finish(w, c);
    else
        writer_key_null(w, "finish_reason");
    if (a->return_ids) {
        answer_list(w, "token_ids", &c->ids);
        if (!a->stream || !c->started)
            answer_prompt_ids(w, c);
    }
    if (!a->stream)
        answer_prompt_logprobs(w, a, c);
    writer_end_object(w);
}

void completion_render_chunk(struct buf *out, const struct answer *a,
                             const struct choice *c)
{
    struct writer w;
    writer_init(&w, out);
    answer_open(&w, a, COMPLETION_OBJECT);
    writer_key(&w, "choices");
    writer_array(&w);
    put_choice(&w, a, c);
    writer_end_array(&w);
    answer_chunk_usage(&w, a, c);
    writer_end_object(&w);
}

static const struct choice *told(const struct answer *a, uint32_t index)
{
    const struct choice *c = a->choices;
    while (c->index != index)
        c++;
    return c;
}

void completion_render_whole(struct buf *out, const struct answer *a)
{
    struct writer w;
    writer_init(&w, out);
    answer_open(&w, a, COMPLETION_OBJECT);
    writer_key(&w, "choices");
    writer_array(&w);
    for (uint32_t i = 0; i < a->n_told; i++)
        put_choice(&w, a, told(a, i));
    writer_end_array(&w);
    answer_usage(&w, a);
    answer_timings(&w, &a->choices[0]);
    writer_end_object(&w);
}
