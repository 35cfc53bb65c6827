/* added.h -- finds a tokenizer's added tokens (<|im_end|>, <think>) in text.
 *
 * Leftmost, then longest: what Hugging Face gets from its Aho-Corasick search.
 * The tokens are a sorted array walked like a trie, so a search costs at most
 * the longest token per position, whatever the text.
 *
 * It does not know what happens to a match: see tokenizer.c.  Const once
 * sorted: any thread. */
#ifndef LFMD_MODEL_TEXT_ADDED_H
#define LFMD_MODEL_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/token.h"

#define ADDED_MAX_BYTES 512u /* of one token */

struct added_token {
    const char *text; /* [n], borrowed from the vocabulary's bytes */
    uint32_t n;       /* never 0 */
    token_id id;
    bool special, single_word, lstrip, rstrip;
};

struct added_set {
    struct added_token *tokens; /* [n_tokens], owned by whoever made it */
    uint32_t n_tokens;
    uint32_t first[257]; /* tokens[first[b] .. first[b + 1]) begin with b */
};

/* Sorts the tokens; false when two have the same text (*twice is one). */
bool added_sort(struct added_set *set, const struct added_token **twice);

/* The leftmost-longest token in text[from..n) and where it starts, or NULL. */
const struct added_token *added_search(const struct added_set *set,
                                       const char *text, size_t n, size_t from,
                                       size_t *at);

/* The token with exactly this text, or NULL. */
const struct added_token *added_find(const struct added_set *set,
                                     const char *text, size_t n);

#endif
