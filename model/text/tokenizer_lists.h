/* tokenizer_lists.h -- a tokenizer given as lists, the way GGUF files hold it.
 *
 * Tokens by id, a type for each, merges by rank: the same vocabulary as in a
 * tokenizer.json, less what that says about patterns.  The pattern follows from
 * the name `pre`; only names whose pattern is known exactly are accepted.
 * Sources: docs/gguf.md (tokenizer.ggml.*), llama.cpp's src/llama-vocab.cpp and
 * conversion/base.py, which writes the lists.
 *
 * It does not know where the lists come from (model/tokenizer_source.h).
 * For start only, any thread. */
#ifndef LFMD_MODEL_TEXT_TOKENIZER_LISTS_H
#define LFMD_MODEL_TEXT_TOKENIZER_LISTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/text/tokenizer.h"

#define TOKENIZER_MAX_TOKENS (1u << 20)
#define TOKENIZER_MAX_MERGES (1u << 21)

/* Any bytes, not ended by a NUL. */
struct tokenizer_piece {
    const char *bytes;
    size_t n;
};

/* The numbers of llama_token_type. */
enum tokenizer_type {
    TOKEN_TYPE_UNDEFINED,
    TOKEN_TYPE_NORMAL, /* spelled in the byte-level alphabet */
    TOKEN_TYPE_UNKNOWN,
    TOKEN_TYPE_CONTROL,      /* a special token, its text as it is */
    TOKEN_TYPE_USER_DEFINED, /* an added token that is not special, likewise */
    TOKEN_TYPE_UNUSED,       /* fills a gap between ids */
    TOKEN_TYPE_BYTE          /* "<0x0A>" */
};

struct tokenizer_lists {
    struct tokenizer_piece pre;
    const struct tokenizer_piece *tokens; /* [n_tokens] */
    const uint32_t *types;                /* [n_tokens], or NULL: normal */
    uint32_t n_tokens;                    /* at most TOKENIZER_MAX_TOKENS */
    const struct tokenizer_piece *merges; /* [n_merges], "left right" */
    uint32_t n_merges;                    /* at most TOKENIZER_MAX_MERGES */
    token_id bos, eos;     /* TOKEN_NONE: not named; special if so */
    bool add_bos, add_eos; /* what TOKENIZE_BOS puts around a text */
};

/* Copies what it needs.  Errors name the list and the index in it.  ChatML and
 * tool markers that the lists do not call control tokens become special all the
 * same, with a warning: such files come from a withdrawn revision. */
int tokenizer_from_lists(struct tokenizer **out,
                         const struct tokenizer_lists *lists, struct err *err);

#endif
