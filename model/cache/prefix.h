/* prefix.h -- which tokens a block of keys and values stands for.
 *
 * A tree over block numbers: a node is a block whose keys and values were
 * computed for `tokens` after those of its parent.  Inner nodes are full; a
 * leaf may have fewer tokens, the end of what somebody computed.  Whoever holds
 * a node's block holds those of its ancestors too, so unused nodes - held by
 * nobody but this index - are listed by age with children before their parents,
 * and the oldest is always a leaf.
 *
 * The children of a node are kept in the order of their tokens, each node once:
 * whoever shares most first tokens with a text is then found beside the place
 * where that text would stand, in time that grows with the logarithm of their
 * number.  That order is a treap whose links lie in the nodes; a priority is a
 * hash of the block's number.
 *
 * It does not count holders (cache.c) and never looks at a key.  All memory is
 * taken by prefix_init.  Private to model/cache; inference thread only. */
#ifndef LFMD_MODEL_CACHE_PREFIX_H
#define LFMD_MODEL_CACHE_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/kernels/kv_block.h"

#define PREFIX_NONE UINT32_MAX

struct prefix_node {
    token_id tokens[KV_BLOCK_TOKENS];
    uint64_t salt;       /* the tenant: equal in a whole tree */
    uint64_t age;        /* of an unused node: when it became so */
    uint32_t n_tokens;   /* 0: not a node */
    uint32_t parent;     /* PREFIX_NONE: these are a sequence's first tokens */
    uint32_t children;   /* the topmost of them, or PREFIX_NONE */
    uint32_t less, more; /* siblings below it, before and after it */
    uint32_t older, newer; /* of an unused node */
    bool unused;
    bool kept; /* by prefix_keep */
};

/* Unused nodes by age, children before their parents. */
struct prefix_ages {
    uint32_t oldest, newest, n;
};

struct prefix {
    struct prefix_node *nodes; /* [n_blocks], owned; by block number */
    uint32_t n_blocks;
    uint32_t roots; /* the topmost of the nodes without parent, of all salts */
    uint32_t n_nodes;
    struct prefix_ages unused; /* but for the kept: the oldest is a leaf */
    struct prefix_ages kept;
    uint64_t clock;
};

int prefix_init(struct prefix *p, uint32_t n_blocks, struct err *err);
void prefix_deinit(struct prefix *p);

static inline bool prefix_has(const struct prefix *p, uint32_t block)
{
    return p->nodes[block].n_tokens > 0;
}

/* Among all children of `parent` one that shares most of the first tokens;
 * *n_common of them, at most `n`.  If several share as many, any of them: their
 * blocks begin with the same keys.  PREFIX_NONE with 0 when none shares any.
 * O(log children). */
uint32_t prefix_best_child(const struct prefix *p, uint32_t parent,
                           uint64_t salt, const token_id *tokens, uint32_t n,
                           uint32_t *n_common);

/* An unused child of `parent`, with fewer tokens than n, that are the first of
 * `tokens`: a node with all n makes it worthless.  Or PREFIX_NONE. */
uint32_t prefix_covered(const struct prefix *p, uint32_t parent, uint64_t salt,
                        const token_id *tokens, uint32_t n);

/* `block` becomes a node, in use.  `parent` is full, and none of its children
 * has exactly these n tokens: whoever reads them from elsewhere asks
 * prefix_best_child first. */
void prefix_add(struct prefix *p, uint32_t block, uint32_t parent,
                uint64_t salt, const token_id *tokens, uint32_t n);
/* A node that is not full now stands for `n` tokens, its own first; none of its
 * siblings has exactly these. */
void prefix_extend(struct prefix *p, uint32_t block, const token_id *tokens,
                   uint32_t n);
/* A node without children is none any more. */
void prefix_remove(struct prefix *p, uint32_t block);

void prefix_unuse(struct prefix *p, uint32_t block); /* now the newest unused */
void prefix_use(struct prefix *p, uint32_t block);   /* no longer unused */

/* From now on no node of now leaves the index or changes, so that its block may
 * be read elsewhere; a used leaf that is not full is no part of this.  They age
 * as always, out of the way of who looks for the oldest.  O(n_blocks). */
void prefix_keep(struct prefix *p);
void prefix_unkeep(struct prefix *p);

/* Lists and links agree, every node is found by its tokens, and children are
 * older than their parents. */
bool prefix_validate(const struct prefix *p);

#endif
