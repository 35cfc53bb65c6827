/* ops.h -- the operations a pass is made of, and what they share.
 *
 * Each op is one or a few rounds of the team over the whole batch: it takes the
 * caller's rows, reads its own weights and leaves rows, all of them float32 in
 * buffers of scratch.h.  Rows of the batch are called tokens here; only those
 * that somebody needs are there (needed.h), fewer from layer to layer.
 *
 * Private to model/forward.  Inference thread only; the team_fn inside run on
 * any member of the team. */
#ifndef LFMD_MODEL_FORWARD_OPS_H
#define LFMD_MODEL_FORWARD_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/forward/batch.h"
#include "model/forward/needed.h"
#include "model/forward/route.h"
#include "model/forward/scratch.h"
#include "model/forward/team.h"
#include "model/forward/trail.h"
#include "model/kernels/kernels.h"
#include "model/weights/hparams.h"
#include "model/weights/weights.h"

/* Weight rows are shared out in multiples of this: two panels of quantised
 * weights, and a block of what is quantised again for the next product. */
#define ROW_GRAIN 32u

struct pass {
    const struct hparams *hp;
    const struct weights *weights;
    const struct kernels *kernels;
    struct cache *cache;
    struct team *team;
    struct scratch s;
    struct trail trail;
    bool quantised;     /* some weight is: activations get quantised twins */
    float attend_scale; /* 1 / sqrt(head_dim) */
    const struct batch *batch; /* of the running step */

    float *stream;     /* the residual stream's first row, in s.stream */
    struct span *rows; /* [batch->n_slices]: the stream's */
    struct span *kept; /* those that the running operator returns */
    uint32_t n_tokens; /* of rows together */
    uint32_t n_kept;   /* of kept together */
};

/* Below this many multiply-adds (some microseconds) a round is done before the
 * others have come. */
#define ALONE_OPS 65536u

/* Runs fn over the team, or in one part on this thread when `n_ops`, a rough
 * count of multiply-adds, is small.  The results are the same. */
static inline void pass_run(struct pass *p, team_fn *fn, void *arg,
                            uint64_t n_ops)
{
    if (n_ops < ALONE_OPS)
        fn(arg, 0, 1);
    else
        team_run(p->team, fn, arg);
}

/* Rows of activations: floats, and their quantised twin where p->quantised.
 * Row i is row rows[i] of both, or i when `rows` is NULL. */
struct input {
    const float *x;
    size_t ldx;
    const struct q8_block *q;
    const uint32_t *rows; /* only for quantised weights */
};

/* Rows [r0, r1) of w times n rows of input: y[i * ldy + r].  For use inside a
 * team_fn, with its part's panel. */
void product(const struct pass *p, float *y, size_t ldy, const struct input *in,
             struct matrix w, uint32_t r0, uint32_t r1, uint32_t n,
             uint32_t part);

/* The twin of x[0 .. n) where there is one; both begin at a block. */
static inline void quantize_part(const struct pass *p, struct q8_block *q,
                                 const float *x, uint32_t n)
{
    if (p->quantised)
        p->kernels->quantize(q, x, n / PANEL_BLOCK);
}

/* One product y = x * transpose(w) + bias of a `linear` call; with `into`, the
 * result is also added there (the residual stream). */
struct linear {
    struct matrix w;
    const float *bias; /* [w.rows] or NULL */
    float *y;          /* [n][ldy] */
    size_t ldy;
    float *into; /* [n][w.rows] or NULL */
};

/* Up to 4 products of the same n rows of input, in one round. */
#define LINEAR_MAX 4u
void linear(struct pass *p, const struct linear *products, uint32_t n_products,
            const struct input *in, uint32_t n);

/* s.normed[i] = rmsnorm(x[i], w) for n rows of `hidden`; x may be s.normed. */
void norm_rows(struct pass *p, const float *x, const float *w, uint32_t n);

/* s.normed as the input of a product. */
static inline struct input normed_rows(const struct pass *p)
{
    return (struct input){p->s.normed, p->hp->hidden, p->s.q_normed, NULL};
}

/* The stream: the embeddings of its tokens.  Beside them the cosines and sines
 * of their positions, in rows as in batch->tokens. */
void embed(struct pass *p);

/* Rows of `width` floats laid out as p->rows, and their twins: moves those of
 * p->kept together, and returns them. */
struct input kept_rows(const struct pass *p, float *x, uint32_t width,
                       struct q8_block *q);
/* The same for the stream, which from then on is p->kept. */
void cut_stream(struct pass *p);

/* The operators read the normed rows in s.normed, cut the stream to p->kept and
 * add their result to it.  `index` counts among the layers of their kind. */
void attention(struct pass *p, const struct layer_weights *w, uint32_t index);
void shortconv(struct pass *p, const struct layer_weights *w, uint32_t index);

/* These read s.normed, too, and add to all rows of the stream.  `index` counts
 * the layers with experts. */
void mlp(struct pass *p, const struct layer_weights *w);
void moe(struct pass *p, const struct layer_weights *w, uint32_t index);

/* To the captures of the batch, if any: rows laid out as p->rows. */
void keep_state(const struct pass *p, uint32_t state, const float *rows);
void keep_router(const struct pass *p, uint32_t index);

#endif
