/* kv_pool.h -- keys and values of past tokens, in blocks of one slab.
 *
 *     [n_layers][n_blocks][n_kv_heads] parts, each laid out by kv_block.h
 *
 * so what one head attends over is contiguous inside a block.  Private to
 * model/cache and model/forward; inference thread only. */
#ifndef LFMD_MODEL_CACHE_KV_POOL_H
#define LFMD_MODEL_CACHE_KV_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/kernels/kv_block.h"

struct hparams;

#define KV_NO_BLOCK UINT32_MAX

struct kv_pool {
    char *slab; /* owned, 64-byte aligned */
    enum kv_format format;
    size_t layer_bytes; /* n_blocks * block_bytes */
    size_t block_bytes; /* one block of one layer: n_kv_heads * head_bytes */
    size_t head_bytes;
    uint32_t n_layers; /* attention layers */
    uint32_t head_dim;
    uint32_t n_blocks;
    uint32_t n_free;
    uint32_t first_free; /* KV_NO_BLOCK when n_free is 0 */
    uint32_t *next_free; /* [n_blocks], owned; of a free block, the next one */
    uint32_t *refs;      /* [n_blocks], owned; holders, 0: free */
};

int kv_pool_init(struct kv_pool *p, const struct hparams *hp,
                 enum kv_format format, uint32_t n_blocks, struct err *err);
void kv_pool_deinit(struct kv_pool *p);

uint64_t kv_pool_block_bytes(const struct hparams *hp, enum kv_format format);

/* A free block with one holder; n_free > 0. */
uint32_t kv_pool_take(struct kv_pool *p);
void kv_pool_hold(struct kv_pool *p, uint32_t block);
void kv_pool_drop(struct kv_pool *p, uint32_t block);

/* All keys and values of one held block, to another. */
void kv_pool_copy(struct kv_pool *p, uint32_t to, uint32_t from);

bool kv_pool_validate(const struct kv_pool *p);

/* The blocks of attention layer `layer` (counted among the attention
 * layers). */
static inline char *kv_pool_layer(const struct kv_pool *p, uint32_t layer)
{
    return p->slab + layer * p->layer_bytes;
}

#endif
