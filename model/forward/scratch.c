/* scratch.c -- one block of floats, one of integers and, where a weight is
 * quantised, one of quantised activations, cut to size.
 *
 * The list of buffers is walked twice: to add up, and to hand out.  Every
 * buffer starts on a cache line.
 *
 * Inference thread. */
#include "model/forward/scratch.h"

#include <stdbool.h>

#include "model/base/alloc.h"
#include "model/kernels/gemm_blas.h"
#include "model/kernels/kernels.h"
#include "model/weights/hparams.h"

#define LINE_FLOATS 16u

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Hands out pieces of a block, or only counts them while base is NULL. */
struct cutter {
    char *base;
    size_t used, unit; /* in elements of `unit` bytes */
    bool overflow;
};

static void *cut(struct cutter *c, size_t rows, size_t cols)
{
    size_t n, end;
    if (__builtin_mul_overflow(rows, cols, &n) ||
        __builtin_add_overflow(n, LINE_FLOATS - 1, &n)) {
        c->overflow = true;
        return NULL;
    }
    n &= ~(size_t)(LINE_FLOATS - 1);
    if (__builtin_add_overflow(c->used, n, &end) ||
        end > SIZE_MAX / 2 / c->unit) {
        c->overflow = true;
        return NULL;
    }
    void *p = c->base != NULL ? c->base + c->used * c->unit : NULL;
    c->used = end;
    return p;
}

struct sizes {
    uint32_t max_tokens, max_rows, n_threads;
};

static void cut_floats(struct scratch *s, const struct hparams *hp,
                       const struct sizes *z, struct cutter *c)
{
    size_t t = z->max_tokens, h = hp->hidden;
    size_t q = (size_t)hp->n_heads * hp->head_dim;
    size_t kv = (size_t)hp->n_kv_heads * hp->head_dim;
    size_t visits = t * hp->n_experts_used;

    s->wide_floats =
        larger(larger(3 * h, q + 2 * kv), 2 * (size_t)hp->ffn_hidden);
    s->attend_floats = kernels_attend_scratch(hp->head_dim);
    s->stream = cut(c, t, h);
    s->normed = cut(c, larger(t, z->max_rows), h);
    s->out = cut(c, t, h);
    s->mixed = cut(c, t, larger(h, q));
    s->wide = cut(c, t, s->wide_floats);
    s->cos = cut(c, t, hp->head_dim / 2);
    s->sin = cut(c, t, hp->head_dim / 2);
    s->router = cut(c, t, hp->n_experts);
    s->gather = cut(c, visits, h);
    s->gate = cut(c, visits, hp->moe_hidden);
    s->up = cut(c, visits, hp->moe_hidden);
    s->routing.weights = cut(c, visits, 1);
    s->panel = cut(c, z->n_threads, GEMM_PANEL_FLOATS);
    s->attend = cut(c, z->n_threads, s->attend_floats);
}

static void cut_ints(struct scratch *s, const struct hparams *hp,
                     const struct sizes *z, struct cutter *c)
{
    size_t visits = (size_t)z->max_tokens * hp->n_experts_used;
    s->routing.n_experts = hp->n_experts;
    s->routing.n_used = hp->n_experts_used;
    s->routing.experts = cut(c, visits, 1);
    s->routing.row_of = cut(c, visits, 1);
    s->routing.token_of = cut(c, visits, 1);
    s->routing.first = cut(c, (size_t)hp->n_experts + 1, 1);
    s->needs =
        cut(c, (size_t)hp->n_layers + 1, sizeof *s->needs / sizeof(uint32_t));
    for (uint32_t i = 0; i < 2; i++)
        s->spans[i] =
            cut(c, z->max_tokens, sizeof *s->spans[i] / sizeof(uint32_t));
}

/* Rounded up: a width that is no multiple has no quantised consumer, but its
 * producer does not ask. */
static size_t blocks_of(size_t width)
{
    return (width + PANEL_BLOCK - 1) / PANEL_BLOCK;
}

