/* fingerprint.c -- see fingerprint.h. */
#include "model/fingerprint.h"

#include <stddef.h>
#include <string.h>

#include "model/base/hash.h"
#include "model/kernels/panel.h"
#include "model/model.h"

#define N_STRETCHES 8u
#define STRETCH_BYTES ((size_t)512)

/* Each hash seeds the next one. */
static void add(uint64_t *hash, const void *bytes, size_t n)
{
    *hash = hash_bytes(bytes, n, *hash);
}

static void add_number(uint64_t *hash, uint64_t number)
{
    add(hash, &number, sizeof number);
}

static void add_text(uint64_t *hash, const char *text)
{
    add(hash, text, strlen(text) + 1);
}

static void add_floats(uint64_t *hash, const float *floats, size_t n)
{
    add_number(hash, floats != NULL);
    if (floats != NULL)
        add(hash, floats, n * sizeof *floats);
}

static size_t matrix_bytes(struct matrix m)
{
    return dtype_is_quantised(m.dtype)
               ? panel_matrix_bytes(m.dtype, m.rows, m.cols)
               : (size_t)m.rows * m.cols * dtype_bytes(m.dtype);
}

static void add_matrix(uint64_t *hash, struct matrix m)
{
    add_number(hash, (uint64_t)m.rows << 32 | m.cols);
    if (m.data == NULL)
        return;
    const char *bytes = m.data;
    size_t n = matrix_bytes(m);
    add_number(hash, (uint64_t)m.dtype);
    if (n <= N_STRETCHES * STRETCH_BYTES) {
        add(hash, bytes, n);
        return;
    }
    size_t step = (n - STRETCH_BYTES) / (N_STRETCHES - 1);
    for (size_t i = 0; i < N_STRETCHES; i++)
        add(hash, bytes + i * step, STRETCH_BYTES);
}

static void add_layer(uint64_t *hash, const struct layer_weights *l,
                      const struct hparams *hp)
{
    const struct matrix matrices[] = {
        l->wq,       l->wk, l->wv, l->wo, l->in_proj,
        l->out_proj, l->w1, l->w2, l->w3, l->router,
    };
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        add_matrix(hash, matrices[i]);
    for (uint32_t x = 0; l->ew1 != NULL && x < hp->n_experts; x++) {
        add_matrix(hash, l->ew1[x]);
        add_matrix(hash, l->ew2[x]);
        add_matrix(hash, l->ew3[x]);
    }
    add_floats(hash, l->operator_norm, hp->hidden);
    add_floats(hash, l->ffn_norm, hp->hidden);
    add_floats(hash, l->q_norm, hp->head_dim);
    add_floats(hash, l->k_norm, hp->head_dim);
    add_floats(hash, l->conv, (size_t)hp->hidden * hp->conv_width);
    add_floats(hash, l->conv_bias, hp->hidden);
    add_floats(hash, l->in_bias, 3 * (size_t)hp->hidden);
    add_floats(hash, l->out_bias, hp->hidden);
    add_floats(hash, l->expert_bias, hp->n_experts);
}

static void add_hparams(uint64_t *hash, const struct hparams *hp)
{
    const uint32_t numbers[] = {
        hp->n_vocab,    hp->hidden,          hp->n_layers,
        hp->n_heads,    hp->n_kv_heads,      hp->head_dim,
        hp->ffn_hidden, hp->moe_hidden,      hp->n_dense_layers,
        hp->n_experts,  hp->n_experts_used,  hp->conv_width,
        hp->conv_bias,  hp->use_expert_bias, hp->norm_topk_prob,
    };
    const float floats[] = {hp->routed_scaling, hp->norm_eps,
                            hp->rope_attention_factor};
    add(hash, numbers, sizeof numbers);
    add(hash, floats, sizeof floats);
    add_floats(hash, hp->inv_freq, hp->head_dim / 2);
    for (uint32_t i = 0; i < hp->n_layers; i++)
        add_number(hash, (uint64_t)hp->kinds[i]);
}

static void add_vocabulary(uint64_t *hash, const struct tokenizer *t)
{
    uint32_t n_ids = tokenizer_n_vocab(t);
    add_number(hash, n_ids);
    for (uint32_t i = 0; i < n_ids; i++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(t, (token_id)i, &n);
        add_number(hash, n << 1 | tokenizer_is_special(t, (token_id)i));
        add(hash, bytes, n);
    }
}

uint64_t model_fingerprint(const struct model *m, const char *version)
{
    uint64_t hash = KV_BLOCK_TOKENS;
    add_text(&hash, version);
    add_text(&hash, m->kernels->name);
    add_number(&hash, (uint64_t)m->kv_format);
    add_hparams(&hash, &m->hp);
    add_vocabulary(&hash, m->tokenizer);
    add_number(&hash, m->weights->bytes);
    add_matrix(&hash, m->weights->embed);
    for (uint32_t i = 0; i < m->hp.n_layers; i++)
        add_layer(&hash, &m->weights->layers[i], &m->hp);
    return hash;
}
