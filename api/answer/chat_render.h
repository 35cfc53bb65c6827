/* chat_render.h -- chat.completion objects and chunks.
 *
 * The order of keys and the places of null are those of OpenAI's own stream:
 * role only in a choice's first chunk, an empty delta beside the finish reason,
 * usage in a chunk without choices.  Pure, loop thread. */
#ifndef LFMD_API_ANSWER_CHAT_RENDER_H
#define LFMD_API_ANSWER_CHAT_RENDER_H

#include "api/answer/answer.h"
#include "model/base/buf.h"

#define CHAT_CHUNK "chat.completion.chunk"

/* The first chunk of a choice: the role and empty content. */
void chat_render_role(struct buf *out, const struct answer *a,
                      const struct choice *c);

/* What the choice holds, as one chunk. */
void chat_render_delta(struct buf *out, const struct answer *a,
                       const struct choice *c);

void chat_render_finish(struct buf *out, const struct answer *a,
                        const struct choice *c);

/* The whole answer. */
void chat_render_whole(struct buf *out, const struct answer *a);

#endif
