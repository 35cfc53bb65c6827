/* rows_avx512.c -- the ops on single rows, sixteen lanes at a time.
 *
 * Ragged ends are one masked step with the lanes beyond reading as zero, so a
 * row's result does not depend on its alignment.  Two accumulators where a sum
 * is taken: rows are short and in cache. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#include <math.h>

#include "model/kernels/simd_avx512.h"

/* The lanes of a row from i on: all of them but at its end. */
ALWAYS_INLINE __mmask16 mask_at(uint32_t i, uint32_t n)
{
    return n - i >= LANES ? ALL : lane_mask(n - i);
}

/* To the next step, not beyond the end: i + LANES might wrap. */
ALWAYS_INLINE uint32_t step_at(uint32_t i, uint32_t n)
{
    return n - i < LANES ? n - i : LANES;
}

ALWAYS_INLINE __m512 load_part(const float *x, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, x);
}

static float dot(const float *a, const float *b, uint32_t n)
{
    __m512 s0 = _mm512_setzero_ps(), s1 = _mm512_setzero_ps();
    uint32_t i = 0;

    for (; n - i >= 2 * LANES; i += 2 * LANES) {
        s0 =
            _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), s0);
        s1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + LANES),
                             _mm512_loadu_ps(b + i + LANES), s1);
    }
    for (; i < n; i += step_at(i, n)) {
        __mmask16 mask = mask_at(i, n);

        s0 =
            _mm512_fmadd_ps(load_part(a + i, mask), load_part(b + i, mask), s0);
    }
    return sum_lanes(_mm512_add_ps(s0, s1));
}

static void rmsnorm(float *y, const float *x, const float *restrict w,
                    uint32_t n, float eps)
{
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    __m512 scales = _mm512_set1_ps(scale);

    for (uint32_t i = 0; i < n; i += step_at(i, n)) {
        __mmask16 mask = mask_at(i, n);
        __m512 v = _mm512_mul_ps(load_part(x + i, mask), scales);

        _mm512_mask_storeu_ps(y + i, mask,
                              _mm512_mul_ps(v, load_part(w + i, mask)));
    }
}

static void silu_mul(float *y, const float *gate, const float *up, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += step_at(i, n)) {
        __mmask16 mask = mask_at(i, n);
        __m512 g = load_part(gate + i, mask);
        __m512 minus = _mm512_xor_ps(g, _mm512_set1_ps(-0.0f));
        __m512 below = _mm512_add_ps(_mm512_set1_ps(1.0f), exp_lanes(minus));

        _mm512_mask_storeu_ps(
            y + i, mask,
            _mm512_mul_ps(_mm512_div_ps(g, below), load_part(up + i, mask)));
    }
}

/* The others stay as they were: sixteen lanes brought them nothing. */
void rows_fill_avx512(struct kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->silu_mul = silu_mul;
}

#else

void rows_fill_avx512(struct kernels *k)
{
    (void)k;
}

#endif
