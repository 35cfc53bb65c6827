/* simd_avx512.h -- sixteen floats at a time: loads of stored weights, ragged
 * ends, sums and exp.
 *
 * Included only by *_avx512*.c, which the Makefile compiles for AVX-512 F, BW,
 * DQ and VL; everything is inline, so no such code leaks into other files.
 *
 * Intrinsics are used in their zero-masked form with ALL lanes: gcc 12 takes
 * the plain form's undefined source for an uninitialised variable, and the
 * instruction is the same. */
#ifndef LFMD_MODEL_KERNELS_SIMD_AVX512_H
#define LFMD_MODEL_KERNELS_SIMD_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "model/kernels/blocks.h"

#define LANES 16u
#define ALL ((__mmask16)0xffff)
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Unrolls the loop that follows completely: its array of vectors must end up in
 * registers.  -O2 alone does not. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The lanes below n <= 16. */
ALWAYS_INLINE __mmask16 lane_mask(uint32_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

/* 16 stored weights as floats; lanes outside the mask are not read and are
 * zero. */
ALWAYS_INLINE __m512 load_weights_part(const char *w, enum dtype dtype,
                                       __mmask16 mask)
{
    __m256i half;

    if (dtype == DTYPE_F32)
        return _mm512_maskz_loadu_ps(mask, w);
    half = _mm256_maskz_loadu_epi16(mask, w);
    if (dtype == DTYPE_F16)
        return _mm512_maskz_cvtph_ps(ALL, half);
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(
        ALL, _mm512_maskz_cvtepu16_epi32(ALL, half), 16));
}

ALWAYS_INLINE __m512 load_weights(const char *w, enum dtype dtype)
{
    __m256i half;

    if (dtype == DTYPE_F32)
        return _mm512_loadu_ps(w);
    half = _mm256_loadu_si256((const void *)w);
    if (dtype == DTYPE_F16)
        return _mm512_maskz_cvtph_ps(ALL, half);
    return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(
        ALL, _mm512_maskz_cvtepu16_epi32(ALL, half), 16));
}

/* The lanes of each of four vectors added up, the four sums side by side.  The
 * tree is always the same: lane i with i + 8, i + 4, i + 2, i + 1. */
ALWAYS_INLINE __m128 sum_four(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(ALL, a, b, 0x44),
                              _mm512_maskz_shuffle_f32x4(ALL, a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(ALL, c, d, 0x44),
                              _mm512_maskz_shuffle_f32x4(ALL, c, d, 0xee));
    __m512 s = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(ALL, ab, cd, 0x88),
                             _mm512_maskz_shuffle_f32x4(ALL, ab, cd, 0xdd));

    s = _mm512_add_ps(s, _mm512_maskz_permute_ps(ALL, s, 0x4e));
    s = _mm512_add_ps(s, _mm512_maskz_permute_ps(ALL, s, 0xb1));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, s));
}

ALWAYS_INLINE float sum_lanes(__m512 v)
{
    return _mm_cvtss_f32(sum_four(v, v, v, v));
}

/* exp(x) within 2 ulp: 0 below -87.3, infinity above 88, NaN for NaN.  The
 * method is that of simd_avx2.h. */
ALWAYS_INLINE __m512 exp_lanes(__m512 x)
{
    const __m512 lowest = _mm512_set1_ps(-87.3f);
    const __m512 highest = _mm512_set1_ps(88.0f);
    __mmask16 under = _mm512_cmp_ps_mask(x, lowest, _CMP_LT_OQ);
    __mmask16 over = _mm512_cmp_ps_mask(x, highest, _CMP_GT_OQ);
    __m512 c, n, r, p;

    c = _mm512_maskz_min_ps(ALL, highest, x); /* lets NaN through */
    c = _mm512_maskz_max_ps(ALL, lowest, c);
    n = _mm512_maskz_roundscale_ps(
        ALL, _mm512_mul_ps(c, _mm512_set1_ps(1.44269504f)),
        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), c);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r),
                        _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    p = _mm512_maskz_scalef_ps(ALL, p, n); /* times 2^n */
    p = _mm512_mask_mov_ps(p, under, _mm512_setzero_ps());
    return _mm512_mask_mov_ps(p, over, _mm512_set1_ps(INFINITY));
}

#endif
