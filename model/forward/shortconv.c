/* shortconv.c -- the gated short convolution.
 *
 *     B, C, x = thirds of normed * in_proj;  Bx = B * x
 *     y = C * (causal depthwise convolution of Bx)
 *     out = y * out_proj
 *
 * The convolution remembers the last conv_width - 1 columns of Bx, in the
 * sequence's slot.  Channels do not meet, so members take channels and walk all
 * slices: no barrier inside. */
#include "model/forward/ops.h"

#include "model/cache/conv_state.h"

struct conv_work {
    struct pass *p;
    const struct layer_weights *w;
    struct conv_state *state;
    uint32_t layer;
};

/* Channels [c0, c1) of one slice: Bx over B, the convolution over Bx, and C
 * times that to `mixed`. */
static void conv_slice(const struct conv_work *work,
                       const struct batch_slice *slice, uint32_t c0,
                       uint32_t c1)
{
    struct pass *p = work->p;
    const struct kernels *k = p->kernels;
    uint32_t hidden = p->hp->hidden;
    size_t ld = p->s.wide_floats;
    float *b = p->s.wide + slice->first * ld;
    float *y = p->s.mixed + (size_t)slice->first * hidden;

    for (uint32_t i = 0; i < slice->n_tokens; i++) {
        float *at = b + i * ld + c0;
        k->mul(at, at, at + 2 * (size_t)hidden, c1 - c0);
    }
    k->conv(&(struct conv_run){
        .y = y,
        .ldy = hidden,
        .bx = b,
        .ldbx = ld,
        .state = conv_state_columns(work->state, slice->seq->slot, work->layer),
        .weights = work->w->conv,
        .bias = work->w->conv_bias,
        .n_tokens = slice->n_tokens,
        .hidden = hidden,
        .width = p->hp->conv_width,
        .c0 = c0,
        .c1 = c1,
    });
    for (uint32_t i = 0; i < slice->n_tokens; i++) {
        float *at = y + (size_t)i * hidden + c0;
        k->mul(at, at, b + i * ld + hidden + c0, c1 - c0);
    }
}

static void conv_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct conv_work *work = arg;
    const struct batch *b = work->p->batch;
    uint32_t c0, c1;
    team_split(work->p->hp->hidden, ROW_GRAIN, part, n_parts, &c0, &c1);
    if (c0 == c1)
        return;
    for (uint32_t s = 0; s < b->n_slices; s++)
        conv_slice(work, &b->slices[s], c0, c1);
}

void shortconv(struct pass *p, const struct layer_weights *w, uint32_t index)
{
    struct scratch *s = &p->s;
    uint32_t hidden = p->hp->hidden;
    const struct linear in = {.w = w->in_proj,
                              .bias = w->in_bias,
                              .y = s->wide,
                              .ldy = s->wide_floats};
    linear(p, &in, 1, s->normed, hidden, p->n_tokens);
    struct conv_work work = {p, w, cache_conv(p->cache), index};
    pass_run(p, conv_member, &work,
             (uint64_t)p->n_tokens * hidden * (p->hp->conv_width + 2));
    const struct linear out = {.w = w->out_proj,
                               .bias = w->out_bias,
                               .y = s->out,
                               .ldy = hidden,
                               .into = s->stream};
    linear(p, &out, 1, s->mixed, hidden, p->n_tokens);
}
