/* attend_avx2.c -- attention over paged blocks, eight lanes at a time, and
 * storing keys and values.
 *
 * The walk is attend_walk.h's.  Four rows of queries by two vectors of keys, or
 * by two of values: eight chains of multiply-adds cover their latency, and all
 * fits the sixteen registers. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <math.h>
#include <stdbool.h>

#include "model/kernels/simd_avx2.h"

#define VEC_LANES 8u
#define SCORE_ROWS 4u
#define VALUE_ROWS 4u
#define VALUE_VECS 2u

typedef __m256 vec;

ALWAYS_INLINE vec v_zero(void)
{
    return _mm256_setzero_ps();
}

ALWAYS_INLINE vec v_set1(float x)
{
    return _mm256_set1_ps(x);
}

ALWAYS_INLINE vec v_load(const float *at)
{
    return _mm256_loadu_ps(at);
}

ALWAYS_INLINE void v_store(float *at, vec v)
{
    _mm256_storeu_ps(at, v);
}

ALWAYS_INLINE vec v_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

ALWAYS_INLINE vec v_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

ALWAYS_INLINE vec v_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

ALWAYS_INLINE vec v_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

ALWAYS_INLINE vec v_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

ALWAYS_INLINE vec v_exp(vec x)
{
    return exp_lanes(x);
}

ALWAYS_INLINE float v_first(vec v)
{
    return _mm256_cvtss_f32(v);
}

ALWAYS_INLINE float v_sum(vec v)
{
    return sum_lanes(v);
}

ALWAYS_INLINE float v_highest(vec v)
{
    return max_lanes(v);
}

ALWAYS_INLINE vec v_below(vec v, uint32_t first, uint32_t n)
{
    __m256i mask = lane_mask(n > first ? n - first : 0);

    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), v,
                            _mm256_castsi256_ps(mask));
}

ALWAYS_INLINE vec v_half(const void *at)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(at));
}

ALWAYS_INLINE vec v_bytes(const void *at)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(at)));
}

#include "model/kernels/attend_walk.h"

/* Up to eight numbers of x, the rest 0. */
ALWAYS_INLINE __m256 load_some(const float *x, uint32_t n)
{
    return n >= VEC_LANES ? _mm256_loadu_ps(x) : load_part(x, lane_mask(n));
}

/* The first n of eight elements to `at`, `step` elements apart. */
ALWAYS_INLINE void spread(char *at, size_t step, const char *eight,
                          size_t bytes, uint32_t n)
{
    if (n >= VEC_LANES && step == 1) {
        memcpy(at, eight, VEC_LANES * bytes);
        return;
    }
    for (uint32_t i = 0; i < n && i < VEC_LANES; i++)
        memcpy(at + i * step * bytes, eight + i * bytes, bytes);
}

ALWAYS_INLINE void store_f16(char *at, size_t step, const float *x, uint32_t n)
{
    const __m256 most = _mm256_set1_ps(65504.0f);
    const __m256 least = _mm256_set1_ps(-65504.0f);
    char eight[VEC_LANES * 2];

    for (uint32_t d = 0; d < n; d += VEC_LANES) {
        /* min and max return their second operand when it is NaN */
        __m256 v =
            _mm256_max_ps(least, _mm256_min_ps(most, load_some(x + d, n - d)));

        _mm_storeu_si128((void *)eight,
                         _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
        spread(at + d * step * 2, step, eight, 2, n - d);
    }
}

/* Returns the scale. */
ALWAYS_INLINE float store_q8(char *at, size_t step, const float *x, uint32_t n)
{
    const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 mosts = _mm256_setzero_ps(), nans = mosts;
    float most, inverse, nan;
    int32_t eight[VEC_LANES];

    for (uint32_t d = 0; d < n; d += VEC_LANES) {
        __m256 v = load_some(x + d, n - d);

        mosts = _mm256_max_ps(_mm256_and_ps(v, no_sign), mosts);
        nans = _mm256_fmadd_ps(v, _mm256_setzero_ps(), nans);
    }
    most = max_lanes(mosts);
    nan = sum_lanes(nans); /* 0, or NaN when some x is none or infinite */
    inverse = most > 1e-30f && nan == 0 ? 127.0f / most : 0;
    for (uint32_t d = 0; d < n; d += VEC_LANES) {
        __m256 v =
            _mm256_mul_ps(load_some(x + d, n - d), _mm256_set1_ps(inverse));

        _mm256_storeu_si256((void *)eight, _mm256_cvtps_epi32(v));
        for (uint32_t i = 0; i < VEC_LANES && d + i < n; i++)
            at[(d + i) * step] = (char)eight[i];
    }
    return most / 127.0f + nan;
}

#include "model/kernels/kv_store_walk.h"

void attend_fill_avx2(struct kernels *k)
{
    k->attend = attend;
    k->kv_store = kv_store;
}

#else

void attend_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
