/* vocab.h -- what bytes each token stands for, and which token a piece is.
 *
 * A byte-level vocabulary spells bytes in an alphabet of 256 printable
 * characters (GPT-2's bytes_to_unicode); here tokens are kept as the bytes
 * themselves.  Ids may have gaps; an unknown id is the empty string.
 *
 * Built once by tokenizer_load.c, then const: any thread. */
#ifndef LFMD_MODEL_TEXT_VOCAB_H
#define LFMD_MODEL_TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"

#define VOCAB_MAX_IDS (1u << 20)

enum {
    VOCAB_KNOWN = 1,  /* the id names a token */
    VOCAB_PIECE = 2,  /* ordinary text may become it */
    VOCAB_ADDED = 4,  /* listed in added_tokens */
    VOCAB_SPECIAL = 8 /* ... with special: true */
};

struct vocab_token {
    uint32_t at, n; /* in `bytes` */
    uint8_t flags;
};

struct vocab {
    struct vocab_token *tokens; /* [n_tokens], owned */
    uint32_t n_tokens;          /* highest id + 1 */
    uint32_t max_token_bytes;
    char *bytes; /* owned; all tokens in a row */
    uint32_t n_bytes, cap_bytes;
    token_id *slots; /* [mask + 1], owned; pieces by hash */
    uint32_t mask;
};

/* Room for ids below n_tokens whose bytes sum to at most cap_bytes. */
int vocab_init(struct vocab *v, uint32_t n_tokens, uint32_t cap_bytes,
               struct err *err);
void vocab_deinit(struct vocab *v); /* a zeroed struct is fine */

/* Copies the bytes; `flags` replaces what the id had.  The id is in range and
 * the capacity given to vocab_init suffices, which the caller has counted. */
void vocab_put(struct vocab *v, token_id id, const char *bytes, uint32_t n,
               uint8_t flags);

/* Indexes the tokens flagged VOCAB_PIECE; once, after the last vocab_put. */
int vocab_index(struct vocab *v, struct err *err);

/* The VOCAB_PIECE token that is exactly these bytes, or TOKEN_NONE.  One hash
 * and, nearly always, one comparison. */
token_id vocab_find(const struct vocab *v, const char *bytes, size_t n);

/* Undoes the alphabet: writes at most n bytes to `out` and returns their
 * number, or -1 when some character is not of the alphabet. */
long vocab_spelled(const char *key, size_t n, char *out);

#endif
