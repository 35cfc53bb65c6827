/* moe.c -- the mixture of experts.
 *
 * Rows are gathered by expert, so that an expert's weights are read once for
 * all tokens that visit it:
 *
 *     normed --route--> gather | expert 0's rows | expert 1's rows | ...
 *            --w1, w3--> gate, up --silu--> --w2--> gather again
 *
 * Every member takes a share of the rows of every expert's weights: experts are
 * never equally busy, rows are.  At the end a token adds up its experts in
 * ascending order, whoever else is in the batch, as transformers does.
 *
 * Quantised experts read the normed rows where they are; for float ones they
 * are gathered first.  Of one kind of matrix all experts of a layer are
 * quantised or none is.  It does not choose: route.c. */
#include "model/forward/ops.h"

#include <string.h>

struct moe_work {
    struct pass *p;
    const struct layer_weights *w;
    const struct routing *routing;
};

static void gather_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct moe_work *work = arg;
    const struct pass *p = work->p;
    size_t hidden = p->hp->hidden;
    uint32_t row, end;
    team_split(p->n_tokens * work->routing->n_used, 1, part, n_parts, &row,
               &end);
    for (; row < end; row++)
        memcpy(p->s.gather + row * hidden,
               p->s.normed + work->routing->token_of[row] * hidden,
               hidden * sizeof(float));
}

static void gate_up_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct moe_work *work = arg;
    const struct pass *p = work->p;
    const struct routing *r = work->routing;
    size_t hidden = p->hp->hidden, width = p->hp->moe_hidden;
    uint32_t r0, r1;
    team_split(p->hp->moe_hidden, ROW_GRAIN, part, n_parts, &r0, &r1);
    if (r0 == r1)
        return;

    for (uint32_t e = 0; e < r->n_experts; e++) {
        uint32_t from = r->first[e], n = r->first[e + 1] - from;
        if (n == 0)
            continue;
        const struct input in = {p->s.gather + from * hidden, hidden,
                                 p->s.q_normed, r->token_of + from};
        float *gate = p->s.gate + from * width;
        float *up = p->s.up + from * width;
        product(p, gate, width, &in, work->w->ew1[e], r0, r1, n, part);
        product(p, up, width, &in, work->w->ew3[e], r0, r1, n, part);
        for (uint32_t i = 0; i < n; i++) {
            float *row = gate + i * width + r0;
            p->kernels->silu_mul(row, row, up + i * width + r0, r1 - r0);
            quantize_part(p,
                          p->s.q_gate + ((from + i) * width + r0) / PANEL_BLOCK,
                          row, r1 - r0);
        }
    }
}

/* Channels [c0, c1) of what one token gets from its experts. */
static void combine_token(const struct moe_work *work, uint32_t t, uint32_t c0,
                          uint32_t c1)
{
    const struct pass *p = work->p;
    const struct routing *r = work->routing;
    size_t hidden = p->hp->hidden;
    float *out = p->s.out + t * hidden + c0;
    memset(out, 0, (c1 - c0) * sizeof *out);
    for (uint32_t j = 0; j < r->n_used; j++) {
        size_t visit = (size_t)t * r->n_used + j;
        const float *y = p->s.gather + r->row_of[visit] * hidden + c0;
        p->kernels->axpy(out, r->weights[visit], y, c1 - c0);
    }
    p->kernels->add(p->stream + t * hidden + c0, out, c1 - c0);
}

static void down_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct moe_work *work = arg;
    const struct pass *p = work->p;
    const struct routing *r = work->routing;
    size_t hidden = p->hp->hidden, width = p->hp->moe_hidden;
    uint32_t c0, c1;
    team_split(p->hp->hidden, ROW_GRAIN, part, n_parts, &c0, &c1);
    if (c0 == c1)
        return;

    for (uint32_t e = 0; e < r->n_experts; e++) {
        uint32_t from = r->first[e], n = r->first[e + 1] - from;
        const struct input in = {p->s.gate + from * width, width,
                                 p->s.q_gate + from * (width / PANEL_BLOCK),
                                 NULL};
        if (n > 0)
            product(p, p->s.gather + from * hidden, hidden, &in,
                    work->w->ew2[e], c0, c1, n, part);
    }
    for (uint32_t t = 0; t < p->n_tokens; t++)
        combine_token(work, t, c0, c1);
}

/* Some hundred sigmoids: not worth a round of the team. */
static void choose_experts(struct pass *p, const struct layer_weights *w)
{
    struct routing *r = &p->s.routing;
    for (uint32_t t = 0; t < p->n_tokens; t++) {
        size_t visit = (size_t)t * r->n_used;
        route_token(p->hp, p->s.router + (size_t)t * r->n_experts,
                    w->expert_bias, r->experts + visit, r->weights + visit);
    }
    route_group(r, p->n_tokens);
}

void moe(struct pass *p, const struct layer_weights *w, uint32_t index)
{
    struct moe_work work = {p, w, &p->s.routing};
    const struct linear router = {
        .w = w->router, .y = p->s.router, .ldy = p->hp->n_experts};
    const struct input in = normed_rows(p);
    linear(p, &router, 1, &in, p->n_tokens);
    keep_router(p, index);
    choose_experts(p, w);
    uint64_t floats =
        (uint64_t)p->n_tokens * p->hp->n_experts_used * p->hp->hidden;
    if (!dtype_is_quantised(w->ew1[0].dtype) ||
        !dtype_is_quantised(w->ew3[0].dtype))
        pass_run(p, gather_member, &work, floats);
    pass_run(p, gate_up_member, &work, floats * p->hp->moe_hidden * 2);
    pass_run(p, down_member, &work, floats * p->hp->moe_hidden);
}
