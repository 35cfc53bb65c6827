/* attend_avx512.c -- attention over paged blocks, sixteen lanes at a time.
 *
 * The walk is attend_walk.h's.  Eight rows of queries by a whole block of keys,
 * or four by a head of 64 values: sixteen chains of multiply-adds. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#include <math.h>
#include <stdbool.h>

#include "model/kernels/simd_avx512.h"

#define VEC_LANES LANES
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

ALWAYS_INLINE vec v_exp(vec x)
{
    return exp_lanes(x);
}

ALWAYS_INLINE float v_first(vec v)
{
    return _mm512_cvtss_f32(v);
}

ALWAYS_INLINE float v_sum(vec v)
{
    return sum_lanes(v);
}

ALWAYS_INLINE float v_highest(vec v)
{
    return _mm512_reduce_max_ps(v);
}

ALWAYS_INLINE vec v_below(vec v, uint32_t first, uint32_t n)
{
    __mmask16 mask =
        n > first ? n - first < LANES ? lane_mask(n - first) : ALL : 0;

    return _mm512_mask_blend_ps(mask, _mm512_set1_ps(-INFINITY), v);
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
