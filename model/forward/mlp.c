/* mlp.c -- the dense feed-forward of the first layers: w2(silu(w1 x) * w3 x).
 *
 * A member computes the same rows of gate and up, so it can join them without
 * waiting for the others. */
#include "model/forward/ops.h"

struct mlp_work {
    struct pass *p;
    const struct layer_weights *w;
};

static void gate_up_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct mlp_work *work = arg;
    struct pass *p = work->p;
    struct scratch *s = &p->s;
    uint32_t width = p->hp->ffn_hidden;
    uint32_t r0, r1;
    team_split(width, ROW_GRAIN, part, n_parts, &r0, &r1);
    if (r0 == r1)
        return;
    const struct input in = normed_rows(p);
    product(p, s->wide, s->wide_floats, &in, work->w->w1, r0, r1, p->n_tokens,
            part);
    product(p, s->wide + width, s->wide_floats, &in, work->w->w3, r0, r1,
            p->n_tokens, part);
    for (uint32_t t = 0; t < p->n_tokens; t++) {
        float *gate = s->wide + t * s->wide_floats + r0;
        p->kernels->silu_mul(gate, gate, gate + width, r1 - r0);
        quantize_part(p, s->q_gate + (t * (size_t)width + r0) / PANEL_BLOCK,
                      gate, r1 - r0);
    }
}

void mlp(struct pass *p, const struct layer_weights *w)
{
    struct scratch *s = &p->s;
    struct mlp_work work = {p, w};
    pass_run(p, gate_up_member, &work,
             (uint64_t)p->n_tokens * p->hp->ffn_hidden * p->hp->hidden * 2);
    const struct linear down = {
        .w = w->w2, .y = s->out, .ldy = p->hp->hidden, .into = p->stream};
    const struct input in = {s->wide, s->wide_floats, s->q_gate, NULL};
    linear(p, &down, 1, &in, p->n_tokens);
}
