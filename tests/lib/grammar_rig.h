/* grammar_rig.h -- what tests of grammars share: a small vocabulary whose
 * masks can be checked by brute force, and whole texts run through a grammar.
 *
 * For test programs only; fails the test itself where nothing else can. */
#ifndef LFMD_TESTS_LIB_GRAMMAR_RIG_H
#define LFMD_TESTS_LIB_GRAMMAR_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/grammar/grammar.h"
#include "model/grammar/mask.h"
#include "model/grammar/matcher.h"

/* Tokens 0..255 are the bytes; then pieces of JSON, words and characters cut
 * in two; the last is an end that no grammar may choose itself. */
uint32_t rig_n_tokens(void);
token_id rig_end(void);
const char *rig_token(void *unused, token_id id, size_t *n);

/* Is `text` a text of `g`, taken byte by byte? */
bool rig_takes(struct grammar *g, const char *text);
/* Does some text of `g` begin so? */
bool rig_begins(struct grammar *g, const char *text);

/* The mask of `k` for `m` is what matcher_allows says of every token; returns
 * how many tokens are allowed.  Aborts with a message otherwise. */
uint32_t rig_check_mask(struct masker *k, struct matcher *m);

#endif
