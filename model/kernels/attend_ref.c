/* attend_ref.c -- the specification of attention over paged blocks.
 *
 * Block by block with a running maximum, as the fast versions do: when a larger
 * score appears, what was summed so far is scaled down to it.  The last pass
 * divides.  Two passes would need scratch for every position. */
#include <math.h>

#include "model/kernels/kernels_fill.h"

struct running {
    float max;
    double sum; /* of exp(score - max) */
};

/* scores[t] = scale * q . keys[t]; returns the largest. */
static float score_block(float *scores, const float *q, const float *keys,
                         uint32_t n, uint32_t head_dim, float scale)
{
    float max = -INFINITY;

    for (uint32_t t = 0; t < n; t++) {
        const float *key = keys + (size_t)t * head_dim;
        double sum = 0;

        for (uint32_t d = 0; d < head_dim; d++)
            sum += (double)q[d] * (double)key[d];
        scores[t] = (float)sum * scale;
        max = scores[t] > max ? scores[t] : max;
    }
    return max;
}

static void add_block(float *out, struct running *run, float *scores,
                      float block_max, const float *values, uint32_t n,
                      uint32_t head_dim)
{
    float max = block_max > run->max ? block_max : run->max;
    float shrink = expf(run->max - max); /* 0 on the first block */

    run->max = max;
    run->sum *= (double)shrink;
    for (uint32_t t = 0; t < n; t++) {
        scores[t] = expf(scores[t] - max);
        run->sum += (double)scores[t];
    }
    for (uint32_t d = 0; d < head_dim; d++) {
        double sum = (double)(out[d] * shrink);

        for (uint32_t t = 0; t < n; t++)
            sum += (double)scores[t] * (double)values[(size_t)t * head_dim + d];
        out[d] = (float)sum;
    }
}

static void attend(float *restrict out, const float *restrict q,
                   const struct kv_view *kv, uint32_t n_past, uint32_t head0,
                   uint32_t head1, float scale, float *restrict scratch)
{
    uint32_t group = kv->n_heads / kv->n_kv_heads;
    uint32_t dim = kv->head_dim;

    for (uint32_t h = head0; h < head1; h++) {
        const float *qh = q + (size_t)h * dim;
        float *oh = out + (size_t)h * dim;
        struct running run = {-INFINITY, 0};
        uint32_t left = n_past;

        for (uint32_t d = 0; d < dim; d++)
            oh[d] = 0;
        for (uint32_t b = 0; left > 0; b++) {
            size_t at = kv->blocks[b] * kv->block_stride +
                        (size_t)(h / group) * kv->block_tokens * dim;
            uint32_t n = left < kv->block_tokens ? left : kv->block_tokens;
            float max = score_block(scratch, qh, kv->keys + at, n, dim, scale);

            add_block(oh, &run, scratch, max, kv->values + at, n, dim);
            left -= n;
        }
        for (uint32_t d = 0; d < dim; d++)
            oh[d] = (float)((double)oh[d] / run.sum);
    }
}

void attend_fill_ref(struct kernels *k)
{
    k->attend = attend;
}
