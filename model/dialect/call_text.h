/* call_text.h -- past calls as the model would have written them.
 *
 *     <|tool_call_start|>[f(a="b", c=[1, None])]<|tool_call_end|>
 *
 * For templates that do not show them.  pycall.h reads it back to the same
 * names and values: names that Python syntax has no room for are written in
 * the JSON form.
 *
 * Pure functions, any thread; no call is deeper than JSON that was parsed. */
#ifndef LFMD_MODEL_DIALECT_CALL_TEXT_H
#define LFMD_MODEL_DIALECT_CALL_TEXT_H

#include <stdbool.h>

#include "model/base/buf.h"
#include "model/base/json.h"

/* Whether it can stand before a parenthesis; without `dotted`, before an equals
 * sign. */
bool call_text_is_name(const char *name, bool dotted);

/* Appends a block for OpenAI's tool_calls, whose arguments are objects. */
void call_text_write(struct buf *out, const json_t *calls);

#endif
