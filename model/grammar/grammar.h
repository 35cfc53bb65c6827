/* grammar.h -- what a reply may be, compiled: an automaton over bytes.
 *
 * A grammar is a set of rules; each rule is a deterministic automaton over
 * bytes that may also call a rule and go on when that has ended.  Ways that
 * differ only in calls stay side by side (matcher.h).  All that does not lead
 * to an end is removed, so a matcher that follows the grammar can always
 * finish.  Calls nest at most GRAMMAR_MAX_DEPTH deep: a call that could not
 * finish within that is not offered.
 *
 * It is made by schema.h, regex.h, gbnf.h or by hand with builder.h.  It knows
 * no token: mask.h meets it with a vocabulary.
 *
 * Never changes once made: any thread, shared by counting references. */
#ifndef LFMD_MODEL_GRAMMAR_GRAMMAR_H
#define LFMD_MODEL_GRAMMAR_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

/* What one grammar may be; beyond it compiling fails with -ERR_LIMIT. */
#define GRAMMAR_MAX_TEXT_BYTES (256u << 10) /* of schema, regex or GBNF */
#define GRAMMAR_MAX_STATES 100000u
#define GRAMMAR_MAX_BYTES (32u << 20) /* at any moment of compiling */
#define GRAMMAR_MAX_WORK 12000000u    /* visited states, about 200 ms */
#define GRAMMAR_MAX_REPEAT 100000u    /* of {m,n}, if the states suffice */
#define GRAMMAR_MAX_DEPTH 64u         /* calls inside calls */

struct grammar;

/* Another owner of `g`; each calls grammar_unref once.  The last one frees. */
struct grammar *grammar_ref(struct grammar *g);
void grammar_unref(struct grammar *g); /* NULL is fine */

/* Exactly one of these texts.  -ERR_INVALID when there is none or one is
 * empty. */
int grammar_from_choice(struct grammar **out, const char *const *texts,
                        const size_t *lengths, size_t n, struct err *err);

uint32_t grammar_n_states(const struct grammar *g);
size_t grammar_bytes(const struct grammar *g); /* heap it occupies */
/* A number no other grammar of this process has or had. */
uint64_t grammar_serial(const struct grammar *g);

#endif
