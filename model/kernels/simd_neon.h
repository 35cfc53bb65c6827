/* simd_neon.h -- four floats at a time: loads of stored weights, ragged ends
 * and exp.
 *
 * Included only by *_neon.c, which the Makefile compiles for Armv8.2 with dot
 * product; everything is inline, so no such code leaks into other files.
 * Sources: Arm C Language Extensions; Cephes' expf for the polynomial. */
#ifndef LFMD_MODEL_KERNELS_SIMD_NEON_H
#define LFMD_MODEL_KERNELS_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "model/kernels/blocks.h"

#define LANES 4u
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Unrolls the loop that follows completely: its array of vectors must end up in
 * registers.  -O2 alone does not. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Four stored weights as floats. */
ALWAYS_INLINE float32x4_t load_weights(const char *w, enum dtype dtype)
{
    uint16x4_t half;

    if (dtype == DTYPE_F32)
        return vld1q_f32((const void *)w);
    half = vld1_u16((const void *)w);
    if (dtype == DTYPE_F16)
        return vcvt_f32_f16(vreinterpret_f16_u16(half));
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(half), 16));
}

/* The first n < 4 of them, the rest zero; reads no byte beyond. */
ALWAYS_INLINE float32x4_t load_weights_part(const char *w, enum dtype dtype,
                                            uint32_t n)
{
    _Alignas(float) char four[LANES * sizeof(float)] = {0};

    memcpy(four, w, n * dtype_bytes(dtype));
    return load_weights(four, dtype);
}

ALWAYS_INLINE float32x4_t load_part(const float *x, uint32_t n)
{
    float four[LANES] = {0};

    memcpy(four, x, n * sizeof(float));
    return vld1q_f32(four);
}

/* The first n lanes to y. */
ALWAYS_INLINE void store_part(float *y, float32x4_t v, uint32_t n)
{
    float four[LANES];

    vst1q_f32(four, v);
    memcpy(y, four, n * sizeof(float));
}

/* Lanes below n are all ones. */
ALWAYS_INLINE uint32x4_t lane_mask(uint32_t n)
{
    static const uint32_t lane[LANES] = {0, 1, 2, 3};

    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32(n));
}

/* Four signed bytes as integers. */
ALWAYS_INLINE int32x4_t load_signed_bytes(const void *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof(word));
    return vmovl_s16(
        vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
}

/* exp(x) within 2 ulp: 0 below -87.3, infinity above 88, NaN for NaN.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that r keeps its
 * bits; exp(r) by the polynomial of Cephes' expf; 2^n through the exponent. */
ALWAYS_INLINE float32x4_t exp_lanes(float32x4_t x)
{
    const float32x4_t lowest = vdupq_n_f32(-87.3f);
    const float32x4_t highest = vdupq_n_f32(88.0f);
    uint32x4_t under = vcltq_f32(x, lowest);
    uint32x4_t over = vcgtq_f32(x, highest);
    float32x4_t c, n, r, p;

    c = vmaxq_f32(lowest, vminq_f32(highest, x)); /* lets NaN through */
    n = vrndnq_f32(vmulq_f32(c, vdupq_n_f32(1.44269504f)));
    r = vfmsq_f32(c, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    p = vdupq_n_f32(1.9875691500e-4f);
    p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), p, vmulq_f32(r, r));
    p = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p),
                                        vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
    p = vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), under));
    return vbslq_f32(over, vreinterpretq_f32_u32(vdupq_n_u32(0x7f800000u)), p);
}

#endif
