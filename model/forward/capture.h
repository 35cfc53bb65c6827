/* capture.h -- what somebody wants to read of a prompt's pass, beside logits.
 *
 * The numbers are those of transformers' Lfm2MoeForCausalLM: state 0 is the
 * embeddings, state i what layer i - 1 leaves in the stream, and the last one
 * (n_layers) goes through the final norm, as last_hidden_state does; a router's
 * logits are those before sigmoid and bias, of each layer with experts.
 *
 * A slice names its capture (batch_capture) and the pass then computes all rows
 * that it needs.  What is computed again is written again, the same; what is
 * never computed stays as it was, so a sequence whose states or mean are wanted
 * takes no prefix from anybody.
 *
 * The tables are the owner's: one thread at a time, and the inference thread's
 * while a batch with the slice runs. */
#ifndef LFMD_MODEL_FORWARD_CAPTURE_H
#define LFMD_MODEL_FORWARD_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"

struct hparams;

/* What is wanted; all zero is nothing. */
struct capture_want {
    bool last;         /* the last state of the last token */
    bool mean;         /* the last state, averaged over all tokens */
    bool router;       /* the routers' logits of all tokens */
    uint32_t n_states; /* the last so many states of all tokens, at most
                          n_layers + 1 */
};

/* The sizes of a model that the tables depend on. */
struct capture_shape {
    uint32_t n_layers, n_routed; /* all layers; those with experts */
    uint32_t hidden, n_experts;
};

struct capture {
    struct capture_shape shape;
    uint32_t n_tokens; /* of the whole sequence */
    uint32_t first_state;
    float *last;   /* [hidden] */
    double *sum;   /* [hidden], over tokens; mean is this over n_tokens */
    float *states; /* [n_layers + 1 - first_state][n_tokens][hidden] */
    float *router; /* [n_routed][n_tokens][n_experts] */
};                 /* each owned, or NULL where it was not wanted */

struct capture_shape capture_shape(const struct hparams *hp);

static inline bool capture_wants(const struct capture_want *want)
{
    return want->last || want->mean || want->router || want->n_states > 0;
}

/* Whether every token's row is computed for it, not only the last one's. */
static inline bool capture_wants_all(const struct capture_want *want)
{
    return want->mean || want->router || want->n_states > 0;
}

/* Bytes of the tables; UINT64_MAX if that overflows. */
uint64_t capture_bytes(const struct capture_shape *shape,
                       const struct capture_want *want, uint32_t n_tokens);

/* Takes the tables; their pages are touched only when they are written.
 * -ERR_NOMEM leaves nothing. */
int capture_init(struct capture *c, const struct capture_shape *shape,
                 const struct capture_want *want, uint32_t n_tokens,
                 struct err *err);
void capture_deinit(struct capture *c); /* zeroed is fine */

/* How many of the last of n tokens from `position` on the pass must take
 * through to the last state. */
uint32_t capture_rows(const struct capture *c, uint32_t position, uint32_t n);

/* Rows of tokens [position, position + n): of a state [n][hidden], of the
 * router of the routed layer `index` [n][n_experts]. */
void capture_put_state(const struct capture *c, uint32_t state,
                       uint32_t position, uint32_t n, const float *rows);
void capture_put_router(const struct capture *c, uint32_t index,
                        uint32_t position, uint32_t n, const float *rows);

#endif
