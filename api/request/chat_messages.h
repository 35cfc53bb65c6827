/* chat_messages.h -- the messages of a chat, as templates want them.
 *
 * Clients write one thing in many ways; templates know one of them.  Out come
 * objects with: role, content (always a string), name, tool_call_id,
 * tool_calls (arguments as objects), thinking and reasoning_content.
 *
 * Part of chat_request; pool thread, pure. */
#ifndef LFMD_API_REQUEST_CHAT_MESSAGES_H
#define LFMD_API_REQUEST_CHAT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/err.h"
#include "model/base/json.h"

#define CHAT_MESSAGES_MAX 4096u
#define CHAT_CALLS_MAX 128u           /* of one message */
#define CHAT_TOOL_NAME_BYTES_MAX 256u /* of tools, wherever they are named */

/* *out is a new array, at least one message; `messages` is only read. */
int chat_messages_normalise(json_t **out, const json_t *messages,
                            bool *has_past_calls, struct err *err);

/* Whether the message, normalised or not, is of that role. */
bool chat_messages_is(const json_t *message, const char *role);

/* The arguments of a past call as a new object, from the text of one; an error
 * names `path`. */
int chat_messages_arguments(json_t **out, const char *text, size_t n,
                            const char *path, struct err *err);

#endif
