/* chat_render.c -- see chat_render.h. */
#include "api/chat_render.h"

#include "api/answer_render.h"
#include "api/writer.h"

static void chunk_open(struct writer *w, struct buf *out,
                       const struct answer *a, const struct choice *c)
{
    writer_init(w, out);
    answer_open(w, a, CHAT_CHUNK);
    writer_key(w, "choices");
    writer_array(w);
    writer_object(w);
    writer_key_int(w, "index", c->index);
}

static void chunk_close(struct writer *w, const struct answer *a)
{
    writer_end_object(w);
    writer_end_array(w);
    answer_chunk_usage(w, a);
    writer_end_object(w);
}

static void put_logprobs(struct writer *w, const struct answer *a,
                         const struct choice *c)
{
    if (!a->want_logprobs) {
        writer_key_null(w, "logprobs");
        return;
    }
    writer_key(w, "logprobs");
    writer_object(w);
    answer_list(w, "content", &c->logprobs.content);
    writer_end_object(w);
}

void chat_render_role(struct buf *out, const struct answer *a,
                      const struct choice *c)
{
    struct writer w;
    chunk_open(&w, out, a, c);
    writer_key(&w, "delta");
    writer_object(&w);
    writer_key_string(&w, "role", "assistant");
    writer_key_string(&w, "content", "");
    writer_end_object(&w);
    writer_key_null(&w, "logprobs");
    writer_key_null(&w, "finish_reason");
    if (a->return_ids && c->index == 0) {
        writer_end_object(&w);
        writer_end_array(&w);
        answer_prompt_ids(&w, c);
        answer_chunk_usage(&w, a);
        writer_end_object(&w);
        return;
    }
    chunk_close(&w, a);
}

void chat_render_delta(struct buf *out, const struct answer *a,
                       const struct choice *c)
{
    struct writer w;
    chunk_open(&w, out, a, c);
    writer_key(&w, "delta");
    writer_object(&w);
    if (c->reasoning.len > 0) {
        writer_key(&w, "reasoning_content");
        writer_string_n(&w, c->reasoning.data, c->reasoning.len);
    }
    if (c->text.len > 0) {
        writer_key(&w, "content");
        writer_string_n(&w, c->text.data, c->text.len);
    }
    if (c->calls.len > 0)
        answer_list(&w, "tool_calls", &c->calls);
    writer_end_object(&w);
    put_logprobs(&w, a, c);
    writer_key_null(&w, "finish_reason");
    if (a->return_ids)
        answer_list(&w, "token_ids", &c->ids);
    chunk_close(&w, a);
}

void chat_render_finish(struct buf *out, const struct answer *a,
                        const struct choice *c)
{
    struct writer w;
    chunk_open(&w, out, a, c);
    writer_key(&w, "delta");
    writer_object(&w);
    writer_end_object(&w);
    writer_key_null(&w, "logprobs");
    answer_finish(&w, c);
    chunk_close(&w, a);
}

static void whole_choice(struct writer *w, const struct answer *a,
                         const struct choice *c)
{
    writer_object(w);
    writer_key_int(w, "index", c->index);
    writer_key(w, "message");
    writer_object(w);
    writer_key_string(w, "role", "assistant");
    writer_key(w, "content");
    if (c->text.len == 0 && c->n_calls > 0)
        writer_null(w);
    else
        writer_string_n(w, buf_str(&c->text), c->text.len);
    writer_key_null(w, "refusal");
    if (c->reasoning.len > 0) {
        writer_key(w, "reasoning_content");
        writer_string_n(w, c->reasoning.data, c->reasoning.len);
    }
    if (c->n_calls > 0)
        answer_list(w, "tool_calls", &c->calls);
    writer_end_object(w);
    put_logprobs(w, a, c);
    answer_finish(w, c);
    if (a->return_ids)
        answer_list(w, "token_ids", &c->ids);
    writer_end_object(w);
}

void chat_render_whole(struct buf *out, const struct answer *a)
{
    struct writer w;
    writer_init(&w, out);
    answer_open(&w, a, "chat.completion");
    writer_key(&w, "choices");
    writer_array(&w);
    for (uint32_t i = 0; i < a->n_choices; i++)
        whole_choice(&w, a, &a->choices[i]);
    writer_end_array(&w);
    if (a->return_ids)
        answer_prompt_ids(&w, &a->choices[0]);
    answer_usage(&w, a);
    writer_end_object(&w);
}
