/* kv_pool.h -- keys and values of past tokens, in blocks of one slab.
 *
 *     keys of layer l:   [n_blocks][n_kv_heads][KV_BLOCK_TOKENS][head_dim]
 *     values of layer l: the same, after them
 *
 * so the rows that one head attends over are contiguous inside a block.  All
 * float32.  Private to model/cache and model/forward; inference thread only. */
#ifndef LFMD_MODEL_CACHE_KV_POOL_H
#define LFMD_MODEL_CACHE_KV_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

struct hparams;

#define KV_NO_BLOCK UINT32_MAX

struct kv_pool {
    float *slab;         /* owned, 64-byte aligned */
    size_t layer_floats; /* keys, or values, of one layer */
    size_t block_floats; /* n_kv_heads * KV_BLOCK_TOKENS * head_dim */
    uint32_t n_layers;   /* attention layers */
    uint32_t head_dim;
    uint32_t n_blocks;
    uint32_t n_free;
    uint32_t first_free; /* KV_NO_BLOCK when n_free is 0 */
    uint32_t *next_free; /* [n_blocks], owned; of a free block, the next one */
    uint32_t *refs;      /* [n_blocks], owned; holders, 0: free */
};

int kv_pool_init(struct kv_pool *p, const struct hparams *hp, uint32_t n_blocks,
                 struct err *err);
void kv_pool_deinit(struct kv_pool *p);

uint64_t kv_pool_block_bytes(const struct hparams *hp);

/* A free block with one holder; n_free > 0. */
uint32_t kv_pool_take(struct kv_pool *p);
void kv_pool_hold(struct kv_pool *p, uint32_t block);
void kv_pool_drop(struct kv_pool *p, uint32_t block);

bool kv_pool_validate(const struct kv_pool *p);

/* First float of all blocks of attention layer `layer` (counted among the
 * attention layers). */
static inline float *kv_pool_keys(const struct kv_pool *p, uint32_t layer)
{
    return p->slab + (size_t)layer * 2 * p->layer_floats;
}

static inline float *kv_pool_values(const struct kv_pool *p, uint32_t layer)
{
    return kv_pool_keys(p, layer) + p->layer_floats;
}

#endif
