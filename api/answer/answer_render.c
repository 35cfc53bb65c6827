/* answer_render.c -- see answer_render.h. */
#include "api/answer/answer_render.h"

void answer_open(struct writer *w, const struct answer *a, const char *object)
{
    writer_object(w);
    writer_key_string(w, "id", a->id);
    writer_key_string(w, "object", object);
    writer_key_int(w, "created", a->created);
    writer_key_string(w, "model", a->model);
    writer_key_string(w, "system_fingerprint", a->fingerprint);
}

void answer_usage(struct writer *w, const struct answer *a)
{
    int64_t n_completion = 0, n_thought = 0;
    for (uint32_t i = 0; i < a->n_choices; i++) {
        n_completion += a->choices[i].n_completion;
        n_thought += a->choices[i].n_thought;
    }
    writer_key(w, "usage");
    writer_object(w);
    writer_key_int(w, "prompt_tokens", a->n_prompt);
    writer_key_int(w, "completion_tokens", n_completion);
    writer_key_int(w, "total_tokens", a->n_prompt + n_completion);
    writer_key(w, "prompt_tokens_details");
    writer_object(w);
    writer_key_int(w, "cached_tokens", a->n_cached);
    writer_end_object(w);
    writer_key(w, "completion_tokens_details");
    writer_object(w);
    writer_key_int(w, "reasoning_tokens", n_thought);
    writer_end_object(w);
    writer_end_object(w);
}

/* `n` tokens of which `n_paced` took that long. */
static void put_pace(struct writer *w, const char *const keys[4], uint32_t n,
                     uint32_t n_paced, uint64_t us)
{
    const float ms = (float)us / 1000;
    writer_key_int(w, keys[0], n);
    writer_key_float(w, keys[1], ms);
    writer_key_float(w, keys[2], n_paced > 0 ? ms / (float)n_paced : 0);
    writer_key_float(w, keys[3], ms > 0 ? (float)n_paced * 1000 / ms : 0);
}

void answer_timings(struct writer *w, const struct choice *c)
{
    static const char *const prompt[] = {
        "prompt_n", "prompt_ms", "prompt_per_token_ms", "prompt_per_second"};
    static const char *const predicted[] = {"predicted_n", "predicted_ms",
                                            "predicted_per_token_ms",
                                            "predicted_per_second"};
    writer_key(w, "timings");
    writer_object(w);
    writer_key_int(w, "cache_n", c->n_cached);
    const uint32_t n_new = c->n_prompt - c->n_cached;
    put_pace(w, prompt, n_new, n_new, c->prefill_us);
    /* The first token comes out of the prompt's last step. */
    put_pace(w, predicted, c->n_completion,
             c->n_completion > 0 ? c->n_completion - 1 : 0, c->decode_us);
    writer_end_object(w);
}

void answer_chunk_usage(struct writer *w, const struct answer *a,
                        const struct choice *c)
{
    if ((a->timings_per_token && c->started) || (c->ended && !a->include_usage))
        answer_timings(w, c);
    if (a->continuous_usage)
        answer_usage(w, a);
    else if (a->include_usage)
        writer_key_null(w, "usage");
}

void answer_params(struct writer *w, const struct sample_params *p,
                   const char *repetition)
{
    writer_key_float(w, "temperature", p->temperature);
    writer_key_float(w, "top_p", p->top_p);
    writer_key_int(w, "top_k", p->top_k);
    writer_key_float(w, "min_p", p->min_p);
    writer_key_float(w, repetition, p->repetition_penalty);
    writer_key_float(w, "presence_penalty", p->presence_penalty);
    writer_key_float(w, "frequency_penalty", p->frequency_penalty);
}

void answer_finish(struct writer *w, const struct choice *c)
{
    const char *reason = c->finish == FINISH_LENGTH ? "length"
                         : c->finish == FINISH_LOOP ? "repetition"
                         : c->parts.n_calls > 0     ? "tool_calls"
                                                    : "stop";
    writer_key_string(w, "finish_reason", reason);
    writer_key(w, "stop_reason");
    if (c->finish == FINISH_LOOP) /* vLLM's words, for its field */
        writer_string(w, "repetition_detected");
    else if (c->stop_string != NULL)
        writer_string(w, c->stop_string);
    else if (c->stop_token != TOKEN_NONE)
        writer_int(w, c->stop_token);
    else
        writer_null(w);
}

void answer_list(struct writer *w, const char *key, const struct buf *elements)
{
    writer_key(w, key);
    writer_array(w);
    if (elements->len > 0)
        writer_raw(w, elements->data, elements->len);
    writer_end_array(w);
}

static void put_joined(struct writer *w, const char *key, struct buf *text)
{
    writer_key(w, key);
    writer_string_n(w, buf_str(text), text->len);
    if (!buf_ok(text))
        w->out->failed = true;
    buf_deinit(text);
}

void answer_parts(struct writer *w, const char *key, const struct parts *p,
                  enum part_kind kind)
{
    struct buf text = {0};
    parts_join(p, kind, &text);
    put_joined(w, key, &text);
}

void answer_news(struct writer *w, const char *key, const struct parts *p,
                 enum part_kind kind)
{
    struct buf text = {0};
    parts_join_news(p, kind, &text);
    put_joined(w, key, &text);
}

void answer_usage_chunk(struct writer *w, const struct answer *a,
                        const char *object)
{
    answer_open(w, a, object);
    writer_key(w, "choices");
    writer_array(w);
    writer_end_array(w);
    answer_usage(w, a);
    answer_timings(w, &a->choices[0]);
    writer_end_object(w);
}

void answer_prompt_logprobs(struct writer *w, const struct answer *a,
                            const struct choice *c)
{
    const struct buf *list = &c->first->prompt_logprobs;
    if (!a->want_prompt_logprobs) {
        writer_key_null(w, "prompt_logprobs");
        return;
    }
    writer_key(w, "prompt_logprobs");
    writer_array(w);
    writer_null(w); /* nothing predicts the first token */
    if (list->len > 0)
        writer_raw(w, list->data, list->len);
    writer_end_array(w);
}

void answer_prompt_ids(struct writer *w, const struct choice *c)
{
    writer_key(w, "prompt_token_ids");
    writer_array(w);
    for (uint32_t i = 0; i < c->n_prompt; i++)
        writer_int(w, c->prompt[i]);
    writer_end_array(w);
}
