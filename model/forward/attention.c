/* attention.c -- grouped-query attention over paged keys and values.
 *
 * q, k, v = normed * {wq, wk, wv}; RMSNorm of every head of q and k, then RoPE,
 * in this order; k and v go to the sequence's blocks; each token attends to all
 * positions up to its own; out = heads * wo.
 *
 *     wide, per token:  | q: n_heads * head_dim | k: n_kv_heads * .. | v |
 *
 * Keys and values are wanted of more tokens than queries are where only later
 * tokens look at them (needed.h); then the queries' rows are p->kept while the
 * keys' are p->rows.
 *
 * Work is cut into items, and a member that is done takes the next: what an
 * item costs grows with its position.  An item is some tokens of one slice and
 * the query heads that share a KV head.  In a slice of one token the item that
 * attends stores the key and value first, in the same round; a prompt's chunk
 * needs all its keys in the blocks before anyone attends, hence a round of its
 * own before.  So a step of decode has one round between the products and a
 * step with prompts two.
 *
 * Inference thread; items on any member of the team. */
#include "model/forward/ops.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "model/cache/kv_pool.h"

struct attention_work {
    struct pass *p;
    const struct layer_weights *w;
    struct kv_pool *pool;
    char *base; /* of the layer's blocks */
    uint32_t q_floats, kv_floats;
    uint32_t group;       /* query heads of one KV head */
    uint32_t item_heads;  /* of them in one item: all, or 1 */
    uint32_t item_tokens; /* in one item, at most */
    atomic_uint next;     /* the first item that nobody has taken */
    struct kv_view view;  /* all but `blocks` */
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A slice, and which of its last tokens are here. */
struct attended {
    const struct batch_slice *slice;
    struct span keys, queries; /* rows of wide */
};

static struct attended attended_slice(const struct attention_work *a,
                                      uint32_t s)
{
    const struct pass *p = a->p;
    return (struct attended){&p->batch->slices[s], p->rows[s], p->kept[s]};
}

/* Is the key of the slice stored by the item that attends? */
static bool stores_itself(const struct attention_work *a,
                          const struct attended *x)
{
    return x->keys.n_tokens == 1 && x->queries.n_tokens == 1 &&
           a->item_heads == a->group;
}

/* Norms and rotates KV head h's key of token i of the slice, and puts key and
 * value into the block. */
static void store_row(const struct attention_work *a, const struct attended *x,
                      uint32_t i, uint32_t h)
{
    const struct batch_slice *slice = x->slice;
    const struct pass *p = a->p;
    const struct kernels *k = p->kernels;
    uint32_t dim = p->hp->head_dim, position = slice->position + i;
    size_t t = slice->first + i;
    size_t row = x->keys.first + i - (slice->n_tokens - x->keys.n_tokens);
    if (i < slice->n_replay)
        return;
    float *key =
        p->s.wide + row * p->s.wide_floats + a->q_floats + (size_t)h * dim;
    k->rmsnorm(key, key, a->w->k_norm, dim, p->hp->norm_eps);
    k->rope(key, p->s.cos + t * (dim / 2), p->s.sin + t * (dim / 2), dim);
    size_t block = slice->seq->blocks[position / KV_BLOCK_TOKENS];
    k->kv_store(a->base + block * a->pool->block_bytes +
                    h * a->pool->head_bytes,
                a->pool->format, dim, position % KV_BLOCK_TOKENS, key,
                key + a->kv_floats);
}

/* The same for query heads [head0, head1) of token t of the batch, which stay
 * in their row of wide. */
static void prepare_queries(const struct attention_work *a, size_t row,
                            size_t t, uint32_t head0, uint32_t head1)
{
    const struct pass *p = a->p;
    uint32_t dim = p->hp->head_dim;
    float *q = p->s.wide + row * p->s.wide_floats + (size_t)head0 * dim;
    for (uint32_t h = head0; h < head1; h++, q += dim) {
        p->kernels->rmsnorm(q, q, a->w->q_norm, dim, p->hp->norm_eps);
        p->kernels->rope(q, p->s.cos + t * (dim / 2), p->s.sin + t * (dim / 2),
                         dim);
    }
}

/* Is the result quantised by the item that attends?  Heads may be narrower than
 * a block. */
static bool quantises_itself(const struct attention_work *a)
{
    return a->item_heads * a->p->hp->head_dim % PANEL_BLOCK == 0;
}

static void quantize_rows(const struct attention_work *a, size_t row,
                          uint32_t n_rows, uint32_t head0, uint32_t head1)
{
    const struct pass *p = a->p;
    uint32_t dim = p->hp->head_dim;
    for (size_t end = row + n_rows; row < end; row++) {
        size_t at = row * a->q_floats + (size_t)head0 * dim;
        quantize_part(p, p->s.q_mixed + at / PANEL_BLOCK, p->s.mixed + at,
                      (head1 - head0) * dim);
    }
}

/* Queries [i0, i1) of the slice, query heads [head0, head1) of one KV head,
 * from the products to finished rows of s.mixed and their twins. */
static void attend_tokens(const struct attention_work *a, uint32_t part,
                          const struct attended *x, uint32_t i0, uint32_t i1,
                          uint32_t head0, uint32_t head1)
{
    struct pass *p = a->p;
    struct kv_view view = a->view;
    size_t row = x->queries.first + i0;
    uint32_t token = x->slice->n_tokens - x->queries.n_tokens + i0;
    view.blocks = x->slice->seq->blocks;
    if (stores_itself(a, x))
        store_row(a, x, token, head0 / a->group);
    for (uint32_t i = 0; i < i1 - i0; i++)
        prepare_queries(a, row + i, (size_t)x->slice->first + token + i, head0,
                        head1);
    const struct attend_run run = {
        .out = p->s.mixed + row * a->q_floats,
        .q = p->s.wide + row * p->s.wide_floats,
        .ldo = a->q_floats,
        .ldq = p->s.wide_floats,
        .kv = &view,
        .n_tokens = i1 - i0,
        .position = x->slice->position + token,
        .head0 = head0,
        .head1 = head1,
        .scale = p->attend_scale,
        .scratch = p->s.attend + part * p->s.attend_floats,
    };
    p->kernels->attend(&run);
    if (quantises_itself(a))
        quantize_rows(a, row, run.n_tokens, head0, head1);
}

static uint32_t take(struct attention_work *a)
{
    return atomic_fetch_add_explicit(&a->next, 1, memory_order_relaxed);
}

/* Items of a slice: its runs of tokens, the last ones, which cost most, first;
 * in each the KV heads. */
static void attend_member(void *arg, uint32_t part, uint32_t n_parts)
{
    struct attention_work *a = arg;
    const struct batch *b = a->p->batch;
    uint32_t n_cuts = a->p->hp->n_heads / a->item_heads, before = 0;
    uint32_t item = take(a);
    (void)n_parts;
    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct attended x = attended_slice(a, s);
        uint32_t n_queries = x.queries.n_tokens;
        uint32_t n_runs = (n_queries + a->item_tokens - 1) / a->item_tokens;
        for (; item - before < n_runs * n_cuts; item = take(a)) {
            uint32_t i =
                (n_runs - 1 - (item - before) / n_cuts) * a->item_tokens;
            uint32_t head = (item - before) % n_cuts * a->item_heads;
            attend_tokens(a, part, &x, i,
                          smaller(i + a->item_tokens, n_queries), head,
                          head + a->item_heads);
        }
        before += n_runs * n_cuts;
    }
}

