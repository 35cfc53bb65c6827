/* trie.h -- tokens by their bytes, so that what begins alike is tried once.
 *
 * Nodes lie in the order of a walk: a child follows its parent, and `skip` is
 * where the walk goes on when a node's byte leads nowhere.
 *
 * Private to model/grammar.  Const once made: any thread. */
#ifndef LFMD_MODEL_GRAMMAR_TRIE_H
#define LFMD_MODEL_GRAMMAR_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"

struct trie_node {
    uint32_t skip;     /* after the last node below this one */
    uint32_t token;    /* the tokens that end here begin at tokens[token] ... */
    uint16_t n_tokens; /* ... and are so many */
    uint16_t depth;    /* 1 for a first byte */
    uint8_t byte;
};

struct trie {
    struct trie_node *nodes; /* owned */
    uint32_t n_nodes;
    token_id *tokens; /* owned, by their bytes */
    uint32_t n_tokens;
    uint32_t max_depth;
};

struct trie_word {
    const char *bytes;
    uint32_t n;
    token_id id;
};

/* Sorts `words`. */
int trie_init(struct trie *t, struct trie_word *words, uint32_t n);
void trie_deinit(struct trie *t);

#endif
