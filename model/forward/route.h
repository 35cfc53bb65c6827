/* route.h -- which experts a token visits, and how much each counts.
 *
 * Source: Lfm2MoeTopKRouter of transformers' modeling_lfm2_moe.py.  Pure
 * functions on numbers, any thread. */
#ifndef LFMD_MODEL_FORWARD_ROUTE_H
#define LFMD_MODEL_FORWARD_ROUTE_H

#include <stdint.h>

struct hparams;

/* Chooses for one token.
 *
 * score = sigmoid(logit); the n_experts_used with the largest score + bias win
 * (the lower index on a tie); a winner's weight is its score without the bias,
 * divided by the winners' sum + 1e-6 if norm_topk_prob, times routed_scaling.
 *
 * `logits` [n_experts] is overwritten by the scores.  `bias` may be NULL.
 * experts and weights [n_experts_used] come in ascending order of the expert,
 * which is the order transformers adds them up in. */
void route_token(const struct hparams *hp, float *logits, const float *bias,
                 uint32_t *experts, float *weights);

/* The tokens of a batch by expert.  Visit j of the token t is the element
 * t * n_used + j of the arrays below. */
struct routing {
    uint32_t *experts;  /* [n_tokens][n_used] */
    float *weights;     /* [n_tokens][n_used] */
    uint32_t *first;    /* [n_experts + 1]: where an expert's rows begin */
    uint32_t *row_of;   /* [n_tokens][n_used]: the row of a visit */
    uint32_t *token_of; /* [n_tokens * n_used]: whose row it is */
    uint32_t n_experts, n_used;
};

/* Fills first, row_of and token_of from experts: rows sorted by expert, and
 * inside an expert by token. */
void route_group(struct routing *r, uint32_t n_tokens);

#endif
