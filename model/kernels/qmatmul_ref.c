/* qmatmul_ref.c -- the specification of quantize and qmatmul.
 *
 * One output at a time: a half block's products are added up in integers, the
 * halves in double. */
#include <math.h>

#include "model/kernels/kernels_fill.h"
#include "model/kernels/qmatmul_formats.h"
#include "model/kernels/widen.h"

/* Returns the sum of q. */
static int32_t quantize_half(struct q8_block *dst, uint32_t h, const float *x)
{
    uint32_t most = 0; /* bits sort as the floats do, infinity and NaN last */
    float max, inverse;
    int32_t sum = 0;

    for (uint32_t i = 0; i < 16; i++) {
        uint32_t size = float_to_bits(fabsf(x[i]));

        most = size > most ? size : most;
    }
    max = float_from_bits(most);
    inverse = max >= Q8_TINY ? 127.0f / max : 0;
    for (uint32_t i = 0; i < 16; i++) {
        float v = fmaxf(-127.0f, fminf(127.0f, x[i] * inverse));

        dst->q[16 * h + i] = (int8_t)nearbyintf(v);
        sum += dst->q[16 * h + i];
    }
    dst->scale[h] = max / 127.0f;
    dst->neg8sum[h] = -8 * sum;
    return sum;
}

DEFINE_QUANTIZE

/* Row r of a panel times the activations of one token. */
static float dot(const void *panel, enum dtype t, uint32_t r,
                 const struct q8_block *x, uint32_t n_blocks)
{
    double sum = 0;

    for (uint32_t b = 0; b < n_blocks; b++, x++) {
        struct panel_values w;

        panel_read(&w, panel, t, n_blocks * PANEL_BLOCK, r, b);
        for (uint32_t h = 0; h < 2; h++) {
            int32_t dots = 0;

            for (uint32_t k = 16 * h; k < 16 * h + 16; k++)
                dots += w.q[k] * x->q[k];
            sum += (double)w.s[h] * dots * (double)x->scale[h];
        }
        sum -= (double)w.m * (double)x->sum;
    }
    return (float)sum;
}

static void qmatmul(enum dtype t, float *restrict y, size_t ldy,
                    const struct q8_block *restrict x,
                    const uint32_t *restrict rows, const void *restrict panels,
                    uint32_t m, uint32_t n, uint32_t n_blocks)
{
    size_t each = panel_bytes(t, n_blocks * PANEL_BLOCK);

    for (uint32_t j = 0; j < n; j++) {
        const char *panel = (const char *)panels + j / PANEL_ROWS * each;

        for (uint32_t i = 0; i < m; i++) {
            size_t at = rows != NULL ? rows[i] : i;

            y[i * ldy + j] =
                dot(panel, t, j % PANEL_ROWS, x + at * n_blocks, n_blocks);
        }
    }
}

#define DEFINE_FOR(name, suffix, bits, scales, zero)                      \
    static void qmatmul_##suffix(                                         \
        float *restrict y, size_t ldy, const struct q8_block *restrict x, \
        const uint32_t *restrict rows, const void *restrict panels,       \
        uint32_t m, uint32_t n, uint32_t n_blocks)                        \
    {                                                                     \
        qmatmul(DTYPE_##name, y, ldy, x, rows, panels, m, n, n_blocks);   \
    }

PANEL_FORMATS(DEFINE_FOR)

void qmatmul_fill_ref(struct kernels *k)
{
    k->quantize = quantize;
    PANEL_FORMATS(FILL_QMATMUL)
}
