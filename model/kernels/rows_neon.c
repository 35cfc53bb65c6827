/* rows_neon.c -- the ops on single rows, four lanes at a time.
 *
 * Ragged ends are one padded step with the lanes beyond reading as zero, so a
 * row's result does not depend on its alignment.  Four accumulators where a sum
 * is taken: rows are short and in cache. */
#include "model/kernels/kernels_fill.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <math.h>

#include "model/kernels/simd_neon.h"

static float dot(const float *a, const float *b, uint32_t n)
{
    float32x4_t s[4];
    uint32_t i = 0;

    UNROLL
    for (uint32_t j = 0; j < 4; j++)
        s[j] = vdupq_n_f32(0);
    for (; n - i >= 4 * LANES; i += 4 * LANES) {
        UNROLL
        for (uint32_t j = 0; j < 4; j++)
            s[j] = vfmaq_f32(s[j], vld1q_f32(a + i + j * LANES),
                             vld1q_f32(b + i + j * LANES));
    }
    for (; n - i >= LANES; i += LANES)
        s[0] = vfmaq_f32(s[0], vld1q_f32(a + i), vld1q_f32(b + i));
    if (i < n)
        s[1] =
            vfmaq_f32(s[1], load_part(a + i, n - i), load_part(b + i, n - i));
    return vaddvq_f32(vaddq_f32(vaddq_f32(s[0], s[1]), vaddq_f32(s[2], s[3])));
}

static void rmsnorm(float *y, const float *x, const float *restrict w,
                    uint32_t n, float eps)
{
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), scale),
                                   vld1q_f32(w + i)));
    for (; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

ALWAYS_INLINE float32x4_t silu_lanes(float32x4_t gate, float32x4_t up)
{
    float32x4_t below =
        vaddq_f32(vdupq_n_f32(1.0f), exp_lanes(vnegq_f32(gate)));

    return vmulq_f32(vdivq_f32(gate, below), up);
}

static void silu_mul(float *y, const float *gate, const float *up, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, silu_lanes(vld1q_f32(gate + i), vld1q_f32(up + i)));
    if (i < n)
        store_part(
            y + i,
            silu_lanes(load_part(gate + i, n - i), load_part(up + i, n - i)),
            n - i);
}

static void add(float *restrict y, const float *restrict x, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, vaddq_f32(vld1q_f32(y + i), vld1q_f32(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

static void mul(float *y, const float *a, const float *b, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, vmulq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
    for (; i < n; i++)
        y[i] = a[i] * b[i];
}

static void axpy(float *restrict y, float a, const float *restrict x,
                 uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        vst1q_f32(y + i, vfmaq_n_f32(vld1q_f32(y + i), vld1q_f32(x + i), a));
    for (; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

static void rope(float *restrict x, const float *restrict cos,
                 const float *restrict sin, uint32_t head_dim)
{
    uint32_t half = head_dim / 2;
    float *hi = x + half;
    uint32_t i = 0;

    for (; half - i >= LANES; i += LANES) {
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(hi + i);
        float32x4_t c = vld1q_f32(cos + i), s = vld1q_f32(sin + i);

        vst1q_f32(x + i, vfmsq_f32(vmulq_f32(a, c), b, s));
        vst1q_f32(hi + i, vfmaq_f32(vmulq_f32(b, c), a, s));
    }
    for (; i < half; i++) {
        float a = x[i], b = hi[i];

        x[i] = a * cos[i] - b * sin[i];
        hi[i] = b * cos[i] + a * sin[i];
    }
}

void rows_fill_neon(struct kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->silu_mul = silu_mul;
    k->add = add;
    k->mul = mul;
    k->axpy = axpy;
    k->rope = rope;
}

#else

void rows_fill_neon(struct kernels *k)
{
    (void)k;
}

#endif
