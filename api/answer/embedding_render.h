/* embedding_render.h -- the answer of /v1/embeddings.
 *
 *     {"object":"list","data":[{"object":"embedding","index":0,
 *       "hidden_states":[[[...]]],"router_logits":[[[...]]],
 *       "embedding":[...]}],
 *      "model":...,"usage":{"prompt_tokens":n,"total_tokens":n}}
 *
 * In base64 an embedding is one string, "hidden_states" has one a state and
 * "router_logits" one a layer, rows of all tokens end to end.
 *
 * Pool thread; pure. */
#ifndef LFMD_API_ANSWER_EMBEDDING_RENDER_H
#define LFMD_API_ANSWER_EMBEDDING_RENDER_H

#include <stdint.h>

#include "api/request/embedding_request.h"
#include "model/base/buf.h"

struct capture;

/* tables[i] are those of input i; what is in them is changed on the way.
 * Failure is the buffer's. */
void embedding_render(struct buf *out, const struct embedding_request *r,
                      const struct capture *tables, uint64_t n_prompt,
                      const char *model);

#endif
