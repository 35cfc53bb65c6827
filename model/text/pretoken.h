/* pretoken.h -- cuts text into the pieces that byte pair encoding works on.
 *
 * The cutting is tokenizer.json's: a few stages, each a regular expression run
 * by PCRE2 over what the stage before it left, matches and the text between
 * them all becoming pieces (Hugging Face's "Isolated").  LFM2 and LFM2.5 have
 * one stage each, with different patterns.
 *
 * PCRE2 is interpreted (no JIT), with limits on backtracking and memory that
 * grow with the text, so a text can be refused but cannot hang.  A client's
 * expression never comes here.  The cutter is const once built (any thread); a
 * run belongs to one thread.  Unicode: see pattern.c. */
#ifndef LFMD_MODEL_TEXT_PRETOKEN_H
#define LFMD_MODEL_TEXT_PRETOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

#define PRETOKEN_MAX_STAGES 8u

struct pretoken;
struct pretoken_run;

int pretoken_new(struct pretoken **out, struct err *err);
void pretoken_free(struct pretoken *p); /* NULL is fine */

/* Adds a stage: a pattern in PCRE2's words (pattern.h). */
int pretoken_add_split(struct pretoken *p, const char *pattern, size_t n,
                       struct err *err);

/* Adds a stage: a space in front of every piece that does not begin with one.
 * Once. */
int pretoken_add_prefix_space(struct pretoken *p, struct err *err);

/* Working memory for one thread; NULL when memory is short. */
struct pretoken_run *pretoken_run_new(const struct pretoken *p);
void pretoken_run_free(struct pretoken_run *run); /* NULL is fine */

/* Gets each piece in order, never empty; a non-zero result ends the run. */
typedef int pretoken_fn(void *user, const char *piece, size_t n,
                        struct err *err);

/* Cuts text[0..n), which is valid UTF-8.  -ERR_LIMIT when a pattern needs more
 * work than the limits allow; otherwise what `fn` returned. */
int pretoken_cut(struct pretoken_run *run, const char *text, size_t n,
                 pretoken_fn *fn, void *user, struct err *err);

/* Is the code point that text[0..n) begins with a word character (\w)?  False
 * for no text and for bytes that are not UTF-8. */
bool pretoken_is_word(struct pretoken_run *run, const char *text, size_t n);

#endif
