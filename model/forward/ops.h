/* ops.h -- the operations a pass is made of, and what they share.
 *
 * Each op is one or a few rounds of the team over the whole batch: it takes the
 * caller's rows, reads its own weights and leaves rows, all of them float32 in
 * buffers of scratch.h.  Rows of the batch are called tokens here.
 *
 * Private to model/forward.  Inference thread only; the team_fn inside run on
 * any member of the team. */
#ifndef LFMD_MODEL_FORWARD_OPS_H
#define LFMD_MODEL_FORWARD_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "model/forward/batch.h"
#include "model/forward/route.h"
#include "model/forward/scratch.h"
#include "model/forward/team.h"
#include "model/kernels/kernels.h"
#include "model/weights/hparams.h"
#include "model/weights/weights.h"

/* Weight rows are shared out in multiples of this: a cache line of results. */
#define ROW_GRAIN 16u

struct pass {
    const struct hparams *hp;
    const struct weights *weights;
    const struct kernels *kernels;
    struct cache *cache;
    struct team *team;
    struct scratch s;
    float attend_scale;        /* 1 / sqrt(head_dim) */
    const struct batch *batch; /* of the running step */
    uint32_t n_tokens;         /* batch->n_tokens */
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

/* One product y = x * transpose(w) + bias of a `linear` call; with `into`, the
 * result is also added there (the residual stream). */
struct linear {
    struct matrix w;
    const float *bias; /* [w.rows] or NULL */
    float *y;          /* [n][ldy] */
    size_t ldy;
    float *into; /* [n][w.rows] or NULL */
};

/* Up to 4 products of the same n rows of x [n][ldx], in one round. */
#define LINEAR_MAX 4u
void linear(struct pass *p, const struct linear *products, uint32_t n_products,
            const float *x, size_t ldx, uint32_t n);

/* y[i] = rmsnorm(x[i], w) for n rows of `hidden`. */
void norm_rows(struct pass *p, float *y, const float *x, const float *w,
               uint32_t n);

/* The stream's first rows: the embeddings of the tokens, and beside them the
 * cosines and sines of the positions. */
void embed(struct pass *p);

/* These read the normed rows in s.normed and add their result to s.stream.
 * `index` counts among the layers of their kind. */
void attention(struct pass *p, const struct layer_weights *w, uint32_t index);
void shortconv(struct pass *p, const struct layer_weights *w, uint32_t index);
void mlp(struct pass *p, const struct layer_weights *w);
void moe(struct pass *p, const struct layer_weights *w);

#endif