/* Items of a slice: the blocks of its keys that are not there yet, in each the
 * KV heads, so that no two members write to one head's part of a block. */
static void store_member(void *arg, uint32_t part, uint32_t n_parts)
{
    struct attention_work *a = arg;
    const struct batch *b = a->p->batch;
    uint32_t n_heads = a->p->hp->n_kv_heads, before = 0, item = take(a);
    (void)part;
    (void)n_parts;
    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct attended x = attended_slice(a, s);
        if (stores_itself(a, &x))
            continue;
        uint32_t position = x.slice->position;
        uint32_t start = position + x.slice->n_replay;
        uint32_t end = position + x.slice->n_tokens;
        uint32_t block0 = start / KV_BLOCK_TOKENS;
        uint32_t n_items = (cache_blocks_for(end) - block0) * n_heads;
        for (; item - before < n_items; item = take(a)) {
            uint32_t block = block0 + (item - before) / n_heads;
            uint32_t p = block * KV_BLOCK_TOKENS;
            uint32_t p1 = smaller(p + KV_BLOCK_TOKENS, end);
            for (p = p < start ? start : p; p < p1; p++)
                store_row(a, &x, p - position, (item - before) % n_heads);
        }
        before += n_items;
    }
}

/* Tokens whose keys need a round of their own. */
static uint32_t n_stored_before(const struct attention_work *a)
{
    const struct batch *b = a->p->batch;
    uint32_t n = 0;
    for (uint32_t s = 0; s < b->n_slices; s++) {
        const struct attended x = attended_slice(a, s);
        if (!stores_itself(a, &x))
            n += x.slice->n_tokens - x.slice->n_replay;
    }
    return n;
}

