/* simd_avx2.h -- eight floats at a time: loads of stored weights, ragged ends,
 * sums and exp.
 *
 * Included only by files that the Makefile compiles for AVX2, FMA and F16C, or
 * for more; everything is inline, so no such code leaks into other files. */
#ifndef LFMD_MODEL_KERNELS_SIMD_AVX2_H
#define LFMD_MODEL_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "model/kernels/blocks.h"

#define LANES 8u
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Unrolls the loop that follows completely: its array of vectors must end up in
 * registers.  -O2 alone does not. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Eight stored weights as floats. */
ALWAYS_INLINE __m256 load_weights(const char *w, enum dtype dtype)
{
    __m128i half;

    if (dtype == DTYPE_F32)
        return _mm256_loadu_ps((const void *)w);
    half = _mm_loadu_si128((const void *)w);
    if (dtype == DTYPE_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* The first n < 8 of them, the rest zero; reads no byte beyond. */
ALWAYS_INLINE __m256 load_weights_part(const char *w, enum dtype dtype,
                                       uint32_t n)
{
    char eight[LANES * sizeof(float)] = {0};

    memcpy(eight, w, n * dtype_bytes(dtype));
    return load_weights(eight, dtype);
}

/* Lanes below n are all ones. */
ALWAYS_INLINE __m256i lane_mask(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

ALWAYS_INLINE __m256 load_part(const float *x, __m256i mask)
{
    return _mm256_maskload_ps(x, mask);
}

/* The eight lanes added as a tree: always in this order. */
ALWAYS_INLINE float sum_lanes(__m256 v)
{
    __m128 s =
        _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

ALWAYS_INLINE float max_lanes(__m256 v)
{
    __m128 s =
        _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

/* exp(x) within 2 ulp: 0 below -87.3, infinity above 88, NaN for NaN.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that r keeps its
 * bits; exp(r) by the polynomial of Cephes' expf; 2^n through the exponent. */
ALWAYS_INLINE __m256 exp_lanes(__m256 x)
{
    const __m256 lowest = _mm256_set1_ps(-87.3f);
    const __m256 highest = _mm256_set1_ps(88.0f);
    __m256 under = _mm256_cmp_ps(x, lowest, _CMP_LT_OQ);
    __m256 over = _mm256_cmp_ps(x, highest, _CMP_GT_OQ);
    __m256 c, n, r, p;

    c = _mm256_max_ps(lowest, _mm256_min_ps(highest, x)); /* lets NaN through */
    n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(1.44269504f)),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), c);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r),
                        _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    p = _mm256_castsi256_ps(_mm256_add_epi32(
        _mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
    p = _mm256_andnot_ps(under, p);
    return _mm256_blendv_ps(
        p, _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000)), over);
}

#endif
