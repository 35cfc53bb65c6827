/* attend_neon.c -- attention over paged blocks, four lanes at a time, and
 * storing keys and values.
 *
 * The walk is attend_walk.h's.  Eight rows of queries by two vectors of keys,
 * or four by four of values: sixteen chains of multiply-adds, and what they
 * read, in 32 registers. */
#include "model/kernels/kernels_fill.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <math.h>
#include <stdbool.h>

#include "model/kernels/simd_neon.h"

#define VEC_LANES LANES
#define SCORE_ROWS 8u
#define VALUE_ROWS 4u
#define VALUE_VECS 4u

typedef float32x4_t vec;

ALWAYS_INLINE vec v_zero(void)
{
    return vdupq_n_f32(0);
}

ALWAYS_INLINE vec v_set1(float x)
{
    return vdupq_n_f32(x);
}

ALWAYS_INLINE vec v_load(const float *at)
{
    return vld1q_f32(at);
}

ALWAYS_INLINE void v_store(float *at, vec v)
{
    vst1q_f32(at, v);
}

ALWAYS_INLINE vec v_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

ALWAYS_INLINE vec v_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

ALWAYS_INLINE vec v_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

ALWAYS_INLINE vec v_max(vec a, vec b)
{
    return vmaxq_f32(a, b);
}

ALWAYS_INLINE vec v_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

ALWAYS_INLINE vec v_exp(vec x)
{
    return exp_lanes(x);
}

ALWAYS_INLINE float v_first(vec v)
{
    return vgetq_lane_f32(v, 0);
}

ALWAYS_INLINE float v_sum(vec v)
{
    return vaddvq_f32(v);
}

ALWAYS_INLINE float v_highest(vec v)
{
    return vmaxvq_f32(v);
}

ALWAYS_INLINE vec v_below(vec v, uint32_t first, uint32_t n)
{
    uint32x4_t mask = lane_mask(n > first ? n - first : 0);

    return vbslq_f32(mask, v, vdupq_n_f32(-INFINITY));
}

ALWAYS_INLINE vec v_half(const void *at)
{
    return load_weights(at, DTYPE_F16);
}

ALWAYS_INLINE vec v_bytes(const void *at)
{
    return vcvtq_f32_s32(load_signed_bytes(at));
}

#include "model/kernels/attend_walk.h"

/* Up to four numbers of x, the rest 0. */
ALWAYS_INLINE vec load_some(const float *x, uint32_t n)
{
    return n >= LANES ? vld1q_f32(x) : load_part(x, n);
}

ALWAYS_INLINE void store_f16(char *at, size_t step, const float *x, uint32_t n)
{
    for (uint32_t d = 0; d < n; d += LANES) {
        /* NaN goes through both. */
        vec v = vmaxq_f32(
            vdupq_n_f32(-65504.0f),
            vminq_f32(vdupq_n_f32(65504.0f), load_some(x + d, n - d)));
        uint16_t four[LANES];

        vst1_u16(four, vreinterpret_u16_f16(vcvt_f16_f32(v)));
        for (uint32_t i = 0; i < LANES && d + i < n; i++)
            memcpy(at + (d + i) * step * 2, &four[i], 2);
    }
}

/* Returns the scale. */
ALWAYS_INLINE float store_q8(char *at, size_t step, const float *x, uint32_t n)
{
    vec mosts = v_zero(), nans = v_zero();
    float most, inverse, nan;

    for (uint32_t d = 0; d < n; d += LANES) {
        vec v = load_some(x + d, n - d);

        mosts = vmaxnmq_f32(mosts, vabsq_f32(v)); /* not of NaN */
        nans = vfmaq_f32(nans, v, v_zero());
    }
    most = vmaxnmvq_f32(mosts);
    nan = vaddvq_f32(nans); /* 0, or NaN when some x is none or infinite */
    inverse = most > 1e-30f && nan == 0 ? 127.0f / most : 0;
    for (uint32_t d = 0; d < n; d += LANES) {
        vec v = vmulq_n_f32(load_some(x + d, n - d), inverse);
        int32_t four[LANES];

        vst1q_s32(four, vcvtnq_s32_f32(v)); /* of NaN: 0 */
        for (uint32_t i = 0; i < LANES && d + i < n; i++)
            at[(d + i) * step] = (char)four[i];
    }
    return most / 127.0f + nan;
}

#include "model/kernels/kv_store_walk.h"

void attend_fill_neon(struct kernels *k)
{
    k->attend = attend;
    k->kv_store = kv_store;
}

#else

void attend_fill_neon(struct kernels *k)
{
    (void)k;
}

#endif
