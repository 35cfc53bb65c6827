/* bind_gguf.c -- the names and shapes of a GGUF file of lfm2moe.
 *
 * Source: llama.cpp, src/models/lfm2moe.cpp and conversion/lfm2.py.  The final
 * norm is token_embd_norm, for llama.cpp's reasons, and output_norm in files of
 * other writers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/weights/bind.h"

#define FINAL_NORM "token_embd_norm.weight"
#define FINAL_NORM_ALIAS "output_norm.weight"
#define FUSED_QKV "attn_qkv.weight"

static const char *const names[N_ROLES] = {
    [ROLE_EMBED] = "token_embd.weight",
    [ROLE_HEAD] = "output.weight",
    [ROLE_FINAL_NORM] = FINAL_NORM,
    [ROLE_OPERATOR_NORM] = "attn_norm.weight",
    [ROLE_FFN_NORM] = "ffn_norm.weight",
    [ROLE_WQ] = "attn_q.weight",
    [ROLE_WK] = "attn_k.weight",
    [ROLE_WV] = "attn_v.weight",
    [ROLE_WO] = "attn_output.weight",
    [ROLE_Q_NORM] = "attn_q_norm.weight",
    [ROLE_K_NORM] = "attn_k_norm.weight",
    [ROLE_IN_PROJ] = "shortconv.in_proj.weight",
    [ROLE_OUT_PROJ] = "shortconv.out_proj.weight",
    [ROLE_CONV] = "shortconv.conv.weight",
    [ROLE_CONV_BIAS] = "shortconv.conv.bias",
    [ROLE_IN_BIAS] = "shortconv.in_proj.bias",
    [ROLE_OUT_BIAS] = "shortconv.out_proj.bias",
    [ROLE_W1] = "ffn_gate.weight",
    [ROLE_W2] = "ffn_down.weight",
    [ROLE_W3] = "ffn_up.weight",
    [ROLE_ROUTER] = "ffn_gate_inp.weight",
    [ROLE_EXPERT_BIAS] = "exp_probs_b.bias",
};

static void full_name(const struct binder *b, char out[BIND_NAME_BYTES],
                      const char *name)
{
    if (b->layer < 0)
        snprintf(out, BIND_NAME_BYTES, "%s", name);
    else
        snprintf(out, BIND_NAME_BYTES, "blk.%d.%s", b->layer, name);
}

static bool exists(struct binder *b, const char *full)
{
    return gguf_find(b->gguf, full) != NULL;
}

static int find(struct binder *b, struct found *out, const char *name,
                const char *full, const uint64_t *dims, uint32_t n_dims)
{
    const struct gguf_tensor *t = gguf_find(b->gguf, full);
    if (t == NULL && strcmp(full, FINAL_NORM) == 0)
        t = gguf_find(b->gguf, FINAL_NORM_ALIAS);
    if (t == NULL)
        return bind_refuse(b, name, "is missing: there is no tensor %s", full);
    /* Trailing ones do not count: writers differ in how many they give. */
    uint64_t is[GGUF_MAX_DIMS], values = 1;
    uint32_t n = t->n_dims > n_dims ? t->n_dims : n_dims;
    while (n > n_dims && t->dims[n - 1] == 1)
        n--;
    for (uint32_t i = 0; i < n; i++)
        is[i] = t->dims[n - 1 - i];
    int rc = bind_check_shape(b, name, is, n, dims, n_dims);
    if (rc != 0)
        return rc;
    if (!t->known)
        return bind_refuse(b, name,
                           "is of ggml's type %" PRIu32 ", which is not "
                           "computed here: take a file of F32, F16, BF16, "
                           "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K",
                           t->type_id);
    for (uint32_t i = 0; i < n; i++)
        values *= is[i];
    if (b->used != NULL)
        b->used[t - gguf_tensor(b->gguf, 0)] = true;
    *out = (struct found){.data = t->data,
                          .dtype = t->dtype,
                          .mapped = b->file_mapped,
                          .n = (size_t)values,
                          .name = t->name};
    return 0;
}

/* Newer converters may join the three, rows of q first. */
static int bind_qkv(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    uint32_t h = hp->hidden, q = hp->n_heads * hp->head_dim;
    uint32_t kv = hp->n_kv_heads * hp->head_dim;
    if (!bind_exists(b, FUSED_QKV))
        return bind_qkv_single(b, l);
    struct found f;
    int rc = bind_find(b, &f, FUSED_QKV, (uint64_t[]){q + 2 * kv, h}, 2);
    if (rc != 0)
        return rc;
    size_t row = bind_bytes(f.dtype, h);
    rc = bind_rows(b, &l->wq, 1, &f, 0, 0, q, h);
    if (rc == 0)
        rc = bind_rows(b, &l->wk, 1, &f, q * row, 0, kv, h);
    if (rc == 0)
        rc = bind_rows(b, &l->wv, 1, &f, (q + kv) * row, 0, kv, h);
    return rc;
}

static int bind_stack(struct binder *b, struct matrix *out, const char *name,
                      uint32_t rows, uint32_t cols)
{
    struct found f;
    uint32_t n = b->hp->n_experts;
    int rc = bind_find(b, &f, name, (uint64_t[]){n, rows, cols}, 3);
    if (rc != 0)
        return rc;
    size_t one = bind_bytes(f.dtype, (size_t)rows * cols);
    return bind_rows(b, out, n, &f, 0, one, rows, cols);
}

static int bind_experts(struct binder *b, struct layer_weights *l)
{
    uint32_t h = b->hp->hidden, m = b->hp->moe_hidden;
    int rc = bind_stack(b, l->ew1, "ffn_gate_exps.weight", m, h);
    if (rc == 0)
        rc = bind_stack(b, l->ew3, "ffn_up_exps.weight", m, h);
    if (rc == 0)
        rc = bind_stack(b, l->ew2, "ffn_down_exps.weight", h, m);
    return rc;
}

const struct tensor_source bind_from_gguf = {
    .names = names,
    .says = "the file's metadata",
    .conv_has_middle = false,
    .full_name = full_name,
    .exists = exists,
    .find = find,
    .bind_experts = bind_experts,
    .bind_qkv = bind_qkv,
};
