/* hparams.h -- what the checkpoint's config.json says the model is.
 *
 * Source: transformers 5.23, models/lfm2_moe/configuration_lfm2_moe.py and
 * modeling_rope_utils.py; an absent field has the default it has there.  What
 * the loader accepts is bounded (see hparams.c), so that every product of two
 * of these numbers fits 64 bits and every single dimension fits 32.
 *
 * It knows nothing of tensors (weights.h) or of sampling (generation.h).
 * Read-only once loaded: any thread. */
#ifndef LFMD_MODEL_WEIGHTS_HPARAMS_H
#define LFMD_MODEL_WEIGHTS_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/json.h"
#include "model/base/token.h"

#define HPARAMS_MAX_EOS 16u

enum layer_kind { LAYER_CONV, LAYER_ATTENTION };

struct hparams {
    uint32_t n_vocab;
    uint32_t hidden;
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_kv_heads;     /* divides n_heads */
    uint32_t head_dim;       /* even; need not be hidden / n_heads */
    uint32_t ffn_hidden;     /* width of the dense layers */
    uint32_t moe_hidden;     /* width of one expert */
    uint32_t n_dense_layers; /* the first ones; <= n_layers */
    uint32_t n_experts;      /* 0 when every layer is dense */
    uint32_t n_experts_used; /* per token, <= n_experts */
    uint32_t conv_width;     /* conv_L_cache: taps, this token's included */
    uint32_t max_positions;
    bool conv_bias, use_expert_bias, norm_topk_prob, tied;
    float routed_scaling, norm_eps;

    double rope_theta;
    float *inv_freq;             /* [head_dim / 2], owned, scaling applied */
    float rope_attention_factor; /* multiplies cos and sin */

    enum layer_kind *kinds; /* [n_layers], owned */
    uint32_t n_attn_layers, n_conv_layers;

    token_id bos, pad; /* TOKEN_NONE when null; pad may be >= n_vocab */
    token_id eos[HPARAMS_MAX_EOS];
    uint32_t n_eos;
};

/* Reads `dir`/config.json.  On refusal (not this architecture, quantised, a
 * value out of range, a rope type we do not compute) *hp needs no deinit. */
int hparams_load(struct hparams *hp, const char *dir, struct err *err);

/* The same from a parsed document: what hparams_load does after reading. */
int hparams_parse(struct hparams *hp, const json_t *config, struct err *err);

void hparams_deinit(struct hparams *hp); /* zeroed or deinitialised is fine */

/* An id or a list of ids, as "eos_token_id" comes in config.json and in
 * generation_config.json.  1: read, 0: absent or null (*n untouched). */
int hparams_token_list(const json_t *obj, const char *key,
                       token_id out[HPARAMS_MAX_EOS], uint32_t *n,
                       struct err *err);

/* Takes out the ids that the model has no logit for, with a warning each: they
 * can never be drawn.  `what` names the list. */
void hparams_drop_tokens(token_id *ids, uint32_t *n, uint32_t n_vocab,
                         const char *what);

/* What a field's error becomes when it was read from the file `path`: named,
 * and of class ERR_FORMAT rather than ERR_INVALID.  0 stays 0. */
int hparams_file_error(int rc, const char *path, struct err *err);

#endif
