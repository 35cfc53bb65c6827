/* responses_request.h -- the body of POST /v1/responses, as a chat request.
 *
 * What the protocol calls otherwise is checked here and handed on under the
 * chat's name (max_output_tokens, text.format, reasoning.effort, input, tools);
 * every other field is a chat's and means the same, but that there is one
 * reply whatever `n` says.  What needs a server that
 * remembers (previous_response_id, conversation, prompt, background) is
 * refused: this one is stateless.
 *
 * Pool thread; pure. */
#ifndef LFMD_API_REQUEST_RESPONSES_REQUEST_H
#define LFMD_API_REQUEST_RESPONSES_REQUEST_H

#include "api/request/chat_request.h"
#include "model/base/buf.h"

/* What a chat request has no place for. */
struct responses_asked {
    struct buf echo; /* what the answer repeats: members of a JSON object,
                        without its braces */
    bool truncates;  /* too long a prompt is cut (responses_fit.h) */
};

/* Parses `body`; `asked` is zeroed before.  On failure nothing is left to free
 * but asked->echo, and the error names the field as this protocol does. */
int responses_request_parse(struct chat_request *r,
                            struct responses_asked *asked, const char *body,
                            size_t n, uint32_t n_vocab, size_t arena_limit,
                            struct err *err);

/* An error about a chat ("messages") in this protocol's names; `body` is the
 * request that it is about, or NULL once that is read. */
void responses_rename(struct err *err, const json_t *body);

/* Writes one as an answer's body, see error_body_fn. */
void responses_error_body(struct buf *out, const struct err *err);

#endif
