/* chat_render.c -- see chat_render.h. */
#include "api/answer/chat_render.h"

#include "api/answer/answer_render.h"
#include "api/base/writer.h"

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

static void chunk_close(struct writer *w, const struct answer *a,
                        const struct choice *c)
{
    writer_end_object(w);
    writer_end_array(w);
    answer_chunk_usage(w, a, c);
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
        answer_chunk_usage(&w, a, c);
        writer_end_object(&w);
        return;
    }
    chunk_close(&w, a, c);
}

static void put_function(struct writer *w, const struct part *call,
                         const char *name, size_t n_name, size_t at)
{
    writer_key(w, "function");
    writer_object(w);
    if (name != NULL) {
        writer_key(w, "name");
        writer_string_n(w, name, n_name);
    }
    writer_key(w, "arguments");
    writer_string_n(w, buf_str(&call->bytes) + at, call->bytes.len - at);
    writer_end_object(w);
}

/* Clients join the strings of all fragments, so id, type and name are in the
 * first only. */
static void put_call_news(struct writer *w, const struct parts *p)
{
    writer_key(w, "tool_calls");
    writer_array(w);
    for (uint32_t i = p->first_new; i < p->n; i++) {
        const struct part *call = &p->items[i];
        if (call->kind != PART_CALL ||
            (call->begun && call->n_told == call->bytes.len))
            continue;
        writer_object(w);
        writer_key_int(w, "index", call->number);
        if (!call->begun) {
            writer_key_string(w, "id", call->id);
            writer_key_string(w, "type", "function");
        }
        put_function(w, call, call->begun ? NULL : buf_str(&call->name),
                     call->name.len, call->n_told);
        writer_end_object(w);
    }
    writer_end_array(w);
}

static void put_calls(struct writer *w, const struct parts *p)
{
    writer_key(w, "tool_calls");
    writer_array(w);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct part *call = &p->items[i];
        if (call->kind != PART_CALL)
            continue;
        writer_object(w);
        writer_key_string(w, "id", call->id);
        writer_key_string(w, "type", "function");
        put_function(w, call, buf_str(&call->name), call->name.len, 0);
        writer_end_object(w);
    }
    writer_end_array(w);
}

void chat_render_delta(struct buf *out, const struct answer *a,
                       const struct choice *c)
{
    struct writer w;
    chunk_open(&w, out, a, c);
    writer_key(&w, "delta");
    writer_object(&w);
    if (parts_have_news_of(&c->parts, PART_REASONING)) {
        answer_news(&w, "reasoning_content", &c->parts, PART_REASONING);
        answer_news(&w, "reasoning", &c->parts, PART_REASONING);
    }
    if (parts_have_news_of(&c->parts, PART_TEXT))
        answer_news(&w, "content", &c->parts, PART_TEXT);
    if (parts_have_news_of(&c->parts, PART_CALL))
        put_call_news(&w, &c->parts);
    writer_end_object(&w);
    put_logprobs(&w, a, c);
    writer_key_null(&w, "finish_reason");
    if (a->return_ids)
        answer_list(&w, "token_ids", &c->ids);
    chunk_close(&w, a, c);
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
    chunk_close(&w, a, c);
}

static void whole_choice(struct writer *w, const struct answer *a,
                         const struct choice *c)
{
    writer_object(w);
    writer_key_int(w, "index", c->index);
    writer_key(w, "message");
    writer_object(w);
    writer_key_string(w, "role", "assistant");
    if (!parts_have(&c->parts, PART_TEXT) && c->parts.n_calls > 0)
        writer_key_null(w, "content");
    else
        answer_parts(w, "content", &c->parts, PART_TEXT);
    writer_key_null(w, "refusal");
    if (parts_have(&c->parts, PART_REASONING)) {
        answer_parts(w, "reasoning_content", &c->parts, PART_REASONING);
        answer_parts(w, "reasoning", &c->parts, PART_REASONING);
    }
    if (c->parts.n_calls > 0)
        put_calls(w, &c->parts);
    writer_end_object(w);
    put_logprobs(w, a, c);
    answer_finish(w, c);
    if (a->return_ids)
        answer_list(w, "token_ids", &c->ids);
    else
        writer_key_null(w, "token_ids");
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
    else
        writer_key_null(&w, "prompt_token_ids");
    answer_prompt_logprobs(&w, a, &a->choices[0]);
    answer_usage(&w, a);
    answer_timings(&w, &a->choices[0]);
    if (a->verbose) {
        writer_key(&w, "__verbose");
        writer_object(&w);
        writer_key(&w, "prompt");
        writer_string_n(&w, buf_str(&a->prompt_text), a->prompt_text.len);
        writer_end_object(&w);
    }
    writer_end_object(&w);
}
