/* logprobs.h -- how likely the model found a token, and what it found likelier.
 *
 * Always of the model's own logits, before penalties, bias and temperature,
 * as OpenAI and vLLM report them.  Pure, any thread. */
#ifndef LFMD_MODEL_SAMPLE_LOGPROBS_H
#define LFMD_MODEL_SAMPLE_LOGPROBS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/sample/params.h"

/* What is known of one token drawn or given. */
struct sampled {
    token_id token;
    float logprob;
    uint32_t rank; /* 1 for the likeliest; only of a token given, else 0 */
    uint32_t n_top;
    struct top_logprob top[SAMPLE_MAX_TOP]; /* likeliest first, ties by id */
};

/* The largest logit.  False when a logit is NaN or +inf, or none is above
 * -inf: such logits are no distribution. */
bool logits_max(const float *logits, uint32_t n_vocab, float *max);

/* The normaliser: log(sum(exp(logits))).  False as above. */
bool logprobs_norm(const float *logits, uint32_t n_vocab, double *log_norm);

/* The min(n, n_vocab, SAMPLE_MAX_TOP) largest, into out->top. */
void logprobs_top(const float *logits, uint32_t n_vocab, double log_norm,
                  uint32_t n, struct sampled *out);

/* The place of `token` in the order of `top`, from 1.  One pass. */
uint32_t logprobs_rank(const float *logits, uint32_t n_vocab, token_id token);

#endif
