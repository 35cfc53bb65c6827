/* attention.c -- grouped-query attention over paged keys and values.
 *
 * q, k, v = normed * {wq, wk, wv}; RMSNorm of every head of q and k, then RoPE,
 * in this order; k and v go to the sequence's blocks; each token attends to all
 * positions up to its own; out = heads * wo.
 *
 *     wide, per token:  | q: n_heads * head_dim | k: n_kv_heads * .. | v |
 *
 * Three rounds of the team between the products' two: all keys of a batch are
 * in the blocks before anyone attends, so a prompt's chunk needs no other mask
 * than "up to my own position". */
#include "model/forward/ops.h"

#include <string.h>

#include "model/cache/kv_pool.h"

struct attention_work {
    struct pass *p;
    const struct layer_weights *w;
    struct kv_pool *pool;
    uint32_t layer;
    uint32_t q_floats, kv_floats;
    struct kv_view view; /* all but `blocks` */
};

/* Where the row of KV head h lies, from the base of keys or values. */
static size_t kv_row(const struct attention_work *a,
                     const struct cache_seq *seq, uint32_t position, uint32_t h)
{
    size_t block = seq->blocks[position / KV_BLOCK_TOKENS];
    size_t row = (size_t)h * KV_BLOCK_TOKENS + position % KV_BLOCK_TOKENS;
    return block * a->pool->block_floats + row * a->p->hp->head_dim;
}

/* Norms and rotates q and k of token i of the slice; puts k and v into the
 * blocks. */
static void prepare_token(const struct attention_work *a,
                          const struct batch_slice *slice, uint32_t i)
{
    size_t t = slice->first + i;
    const struct pass *p = a->p;
    const struct hparams *hp = p->hp;
    const struct kernels *k = p->kernels;
    uint32_t dim = hp->head_dim;
    const float *cos = p->s.cos + t * (dim / 2);
    const float *sin = p->s.sin + t * (dim / 2);

    float *q = p->s.wide + t * p->s.wide_floats;
    for (uint32_t h = 0; h < hp->n_heads; h++, q += dim) {
        k->rmsnorm(q, q, a->w->q_norm, dim, hp->norm_eps);
        k->rope(q, cos, sin, dim);
    }
    if (i < slice->n_replay)
        return;
    float *key = q, *value = q + a->kv_floats;
    float *keys = kv_pool_keys(a->pool, a->layer);
    float *values = kv_pool_values(a->pool, a->layer);
    for (uint32_t h = 0; h < hp->n_kv_heads; h++, key += dim, value += dim) {
        k->rmsnorm(key, key, a->w->k_norm, dim, hp->norm_eps);
        k->rope(key, cos, sin, dim);
        size_t at = kv_row(a, slice->seq, slice->position + i, h);
        memcpy(keys + at, key, dim * sizeof(float));
        memcpy(values + at, value, dim * sizeof(float));
    }
}

static void prepare_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct attention_work *a = arg;
    const struct batch *b = a->p->batch;
    /* Tokens are dealt round robin over the whole batch. */
    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct batch_slice *slice = &b->slices[s];
        for (uint32_t i = 0; i < slice->n_tokens; i++)
            if ((slice->first + i) % n_parts == part)
                prepare_token(a, slice, i);
    }
}

/* The query heads that are worked on together: those sharing a KV head, which
 * then is read once, unless that leaves members idle. */
static uint32_t heads_per_item(const struct attention_work *a, uint32_t n_parts)
{
    const struct hparams *hp = a->p->hp;
    uint64_t n_groups = (uint64_t)a->p->n_tokens * hp->n_kv_heads;
    return n_groups >= n_parts ? hp->n_heads / hp->n_kv_heads : 1;
}

/* The cost of an item grows with its position, so they are dealt round robin
 * instead of cut into ranges: every member gets short and long ones. */
static void attend_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct attention_work *a = arg;
    struct pass *p = a->p;
    const struct batch *b = p->batch;
    struct kv_view view = a->view;
    float *scratch = p->s.attend + part * p->s.attend_floats;
    uint32_t step = heads_per_item(a, n_parts);
    uint32_t turn = 0;

    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct batch_slice *slice = &b->slices[s];
        view.blocks = slice->seq->blocks;
        for (uint32_t i = 0; i < slice->n_tokens; i++) {
            size_t t = slice->first + i;
            const float *q = p->s.wide + t * p->s.wide_floats;
            float *out = p->s.mixed + t * a->q_floats;
            for (uint32_t h = 0; h < p->hp->n_heads; h += step) {
                if (turn == part)
                    p->kernels->attend(out, q, &view, slice->position + i + 1,
                                       h, h + step, p->attend_scale, scratch);
                turn = turn + 1 == n_parts ? 0 : turn + 1;
            }
        }
    }
}

static void quantize_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct attention_work *a = arg;
    const struct pass *p = a->p;
    uint32_t t, end;
    team_split(p->n_tokens, 1, part, n_parts, &t, &end);
    for (; t < end; t++)
        quantize_part(p, p->s.q_mixed + t * (a->q_floats / PANEL_BLOCK),
                      p->s.mixed + (size_t)t * a->q_floats, a->q_floats);
}

/* Positions read by all tokens of a batch together. */
static uint64_t n_positions(const struct batch *b)
{
    uint64_t n = 0;
    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct batch_slice *slice = &b->slices[s];
        n += (uint64_t)slice->n_tokens *
             (slice->position + (slice->n_tokens + 1) / 2);
    }
    return n;
}

void attention(struct pass *p, const struct layer_weights *w, uint32_t index)
{
    const struct hparams *hp = p->hp;
    struct scratch *s = &p->s;
    struct attention_work a = {
        .p = p,
        .w = w,
        .pool = cache_kv(p->cache),
        .layer = index,
        .q_floats = hp->n_heads * hp->head_dim,
        .kv_floats = hp->n_kv_heads * hp->head_dim,
    };
    a.view = (struct kv_view){
        .keys = kv_pool_keys(a.pool, index),
        .values = kv_pool_values(a.pool, index),
        .block_tokens = KV_BLOCK_TOKENS,
        .block_stride = a.pool->block_floats,
        .n_kv_heads = hp->n_kv_heads,
        .head_dim = hp->head_dim,
        .n_heads = hp->n_heads,
    };

    const struct linear qkv[] = {
        {.w = w->wq, .y = s->wide, .ldy = s->wide_floats},
        {.w = w->wk, .y = s->wide + a.q_floats, .ldy = s->wide_floats},
        {.w = w->wv,
         .y = s->wide + a.q_floats + a.kv_floats,
         .ldy = s->wide_floats},
    };
    const struct input in = normed_rows(p);
    linear(p, qkv, 3, &in, p->n_tokens);
    pass_run(p, prepare_member, &a,
             (uint64_t)p->n_tokens * (a.q_floats + 2 * a.kv_floats) * 4);
    pass_run(p, attend_member, &a, n_positions(p->batch) * a.q_floats * 2);
    const struct linear out = {
        .w = w->wo, .y = s->out, .ldy = hp->hidden, .into = s->stream};
    if (p->quantised) /* heads may be narrower than a block */
        pass_run(p, quantize_member, &a, (uint64_t)p->n_tokens * a.q_floats);
    const struct input heads = {s->mixed, a.q_floats, s->q_mixed, NULL};
    linear(p, &out, 1, &heads, p->n_tokens);
}
