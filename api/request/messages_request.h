/* messages_request.h -- the body of POST /v1/messages as a chat request.
 *
 * What Anthropic's clients write is written once more as a chat would have it
 * (tool_result blocks become tool messages, stop_sequences stop, ...) and read
 * by chat_request.h, so both mean the same by construction.  Errors name the
 * fields of the body at hand: "messages[2].content[0].input".
 *
 *     system, messages      messages (messages_blocks.h)
 *     tools, tool_choice    tools, tool_choice, parallel_tool_calls
 *     stop_sequences        stop
 *     thinking              reasoning_effort, thinking_token_budget,
 *                           include_reasoning
 *     output_config         response_format, reasoning_effort
 *
 * Fields that only Anthropic's servers can give a meaning (cache_control,
 * metadata, service_tier, betas) are ignored; what asks for work that is not
 * done here (images, server tools) is refused.
 *
 * Pool thread; pure. */
#ifndef LFMD_API_REQUEST_MESSAGES_REQUEST_H
#define LFMD_API_REQUEST_MESSAGES_REQUEST_H

#include "api/request/chat_request.h"

enum messages_use {
    MESSAGES_ANSWER, /* max_tokens is required, as Anthropic does */
    MESSAGES_COUNT
};

/* As chat_request_parse.  max_tokens is a bound, not a wish: the reply may
 * have less when the context ends before (clips_max_tokens). */
int messages_request_parse(struct chat_request *r, const char *body, size_t n,
                           uint32_t n_vocab, size_t arena_limit,
                           enum messages_use use, struct err *err);

#endif
