/* kv_pool.c -- one slab, a chain of free blocks, a count of holders for each.
 *
 * The slab is not touched before it is used, so a large pool costs address
 * space until sequences fill it.
 *
 * It does not know sequences.  Inference thread only. */
#include "model/cache/kv_pool.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/weights/hparams.h"

uint64_t kv_pool_block_bytes(const struct hparams *hp, enum kv_format format)
{
    return (uint64_t)kv_head_bytes(format, hp->head_dim) * hp->n_kv_heads *
           hp->n_attn_layers;
}

int kv_pool_init(struct kv_pool *p, const struct hparams *hp,
                 enum kv_format format, uint32_t n_blocks, struct err *err)
{
    size_t head_bytes = kv_head_bytes(format, hp->head_dim);
    size_t block_bytes = head_bytes * hp->n_kv_heads;
    size_t bytes;
    if (__builtin_mul_overflow(kv_pool_block_bytes(hp, format), n_blocks,
                               &bytes))
        return err_set(err, ERR_LIMIT, "a cache of %u blocks is too large",
                       (unsigned)n_blocks);
    *p = (struct kv_pool){
        .format = format,
        .head_bytes = head_bytes,
        .block_bytes = block_bytes,
        .layer_bytes = block_bytes * n_blocks,
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
/* All ones are NaN as a float of any size.  Whoever reads a block he does not
 * hold meets them at every position, in the keys' first dimension or the
 * scales, and that is 1/32 of the writing. */
static void poison(struct kv_pool *p, uint32_t block)
{
    size_t element = kv_element_bytes(p->format);
    size_t values_at = kv_values_at(p->format, p->head_dim);
    size_t scales_at = kv_scales_at(p->format, p->head_dim);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        char *from = kv_pool_layer(p, l) + block * p->block_bytes;
        for (size_t at = 0; at < p->block_bytes; at += p->head_bytes) {
            char *head = from + at;
            memset(head, 0xff, KV_BLOCK_TOKENS * element);
            memset(head + values_at, 0xff, p->head_dim * element);
            memset(head + scales_at, 0xff, p->head_bytes - scales_at);
        }
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

void kv_pool_copy(struct kv_pool *p, uint32_t to, uint32_t from)
{
    assert(to != from && p->refs[to] > 0 && p->refs[from] > 0);
    for (uint32_t l = 0; l < p->n_layers; l++) {
        char *blocks = kv_pool_layer(p, l);
        memcpy(blocks + to * p->block_bytes, blocks + from * p->block_bytes,
               p->block_bytes);
    }
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
