/* chat_opening.h -- how a reply begins: what its prompt left open.
 *
 * A template may end in an open thought, a message that is continued may end in
 * one or in the middle of its content, and a thought that must not be is closed
 * before it begins.
 *
 * It knows the prompt's text, not its tokens.  Pool thread; pure. */
#ifndef LFMD_API_PROMPT_CHAT_OPENING_H
#define LFMD_API_PROMPT_CHAT_OPENING_H

#include <stdbool.h>

#include "api/request/chat_request.h"
#include "model/base/buf.h"
#include "model/base/err.h"

struct chat_opening {
    bool in_thought;    /* the reply begins inside one */
    bool after_thought; /* right behind one */
    bool in_answer;     /* behind other content: it cannot think any more */
    bool resumes;       /* goes on within a sentence, so that its first white
                           space counts */
};

/* `text` ends with the marker that begins a thought. */
bool chat_opening_awaits(const struct buf *text);

/* The prompt `text` ends inside a thought, whether that may be or not. */
bool chat_opening_is_thought(const struct buf *text,
                             const struct chat_request *r);

/* Of the reply to a prompt that is complete, all closed that must be. */
struct chat_opening chat_opening_of(const struct buf *text,
                                    const struct chat_request *r);

/* Appends what ends the open thought, in the way in which it was begun:
 *
 *     <think>           </think>
 *     <think>\n         \n</think>\n\n         as Qwen3 writes it */
void chat_opening_close(struct buf *text);

#endif
