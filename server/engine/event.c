/* event.c -- see event.h. */
#include "server/engine/event.h"

#include <string.h>

struct record {
    enum event_kind kind;
    enum finish_reason finish;
    enum err_class err_class;
    uint32_t choice;
    token_id token, stop_token;
    int32_t stop_string;
    float logprob;
    uint32_t rank;
    uint32_t n_top, n_text;
    uint32_t n_prompt, n_cached, n_completion, n_thought;
    uint64_t prefill_us, decode_us;
    struct top_logprob top[]; /* [n_top], then the text */
};

static size_t payload_bytes(size_t n_text, uint32_t n_top)
{
    return sizeof(struct record) + n_top * sizeof(struct top_logprob) + n_text;
}

size_t event_bytes(size_t n_text, uint32_t n_top)
{
    return ring_record_bytes(payload_bytes(n_text, n_top));
}

bool event_write(struct ring *r, const struct job_event *e)
{
    const char *text = e->text;
    size_t n_text = e->n_text;
    if (e->kind == EVENT_ERROR) {
        text = e->err.text;
        n_text = strnlen(e->err.text, EVENT_ERROR_BYTES);
    }
    struct record *rec = ring_claim(r, payload_bytes(n_text, e->n_top));
    if (rec == NULL)
        return false;
    *rec = (struct record){
        .kind = e->kind,
        .finish = e->finish,
        .err_class = e->err.class_,
        .choice = e->choice,
        .token = e->token,
        .stop_token = e->stop_token,
        .stop_string = e->stop_string,
        .logprob = e->logprob,
        .rank = e->rank,
        .n_top = e->n_top,
        .n_text = (uint32_t)n_text,
        .n_prompt = e->n_prompt,
        .n_cached = e->n_cached,
        .n_completion = e->n_completion,
        .n_thought = e->n_thought,
        .prefill_us = e->prefill_us,
        .decode_us = e->decode_us,
    };
    if (e->n_top > 0)
        memcpy(rec->top, e->top, e->n_top * sizeof *e->top);
    if (n_text > 0)
        memcpy(rec->top + e->n_top, text, n_text);
    ring_publish(r);
    return true;
}

bool event_read(struct ring *r, struct job_event *e)
{
    const struct record *rec = ring_peek(r);
    if (rec == NULL)
        return false;
    const char *text = (const char *)(rec->top + rec->n_top);
    *e = (struct job_event){
        .kind = rec->kind,
        .finish = rec->finish,
        .choice = rec->choice,
        .token = rec->token,
        .stop_token = rec->stop_token,
        .stop_string = rec->stop_string,
        .logprob = rec->logprob,
        .rank = rec->rank,
        .n_top = rec->n_top,
        .top = rec->top,
        .n_prompt = rec->n_prompt,
        .n_cached = rec->n_cached,
        .n_completion = rec->n_completion,
        .n_thought = rec->n_thought,
        .prefill_us = rec->prefill_us,
        .decode_us = rec->decode_us,
        .text = "",
    };
    if (rec->kind == EVENT_ERROR) {
        e->err.class_ = rec->err_class;
        memcpy(e->err.text, text, rec->n_text);
    } else {
        e->text = text;
        e->n_text = rec->n_text;
    }
    return true;
}
