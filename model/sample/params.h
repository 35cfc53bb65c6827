/* params.h -- how one reply is to be drawn, after all defaults are settled.
 *
 * Values mean what vLLM and Hugging Face mean by them.  Nobody below the API
 * knows of defaults: a model whose generation_config says do_sample=false, or
 * a request that wants temperature 0, arrives here as temperature 0.
 *
 * Plain data, any thread. */
#ifndef LFMD_MODEL_SAMPLE_PARAMS_H
#define LFMD_MODEL_SAMPLE_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/token.h"

#define SAMPLE_MAX_TOP 20 /* most alternatives reported per token */

struct logit_bias {
    token_id id; /* outside the vocabulary: ignored */
    float bias;
};

/* Tokens that may not come in this order. */
struct bad_word {
    const token_id *ids; /* [n] */
    uint32_t n;          /* at least 1 */
};

#define SAMPLE_WINDOW_ALL UINT32_MAX

struct top_logprob {
    token_id id;
    float logprob;
};

struct sample_params {
    float temperature;        /* 0 is greedy */
    float top_p;              /* 1 is off */
    float min_p;              /* 0 is off; relative to the likeliest token */
    int32_t top_k;            /* 0 or less is off */
    float repetition_penalty; /* 1 is off; over prompt and output */
    float presence_penalty;   /* 0 is off; over output only */
    float frequency_penalty;  /* 0 is off; over output only */
    uint32_t penalty_window;  /* of prompt and output the three penalties see
                                 the last so many tokens; or
                                 SAMPLE_WINDOW_ALL */
    uint64_t seed;            /* always used; whoever wants chance, draws one */
    uint32_t n_bias;
    const struct logit_bias *bias; /* [n_bias], in the job's arena */
    uint32_t n_bad_words;
    const struct bad_word *bad_words; /* [n_bad_words], in the job's arena */
    const uint32_t *allowed;          /* a mask as in sample_context, in the
                                         job's arena; NULL: all */
    uint32_t n_logprobs; /* alternatives wanted, 0..SAMPLE_MAX_TOP */
    bool want_logprob;   /* of the chosen token */
};

/* What came before a draw; all borrowed for the call. */
struct sample_context {
    const struct sample_params *params;
    const token_id *prompt;
    uint32_t n_prompt;
    const token_id *output; /* tokens drawn so far; its length is the position
                               the draw's chance is taken from */
    uint32_t n_output;
    const token_id *banned;
    uint32_t n_banned;
    const uint32_t *allowed; /* bit id % 32 of word id / 32, for the vocabulary;
                                NULL: all */
    bool is_forced; /* of `allowed`, which has one: no field may bar that */
    uint32_t choice;
};

/* Everything off, temperature 1. */
static inline struct sample_params sample_params_neutral(void)
{
    return (struct sample_params){
        .temperature = 1.0f,
        .top_p = 1.0f,
        .repetition_penalty = 1.0f,
        .penalty_window = SAMPLE_WINDOW_ALL,
    };
}

#endif
