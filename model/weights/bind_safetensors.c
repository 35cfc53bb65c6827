/* bind_safetensors.c -- the names and shapes of a Hugging Face checkpoint.
 *
 * Source: transformers 5.23, models/lfm2_moe; see weights.h. */
#include <stdio.h>
#include <string.h>

#include "model/weights/bind.h"

static const char *const names[N_ROLES] = {
    [ROLE_EMBED] = "embed_tokens.weight",
    [ROLE_HEAD] = "lm_head.weight",
    [ROLE_FINAL_NORM] = "embedding_norm.weight",
    [ROLE_OPERATOR_NORM] = "operator_norm.weight",
    [ROLE_FFN_NORM] = "ffn_norm.weight",
    [ROLE_WQ] = "self_attn.q_proj.weight",
    [ROLE_WK] = "self_attn.k_proj.weight",
    [ROLE_WV] = "self_attn.v_proj.weight",
    [ROLE_WO] = "self_attn.out_proj.weight",
    [ROLE_Q_NORM] = "self_attn.q_layernorm.weight",
    [ROLE_K_NORM] = "self_attn.k_layernorm.weight",
    [ROLE_IN_PROJ] = "conv.in_proj.weight",
    [ROLE_OUT_PROJ] = "conv.out_proj.weight",
    [ROLE_CONV] = "conv.conv.weight",
    [ROLE_CONV_BIAS] = "conv.conv.bias",
    [ROLE_IN_BIAS] = "conv.in_proj.bias",
    [ROLE_OUT_BIAS] = "conv.out_proj.bias",
    [ROLE_W1] = "feed_forward.w1.weight",
    [ROLE_W2] = "feed_forward.w2.weight",
    [ROLE_W3] = "feed_forward.w3.weight",
    [ROLE_ROUTER] = "feed_forward.gate.weight",
    [ROLE_EXPERT_BIAS] = "feed_forward.expert_bias",
};

static void full_name(const struct binder *b, char out[BIND_NAME_BYTES],
                      const char *name)
{
    if (b->layer < 0)
        snprintf(out, BIND_NAME_BYTES, "%s%s", b->root, name);
    else
        snprintf(out, BIND_NAME_BYTES, "%slayers.%d.%s", b->root, b->layer,
                 name);
}

static bool exists(struct binder *b, const char *full)
{
    for (size_t i = 0; i < b->o->shards.n; i++)
        if (safetensors_find(b->o->shards.files[i].st, full) != NULL)
            return true;
    return false;
}

/* F64 is what numpy writes unasked; we compute with less. */
static int narrow(struct binder *b, struct found *f)
{
    float *v = bind_memory(b, f->n * sizeof *v);
    if (v == NULL)
        return err_nomem(b->err, "a tensor of F64");
    for (size_t i = 0; i < f->n; i++) {
        double value;
        memcpy(&value, f->data + i * sizeof value, sizeof value);
        v[i] = (float)value;
    }
    f->data = (const char *)v;
    f->mapped = false;
    return 0;
}

static int find(struct binder *b, struct found *out, const char *name,
                const char *full, const uint64_t *dims, uint32_t n_dims)
{
    const void *data = NULL;
    const struct safetensor *t = shards_find(&b->o->shards, full, &data);
    if (t == NULL)
        return bind_refuse(b, name, "is missing: no file has %s", full);
    int rc = bind_check_shape(b, name, t->dims, t->n_dims, dims, n_dims);
    if (rc != 0)
        return rc;
    size_t bytes = (size_t)(t->end - t->begin);
    *out = (struct found){.data = data,
                          .dtype = DTYPE_F32,
                          .mapped = true,
                          .n = bytes / sizeof(float),
                          .name = t->name};
    switch (t->dtype) {
    case ST_F32:
        return 0;
    case ST_F16:
    case ST_BF16:
        out->dtype = t->dtype == ST_F16 ? DTYPE_F16 : DTYPE_BF16;
        out->n = bytes / 2;
        return 0;
    case ST_F64:
        out->n = bytes / sizeof(double);
        return narrow(b, out);
    default:
        return bind_refuse(b, name, "is %s, but must be F64, F32, F16 or BF16",
                           st_dtype_name(t->dtype));
    }
}

/* ---- experts ----------------------------------------------------------- */

static int bind_one_expert(struct binder *b, struct matrix *out, uint32_t j,
                           const char *part, uint32_t rows, uint32_t cols)
{
    char name[BIND_NAME_BYTES];
    snprintf(name, sizeof name, "feed_forward.experts.%u.%s.weight", j, part);
    return bind_matrix(b, out, name, rows, cols);
}

static int bind_single_experts(struct binder *b, struct layer_weights *l)
{
    uint32_t h = b->hp->hidden, m = b->hp->moe_hidden;
    int rc = 0;
    for (uint32_t j = 0; j < b->hp->n_experts && rc == 0; j++) {
        rc = bind_one_expert(b, &l->ew1[j], j, "w1", m, h);
        if (rc == 0)
            rc = bind_one_expert(b, &l->ew3[j], j, "w3", m, h);
        if (rc == 0)
            rc = bind_one_expert(b, &l->ew2[j], j, "w2", h, m);
    }
    return rc;
}

/* gate_up_proj [E, 2I, H]: of each expert the rows of w1, then those of w3. */
static int bind_experts(struct binder *b, struct layer_weights *l)
{
    uint32_t n = b->hp->n_experts, h = b->hp->hidden, m = b->hp->moe_hidden;
    if (!bind_exists(b, "feed_forward.experts.gate_up_proj"))
        return bind_single_experts(b, l);
    struct found up, down;
    int rc = bind_find(b, &up, "feed_forward.experts.gate_up_proj",
                       (uint64_t[]){n, 2 * m, h}, 3);
    if (rc == 0)
        rc = bind_find(b, &down, "feed_forward.experts.down_proj",
                       (uint64_t[]){n, h, m}, 3);
    if (rc != 0)
        return rc;
    size_t one = (size_t)m * h;
    size_t up_one = bind_bytes(up.dtype, one);
    rc = bind_rows(b, l->ew1, n, &up, 0, 2 * up_one, m, h);
    if (rc == 0)
        rc = bind_rows(b, l->ew3, n, &up, up_one, 2 * up_one, m, h);
    if (rc == 0)
        rc = bind_rows(b, l->ew2, n, &down, 0, bind_bytes(down.dtype, one), h,
                       m);
    return rc;
}

const struct tensor_source bind_from_safetensors = {
    .names = names,
    .says = "config.json",
    .conv_has_middle = true,
    .full_name = full_name,
    .exists = exists,
    .find = find,
    .bind_experts = bind_experts,
    .bind_qkv = bind_qkv_single,
};
