/* attend_avx2.c -- attention over paged blocks, eight lanes at a time.
 *
 * The same walk as attend_ref.c.  Scores take four positions at once, so that
 * four chains of multiply-adds run and four sums of lanes share their shuffles;
 * values are added 64 dimensions at a time (a whole head of LFM2) with the sums
 * in registers across the block.  The query heads of a group walk the blocks
 * together, so that each block comes from memory once and the others find it in
 * L1 (32,768 positions: 11 GB/s where one head after another read 5). */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <math.h>

#include "model/kernels/simd_avx2.h"

#define WIDE 8u          /* vectors of a wide step over values: 64 floats */
#define MAX_TOGETHER 16u /* query heads that walk the blocks side by side */

/* The lane sums of four vectors, in order. */
ALWAYS_INLINE __m128 sum_four(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));

    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}

/* q . keys[t] for `count` <= 4 positions from `keys` on; the other lanes repeat
 * position 0. */
ALWAYS_INLINE __m128 dot_four(const float *q, const float *keys, uint32_t dim,
                              uint32_t count)
{
    const float *k1 = count > 1 ? keys + dim : keys;
    const float *k2 = count > 2 ? keys + 2 * (size_t)dim : keys;
    const float *k3 = count > 3 ? keys + 3 * (size_t)dim : keys;
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    uint32_t d = 0;

    for (; dim - d >= LANES; d += LANES) {
        __m256 qs = _mm256_loadu_ps(q + d);

        s0 = _mm256_fmadd_ps(qs, _mm256_loadu_ps(keys + d), s0);
        s1 = _mm256_fmadd_ps(qs, _mm256_loadu_ps(k1 + d), s1);
        s2 = _mm256_fmadd_ps(qs, _mm256_loadu_ps(k2 + d), s2);
        s3 = _mm256_fmadd_ps(qs, _mm256_loadu_ps(k3 + d), s3);
    }
    if (d < dim) {
        __m256i mask = lane_mask(dim - d);
        __m256 qs = load_part(q + d, mask);

        s0 = _mm256_fmadd_ps(qs, load_part(keys + d, mask), s0);
        s1 = _mm256_fmadd_ps(qs, load_part(k1 + d, mask), s1);
        s2 = _mm256_fmadd_ps(qs, load_part(k2 + d, mask), s2);
        s3 = _mm256_fmadd_ps(qs, load_part(k3 + d, mask), s3);
    }
    return sum_four(s0, s1, s2, s3);
}

/* scores[t] = scale * q . keys[t]; returns the largest. */
static float score_block(float *scores, const float *q, const float *keys,
                         uint32_t n, uint32_t dim, float scale)
{
    __m128 scales = _mm_set1_ps(scale);
    __m128 max = _mm_set1_ps(-INFINITY);
    uint32_t t = 0;

    for (; n - t >= 4; t += 4) {
        __m128 s =
            _mm_mul_ps(dot_four(q, keys + (size_t)t * dim, dim, 4), scales);

        _mm_storeu_ps(scores + t, s);
        max = _mm_max_ps(max, s);
    }
    if (t < n) {
        __m128 s =
            _mm_mul_ps(dot_four(q, keys + (size_t)t * dim, dim, n - t), scales);
        float four[4];

        _mm_storeu_ps(four, s);
        memcpy(scores + t, four, (n - t) * sizeof(float));
        max = _mm_max_ps(max, s);
    }
    max = _mm_max_ps(max, _mm_movehl_ps(max, max));
    max = _mm_max_ss(max, _mm_movehdup_ps(max));
    return _mm_cvtss_f32(max);
}

/* scores[t] = exp(scores[t] - max); returns their sum. */
static float exp_scores(float *scores, float max, uint32_t n)
{
    __m256 maxes = _mm256_set1_ps(max);
    __m256 sum = _mm256_setzero_ps();
    uint32_t t = 0;

    for (; n - t >= LANES; t += LANES) {
        __m256 e = exp_lanes(_mm256_sub_ps(_mm256_loadu_ps(scores + t), maxes));

        _mm256_storeu_ps(scores + t, e);
        sum = _mm256_add_ps(sum, e);
    }
    if (t < n) {
        __m256i mask = lane_mask(n - t);
        __m256 e = exp_lanes(_mm256_sub_ps(load_part(scores + t, mask), maxes));

        _mm256_maskstore_ps(scores + t, mask, e);
        sum = _mm256_add_ps(sum, _mm256_and_ps(e, _mm256_castsi256_ps(mask)));
    }
    return sum_lanes(sum);
}

