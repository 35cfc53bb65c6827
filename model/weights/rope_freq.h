/* rope_freq.h -- the rotation speeds of the position embedding.
 *
 * Source: transformers 5.23, modeling_rope_utils.py (default, linear, llama3,
 * yarn) as Lfm2MoeRotaryEmbedding uses it: every dimension of a head is
 * rotated, and cos and sin are multiplied by the attention factor.  Computed in
 * float32 where transformers does.
 *
 * Pure: any thread. */
#ifndef LFMD_MODEL_WEIGHTS_ROPE_FREQ_H
#define LFMD_MODEL_WEIGHTS_ROPE_FREQ_H

#include <stdint.h>

#include "model/base/err.h"
#include "model/base/json.h"

struct rope_freq {
    double theta;
    float *inv_freq; /* [head_dim / 2], the caller's */
    float attention_factor;
};

/* Reads the rope fields of a config.json - "rope_scaling" or "rope_parameters"
 * first, then the flat "rope_theta" - and fills *out, whose inv_freq points to
 * head_dim / 2 floats.  Types that depend on the length of the sequence
 * (dynamic, longrope), unknown ones and partial rotation are refused. */
int rope_freq_compute(struct rope_freq *out, const json_t *config,
                      uint32_t head_dim, uint32_t max_positions,
                      struct err *err);

#endif
