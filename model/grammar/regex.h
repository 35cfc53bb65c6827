/* regex.h -- regular expressions as grammars.
 *
 * The dialect is the part of ECMA-262 that names a regular language, read so
 * that Python's `re` agrees: characters, `.`, classes, \d \w \s and their
 * opposites, \t \n \v \f \r \0 \cX \xHH \uHHHH \u{H}, \p{L} and the other
 * general categories, groups (named ones too), alternation, * + ? {m,n} with
 * or without a lazy `?`, ^ and $ anywhere.  \d and \w are ASCII; \D and \W
 * leave out what either of the two readings would.  Lookaheads are taken at
 * the very start (^(?=.*[A-Z])(?!foo)...), where they speak of the whole text.
 * Refused by name: other lookaround, backreferences, \b, flags.
 *
 * One thread at a time. */
#ifndef LFMD_MODEL_GRAMMAR_REGEX_H
#define LFMD_MODEL_GRAMMAR_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/err.h"
#include "model/grammar/builder.h"
#include "model/grammar/charset.h"

/* The texts that match as a whole.  -ERR_INVALID or -ERR_UNSUPPORTED with the
 * place and what was found there; -ERR_LIMIT beyond GRAMMAR_MAX_*. */
int grammar_from_regex(struct grammar **out, const char *pattern, size_t n,
                       struct err *err);

/* The same as a piece of a grammar, without calls.  With `search` a match may
 * lie anywhere, as JSON Schema's `pattern` has it. */
gexpr regex_expr(struct grammar_builder *b, const char *pattern, size_t n,
                 bool search, enum char_form form);

#endif
