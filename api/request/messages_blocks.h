/* messages_blocks.h -- Anthropic's messages, made of blocks, as a chat's.
 *
 *     user       tool_result a, tool_result b, text     tool, tool, user
 *     assistant  thinking, text, tool_use, tool_use     one, with tool_calls
 *     system     text                                   system
 *
 * Results come before the text of their message, whatever their order in it:
 * templates want them right behind the calls.  Texts of one message are joined
 * with nothing between them, as the parts of a chat message are; and so are
 * several messages of an assistant in a row.
 *
 * Part of messages_request; pool thread, pure. */
#ifndef LFMD_API_REQUEST_MESSAGES_BLOCKS_H
#define LFMD_API_REQUEST_MESSAGES_BLOCKS_H

#include "model/base/err.h"
#include "model/base/json.h"

/* Appends to `list` what `system` (a string, blocks, or NULL) says. */
int messages_add_system(json_t *list, const json_t *system, struct err *err);

/* Appends all of `messages`; CHAT_MESSAGES_MAX at most in all. */
int messages_add_all(json_t *list, const json_t *messages, struct err *err);

#endif
