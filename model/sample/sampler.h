/* sampler.h -- logits to one token.
 *
 * The order is that of Hugging Face and vLLM: logprobs of the raw logits;
 * tokens that are banned, not allowed, or the end of a bad word; repetition
 * penalty over prompt and output (a score below 0 is multiplied, else divided,
 * once per distinct token); presence and frequency penalties over the output;
 * logit bias (adjust.h up to here); temperature, or the first largest when it
 * is 0; top-k (ties with the k-th stay); top-p over what top-k left (equal
 * scores leave by higher id); min-p; draw.
 *
 * No step sorts the vocabulary: thresholds come from histograms of the float's
 * own bits, so a draw costs a few passes whatever the logits.
 *
 * It knows no text and no job.  Never touches the heap after sampler_new.
 * One thread at a time. */
#ifndef LFMD_MODEL_SAMPLE_SAMPLER_H
#define LFMD_MODEL_SAMPLE_SAMPLER_H

#include <stdint.h>

#include "model/base/err.h"
#include "model/sample/logprobs.h"
#include "model/sample/params.h"

struct sampler;

int sampler_new(struct sampler **out, uint32_t n_vocab, struct err *err);
void sampler_free(struct sampler *s); /* NULL is fine */

/* Draws from logits[n_vocab], which are clobbered.  out->logprob and out->top
 * are set if the params want them, else 0.
 * -ERR_INTERNAL when the logits are no distribution: NaN, +inf, or nothing
 * above -inf; -ERR_INVALID when the context bars every token there is.  `out`
 * is then undefined. */
int sampler_draw(struct sampler *s, float *logits,
                 const struct sample_context *context, struct sampled *out,
                 struct err *err);

/* The logprob of a token that is given (a prompt's next token), its rank, and
 * the n_top likeliest beside it.  -ERR_INTERNAL as above. */
int sampler_score(const struct sampler *s, const float *logits, token_id token,
                  uint32_t n_top, struct sampled *out, struct err *err);

#endif
