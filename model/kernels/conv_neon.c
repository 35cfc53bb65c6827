/* conv_neon.c -- the short convolution, four channels at a time.
 *
 * A run of tokens keeps its window of columns in registers for the width of
 * LFM2 (3); other widths keep it in a small array.  Channels that are left over
 * go one by one through the same fused steps in the same order, so that a
 * channel's bits do not depend on where the slice was cut. */
#include "model/kernels/kernels_fill.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <math.h>

#include "model/kernels/simd_neon.h"

/* Tap j of four channels lies `width` floats apart. */
ALWAYS_INLINE float32x4_t load_taps(const float *w, uint32_t width)
{
    float four[LANES];

    for (uint32_t c = 0; c < LANES; c++)
        four[c] = w[c * width];
    return vld1q_f32(four);
}

/* Channels c .. c + 3; width is a constant after inlining where it matters. */
ALWAYS_INLINE void conv_lanes(const struct conv_run *r, uint32_t c,
                              uint32_t width)
{
    float32x4_t taps[KERNELS_MAX_CONV_WIDTH], window[KERNELS_MAX_CONV_WIDTH];
    float32x4_t bias =
        r->bias != NULL ? vld1q_f32(r->bias + c) : vdupq_n_f32(0);
    uint32_t last = width - 1;

    for (uint32_t j = 0; j < width; j++)
        taps[j] = load_taps(r->weights + (size_t)c * width + j, width);
    for (uint32_t j = 0; j < last; j++)
        window[j] = vld1q_f32(r->state + (size_t)j * r->hidden + c);
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        float32x4_t sum = bias;

        window[last] = vld1q_f32(r->bx + t * r->ldbx + c);
        for (uint32_t j = 0; j < width; j++)
            sum = vfmaq_f32(sum, taps[j], window[j]);
        vst1q_f32(r->y + t * r->ldy + c, sum);
        for (uint32_t j = 0; j < last; j++)
            window[j] = window[j + 1];
    }
    for (uint32_t j = 0; j < last; j++)
        vst1q_f32(r->state + (size_t)j * r->hidden + c, window[j]);
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

void conv_fill_neon(struct kernels *k)
{
    k->conv = conv;
}

#else

void conv_fill_neon(struct kernels *k)
{
    (void)k;
}

#endif
