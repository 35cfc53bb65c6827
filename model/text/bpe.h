/* bpe.h -- byte pair encoding of one piece: bytes in, tokens out.
 *
 * The tokens of a piece start as its bytes; then, again and again, the pair
 * with the lowest rank (leftmost first) becomes one, until no pair is in the
 * table.  This is models::bpe of Hugging Face `tokenizers`, down to its rule
 * for stale queue entries, so the same file gives the same tokens.
 *
 * It does not know where pieces come from or what a token spells.  The table
 * is const once built (any thread); scratch belongs to one thread. */
#ifndef LFMD_MODEL_TEXT_BPE_H
#define LFMD_MODEL_TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"

struct bpe_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX is an empty slot */
    uint32_t rank;
    token_id made;
};

struct bpe {
    struct bpe_merge *merges; /* [mask + 1], owned; at most half full */
    uint32_t mask;
    token_id of_byte[256]; /* TOKEN_NONE: the byte has no token */
};

int bpe_init(struct bpe *b, uint32_t n_merges, struct err *err);
void bpe_deinit(struct bpe *b); /* a zeroed struct is fine */

/* At most n_merges times; a pair given twice keeps what came last. */
void bpe_add(struct bpe *b, token_id left, token_id right, uint32_t rank,
             token_id made);

/* Working memory, kept between pieces; zeroed is empty. */
struct bpe_scratch {
    struct bpe_symbol *symbols; /* [cap] */
    struct bpe_entry *heap;     /* [2 * cap] */
    uint32_t cap;
    uint64_t n_steps; /* heap levels walked so far: what the cost
                         of a piece is counted in */
};

void bpe_scratch_deinit(struct bpe_scratch *s);

/* Appends the tokens of the piece to out, which has room for n; returns their
 * number or -ERR_NOMEM.  A byte without a token is dropped, as Hugging Face
 * does.  O(n log n) time, 44 n bytes of scratch; n <= INT32_MAX / 2. */
long bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *piece,
                size_t n, token_id *out);

#endif
