/* rope.c -- see rope.h.  The product is rounded to float32 before the cosine,
 * because that is what the oracle does: at position 100000 the rounding moves
 * the angle by more than the cosine's own error. */
#include "model/forward/rope.h"

#include <math.h>

#include "model/weights/hparams.h"

void rope_angles(const struct hparams *hp, uint32_t position, float *cos,
                 float *sin)
{
    for (uint32_t i = 0; i < hp->head_dim / 2; i++) {
        float angle = (float)position * hp->inv_freq[i];
        cos[i] = cosf(angle) * hp->rope_attention_factor;
        sin[i] = sinf(angle) * hp->rope_attention_factor;
    }
}
