/* conv_avx2.c -- the short convolution, eight channels at a time.
 *
 * A run of tokens keeps its window of columns in registers for the width of
 * LFM2 (3); other widths keep it in a small array.  Channels that are left over
 * go one by one through the same fused steps in the same order, so that a
 * channel's bits do not depend on where the slice was cut. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <math.h>

#include "model/kernels/simd_avx2.h"

/* Tap j of eight channels lies `width` floats apart. */
ALWAYS_INLINE __m256 load_taps(const float *w, uint32_t width)
{
    __m256i at = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                    _mm256_set1_epi32((int)width));

    return _mm256_i32gather_ps(w, at, 4);
}

/* Channels c .. c + 7; width is a constant after inlining where it matters. */
ALWAYS_INLINE void conv_lanes(const struct conv_run *r, uint32_t c,
                              uint32_t width)
{
    __m256 taps[KERNELS_MAX_CONV_WIDTH], window[KERNELS_MAX_CONV_WIDTH];
    __m256 bias =
        r->bias != NULL ? _mm256_loadu_ps(r->bias + c) : _mm256_setzero_ps();
    uint32_t last = width - 1;

    for (uint32_t j = 0; j < width; j++)
        taps[j] = load_taps(r->weights + (size_t)c * width + j, width);
    for (uint32_t j = 0; j < last; j++)
        window[j] = _mm256_loadu_ps(r->state + (size_t)j * r->hidden + c);
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        __m256 sum = bias;

        window[last] = _mm256_loadu_ps(r->bx + t * r->ldbx + c);
        for (uint32_t j = 0; j < width; j++)
            sum = _mm256_fmadd_ps(taps[j], window[j], sum);
        _mm256_storeu_ps(r->y + t * r->ldy + c, sum);
        for (uint32_t j = 0; j < last; j++)
            window[j] = window[j + 1];
    }
    for (uint32_t j = 0; j < last; j++)
        _mm256_storeu_ps(r->state + (size_t)j * r->hidden + c, window[j]);
}

static void conv_channel(const struct conv_run *r, uint32_t c)
{
    const float *taps = r->weights + (size_t)c * r->width;
    float bias = r->bias != NULL ? r->bias[c] : 0.0f;
    float window[KERNELS_MAX_CONV_WIDTH];
    uint32_t last = r->width - 1;

    for (uint32_t j = 0; j < last; j++)
        window[j] = r->state[(size_t)j * r->hidden + c];
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        float sum = bias;

        window[last] = r->bx[t * r->ldbx + c];
        for (uint32_t j = 0; j < r->width; j++)
            sum = fmaf(taps[j], window[j], sum);
        r->y[t * r->ldy + c] = sum;
        for (uint32_t j = 0; j < last; j++)
            window[j] = window[j + 1];
    }
    for (uint32_t j = 0; j < last; j++)
        r->state[(size_t)j * r->hidden + c] = window[j];
}

static void conv(const struct conv_run *run)
{
    uint32_t c = run->c0;

    if (run->width == 3) {
        for (; run->c1 - c >= LANES; c += LANES)
            conv_lanes(run, c, 3);
    } else {
        for (; run->c1 - c >= LANES; c += LANES)
            conv_lanes(run, c, run->width);
    }
    for (; c < run->c1; c++)
        conv_channel(run, c);
}

void conv_fill_avx2(struct kernels *k)
{
    k->conv = conv;
}

#else

void conv_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
