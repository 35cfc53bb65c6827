/* attend_avx512.c -- attention over paged blocks, sixteen lanes at a time.
 *
 * The walk is attend_walk.h's.  Eight rows of queries by a whole block of keys,
 * or four by a head of 64 values: sixteen chains of multiply-adds. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <math.h>
#include <stdbool.h>

#include "model/kernels/simd_avx2.h"

#define VEC_LANES 16u
#define SCORE_ROWS 8u
#define VALUE_ROWS 4u
#define VALUE_VECS 4u

typedef __m512 vec;

ALWAYS_INLINE vec v_zero(void)
{
    return _mm512_setzero_ps();
}

ALWAYS_INLINE vec v_set1(float x)
{
    return _mm512_set1_ps(x);
}

ALWAYS_INLINE vec v_load(const float *at)
{
    return _mm512_loadu_ps(at);
}

ALWAYS_INLINE void v_store(float *at, vec v)
{
    _mm512_storeu_ps(at, v);
}

ALWAYS_INLINE vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

ALWAYS_INLINE vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

ALWAYS_INLINE vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

ALWAYS_INLINE vec v_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

ALWAYS_INLINE vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* As exp_lanes of simd_avx2.h; here 2^n is one instruction. */
ALWAYS_INLINE vec v_exp(vec x)
{
    const __m512 lowest = _mm512_set1_ps(-87.3f);
    __mmask16 keep = _mm512_cmp_ps_mask(x, lowest, _CMP_NLT_UQ);
    __m512 c = _mm512_max_ps(lowest, x); /* lets NaN through */
    __m512 n =
        _mm512_roundscale_ps(_mm512_mul_ps(c, _mm512_set1_ps(1.44269504f)),
                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), c);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r),
                        _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_maskz_scalef_ps(keep, p, n);
}

ALWAYS_INLINE float v_first(vec v)
{
    return _mm512_cvtss_f32(v);
}

/* The upper half's lanes to the lower's, then as eight lanes. */
ALWAYS_INLINE float v_sum(vec v)
{
    return sum_lanes(
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

ALWAYS_INLINE float v_highest(vec v)
{
    return max_lanes(
        _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}

ALWAYS_INLINE vec v_below(vec v, uint32_t first, uint32_t n)
{
    uint32_t lanes = n > first ? n - first : 0;
    uint32_t mask = lanes < VEC_LANES ? (1u << lanes) - 1 : 0xffffu;

    return _mm512_mask_blend_ps((__mmask16)mask, _mm512_set1_ps(-INFINITY), v);
}

ALWAYS_INLINE vec v_half(const void *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(at));
}

ALWAYS_INLINE vec v_bytes(const void *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at)));
}

#include "model/kernels/attend_walk.h"

void attend_fill_avx512(struct kernels *k)
{
    k->attend = attend;
}

#else

void attend_fill_avx512(struct kernels *k)
{
    (void)k;
}

#endif
