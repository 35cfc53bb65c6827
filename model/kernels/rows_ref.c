/* rows_ref.c -- the specification of the ops on single rows.
 *
 * Sums are in double, everything else in float as transformers computes it. */
#include <math.h>

#include "model/kernels/kernels_fill.h"

static void rmsnorm(float *y, const float *x, const float *restrict w,
                    uint32_t n, float eps)
{
    double sum = 0;
    float scale;

    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    scale = 1.0f / sqrtf((float)(sum / n) + eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

static void silu_mul(float *y, const float *gate, const float *up, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void add(float *restrict y, const float *restrict x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void mul(float *y, const float *a, const float *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void axpy(float *restrict y, float a, const float *restrict x,
                 uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void rope(float *restrict x, const float *restrict cos,
                 const float *restrict sin, uint32_t head_dim)
{
    uint32_t half = head_dim / 2;

    for (uint32_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half];

        x[i] = a * cos[i] - b * sin[i];
        x[i + half] = b * cos[i] + a * sin[i];
    }
}

void rows_fill_ref(struct kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->silu_mul = silu_mul;
    k->add = add;
    k->mul = mul;
    k->axpy = axpy;
    k->rope = rope;
}
