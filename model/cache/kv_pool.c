/* kv_pool.c -- one slab, a chain of free blocks, a count of holders for each.
 *
 * The slab is not touched before it is used, so a large pool costs address
 * space until sequences fill it.
 *
 * It does not know sequences.  Inference thread only. */
#include "model/cache/kv_pool.h"

#include <assert.h>
#include <math.h>

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/weights/hparams.h"

static size_t floats_per_block(const struct hparams *hp)
{
    return (size_t)hp->n_kv_heads * KV_BLOCK_TOKENS * hp->head_dim;
}

uint64_t kv_pool_block_bytes(const struct hparams *hp)
{
    return (uint64_t)floats_per_block(hp) * 2 * hp->n_attn_layers *
           sizeof(float);
}

int kv_pool_init(struct kv_pool *p, const struct hparams *hp, uint32_t n_blocks,
                 struct err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(kv_pool_block_bytes(hp), n_blocks, &bytes))
        return err_set(err, ERR_LIMIT, "a cache of %u blocks is too large",
                       (unsigned)n_blocks);
    *p = (struct kv_pool){
        .block_floats = floats_per_block(hp),
        .layer_floats = floats_per_block(hp) * n_blocks,
        .n_layers = hp->n_attn_layers,
        .head_dim = hp->head_dim,
        .n_blocks = n_blocks,
        .n_free = n_blocks,
        .slab = mem_alloc_aligned(64, bytes),
        .next_free = mem_calloc(n_blocks, sizeof *p->next_free),
        .refs = mem_calloc(n_blocks, sizeof *p->refs),
    };
    if (p->slab == NULL || p->next_free == NULL || p->refs == NULL) {
        kv_pool_deinit(p);
        return err_nomem(err, "keys and values");
    }
    for (uint32_t i = 0; i < n_blocks; i++)
        p->next_free[i] = i + 1 < n_blocks ? i + 1 : KV_NO_BLOCK;
    p->first_free = n_blocks > 0 ? 0 : KV_NO_BLOCK;
    return 0;
}

void kv_pool_deinit(struct kv_pool *p)
{
    mem_free_aligned(p->slab);
    mem_free(p->next_free);
    mem_free(p->refs);
    *p = (struct kv_pool){0};
}

uint32_t kv_pool_take(struct kv_pool *p)
{
    assert(p->n_free > 0);
    uint32_t block = p->first_free;
    assert(block < p->n_blocks && p->refs[block] == 0);
    p->first_free = p->next_free[block];
    p->n_free--;
    p->refs[block] = 1;
    return block;
}

void kv_pool_hold(struct kv_pool *p, uint32_t block)
{
    assert(block < p->n_blocks && p->refs[block] > 0);
    p->refs[block]++;
}

#ifndef NDEBUG
/* A block is always read from its first row on, so NaN there is enough to show
 * that somebody reads a block he does not hold, at 1/32 of the writing. */
static void poison(struct kv_pool *p, uint32_t block)
{
    size_t head_floats = (size_t)KV_BLOCK_TOKENS * p->head_dim;
    for (uint32_t l = 0; l < p->n_layers; l++) {
        float *k = kv_pool_keys(p, l) + block * p->block_floats;
        float *v = kv_pool_values(p, l) + block * p->block_floats;
        for (size_t at = 0; at < p->block_floats; at += head_floats)
            for (uint32_t d = 0; d < p->head_dim; d++)
                k[at + d] = v[at + d] = NAN;
    }
}
#endif

void kv_pool_drop(struct kv_pool *p, uint32_t block)
{
    assert(block < p->n_blocks && p->refs[block] > 0);
    if (--p->refs[block] > 0)
        return;
#ifndef NDEBUG
    poison(p, block);
#endif
    p->next_free[block] = p->first_free;
    p->first_free = block;
    p->n_free++;
}

bool kv_pool_validate(const struct kv_pool *p)
{
    uint32_t n_unheld = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++)
        n_unheld += p->refs[b] == 0;
    if (n_unheld != p->n_free)
        return false;
    /* A chain that ends after n_free steps has no loop, so all it visits are
     * different. */
    uint32_t b = p->first_free;
    for (uint32_t i = 0; i < p->n_free; i++) {
        if (b >= p->n_blocks || p->refs[b] != 0)
            return false;
        b = p->next_free[b];
    }
    return b == KV_NO_BLOCK;
}
