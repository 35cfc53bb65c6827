/* forward.c -- the pass, read from top to bottom.
 *
 * Inference thread; the ops use the team. */
#include "model/forward/forward.h"

#include <assert.h>
#include <math.h>

#include "model/base/alloc.h"
#include "model/forward/ops.h"

struct forward {
    struct pass p;
    struct forward_limits limits;
};

static void run_layers(struct pass *p)
{
    const struct hparams *hp = p->hp;
    uint32_t n_attn = 0, n_conv = 0;
    for (uint32_t i = 0; i < hp->n_layers && p->n_tokens > 0; i++) {
        const struct layer_weights *w = &p->weights->layers[i];
        p->n_kept = spans_set(p->kept, &p->s.needs[i + 1], p->batch);
        norm_rows(p, p->stream, w->operator_norm, p->n_tokens);
        if (hp->kinds[i] == LAYER_ATTENTION)
            attention(p, w, n_attn++);
        else
            shortconv(p, w, n_conv++);
        if (p->n_tokens == 0)
            return;
        norm_rows(p, p->stream, w->ffn_norm, p->n_tokens);
        if (i < hp->n_dense_layers)
            mlp(p, w);
        else
            moe(p, w, i - hp->n_dense_layers);
        if (i + 1 < hp->n_layers)
            keep_state(p, i + 1, p->stream);
    }
}

/* What the layers leave are the rows that somebody asked for, in their order: a
 * prompt's chunk of 512 tokens needs one row of 65536 logits, or none.  Those
 * of which only the state is wanted need none either. */
static void run_head(struct pass *p, const struct batch *b)
{
    norm_rows(p, p->stream, p->weights->final_norm, p->n_tokens);
    keep_state(p, p->hp->n_layers, p->s.normed);
    p->n_kept = spans_set_logits(p->kept, b);
    assert(p->n_kept == b->n_logit_rows);
    if (p->n_kept == 0)
        return;
    const struct input in =
        kept_rows(p, p->s.normed, p->hp->hidden, p->s.q_normed);
    const struct linear head = {
        .w = p->weights->head, .y = b->logits, .ldy = b->n_vocab};
    linear(p, &head, 1, &in, b->n_logit_rows);
}

void forward_run(struct forward *f, struct batch *batch)
{
    struct pass *p = &f->p;
    assert(batch->n_tokens <= f->limits.max_batch_tokens);
    assert(batch->n_logit_rows <= f->limits.max_logit_rows);
    assert(batch->n_vocab == p->hp->n_vocab);
    if (batch->n_tokens == 0)
        return;
    p->batch = batch;
    p->stream = p->s.stream;
    p->n_tokens = spans_set(p->rows, &p->s.needs[0], batch);

    embed(p);
    keep_state(p, 0, p->stream);
    run_layers(p);
    if (p->n_tokens > 0)
        run_head(p, batch);
    p->batch = NULL;
}

void forward_rewind(struct forward *f, const struct batch_slice *slice,
                    uint32_t n_kept)
{
    trail_rewind(&f->p.trail, cache_conv(f->p.cache), slice, n_kept);
}

static bool layer_quantised(const struct layer_weights *l,
                            const struct hparams *hp)
{
    const struct matrix some[] = {l->wq,       l->wk, l->wv, l->wo, l->in_proj,
                                  l->out_proj, l->w1, l->w2, l->w3};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        if (dtype_is_quantised(some[i].dtype))
            return true;
    for (uint32_t e = 0; l->ew1 != NULL && e < hp->n_experts; e++)
        if (dtype_is_quantised(l->ew1[e].dtype) ||
            dtype_is_quantised(l->ew2[e].dtype) ||
            dtype_is_quantised(l->ew3[e].dtype))
            return true;
    return false;
}

static bool weights_quantised(const struct weights *w, const struct hparams *hp)
{
    bool some = dtype_is_quantised(w->head.dtype);
    for (uint32_t i = 0; !some && i < hp->n_layers; i++)
        some = layer_quantised(&w->layers[i], hp);
    return some;
}

int forward_new(struct forward **out, const struct forward_parts *parts,
                const struct forward_limits *limits, struct err *err)
{
    const struct hparams *hp = parts->hp;
    if (hp->conv_width > KERNELS_MAX_CONV_WIDTH)
        return err_set(err, ERR_UNSUPPORTED,
                       "conv_L_cache is %u, but at most %u is computed",
                       (unsigned)hp->conv_width, KERNELS_MAX_CONV_WIDTH);
    struct forward *f = mem_calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err, "the forward pass");
    f->limits = *limits;
    f->p.hp = hp;
    f->p.weights = parts->weights;
    f->p.kernels = parts->kernels;
    f->p.cache = parts->cache;
    f->p.quantised = weights_quantised(parts->weights, hp);
    f->p.attend_scale = 1.0f / sqrtf((float)hp->head_dim);
    int rc = scratch_init(&f->p.s, hp, limits->max_batch_tokens,
                          limits->max_logit_rows, limits->n_threads,
                          f->p.quantised, err);
    if (rc != 0)
        goto free_forward;
    rc = trail_init(&f->p.trail, hp, err);
    if (rc != 0)
        goto free_scratch;
    rc = team_new(&f->p.team, limits->n_threads, err);
    if (rc != 0)
        goto free_trail;
    f->p.rows = f->p.s.spans[0];
    f->p.kept = f->p.s.spans[1];
    *out = f;
    return 0;

free_trail:
    trail_deinit(&f->p.trail);
free_scratch:
    scratch_deinit(&f->p.s);
free_forward:
    mem_free(f);
    return rc;
}

void forward_free(struct forward *f)
{
    if (f == NULL)
        return;
    team_free(f->p.team);
    trail_deinit(&f->p.trail);
    scratch_deinit(&f->p.s);
    mem_free(f);
}

uint32_t forward_replay_tokens(const struct hparams *hp)
{
    return hp->n_conv_layers * (hp->conv_width - 1);
}

uint64_t forward_bytes_needed(const struct hparams *hp,
                              const struct forward_limits *limits,
                              bool quantised)
{
    uint64_t scratch = scratch_bytes_needed(hp, limits->max_batch_tokens,
                                            limits->max_logit_rows,
                                            limits->n_threads, quantised);
    uint64_t trail = trail_bytes(hp);
    return scratch < UINT64_MAX - trail ? scratch + trail : UINT64_MAX;
}

uint32_t forward_n_threads(const struct forward *f)
{
    return f->limits.n_threads;
}

uint64_t forward_bytes(const struct forward *f)
{
    return f->p.s.bytes + trail_bytes(f->p.hp);
}
