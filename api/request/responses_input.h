/* responses_input.h -- the input of a response, as the messages of a chat.
 *
 *     message, reasoning, function_call,     {"role": ..., "content": ...,
 *     function_call_output              -->   "tool_calls": [...]}
 *
 * Items are finer than messages: what one reply said (thoughts, then text, then
 * calls) is one assistant message again, so that its prompt is the one a chat
 * would have made.
 *
 * The messages are those a client of the chat API may send; what that API
 * checks in them (chat_messages.h) is checked here too, to name it by the path
 * of the item ("input[3].content[0].type").  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_RESPONSES_INPUT_H
#define LFMD_API_REQUEST_RESPONSES_INPUT_H

#include "model/base/err.h"
#include "model/base/json.h"

/* *out is a new array: `instructions` as the system message, then `input`. */
int responses_input(json_t **out, const json_t *body, struct err *err);

#endif
