/* mask.h -- which tokens may come next: a grammar meets a vocabulary.
 *
 * The vocabulary lies as tries, so tokens that begin alike are tried together.
 * Most tokens are plain text: whole characters, none of them a control, a
 * quotation mark of either kind or a backslash.  Inside a string nearly all
 * states allow all of these, which the compiler has found out; then they are
 * not walked but copied.  A mask once made is remembered under the places it
 * was made for.
 *
 * Tokens may be any bytes, also parts of characters.
 *
 * A mask_vocab never changes once made: any thread.  A masker belongs to one
 * thread and to no grammar; it takes all its memory when it is made. */
#ifndef LFMD_MODEL_GRAMMAR_MASK_H
#define LFMD_MODEL_GRAMMAR_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/grammar/matcher.h"
#include "model/text/tokenizer.h"

#define MASK_MAX_TOKEN_BYTES 1024u /* a longer token is never allowed */

struct mask_vocab;

/* The bytes of a token, borrowed while the vocabulary is made; n = 0 for one
 * that no grammar may choose (a control token, an id that names none). */
typedef const char *mask_bytes_fn(void *user, token_id id, size_t *n);

/* `n_ids` is how many logits there are.  Takes about 15 bytes for each byte of
 * text in the vocabulary and 3 bits an id: 4 MiB for 65,536 tokens. */
int mask_vocab_new(struct mask_vocab **out, uint32_t n_ids,
                   mask_bytes_fn *bytes, void *user, struct err *err);
/* The tokenizer's tokens but the special ones. */
int mask_vocab_of_tokenizer(struct mask_vocab **out, const struct tokenizer *t,
                            uint32_t n_ids, struct err *err);
void mask_vocab_free(struct mask_vocab *v);              /* NULL is fine */
uint32_t mask_vocab_n_words(const struct mask_vocab *v); /* n_ids / 32, up */
size_t mask_vocab_bytes(const struct mask_vocab *v);

/* The longest token that `bytes` begin with, and its length in *length;
 * TOKEN_NONE where there is none.  Some microseconds. */
token_id mask_longest_token(const struct mask_vocab *v, const char *bytes,
                            size_t n, size_t *length);

struct masker;

/* Remembers `n_masks` masks (n_ids / 8 bytes each), the rest of its memory is
 * about 1 MiB.  `v` is borrowed and outlives it. */
int masker_new(struct masker **out, const struct mask_vocab *v,
               uint32_t n_masks, struct err *err);
void masker_free(struct masker *k); /* NULL is fine */

/* Sets bit id % 32 of words[id / 32], [mask_vocab_n_words], for each token
 * `m` would accept, and for the `ends` exactly if the text may end here; all
 * others are 0.  Returns how many are set.  0 means that no token of this
 * vocabulary can go on, which a byte-level one never leads to; 1 means that
 * nothing is to be sampled.
 * Never touches the heap.  0.5 us for a mask that is remembered, 20 to 500 us
 * for one that is not. */
uint32_t mask_fill(struct masker *k, const struct matcher *m,
                   const token_id *ends, size_t n_ends, uint32_t *words);

/* Masks asked for and masks made, since masker_new. */
void masker_counts(const struct masker *k, uint64_t *asked, uint64_t *made);

#endif
