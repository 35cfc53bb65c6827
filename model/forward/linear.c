/* linear.c -- the work that is the same everywhere: products, norms, the
 * embedding.
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
    const float *x;
    size_t ldx;
    uint32_t n;
};

static void linear_slice(const struct linear_work *work, const struct linear *l,
                         uint32_t r0, uint32_t r1, float *panel)
{
    const struct kernels *k = work->p->kernels;
    gemm(k, l->y, l->ldy, work->x, work->ldx, l->w, r0, r1, work->n, panel);
    for (uint32_t i = 0; i < work->n; i++) {
        float *y = l->y + i * l->ldy + r0;
        if (l->bias != NULL)
            k->add(y, l->bias + r0, r1 - r0);
        if (l->into != NULL)
            k->add(l->into + (size_t)i * l->w.rows + r0, y, r1 - r0);
    }
}

static void linear_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct linear_work *work = arg;
    float *panel = work->p->s.panel + (size_t)part * GEMM_PANEL_FLOATS;
    for (uint32_t i = 0; i < work->n_products; i++) {
        uint32_t r0, r1;
        team_split(work->products[i].w.rows, ROW_GRAIN, part, n_parts, &r0,
                   &r1);
        if (r0 < r1)
            linear_slice(work, &work->products[i], r0, r1, panel);
    }
}

void linear(struct pass *p, const struct linear *products, uint32_t n_products,
            const float *x, size_t ldx, uint32_t n)
{
    assert(n_products <= LINEAR_MAX);
    struct linear_work work = {p, products, n_products, x, ldx, n};
    uint64_t n_ops = 0;
    for (uint32_t i = 0; i < n_products; i++)
        n_ops += (uint64_t)n * products[i].w.rows * products[i].w.cols;
    pass_run(p, linear_member, &work, n_ops);
}

struct norm_work {
    const struct pass *p;
    float *y;
    const float *x, *w;
    uint32_t n;
};

static void norm_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct norm_work *work = arg;
    const struct hparams *hp = work->p->hp;
    uint32_t i, end;
    team_split(work->n, 1, part, n_parts, &i, &end);
    for (; i < end; i++)
        work->p->kernels->rmsnorm(work->y + (size_t)i * hp->hidden,
                                  work->x + (size_t)i * hp->hidden, work->w,
                                  hp->hidden, hp->norm_eps);
}

void norm_rows(struct pass *p, float *y, const float *x, const float *w,
               uint32_t n)
{
    struct norm_work work = {p, y, x, w, n};
    pass_run(p, norm_member, &work, (uint64_t)n * p->hp->hidden * 2);
}

static void embed_slice(struct pass *p, const struct batch_slice *slice,
                        uint32_t part, uint32_t n_parts)
{
    const struct hparams *hp = p->hp;
    struct matrix w = p->weights->embed;
    uint32_t half = hp->head_dim / 2;
    uint32_t i, end;
    team_split(slice->n_tokens, 1, part, n_parts, &i, &end);
    for (; i < end; i++) {
        size_t t = slice->first + i;
        token_id id = p->batch->tokens[t];
        assert(id >= 0 && (uint32_t)id < w.rows);
        p->kernels->widen[w.dtype](p->s.stream + t * hp->hidden,
                                   matrix_row(w, (uint32_t)id), hp->hidden);
        rope_angles(hp, slice->position + i, p->s.cos + t * half,
                    p->s.sin + t * half);
    }
}

static void embed_member(void *arg, uint32_t part, uint32_t n_parts)
{
    struct pass *p = arg;
    for (uint32_t i = 0; i < p->batch->n_slices; i++)
        embed_slice(p, &p->batch->slices[i], part, n_parts);
}

void embed(struct pass *p)
{
    /* A cosine and a sine cost as much as some tens of multiply-adds. */
    pass_run(p, embed_member, p,
             (uint64_t)p->n_tokens * (p->hp->hidden + 16 * p->hp->head_dim));
}
