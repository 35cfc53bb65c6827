/* qmatmul_ref.c -- the specification of quantize and qmatmul.
 *
 * One output at a time: a row of the panel is decoded by panel_row's rule, a
 * block's products are added up in integers, the blocks in double. */
#include <math.h>

#include "model/kernels/kernels_fill.h"
#include "model/kernels/widen.h"

#define SUPER_BLOCKS (PANEL_SUPER / PANEL_BLOCK)

/* Returns the sum of q. */
static int32_t quantize_half(float *scale, int8_t *q, const float *x)
{
    float max = 0, inverse;
    int32_t sum = 0;

    for (uint32_t i = 0; i < 16; i++)
        max = fmaxf(max, fabsf(x[i]));
    *scale = max / 127.0f;
    inverse = max >= Q8_TINY ? 127.0f / max : 0;
    for (uint32_t i = 0; i < 16; i++) {
        float v = fmaxf(-127.0f, fminf(127.0f, x[i] * inverse));

        q[i] = (int8_t)nearbyintf(v);
        sum += q[i];
    }
    return sum;
}

static void quantize(struct q8_block *restrict dst, const float *restrict x,
                     uint32_t n_blocks)
{
    for (uint32_t b = 0; b < n_blocks; b++, dst++, x += PANEL_BLOCK) {
        int32_t sum[2];

        for (uint32_t h = 0; h < 2; h++) {
            sum[h] = quantize_half(&dst->scale[h], dst->q + 16 * h, x + 16 * h);
            dst->neg8sum[h] = -8 * sum[h];
        }
        dst->sum = q8_sum(dst->scale, sum);
    }
}

/* One matrix row of a panel. */
struct row {
    const uint8_t *scales, *blocks;
    struct panel_format f;
    size_t block_bytes;
    uint32_t r;
};

static int q_at(const struct row *w, uint32_t b, uint32_t k)
{
    const uint8_t *block = w->blocks + b * w->block_bytes;
    uint32_t g = k / 4, at = w->r * 4 + k % 4;
    int q;

    if (w->f.bits == 8)
        return block[g * 64 + at];
    q = block[g % 4 * 64 + at] >> (g / 4 * 4) & 15;
    if (w->f.bits == 6)
        q |= (block[256 + g % 4 / 2 * 64 + at] >> (g % 2 * 4 + g / 4 * 2) & 3)
             << 4;
    return q;
}

static float half_at(const uint8_t *p, uint32_t r)
{
    return f16_widen((uint16_t)(p[2 * r] | p[2 * r + 1] << 8));
}

/* The two multipliers of block b, for its halves, and what is subtracted. */
static void scales_at(const struct row *w, uint32_t b, float s[2], float *m)
{
    const uint8_t *super = w->scales;
    const uint8_t *own;

    s[0] = s[1] = *m = 0;
    switch (w->f.scales) {
    case SCALES_D:
        s[0] = s[1] = half_at(w->scales + b * 32, w->r);
        return;
    case SCALES_DM:
        s[0] = s[1] = half_at(w->scales + b * 64, w->r);
        *m = -half_at(w->scales + b * 64 + 32, w->r);
        return;
    case SCALES_K:
        super += b / SUPER_BLOCKS * 320;
        own = super + 64 + b % SUPER_BLOCKS * 32 + w->r;
        s[0] = s[1] = half_at(super, w->r) * (float)own[0];
        *m = half_at(super + 32, w->r) * (float)own[16];
        return;
    case SCALES_K6:
        super += b / SUPER_BLOCKS * 288;
        own = super + 32 + b % SUPER_BLOCKS * 32 + w->r;
        s[0] = half_at(super, w->r) * (float)(int8_t)own[0];
        s[1] = half_at(super, w->r) * (float)(int8_t)own[16];
        return;
    }
}

static float dot(const struct row *w, const struct q8_block *x,
                 uint32_t n_blocks)
{
    double sum = 0;

    for (uint32_t b = 0; b < n_blocks; b++, x++) {
        float s[2], m;
        int32_t dots[2] = {0, 0};

        scales_at(w, b, s, &m);
        for (uint32_t k = 0; k < PANEL_BLOCK; k++)
            dots[k / 16] += (q_at(w, b, k) - (int)w->f.zero) * x->q[k];
        for (uint32_t h = 0; h < 2; h++)
            sum += (double)s[h] * dots[h] * (double)x->scale[h];
        sum -= (double)m * (double)x->sum;
    }
    return (float)sum;
}

static void qmatmul(enum dtype t, float *restrict y, size_t ldy,
                    const struct q8_block *restrict x,
                    const uint32_t *restrict rows, const void *restrict panels,
                    uint32_t m, uint32_t n, uint32_t n_blocks)
{
    uint32_t cols = n_blocks * PANEL_BLOCK;
    struct row w = {.f = panel_format(t), .block_bytes = panel_block_bytes(t)};

    for (uint32_t j = 0; j < n; j++) {
        w.scales =
            (const uint8_t *)panels + j / PANEL_ROWS * panel_bytes(t, cols);
        w.blocks = w.scales + panel_scale_bytes(t, cols);
        w.r = j % PANEL_ROWS;
        for (uint32_t i = 0; i < m; i++) {
            size_t at = rows != NULL ? rows[i] : i;

            y[i * ldy + j] = dot(&w, x + at * n_blocks, n_blocks);
        }
    }
}

#define DEFINE_FOR(suffix, dtype)                                         \
    static void qmatmul_##suffix(                                         \
        float *restrict y, size_t ldy, const struct q8_block *restrict x, \
        const uint32_t *restrict rows, const void *restrict panels,       \
        uint32_t m, uint32_t n, uint32_t n_blocks)                        \
    {                                                                     \
        qmatmul(dtype, y, ldy, x, rows, panels, m, n, n_blocks);          \
    }

DEFINE_FOR(q4_0, DTYPE_Q4_0)
DEFINE_FOR(q4_1, DTYPE_Q4_1)
DEFINE_FOR(q5_0, DTYPE_Q5_0)
DEFINE_FOR(q5_1, DTYPE_Q5_1)
DEFINE_FOR(q8_0, DTYPE_Q8_0)
DEFINE_FOR(q4_k, DTYPE_Q4_K)
DEFINE_FOR(q5_k, DTYPE_Q5_K)
DEFINE_FOR(q6_k, DTYPE_Q6_K)

void qmatmul_fill_ref(struct kernels *k)
{
    k->quantize = quantize;
    k->qmatmul[DTYPE_Q4_0] = qmatmul_q4_0;
    k->qmatmul[DTYPE_Q4_1] = qmatmul_q4_1;
    k->qmatmul[DTYPE_Q5_0] = qmatmul_q5_0;
    k->qmatmul[DTYPE_Q5_1] = qmatmul_q5_1;
    k->qmatmul[DTYPE_Q8_0] = qmatmul_q8_0;
    k->qmatmul[DTYPE_Q4_K] = qmatmul_q4_k;
    k->qmatmul[DTYPE_Q5_K] = qmatmul_q5_k;
    k->qmatmul[DTYPE_Q6_K] = qmatmul_q6_k;
}
