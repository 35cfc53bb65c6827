/* rope.h -- the angle of a position, as transformers' float32 has it.
 *
 * cos[i] = cosf((float)position * inv_freq[i]) * attention factor, and sin
 * likewise, [head_dim / 2] each.  Above 2^24 positions float32 would round the
 * position itself; no checkpoint comes near.  Any thread. */
#ifndef LFMD_MODEL_FORWARD_ROPE_H
#define LFMD_MODEL_FORWARD_ROPE_H

#include <stdint.h>

struct hparams;

void rope_angles(const struct hparams *hp, uint32_t position, float *cos,
                 float *sin);

#endif
