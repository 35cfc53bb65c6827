/* completion_render.h -- text_completion objects; a chunk has the same shape.
 *
 * Pure, loop thread. */
#ifndef LFMD_API_ANSWER_COMPLETION_RENDER_H
#define LFMD_API_ANSWER_COMPLETION_RENDER_H

#include "api/answer/answer.h"
#include "model/base/buf.h"

#define COMPLETION_OBJECT "text_completion"

/* What the choice holds (perhaps nothing), as one chunk; with its finish
 * reason if it has ended. */
void completion_render_chunk(struct buf *out, const struct answer *a,
                             const struct choice *c);

void completion_render_whole(struct buf *out, const struct answer *a);

#endif