/* For heads of which an item is no whole number of blocks. */
static void quantize_member(void *arg, uint32_t part, uint32_t n_parts)
{
    const struct attention_work *a = arg;
    const struct pass *p = a->p;
    uint32_t row, end;
    team_split(p->n_tokens, 1, part, n_parts, &row, &end);
    quantize_rows(a, row, end - row, 0, p->hp->n_heads);
}

/* Positions read by all queries of a batch together. */
static uint64_t n_positions(const struct attention_work *a)
{
    uint64_t n = 0;
    for (uint32_t s = 0; s < a->p->batch->n_slices; s++) {
        const struct attended x = attended_slice(a, s);
        uint32_t n_queries = x.queries.n_tokens;
        n += (uint64_t)n_queries *
             (x.slice->position + x.slice->n_tokens - n_queries / 2);
    }
    return n;
}

static void attend_batch(struct attention_work *a)
{
    struct pass *p = a->p;
    uint32_t n_stored = n_stored_before(a);
    if (n_stored > 0) {
        atomic_store(&a->next, 0);
        pass_run(p, store_member, a, (uint64_t)n_stored * a->kv_floats * 8);
    }
    if (p->n_kept == 0)
        return;
    atomic_store(&a->next, 0);
    pass_run(p, attend_member, a,
             (n_positions(a) * 2 + p->n_kept * 8) * a->q_floats);
}

/* Heads that share a KV head are worked on together, which then is read once,
 * unless that leaves members idle or they are too many. */
static uint32_t heads_per_item(const struct pass *p, uint32_t group)
{
    uint64_t n_groups = (uint64_t)p->n_kept * p->hp->n_kv_heads;
    return n_groups >= team_size(p->team) && group <= KERNELS_ATTEND_ROWS
               ? group
               : 1;
}

/* As many as share a block's widening, unless that leaves members idle. */
static uint32_t tokens_per_item(const struct pass *p, uint32_t item_heads)
{
    uint32_t most = KERNELS_ATTEND_ROWS / item_heads;
    uint64_t n_cuts = p->hp->n_heads / item_heads;
    uint64_t share = p->n_kept * n_cuts / team_size(p->team);
    return share < 1 ? 1 : share < most ? (uint32_t)share : most;
}

/* Into wide; queries only of the rows that are kept. */
static void project(const struct attention_work *a)
{
    struct pass *p = a->p;
    const struct scratch *s = &p->s;
    float *keys = s->wide + a->q_floats;
    const struct linear qkv[] = {
        {.w = a->w->wq, .y = s->wide, .ldy = s->wide_floats},
        {.w = a->w->wk, .y = keys, .ldy = s->wide_floats},
        {.w = a->w->wv, .y = keys + a->kv_floats, .ldy = s->wide_floats},
    };
    struct input in = normed_rows(p);
    if (p->n_kept == p->n_tokens) {
        linear(p, qkv, 3, &in, p->n_tokens);
        return;
    }
    linear(p, &qkv[1], 2, &in, p->n_tokens);
    in = kept_rows(p, s->normed, p->hp->hidden, s->q_normed);
    if (p->n_kept > 0)
        linear(p, &qkv[0], 1, &in, p->n_kept);
}

void attention(struct pass *p, const struct layer_weights *w, uint32_t index)
{
    const struct hparams *hp = p->hp;
    struct scratch *s = &p->s;
    struct kv_pool *pool = cache_kv(p->cache);
    uint32_t group = hp->n_heads / hp->n_kv_heads;
    uint32_t item_heads = heads_per_item(p, group);
    struct attention_work a = {
        .p = p,
        .w = w,
        .pool = pool,
        .base = kv_pool_layer(pool, index),
        .q_floats = hp->n_heads * hp->head_dim,
        .kv_floats = hp->n_kv_heads * hp->head_dim,
        .group = group,
        .item_heads = item_heads,
        .item_tokens = tokens_per_item(p, item_heads),
        .view = {.base = kv_pool_layer(pool, index),
                 .block_bytes = pool->block_bytes,
                 .format = pool->format,
                 .n_kv_heads = hp->n_kv_heads,
                 .head_dim = hp->head_dim,
                 .n_heads = hp->n_heads},
    };

    project(&a);
    attend_batch(&a);
    cut_stream(p);
    if (p->n_tokens == 0)
        return;
    const struct linear out = {
        .w = w->wo, .y = s->out, .ldy = hp->hidden, .into = p->stream};
    if (p->quantised && !quantises_itself(&a))
        pass_run(p, quantize_member, &a, (uint64_t)p->n_tokens * a.q_floats);
    const struct input heads = {s->mixed, a.q_floats, s->q_mixed, NULL};
    linear(p, &out, 1, &heads, p->n_tokens);
}
