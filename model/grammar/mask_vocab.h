/* mask_vocab.h -- a vocabulary as mask.c reads it: slices of it as tries.
 *
 * Private to model/grammar.  Const once made: any thread. */
#ifndef LFMD_MODEL_GRAMMAR_MASK_VOCAB_H
#define LFMD_MODEL_GRAMMAR_MASK_VOCAB_H

#include "model/grammar/mask.h"
#include "model/grammar/trie.h"

#define N_SLICES 4u

/* Slice i has the plain tokens of at most slice_chars[i] characters that are
 * not in one before; the last slice all others. */
static const unsigned slice_chars[N_SLICES] = {4, 8, 16, 255};

struct mask_vocab {
    uint32_t n_ids, n_words;
    uint32_t max_depth;
    struct trie tries[N_SLICES];
    uint32_t *bits[N_SLICES - 1]; /* [n_words], owned: all of the slice */
};

#endif
