/* native_render.h -- what llama-server's own POST /completion answers.
 *
 * A stream's chunks and its end are objects of one kind, told apart by "stop";
 * the end, like a whole answer, also has the settings, the prompt and the
 * timings.  Several choices are an array of such objects.
 *
 * Pure, loop thread. */
#ifndef LFMD_API_ANSWER_NATIVE_RENDER_H
#define LFMD_API_ANSWER_NATIVE_RENDER_H

#include "api/answer/answer.h"
#include "model/base/buf.h"

struct job;

void native_render_chunk(struct buf *out, const struct answer *a,
                         const struct choice *c);

/* The end of a stream (its content is empty) or one whole answer.  `prompt` is
 * its text, `ctx` what the context holds. */
void native_render_end(struct buf *out, const struct answer *a,
                       const struct choice *c, const struct job *job,
                       const struct buf *prompt, uint32_t ctx);

#endif
