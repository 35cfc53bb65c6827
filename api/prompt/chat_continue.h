/* chat_continue.h -- a prompt that ends inside its last message.
 *
 * As transformers' continue_final_message: a tag is put behind what is to be
 * continued, the template renders it, and the text is cut where the tag is.
 * What is continued is the message's content; or, where it has thoughts and no
 * content yet, its thoughts.
 *
 * It renders nothing itself.  Pool thread; pure. */
#ifndef LFMD_API_PROMPT_CHAT_CONTINUE_H
#define LFMD_API_PROMPT_CHAT_CONTINUE_H

#include <stdbool.h>

#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"

/* The last of `messages` has thoughts and no content. */
bool chat_continue_thought(const json_t *messages);

/* `messages` with the tag in the last one; a new reference, NULL if memory is
 * short.  The messages themselves are as they were. */
json_t *chat_continue_mark(json_t *messages);

/* Cuts `text`, rendered from those.  False: the tag is not in it, or not behind
 * what the message says; the text is then of no use. */
bool chat_continue_cut(struct buf *text, const json_t *messages);

#endif
