/* pyliteral.h -- the words of a Python literal, as JSON.
 *
 * Models write f(a=1, b='x', c=[True, None]); JSON's own true, false and null
 * are met as well, and integers with leading zeros.  nan and inf are no
 * literals: JSON has no word for them.
 *
 * Pure functions, any thread; the input is not trusted. */
#ifndef LFMD_MODEL_DIALECT_PYLITERAL_H
#define LFMD_MODEL_DIALECT_PYLITERAL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/buf.h"

#define PYLITERAL_SCALAR_MAX 512u /* bytes; a longer number is no number */

bool pyliteral_is_space(char c);

/* Bytes of a function's name (with dots) or of a parameter's. */
bool pyliteral_is_name(char c, bool dotted);

/* Bytes a number or a constant may be made of. */
bool pyliteral_is_scalar(char c);

/* True, None, null, false and the like. */
bool pyliteral_is_constant(const char *s, size_t n);

/* r, b, f, u or two of them: what may stand before a string's quote. */
bool pyliteral_is_prefix(const char *s, size_t n);

/* Appends the number or constant s[0..n) as JSON; false when it is none, and
 * what was appended is then meaningless. */
bool pyliteral_scalar(const char *s, size_t n, struct buf *out);

/* The escape at s[0], a backslash: appends what it stands for and returns its
 * length; 0 when it may go on after n, which `whole` rules out.  One that
 * Python does not know keeps its backslash.  `json` reads \/ as JSON does. */
size_t pyliteral_escape(const char *s, size_t n, bool whole, bool json,
                        struct buf *text);

#endif
