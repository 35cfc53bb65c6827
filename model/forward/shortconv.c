/* shortconv.c -- the gated short convolution.
 *
 *     B, C, x = thirds of normed * in_proj;  Bx = B * x
 *     y = C * (causal depthwise convolution of Bx)
 *     out = y * out_proj
 *
 * The convolution remembers the last conv_width - 1 columns of Bx, in the
 * sequence's slot.  Where the first tokens of a slice were left out, those kept
 * begin with as many that only others look at (needed.h): what they look at is
 * not in the slot, and what comes of them is dropped.  Channels do not meet, so
 * members take channels all the way from in_proj's rows to y and walk all
 * slices: no barrier inside. */
#include "model/forward/ops.h"

#include "model/cache/conv_state.h"

struct conv_work {
    struct pass *p;
    const struct layer_weights *w;
    struct conv_state *state;
    uint32_t layer;
};

/* Channels [c0, c1) of slice s: Bx over B, the convolution over Bx, and C
 * times that to `mixed`. */
static void conv_slice(const struct conv_work *work, uint32_t s, uint32_t c0,
                       uint32_t c1)
{
    struct pass *p = work->p;
    const struct kernels *k = p->kernels;
    uint32_t hidden = p->hp->hidden;
    size_t ld = p->s.wide_floats;
    const struct batch_slice *slice = &p->batch->slices[s];
    const struct span *rows = &p->rows[s];
    float *b = p->s.wide + rows->first * ld;
    float *y = p->s.mixed + (size_t)rows->first * hidden;
    float *columns =
        conv_state_columns(work->state, slice->seq->slot, work->layer);

    if (rows->n_tokens == 0)
        return;
    for (uint32_t i = 0; i < rows->n_tokens; i++) {
        float *at = b + i * ld + c0;
        k->mul(at, at, at + 2 * (size_t)hidden, c1 - c0);
    }
    if (slice->trail != BATCH_NO_TRAIL)
        trail_note(&p->trail, slice, work->layer, columns, b, ld, c0, c1);
    k->conv(&(struct conv_run){
        .y = y,
        .ldy = hidden,
        .bx = b,
        .ldbx = ld,
        .state = columns,
        .weights = work->w->conv,
        .bias = work->w->conv_bias,
        .n_tokens = rows->n_tokens,
        .hidden = hidden,
        .width = p->hp->conv_width,
        .c0 = c0,
        .c1 = c1,
    });
    for (uint32_t i = rows->n_tokens - p->kept[s].n_tokens; i < rows->n_tokens;
         i++) {
        size_t at = (size_t)i * hidden + c0;
        k->mul(y + at, y + at, b + i * ld + hidden + c0, c1 - c0);
        quantize_part(
            p, p->s.q_mixed + ((size_t)rows->first * hidden + at) / PANEL_BLOCK,
            y + at, c1 - c0);
    }
}

/* Channels [c0, c1) of B, C and x. */
static void project(const struct conv_work *work, uint32_t c0, uint32_t c1,
                    uint32_t part)
{
    struct pass *p = work->p;
    const struct input in = normed_rows(p);
    size_t ld = p->s.wide_floats;
    for (uint32_t third = 0; third < 3; third++) {
        uint32_t r0 = third * p->hp->hidden + c0;
        uint32_t r1 = third * p->hp->hidden + c1;
        product(p, p->s.wide, ld, &in, work->w->in_proj, r0, r1, p->n_tokens,
                part);
        for (uint32_t i = 0; i < p->n_tokens && work->w->in_bias != NULL; i++)
            p->kernels->add(p->s.wide + i * ld + r0, work->w->in_bias + r0,
                            r1 - r0);
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
    project(work, c0, c1, part);
    for (uint32_t s = 0; s < b->n_slices; s++)
        conv_slice(work, s, c0, c1);
}

void shortconv(struct pass *p, const struct layer_weights *w, uint32_t index)
{
    struct scratch *s = &p->s;
    uint32_t hidden = p->hp->hidden;
    struct conv_work work = {p, w, cache_conv(p->cache), index};
    pass_run(p, conv_member, &work,
             (uint64_t)p->n_tokens * hidden * hidden * 3);
    const struct input in = kept_rows(p, s->mixed, hidden, s->q_mixed);
    cut_stream(p);
    const struct linear out = {.w = w->out_proj,
                               .bias = w->out_bias,
                               .y = s->out,
                               .ldy = hidden,
                               .into = p->stream};
    if (p->n_tokens > 0)
        linear(p, &out, 1, &in, p->n_tokens);
}
