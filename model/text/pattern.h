/* pattern.h -- a regular expression of tokenizer.json, said in PCRE2's words.
 *
 * Hugging Face runs these patterns with Oniguruma (Ruby syntax, UTF-8); the
 * two dialects agree on nearly all that tokenizers use.  What differs is
 * rewritten (\s is Unicode White_Space, \w is Oniguruma's word, \h a hex
 * digit); what might mean something else is refused, never guessed.
 *
 * Pure function, any thread. */
#ifndef LFMD_MODEL_TEXT_PATTERN_H
#define LFMD_MODEL_TEXT_PATTERN_H

#include <stddef.h>

#include "model/base/buf.h"
#include "model/base/err.h"

#define PATTERN_MAX_BYTES 4096u

/* Appends to `out`; -ERR_UNSUPPORTED names the construct and where it is. */
int pattern_translate(const char *pattern, size_t n, struct buf *out,
                      struct err *err);

/* Appends a pattern that matches exactly these bytes. */
void pattern_literal(const char *text, size_t n, struct buf *out);

#endif
