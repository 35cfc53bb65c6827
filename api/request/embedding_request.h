/* embedding_request.h -- the body of POST /v1/embeddings, checked.
 *
 * OpenAI's fields: input (a text, texts, ids, lists of ids), model, dimensions
 * (only the model's own), encoding_format; vLLM's: messages instead of input (a
 * chat, rendered as for an answer; add_generation_prompt is false when absent),
 * normalize, pooling, add_special_tokens, truncate_prompt_tokens with
 * truncation_side, priority, cache_salt, and llama-server's pooling "none" and
 * cache_prompt.  Beside these
 *
 *     hidden_states  adds to each input what transformers calls so:
 *                    n_layers + 1 states of [tokens][hidden]
 *     router_logits  likewise: of each layer with experts [tokens][experts]
 *
 * Pool thread; pure. */
#ifndef LFMD_API_REQUEST_EMBEDDING_REQUEST_H
#define LFMD_API_REQUEST_EMBEDDING_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/request/completion_request.h"
#include "model/base/arena.h"
#include "model/base/err.h"

#define EMBEDDING_INPUTS_MAX 2048u

enum embedding_pooling {
    POOLING_LAST, /* the last token's row of the last hidden state */
    POOLING_MEAN, /* the mean of all rows */
    POOLING_NONE  /* all rows */
};

struct embedding_request {
    struct arena *arena;                    /* owned */
    const char *model;                      /* or NULL */
    const struct completion_prompt *inputs; /* [n_inputs], in the arena */
    uint32_t n_inputs;                      /* at least 1; a chat has none
                                               before embedding_read_chat */
    bool is_chat;               /* messages take the place of input */
    bool add_generation_prompt; /* to these */
    enum embedding_pooling pooling;
    bool base64;    /* floats as text of little-endian float32 */
    bool normalize; /* to length 1; true when absent, but for POOLING_NONE */
    bool hidden_states, router_logits;
    bool add_special;       /* BOS before texts; true when absent, but for a
                               chat, whose template writes it */
    uint32_t most_tokens;   /* of an input, the rest is cut off; UINT32_MAX: as
                               many as the context holds; 0: nothing is cut */
    bool cut_right;         /* its end is cut off; else its beginning */
    int32_t priority;       /* lower is served first */
    const char *cache_salt; /* in the arena, or NULL */
    bool no_prefix;         /* cache_prompt is false */
};

/* `hidden` is the length of the model's embeddings.  On failure nothing is left
 * to free. */
int embedding_request_parse(struct embedding_request *r, const char *body,
                            size_t n, uint32_t n_vocab, uint32_t hidden,
                            size_t arena_limit, struct err *err);
void embedding_request_deinit(struct embedding_request *r);

#endif
