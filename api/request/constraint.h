/* constraint.h -- the form that a request binds its answer to.
 *
 * OpenAI's response_format, vLLM's structured_outputs and guided_*, and
 * llama-server's grammar and json_schema and SGLang's regex and ebnf say the
 * same in several ways; a request may use one of them.
 *
 * It knows no tokens: the grammar is compiled from the request alone.  Pool
 * thread; pure; at most about 200 ms and 32 MiB (grammar.h). */
#ifndef LFMD_API_REQUEST_CONSTRAINT_H
#define LFMD_API_REQUEST_CONSTRAINT_H

#include "model/base/err.h"
#include "model/base/json.h"

struct grammar;

/* *out is a new reference, or NULL: the answer may be anything.  -ERR_INVALID
 * names the field, and what in it cannot be honoured: nothing is ignored. */
int constraint_parse(struct grammar **out, const json_t *body, struct err *err);

#endif
