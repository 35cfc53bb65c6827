/* call_grammar.h -- what a call block may be, from the tools of a request.
 *
 *     [get_weather(city='Paris', days=2), get_time(city="Rome")]
 *
 * Keyword arguments come in the order of `properties`, as the templates write
 * past calls; strings in either kind of quotes, constants as Python's or as
 * JSON's, so a model writes what it has learned.  Each text of the grammar is
 * read by pycall.h as calls of these tools, every argument valid under its
 * schema.  Functions or arguments whose names Python syntax has no room for
 * are called in the JSON form instead, [{"name": ..., "arguments": {...}}]; the
 * calls of one block all have one form.
 *
 * A tool that says "strict" is honoured to the letter, or refused.  Of others
 * the schema is followed as far as it can be: the value of an argument whose
 * schema cannot be honoured may be any literal, and if that does not help
 * either, the arguments may be any.
 *
 * It knows no tokens and no request.  One thread at a time; the tools are not
 * changed. */
#ifndef LFMD_MODEL_DIALECT_CALL_GRAMMAR_H
#define LFMD_MODEL_DIALECT_CALL_GRAMMAR_H

#include <stdbool.h>

#include "model/base/err.h"
#include "model/base/json.h"

struct grammar;

struct call_options {
    const char *only; /* the one function that may be called; NULL for any */
    bool single;      /* one call, no more */
    bool markers;     /* the block stands between its markers, as text */
    const json_t *listed; /* an array with these tools and maybe others, whose
                             places errors name; NULL: `tools` itself */
};

/* `tools` is an array as OpenAI has it, each checked to have a name.  *out is a
 * new reference.  -ERR_INVALID names the field ("tools[2].function.parameters")
 * and the keyword that a strict tool cannot be held to, -ERR_LIMIT what all of
 * them are too large for; within twice the bounds of grammar.h. */
int call_grammar_new(struct grammar **out, const json_t *tools,
                     const struct call_options *options, struct err *err);

/* The tool wants its schema to be enforced: function.strict. */
bool call_grammar_is_strict(const json_t *tool);

#endif
