/* linear.c -- the work that is the same everywhere: products, norms, the
 * embedding, leaving out rows and keeping a copy of some.
 *
 * A product is split by weight rows, so every member streams its own share of
 * the weights once and nobody else's; sums along a row stay in one member. */
#include "model/forward/ops.h"

#include <assert.h>
#include <string.h>

#include "model/forward/rope.h"
#include "model/kernels/gemm_blas.h"

struct linear_work {
    struct pass *p;
    const struct linear *products;
    uint32_t n_products;
    const struct input *in;
    uint32_t n;
};

void product(const struct pass *p, float *y, size_t ldy, const struct input *in,
             struct matrix w, uint32_t r0, uint32_t r1, uint32_t n,
             uint32_t part)
{
    if (r0 >= r1)
        return;
    if (dtype_is_quantised(w.dtype))
        p->kernels->qmatmul[w.dtype](y + r0, ldy, in->q, in->rows,
                                     panel_at(w, r0), n, r1 - r0,
                                     w.cols / PANEL_BLOCK);
    else
        gemm(p->kernels, y, ldy, in->x, in->ldx, w, r0, r1, n,
             p->s.panel + (size_t)part * GEMM_PANEL_FLOATS);
}

static void linear_slice(const struct linear_work *work, const struct linear *l,
                         uint32_t r0, uint32_t r1, uint32_t part)
{
    const struct kernels *k = work->p->kernels;
    product(work->p, l->y, l->ldy, work->in, l->w, r0, r1, work->n, part);
    for (uint32_t i = 0; i < work->n; i++) {
        float *y = l->y + i * l->ldy + r0;
        if (l->bias != NULL)
            k->add(y, l->bias + r0, r1 - r0);
        if (l->into != NULL)
            k->add(l->into + (size_t)i * l->w.rows + r0, y, r1 - r0);
    }
}

/* A router has no more rows than experts, all of floats. */
#define FLOAT_GRAIN 8u

static void linear_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct linear_work *work = arg;
    for (uint32_t i = 0; i < work->n_products; i++) {
        struct matrix w = work->products[i].w;
        uint32_t grain = dtype_is_quantised(w.dtype) ? ROW_GRAIN : FLOAT_GRAIN;
        uint32_t r0, r1;
        team_split(w.rows, grain, part, n_parts, &r0, &r1);
        if (r0 < r1)
            linear_slice(work, &work->products[i], r0, r1, part);
    }
}

void linear(struct pass *p, const struct linear *products, uint32_t n_products,
            const struct input *in, uint32_t n)
{
    assert(n_products <= LINEAR_MAX);
    struct linear_work work = {p, products, n_products, in, n};
    uint64_t n_ops = 0;
    for (uint32_t i = 0; i < n_products; i++)
        n_ops += (uint64_t)n * products[i].w.rows * products[i].w.cols;
    pass_run(p, linear_member, &work, n_ops);
}

struct norm_work {
    const struct pass *p;
    const float *x, *w;
    uint32_t n;
};

static void norm_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct norm_work *work = arg;
    const struct pass *p = work->p;
    uint32_t hidden = p->hp->hidden;
    uint32_t i, end;
    team_split(work->n, 1, part, n_parts, &i, &end);
    for (; i < end; i++) {
        float *y = p->s.normed + (size_t)i * hidden;
        p->kernels->rmsnorm(y, work->x + (size_t)i * hidden, work->w, hidden,
                            p->hp->norm_eps);
        quantize_part(p, p->s.q_normed + (size_t)i * (hidden / PANEL_BLOCK), y,
                      hidden);
    }
}

void norm_rows(struct pass *p, const float *x, const float *w, uint32_t n)
{
    struct norm_work work = {p, x, w, n};
    pass_run(p, norm_member, &work, (uint64_t)n * p->hp->hidden * 2);
}

static void embed_slice(struct pass *p, const struct batch_slice *slice,
                        const struct span *rows, uint32_t part,
                        uint32_t n_parts)
{
    const struct hparams *hp = p->hp;
    struct matrix w = p->weights->embed;
    uint32_t half = hp->head_dim / 2;
    uint32_t n_left_out = slice->n_tokens - rows->n_tokens;
    uint32_t i, end;
    team_split(rows->n_tokens, 1, part, n_parts, &i, &end);
    for (; i < end; i++) {
        size_t t = slice->first + n_left_out + i;
        token_id id = p->batch->tokens[t];
        assert(id >= 0 && (uint32_t)id < w.rows);
        float *row = p->stream + (size_t)(rows->first + i) * hp->hidden;
        if (dtype_is_quantised(w.dtype))
            panel_row(row, w, (uint32_t)id);
        else
            p->kernels->widen[w.dtype](row, matrix_row(w, (uint32_t)id),
                                       hp->hidden);
        rope_angles(hp, slice->position + n_left_out + i, p->s.cos + t * half,
                    p->s.sin + t * half);
    }
}

static void embed_member(void *arg, uint32_t part, uint32_t n_parts)
{
    struct pass *p = arg;
    for (uint32_t i = 0; i < p->batch->n_slices; i++)
        embed_slice(p, &p->batch->slices[i], &p->rows[i], part, n_parts);
}

void embed(struct pass *p)
{
    /* A cosine and a sine cost as much as some tens of multiply-adds. */
    pass_run(p, embed_member, p,
             (uint64_t)p->n_tokens * (p->hp->hidden + 16 * p->hp->head_dim));
}

struct input kept_rows(const struct pass *p, float *x, uint32_t width,
                       struct q8_block *q)
{
    uint32_t n = p->batch->n_slices, blocks = width / PANEL_BLOCK;
    if (p->n_kept < p->n_tokens) {
        x = spans_pack(x, width * sizeof *x, p->rows, p->kept, n);
        if (p->quantised)
            q = spans_pack(q, blocks * sizeof *q, p->rows, p->kept, n);
    }
    return (struct input){x, width, q, NULL};
}

void cut_stream(struct pass *p)
{
    if (p->n_kept == p->n_tokens)
        return;
    p->stream = spans_pack(p->stream, p->hp->hidden * sizeof *p->stream,
                           p->rows, p->kept, p->batch->n_slices);
    struct span *rows = p->rows;
    p->rows = p->kept;
    p->kept = rows;
    p->n_tokens = p->n_kept;
}

void keep_state(const struct pass *p, uint32_t state, const float *rows)
{
    const struct batch *b = p->batch;
    for (uint32_t s = 0; b->n_captures > 0 && s < b->n_slices; s++) {
        const struct batch_slice *slice = &b->slices[s];
        const struct span *at = &p->rows[s];
        if (slice->capture != NULL)
            capture_put_state(slice->capture, state,
                              slice->position + slice->n_tokens - at->n_tokens,
                              at->n_tokens,
                              rows + (size_t)at->first * p->hp->hidden);
    }
}

void keep_router(const struct pass *p, uint32_t index)
{
    const struct batch *b = p->batch;
    for (uint32_t s = 0; b->n_captures > 0 && s < b->n_slices; s++) {
        const struct batch_slice *slice = &b->slices[s];
        const struct span *at = &p->rows[s];
        if (slice->capture != NULL)
            capture_put_router(
                slice->capture, index,
                slice->position + slice->n_tokens - at->n_tokens, at->n_tokens,
                p->s.router + (size_t)at->first * p->hp->n_experts);
    }
}
