/* native_render.c -- see native_render.h. */
#include "api/answer/native_render.h"

#include "api/answer/answer_render.h"
#include "api/base/writer.h"

/* There are no slots a sequence would be tied to. */
#define NO_SLOT (-1)

static void put_head(struct writer *w, const struct answer *a,
                     const struct choice *c, bool content)
{
    writer_object(w);
    writer_key_int(w, "index", c->index);
    if (content) {
        answer_news(w, "content", &c->parts, PART_TEXT);
        answer_list(w, "tokens", &c->ids);
    } else {
        writer_key_string(w, "content", "");
        writer_key(w, "tokens");
        writer_array(w);
        writer_end_array(w);
    }
    writer_key_bool(w, "stop", c->ended);
    writer_key_int(w, "id_slot", NO_SLOT);
    writer_key_int(w, "tokens_predicted", c->n_completion);
    writer_key_int(w, "tokens_evaluated", c->n_prompt);
    if (a->want_logprobs && content)
        answer_list(w, "completion_probabilities", &c->logprobs.content);
}

void native_render_chunk(struct buf *out, const struct answer *a,
                         const struct choice *c)
{
    struct writer w;
    writer_init(&w, out);
    put_head(&w, a, c, true);
    if (a->timings_per_token)
        answer_timings(&w, c);
    writer_end_object(&w);
}

static void put_settings(struct writer *w, const struct answer *a,
                         const struct job *job)
{
    const struct sample_params *p = &job->params;
    writer_key(w, "generation_settings");
    writer_object(w);
    writer_key(w, "seed");
    writer_uint(w, p->seed);
    answer_params(w, p, "repeat_penalty");
    writer_key_int(w, "n_predict", job->max_tokens);
    writer_key_int(w, "max_tokens", job->max_tokens);
    writer_key_bool(w, "ignore_eos", job->ignore_eos);
    writer_key_bool(w, "stream", a->stream);
    writer_key_int(w, "n_probs", p->n_logprobs);
    writer_key(w, "stop");
    writer_array(w);
    for (uint32_t i = 0; i < job->n_stop; i++)
        writer_string(w, job->stop[i]);
    writer_end_array(w);
    writer_key(w, "logit_bias");
    writer_array(w);
    for (uint32_t i = 0; i < p->n_bias; i++) {
        writer_object(w);
        writer_key_int(w, "token", p->bias[i].id);
        writer_key_float(w, "bias", p->bias[i].bias);
        writer_end_object(w);
    }
    writer_end_array(w);
    writer_end_object(w);
}

static const char *stop_type(const struct choice *c)
{
    if (c->finish == FINISH_LENGTH || c->finish == FINISH_LOOP)
        return "limit";
    return c->stop_string != NULL ? "word" : "eos";
}

void native_render_end(struct buf *out, const struct answer *a,
                       const struct choice *c, const struct job *job,
                       const struct buf *prompt, uint32_t ctx)
{
    struct writer w;
    writer_init(&w, out);
    put_head(&w, a, c, !a->stream);
    writer_key_string(&w, "model", a->model);
    put_settings(&w, a, job);
    writer_key(&w, "prompt");
    writer_string_n(&w, buf_str(prompt), prompt->len);
    writer_key_bool(&w, "has_new_line", c->has_newline);
    writer_key_bool(&w, "truncated",
                    c->finish == FINISH_LENGTH &&
                        c->n_prompt + c->n_completion >= ctx);
    writer_key_string(&w, "stop_type", stop_type(c));
    writer_key_string(&w, "stopping_word",
                      c->stop_string != NULL ? c->stop_string : "");
    writer_key_int(&w, "tokens_cached", c->n_cached);
    answer_timings(&w, c);
    writer_end_object(&w);
}
