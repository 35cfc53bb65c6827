/* tokenizer.h -- text to tokens, as Hugging Face `tokenizers` would.
 *
 * Reads a byte-level BPE tokenizer.json (LFM2, LFM2.5 and their kin) and gives
 * the same ids for the same text, added tokens and their flags included.  What
 * the file asks for and we cannot do exactly (a normalizer, another model) is
 * refused at load.  Differences, both on purpose: bytes that are not UTF-8 are
 * encoded as they are, so that decoding gives them back; and ordinary text
 * never becomes a special token through ignore_merges.
 *
 * Const after load: any thread, without locks. */
#ifndef LFMD_MODEL_TEXT_TOKENIZER_H
#define LFMD_MODEL_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"

struct tokenizer;

#define TOKENIZER_MAX_TEXT_BYTES (16u << 20)

enum {
    /* Special tokens in the text are matched.  Without it their text is
     * ordinary text, so a user cannot forge <|im_end|>; added tokens that are
     * not special match either way. */
    TOKENIZE_SPECIAL = 1,
    /* What the post-processor puts around a text (BOS), or add_bos_token. */
    TOKENIZE_BOS = 2
};

/* Reads DIR/tokenizer.json and, if there is one, DIR/tokenizer_config.json.
 * Errors name the file and the key. */
int tokenizer_load(struct tokenizer **out, const char *dir, struct err *err);

/* The same from memory; `config` may be NULL. */
int tokenizer_parse(struct tokenizer **out, const char *json, size_t n_json,
                    const char *config, size_t n_config, struct err *err);

void tokenizer_free(struct tokenizer *t); /* NULL is fine */

/* *out is [*n_out], the caller's, for mem_free; NULL on error.  -ERR_LIMIT for
 * a text too long or too hard for the limits.  O(n log n), about 100 n bytes
 * of working memory at worst. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n,
                     unsigned flags, token_id **out, size_t *n_out,
                     struct err *err);

/* The highest id + 1; ids may have gaps. */
uint32_t tokenizer_n_vocab(const struct tokenizer *t);

/* The bytes a token stands for, borrowed, not ended by a NUL; "" and 0 for an
 * id that names no token.  Not necessarily UTF-8: see detok.h. */
const char *tokenizer_token_bytes(const struct tokenizer *t, token_id id,
                                  size_t *n);
uint32_t tokenizer_max_token_bytes(const struct tokenizer *t);

/* Listed in added_tokens with "special": true; false for unknown ids. */
bool tokenizer_is_special(const struct tokenizer *t, token_id id);

/* The added token with this text, special or not, or TOKEN_NONE. */
token_id tokenizer_find(const struct tokenizer *t, const char *text);

/* bos_token and eos_token of tokenizer_config.json; NULL when it has none. */
const char *tokenizer_bos_text(const struct tokenizer *t);
const char *tokenizer_eos_text(const struct tokenizer *t);

#endif
