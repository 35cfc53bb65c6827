/* snapshot.h -- what is remembered at one moment, in the order of a file.
 *
 * Private to model/cache. */
#ifndef LFMD_MODEL_CACHE_SNAPSHOT_H
#define LFMD_MODEL_CACHE_SNAPSHOT_H

#include "model/cache/cache_state.h"
#include "model/cache/prefix_file.h"

struct snapshot_node {
    uint64_t salt;
    uint32_t parent; /* index of a node before this one, or PREFIX_NONE */
    uint32_t n_tokens;
    token_id tokens[KV_BLOCK_TOKENS]; /* zero after the first n_tokens */
    uint32_t block;
};

struct cache_snapshot {
    const struct kv_pool *kv;    /* borrowed; its blocks, not its counts */
    struct snapshot_node *nodes; /* [n_blocks], owned; the first n are set */
    uint32_t *place;             /* [n_blocks], owned; of a block in nodes */
    uint32_t n;
};

#endif
