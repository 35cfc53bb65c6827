/* matcher.h -- one reply on its way through a grammar.
 *
 * Takes a token's bytes, all or none of them; tells whether the reply may end
 * here; goes back over the last tokens (a guess that was not confirmed).  What
 * it accepted can always be finished, save where ambiguity exceeds what one
 * state may hold (128 ways at once): then some ways are left out, and a token
 * of those is refused.
 *
 * All memory is taken in matcher_new: about 2 KiB for a grammar without
 * recursion, else 80 KiB and 2 KiB for each token that can be taken back.
 * Nothing else touches the heap.  One thread at a time. */
#ifndef LFMD_MODEL_GRAMMAR_MATCHER_H
#define LFMD_MODEL_GRAMMAR_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/grammar/grammar.h"

#define MATCHER_MAX_ROLLBACK 256u

struct matcher;

/* Counts a reference of its own to `g`.  `max_rollback` is how many tokens
 * matcher_rollback can take back. */
int matcher_new(struct matcher **out, struct grammar *g, uint32_t max_rollback,
                struct err *err);
void matcher_free(struct matcher *m); /* NULL is fine */

/* Another matcher in the same place, which can go back as far. */
int matcher_clone(struct matcher **out, const struct matcher *m,
                  struct err *err);
/* Puts `m` where `from` is; both were made for the same grammar and rollback.
 * Never touches the heap. */
void matcher_copy(struct matcher *m, const struct matcher *from);
/* Back before the first token. */
void matcher_reset(struct matcher *m);

/* Takes one token.  False, and nothing changes, when the grammar does not allow
 * its bytes here or there are none.  About 10 to 100 ns a byte. */
bool matcher_accept(struct matcher *m, const char *bytes, size_t n);
/* The same question without an answer kept. */
bool matcher_allows(struct matcher *m, const char *bytes, size_t n);
/* Takes back the last n tokens accepted.  False, and nothing changes, if they
 * are more than can be taken back. */
bool matcher_rollback(struct matcher *m, uint32_t n);

/* The bytes so far are a text of the grammar. */
bool matcher_may_end(const struct matcher *m);
/* ... and nothing can follow. */
bool matcher_must_end(const struct matcher *m);

/* The bytes that follow whatever is chosen: writes at most `cap` of them and
 * returns how many.  Stops where the text may end or two bytes are possible.
 * Whoever turns them into tokens without sampling should leave the last token
 * out of it where more text may follow: it might have become a longer one. */
size_t matcher_forced(struct matcher *m, char *out, size_t cap);

/* Some way was left out since the start: a refused token may be due to that. */
bool matcher_left_out(const struct matcher *m);

const struct grammar *matcher_grammar(const struct matcher *m);

#endif