static void cut_blocks(struct scratch *s, const struct hparams *hp,
                       const struct sizes *z, struct cutter *c)
{
    size_t t = z->max_tokens;
    size_t q = (size_t)hp->n_heads * hp->head_dim;
    size_t visits = t * hp->n_experts_used;
    s->q_normed = cut(c, larger(t, z->max_rows), blocks_of(hp->hidden));
    s->q_mixed = cut(c, t, blocks_of(larger(hp->hidden, q)));
    s->q_gate = cut(c, 1,
                    larger(t * blocks_of(hp->ffn_hidden),
                           visits * blocks_of(hp->moe_hidden)));
}

static int take_blocks(struct scratch *s, const struct hparams *hp,
                       const struct sizes *z, struct err *err)
{
    struct cutter count = {.unit = sizeof(struct q8_block)};
    cut_blocks(s, hp, z, &count);
    if (count.overflow)
        return err_set(err, ERR_LIMIT,
                       "a step of %u tokens is too large for this model",
                       (unsigned)z->max_tokens);
    s->blocks = mem_alloc_aligned(64, count.used * count.unit);
    if (s->blocks == NULL)
        return err_nomem(err, "the quantised activations");
    s->bytes += count.used * count.unit;
    struct cutter hand = {.base = s->blocks, .unit = count.unit};
    cut_blocks(s, hp, z, &hand);
    return 0;
}

int scratch_init(struct scratch *s, const struct hparams *hp,
                 uint32_t max_tokens, uint32_t max_rows, uint32_t n_threads,
                 bool quantised, struct err *err)
{
    *s = (struct scratch){0};
    struct sizes z = {max_tokens, max_rows, n_threads};
    struct cutter floats = {.unit = sizeof(float)};
    struct cutter ints = {.unit = sizeof(uint32_t)};
    cut_floats(s, hp, &z, &floats);
    cut_ints(s, hp, &z, &ints);
    if (floats.overflow || ints.overflow ||
        (uint64_t)max_tokens * larger(hp->n_experts_used, 1) > UINT32_MAX)
        return err_set(err, ERR_LIMIT,
                       "a step of %u tokens is too large for this model",
                       (unsigned)max_tokens);

    s->bytes = (uint64_t)(floats.used + ints.used) * sizeof(float);
    s->floats = mem_alloc_aligned(64, floats.used * sizeof(float));
    s->ints = mem_alloc_aligned(64, ints.used * sizeof(uint32_t));
    if (s->floats == NULL || s->ints == NULL) {
        scratch_deinit(s);
        return err_nomem(err, "the activations");
    }
    floats = (struct cutter){.base = s->floats, .unit = sizeof(float)};
    ints = (struct cutter){.base = s->ints, .unit = sizeof(uint32_t)};
    cut_floats(s, hp, &z, &floats);
    cut_ints(s, hp, &z, &ints);
    needed_init(s->needs, hp);
    int rc = quantised ? take_blocks(s, hp, &z, err) : 0;
    if (rc != 0)
        scratch_deinit(s);
    return rc;
}

uint64_t scratch_bytes_needed(const struct hparams *hp, uint32_t max_tokens,
                              uint32_t max_rows, uint32_t n_threads,
                              bool quantised)
{
    struct scratch s = {0};
    struct sizes z = {max_tokens, max_rows, n_threads};
    struct cutter floats = {.unit = sizeof(float)};
    struct cutter ints = {.unit = sizeof(uint32_t)};
    struct cutter blocks = {.unit = sizeof(struct q8_block)};
    cut_floats(&s, hp, &z, &floats);
    cut_ints(&s, hp, &z, &ints);
    if (quantised)
        cut_blocks(&s, hp, &z, &blocks);
    if (floats.overflow || ints.overflow || blocks.overflow)
        return UINT64_MAX;
    return (uint64_t)(floats.used + ints.used) * sizeof(float) +
           (uint64_t)blocks.used * blocks.unit;
}

void scratch_deinit(struct scratch *s)
{
    mem_free_aligned(s->floats);
    mem_free_aligned(s->ints);
    mem_free_aligned(s->blocks);
    *s = (struct scratch){0};
}
