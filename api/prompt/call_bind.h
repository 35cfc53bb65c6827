/* call_bind.h -- what tools and tool_choice bind a reply to.
 *
 * `required` and a named function: the reply is a call of an allowed function,
 * after a thought perhaps; a named one is called once.  Otherwise the model
 * calls if it wants to, and its calls are held to the tools where the request
 * asks for that: some tool is strict, allowed_tools lists some,
 * parallel_tool_calls is false, or the answer is bound to a form, which neither
 * a call that is none nor prose behind one would have.  A call that must come
 * wins over that form.
 *
 * A vocabulary without the markers as tokens is written to in text: a forced
 * call is then a form of the answer, and calls that may come cannot be held,
 * which a strict tool does not put up with.
 *
 * Pool thread; at most about 400 ms (call_grammar.h). */
#ifndef LFMD_API_PROMPT_CALL_BIND_H
#define LFMD_API_PROMPT_CALL_BIND_H

#include <stdbool.h>

#include "api/request/chat_request.h"
#include "model/base/err.h"
#include "model/dialect/dialect.h"

struct job;

/* The reply must be a call. */
bool call_bind_must(const struct chat_request *r);

/* Fills the grammars and markers of calls.  -ERR_INVALID names the tool. */
int call_bind(struct job *job, const struct dialect *d,
              const struct chat_request *r, struct err *err);

#endif
