/* pyliteral.h -- a Python literal as JSON text.
 *
 * Models write f(a=1, b='x', c=[True, None], d={'k': 2.5}); JSON's own true,
 * false and null are met as well, raw newlines in strings, and integers with
 * leading zeros.  Tuples and sets become arrays; dictionary keys that are
 * numbers or names of constants become strings.
 *
 * Pure functions, any thread; depth is bounded, the input is not trusted. */
#ifndef LFMD_MODEL_DIALECT_PYLITERAL_H
#define LFMD_MODEL_DIALECT_PYLITERAL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/buf.h"

#define PYLITERAL_DEPTH_MAX 64u

/* A cursor over borrowed bytes. */
struct pyliteral_in {
    const char *p, *end;
};

void pyliteral_skip_space(struct pyliteral_in *in);

/* Appends the literal at the cursor as JSON (", " and ": " between, as Python
 * writes it) and moves past it.  False when there is none, when it nests
 * deeper than PYLITERAL_DEPTH_MAX or is not valid UTF-8; the cursor and what
 * was appended are then meaningless. */
bool pyliteral_to_json(struct pyliteral_in *in, struct buf *out);

#endif
