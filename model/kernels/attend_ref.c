/* attend_ref.c -- the specification of attention over paged blocks, and of what
 * is stored in them.
 *
 * Row by row and position by position with a running maximum: when a larger
 * score appears, what was summed so far is scaled down to it.  Two passes would
 * need scratch for every position. */
#include <math.h>

#include "model/kernels/kernels_fill.h"

struct running {
    double max, sum; /* sum of exp(score - max) */
};

static double score(const float *q, const char *head, const struct kv_view *kv,
                    uint32_t row)
{
    double sum = 0;

    for (uint32_t d = 0; d < kv->head_dim; d++)
        sum += (double)q[d] *
               (double)kv_element(head, kv->format,
                                  (size_t)d * KV_BLOCK_TOKENS + row);
    return sum * (double)kv_scale(head, kv->format, kv->head_dim, row, 0);
}

static void add_position(float *out, struct running *run, double s,
                         const char *head, const struct kv_view *kv,
                         uint32_t row)
{
    double shrink = 1, e;

    if (!(s <= run->max)) { /* also NaN, which then stays */
        shrink = exp(run->max - s);
        run->max = s;
    }
    e = exp(s - run->max);
    run->sum = run->sum * shrink + e;
    for (uint32_t d = 0; d < kv->head_dim; d++)
        out[d] = (float)((double)out[d] * shrink +
                         e * (double)kv_value(head, kv->format, kv->head_dim,
                                              row, d));
}

static void attend_row(float *out, const float *q, const struct kv_view *kv,
                       uint32_t kv_head, uint32_t n, float scale)
{
    struct running run = {-HUGE_VAL, 0};

    memset(out, 0, kv->head_dim * sizeof(float));
    for (uint32_t p = 0; p < n; p++) {
        uint32_t row = p % KV_BLOCK_TOKENS;
        const char *head = kv_view_head(kv, p / KV_BLOCK_TOKENS, kv_head);

        add_position(out, &run, score(q, head, kv, row) * (double)scale, head,
                     kv, row);
    }
    for (uint32_t d = 0; d < kv->head_dim; d++)
        out[d] = (float)((double)out[d] / run.sum);
}

static void attend(const struct attend_run *run)
{
    const struct kv_view *kv = run->kv;
    uint32_t dim = kv->head_dim;
    uint32_t kv_head = run->head0 / (kv->n_heads / kv->n_kv_heads);

    for (uint32_t i = 0; i < run->n_tokens; i++) {
        for (uint32_t h = run->head0; h < run->head1; h++) {
            size_t at = (size_t)h * dim;

            memcpy(run->scratch, run->q + i * run->ldq + at,
                   dim * sizeof(float)); /* out may be q */
            attend_row(run->out + i * run->ldo + at, run->scratch, kv, kv_head,
                       run->position + i + 1, run->scale);
        }
    }
}

/* x[0], x[1].. into elements at `at`, `at + step`.. */
static void store_f16(char *elements, size_t at, size_t step, const float *x,
                      uint32_t n)
{
    for (uint32_t d = 0; d < n; d++) {
        float size = fabsf(x[d]);
        uint16_t half =
            f16_narrow(size > 65504.0f ? copysignf(65504.0f, x[d]) : x[d]);

        memcpy(elements + (at + d * step) * sizeof(half), &half, sizeof(half));
    }
}

static void store_f32(char *elements, size_t at, size_t step, const float *x,
                      uint32_t n)
{
    for (uint32_t d = 0; d < n; d++)
        memcpy(elements + (at + d * step) * sizeof(*x), &x[d], sizeof(*x));
}

/* Returns the scale. */
static float store_q8(char *elements, size_t at, size_t step, const float *x,
                      uint32_t n)
{
    float most = 0, inverse;
    float nan = 0; /* 0, or NaN when some x is none */

    for (uint32_t d = 0; d < n; d++) {
        most = fabsf(x[d]) > most ? fabsf(x[d]) : most;
        nan += x[d] * 0;
    }
    inverse = most > 1e-30f ? 127.0f / most : 0; /* finite */
    for (uint32_t d = 0; d < n; d++) {
        float q = isnan(nan) ? 0 : rintf(x[d] * inverse);

        elements[at + d * step] = (char)(int)q;
    }
    return most / 127.0f + nan;
}

static void kv_store(char *restrict head, enum kv_format format,
                     uint32_t head_dim, uint32_t row, const float *restrict key,
                     const float *restrict value)
{
    char *values = head + kv_values_at(format, head_dim);
    size_t pad = kv_padded_dim(head_dim), element = kv_element_bytes(format);
    size_t end = (row + 1) * pad * element;
    size_t rest = (pad - head_dim) * element;

    memset(values + end - rest, 0, rest);
    if (format == KV_F16) {
        store_f16(head, row, KV_BLOCK_TOKENS, key, head_dim);
        store_f16(values, row * pad, 1, value, head_dim);
    } else if (format == KV_F32) {
        store_f32(head, row, KV_BLOCK_TOKENS, key, head_dim);
        store_f32(values, row * pad, 1, value, head_dim);
    } else {
        float scales[2] = {
            store_q8(head, row, KV_BLOCK_TOKENS, key, head_dim),
            store_q8(values, row * pad, 1, value, head_dim),
        };
        char *at = head + kv_scales_at(format, head_dim) + row * sizeof(float);

        memcpy(at, &scales[0], sizeof(float));
        memcpy(at + KV_BLOCK_TOKENS * sizeof(float), &scales[1], sizeof(float));
    }
}

void attend_fill_ref(struct kernels *k)
{
    k->attend = attend;
    k->kv_store = kv_store;
}