/* out = out * shrink + sum_t weights[t] * values[t], on `vectors` * 8
 * dimensions from `out` and `values` on. */
ALWAYS_INLINE void add_values(float *out, float shrink, const float *weights,
                              const float *values, uint32_t n, uint32_t dim,
                              uint32_t vectors)
{
    __m256 shrinks = _mm256_set1_ps(shrink);
    __m256 acc[WIDE];

    UNROLL
    for (uint32_t v = 0; v < vectors; v++)
        acc[v] = _mm256_mul_ps(_mm256_loadu_ps(out + v * LANES), shrinks);
    for (uint32_t t = 0; t < n; t++) {
        __m256 ws = _mm256_broadcast_ss(weights + t);
        const float *at = values + (size_t)t * dim;

        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            acc[v] =
                _mm256_fmadd_ps(ws, _mm256_loadu_ps(at + v * LANES), acc[v]);
    }
    UNROLL
    for (uint32_t v = 0; v < vectors; v++)
        _mm256_storeu_ps(out + v * LANES, acc[v]);
}

static void add_block(float *out, float shrink, const float *weights,
                      const float *values, uint32_t n, uint32_t dim)
{
    uint32_t d = 0;

    for (; dim - d >= WIDE * LANES; d += WIDE * LANES)
        add_values(out + d, shrink, weights, values + d, n, dim, WIDE);
    for (; dim - d >= LANES; d += LANES)
        add_values(out + d, shrink, weights, values + d, n, dim, 1);
    for (; d < dim; d++) {
        float sum = out[d] * shrink;

        for (uint32_t t = 0; t < n; t++)
            sum = fmaf(weights[t], values[(size_t)t * dim + d], sum);
        out[d] = sum;
    }
}

/* A query head on its way through the blocks. */
struct running {
    float max, sum; /* sum of exp(score - max) */
};

/* One block's n positions into one head. */
static void attend_block(struct running *run, float *out, const float *q,
                         const float *keys, const float *values, uint32_t n,
                         uint32_t dim, float scale, float *scores)
{
    float max = score_block(scores, q, keys, n, dim, scale);
    float shrink = 1; /* what there is shrinks only when the maximum grows */

    if (max > run->max) {
        shrink = expf(run->max - max); /* 0 on the first block */
        run->max = max;
    }
    run->sum = run->sum * shrink + exp_scores(scores, run->max, n);
    add_block(out, shrink, scores, values, n, dim);
}

/* `heads` <= MAX_TOGETHER query heads that read the same KV head. */
static void attend_together(float *out, const float *q,
                            const struct kv_view *kv, uint32_t kv_head,
                            uint32_t heads, uint32_t n_past, float scale,
                            float *scores)
{
    size_t dim = kv->head_dim;
    size_t head_at = kv_head * kv->block_tokens * dim;
    struct running run[MAX_TOGETHER];
    uint32_t left = n_past;

    for (uint32_t h = 0; h < heads; h++)
        run[h] = (struct running){-INFINITY, 0};
    memset(out, 0, heads * dim * sizeof(float));
    for (uint32_t b = 0; left > 0; b++) {
        uint32_t n = left < kv->block_tokens ? left : kv->block_tokens;
        size_t at = kv->blocks[b] * kv->block_stride + head_at;

        for (uint32_t h = 0; h < heads; h++)
            attend_block(&run[h], out + h * dim, q + h * dim, kv->keys + at,
                         kv->values + at, n, kv->head_dim, scale, scores);
        left -= n;
    }
    for (uint32_t h = 0; h < heads; h++) {
        for (size_t d = 0; d < dim; d++)
            out[h * dim + d] /= run[h].sum;
    }
}

static void attend(float *restrict out, const float *restrict q,
                   const struct kv_view *kv, uint32_t n_past, uint32_t head0,
                   uint32_t head1, float scale, float *restrict scratch)
{
    uint32_t group = kv->n_heads / kv->n_kv_heads;

    for (uint32_t h = head0; h < head1;) {
        uint32_t kv_head = h / group;
        uint32_t end = (kv_head + 1) * group;
        size_t at = (size_t)h * kv->head_dim;

        end = end < head1 ? end : head1;
        end = end - h < MAX_TOGETHER ? end : h + MAX_TOGETHER;
        attend_together(out + at, q + at, kv, kv_head, end - h, n_past, scale,
                        scratch);
        h = end;
    }
}

void attend_fill_avx2(struct kernels *k)
{
    k->attend = attend;
}

#else

void attend_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
