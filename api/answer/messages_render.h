/* messages_render.h -- Anthropic's messages and the events of their streams.
 *
 * Every part of the reply (parts.h) is a content block, and its number is the
 * block's index:
 *
 *     message_start
 *     content_block_start 0, content_block_delta 0 ..., content_block_stop 0
 *     content_block_start 1, ...
 *     message_delta, message_stop
 *
 * Thoughts carry a signature in this protocol, by which Anthropic knows its
 * own again; ours is empty, and nobody asks for it.  input_tokens are those
 * that were computed: with cache_read_input_tokens they are the prompt's.
 *
 * Pure, loop thread. */
#ifndef LFMD_API_ANSWER_MESSAGES_RENDER_H
#define LFMD_API_ANSWER_MESSAGES_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/answer/answer.h"
#include "model/base/buf.h"

/* Each appends the data of one event; `i` is the number of a part. */
void messages_render_start(struct buf *out, const struct answer *a);
void messages_render_block(struct buf *out, const struct parts *p, uint32_t i);
void messages_render_news(struct buf *out, const struct parts *p, uint32_t i);
void messages_render_signature(struct buf *out, uint32_t i);
void messages_render_block_stop(struct buf *out, uint32_t i);
/* `clipped`: the reply could not have all the tokens asked for. */
void messages_render_end(struct buf *out, const struct answer *a, bool clipped);
void messages_render_stop(struct buf *out);

/* The whole answer. */
void messages_render_whole(struct buf *out, const struct answer *a,
                           bool clipped);

#endif
