/* rows_avx2.c -- the ops on single rows, eight lanes at a time.
 *
 * Ragged ends are one masked step with the lanes beyond reading as zero, so a
 * row's result does not depend on its alignment.  Two accumulators where a sum
 * is taken: rows are short and in cache. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <math.h>

#include "model/kernels/simd_avx2.h"

static float dot(const float *a, const float *b, uint32_t n)
{
    __m256 s0 = _mm256_setzero_ps(), s1 = _mm256_setzero_ps();
    uint32_t i = 0;

    for (; n - i >= 2 * LANES; i += 2 * LANES) {
        s0 =
            _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
        s1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + LANES),
                             _mm256_loadu_ps(b + i + LANES), s1);
    }
    if (n - i >= LANES) {
        s0 =
            _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s0);
        i += LANES;
    }
    if (i < n) {
        __m256i mask = lane_mask(n - i);

        s1 =
            _mm256_fmadd_ps(load_part(a + i, mask), load_part(b + i, mask), s1);
    }
    return sum_lanes(_mm256_add_ps(s0, s1));
}

static void rmsnorm(float *y, const float *x, const float *restrict w,
                    uint32_t n, float eps)
{
    float scale = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
    __m256 scales = _mm256_set1_ps(scale);
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), scales);

        _mm256_storeu_ps(y + i, _mm256_mul_ps(v, _mm256_loadu_ps(w + i)));
    }
    if (i < n) {
        __m256i mask = lane_mask(n - i);
        __m256 v = _mm256_mul_ps(load_part(x + i, mask), scales);

        _mm256_maskstore_ps(y + i, mask,
                            _mm256_mul_ps(v, load_part(w + i, mask)));
    }
}

ALWAYS_INLINE __m256 silu_lanes(__m256 gate, __m256 up)
{
    __m256 minus = _mm256_xor_ps(gate, _mm256_set1_ps(-0.0f));
    __m256 below = _mm256_add_ps(_mm256_set1_ps(1.0f), exp_lanes(minus));

    return _mm256_mul_ps(_mm256_div_ps(gate, below), up);
}

static void silu_mul(float *y, const float *gate, const float *up, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, silu_lanes(_mm256_loadu_ps(gate + i),
                                           _mm256_loadu_ps(up + i)));
    if (i < n) {
        __m256i mask = lane_mask(n - i);

        _mm256_maskstore_ps(
            y + i, mask,
            silu_lanes(load_part(gate + i, mask), load_part(up + i, mask)));
    }
}

static void add(float *restrict y, const float *restrict x, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i),
                                              _mm256_loadu_ps(x + i)));
    for (; i < n; i++)
        y[i] += x[i];
}

static void mul(float *y, const float *a, const float *b, uint32_t n)
{
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(a + i),
                                              _mm256_loadu_ps(b + i)));
    for (; i < n; i++)
        y[i] = a[i] * b[i];
}

static void axpy(float *restrict y, float a, const float *restrict x,
                 uint32_t n)
{
    __m256 as = _mm256_set1_ps(a);
    uint32_t i = 0;

    for (; n - i >= LANES; i += LANES)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(as, _mm256_loadu_ps(x + i),
                                                _mm256_loadu_ps(y + i)));
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
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(hi + i);
        __m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);

        _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(hi + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
    for (; i < half; i++) {
        float a = x[i], b = hi[i];

        x[i] = a * cos[i] - b * sin[i];
        hi[i] = b * cos[i] + a * sin[i];
    }
}

void rows_fill_avx2(struct kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->silu_mul = silu_mul;
    k->add = add;
    k->mul = mul;
    k->axpy = axpy;
    k->rope = rope;
}

#else

void rows_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
