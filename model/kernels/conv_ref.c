/* conv_ref.c -- the specification of the causal depthwise short convolution.
 *
 * One channel at a time with its last `width` inputs in a window, so that `y`
 * may be `bx` and a run may be cut between any two tokens. */
#include "model/kernels/kernels_fill.h"

/* `window` is oldest first. */
static float convolve(const float *window, const float *w, uint32_t width,
                      float bias)
{
    double sum = (double)bias;

    for (uint32_t j = 0; j < width; j++)
        sum += (double)w[j] * (double)window[j];
    return (float)sum;
}

static void conv_channel(const struct conv_run *r, uint32_t c)
{
    const float *w = r->weights + (size_t)c * r->width;
    float bias = r->bias != NULL ? r->bias[c] : 0.0f;
    float window[KERNELS_MAX_CONV_WIDTH];
    uint32_t last = r->width - 1;

    for (uint32_t j = 0; j < last; j++)
        window[j] = r->state[(size_t)j * r->hidden + c];
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        window[last] = r->bx[t * r->ldbx + c];
        r->y[t * r->ldy + c] = convolve(window, w, r->width, bias);
        for (uint32_t j = 0; j < last; j++)
            window[j] = window[j + 1];
    }
    for (uint32_t j = 0; j < last; j++)
        r->state[(size_t)j * r->hidden + c] = window[j];
}

static void conv(const struct conv_run *run)
{
    for (uint32_t c = run->c0; c < run->c1; c++)
        conv_channel(run, c);
}

void conv_fill_ref(struct kernels *k)
{
    k->conv = conv;
}
