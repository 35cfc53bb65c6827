/* weights.c -- see weights.h.
 *
 * Binding walks the model as hparams describes it and asks for each tensor by
 * name, shape and rank; whatever is then left in the files was not expected.
 * Errors say the tensor's name, what it is and what config.json makes of it. */
#include "model/weights/weights.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/weights/shards.h"

#define NAME_BYTES 256

struct copy {
    struct copy *next;
    void *data; /* owned */
};

struct weights_owned {
    struct shards shards;
    struct arena *arena; /* the converted vectors, the layers, the experts */
    struct copy *copies; /* matrices that lay unaligned in their file */
};

/* One load: where it is, for names and for messages. */
struct binder {
    struct weights *w;
    struct weights_owned *o;
    const struct hparams *hp;
    const char *root; /* "model." or "" */
    int layer;        /* -1 outside the layers */
    struct err *err;
};

/* ---- names and messages ------------------------------------------------ */

static void full_name(const struct binder *b, char out[NAME_BYTES],
                      const char *name)
{
    if (b->layer < 0)
        snprintf(out, NAME_BYTES, "%s%s", b->root, name);
    else
        snprintf(out, NAME_BYTES, "%slayers.%d.%s", b->root, b->layer, name);
}

static int refuse(const struct binder *b, const char *name, const char *fmt,
                  ...) __attribute__((format(printf, 3, 4)));

/* "layer 7: <name> <what is wrong>" */
static int refuse(const struct binder *b, const char *name, const char *fmt,
                  ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (b->layer < 0)
        return err_set(b->err, ERR_FORMAT, "%s %s", name, text);
    return err_set(b->err, ERR_FORMAT, "layer %d: %s %s", b->layer, name, text);
}

/* "[1792, 2048]" */
static void shape_text(char *out, size_t n, const uint64_t *dims,
                       uint32_t n_dims)
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n_dims && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%llu", i == 0 ? "[" : ", ",
                               (unsigned long long)dims[i]);
    if (at < n)
        snprintf(out + at, n - at, n_dims == 0 ? "[]" : "]");
}

/* ---- finding one tensor ------------------------------------------------ */

struct found {
    const void *data; /* as it lies in the file, perhaps unaligned */
    enum dtype dtype;
    size_t n; /* elements */
};

static bool exists(struct binder *b, const char *name)
{
    char full[NAME_BYTES];
    full_name(b, full, name);
    for (size_t i = 0; i < b->o->shards.n; i++)
        if (safetensors_find(b->o->shards.files[i].st, full) != NULL)
            return true;
    return false;
}

static int check_shape(const struct binder *b, const char *name,
                       const struct safetensor *t, const uint64_t *dims,
                       uint32_t n_dims)
{
    bool same = t->n_dims == n_dims;
    for (uint32_t i = 0; same && i < n_dims; i++)
        same = t->dims[i] == dims[i];
    if (same)
        return 0;
    char is[180], wanted[100];
    shape_text(is, sizeof is, t->dims, t->n_dims);
    shape_text(wanted, sizeof wanted, dims, n_dims);
    return refuse(b, name, "is %s, but config.json says %s", is, wanted);
}

/* Memory that lives as long as the weights. */
static void *copy_new(struct binder *b, size_t bytes)
{
    struct copy *c = arena_alloc(b->o->arena, sizeof *c);
    if (c == NULL || (c->data = mem_alloc(bytes)) == NULL)
        return NULL;
    c->next = b->o->copies;
    b->o->copies = c;
    return c->data;
}

/* F64 is what numpy writes unasked; we compute with less. */
static int narrow(struct binder *b, struct found *out, const char *data,
                  const struct safetensor *t)
{
    out->dtype = DTYPE_F32;
    out->n = (size_t)(t->end - t->begin) / sizeof(double);
    float *v = copy_new(b, out->n * sizeof *v);
    if (v == NULL)
        return err_nomem(b->err, "a tensor of F64");
    for (size_t i = 0; i < out->n; i++) {
        double value;
        memcpy(&value, data + i * sizeof value, sizeof value);
        v[i] = (float)value;
    }
    out->data = v;
    b->w->n_params += out->n;
    return 0;
}

/* The tensor `name` of the current layer, of exactly this shape. */
static int find(struct binder *b, struct found *out, const char *name,
                const uint64_t *dims, uint32_t n_dims)
{
    char full[NAME_BYTES];
    const void *data = NULL;
    full_name(b, full, name);
    const struct safetensor *t = shards_find(&b->o->shards, full, &data);
    if (t == NULL)
        return refuse(b, name, "is missing: no file has %s", full);
    int rc = check_shape(b, name, t, dims, n_dims);
    if (rc != 0)
        return rc;
    switch (t->dtype) {
    case ST_F32:
        out->dtype = DTYPE_F32;
        break;
    case ST_F16:
        out->dtype = DTYPE_F16;
        break;
    case ST_BF16:
        out->dtype = DTYPE_BF16;
        break;
    case ST_F64:
        return narrow(b, out, data, t);
    default:
        return refuse(b, name, "is %s, but must be F64, F32, F16 or BF16",
                      st_dtype_name(t->dtype));
    }
    out->data = data;
    out->n = (size_t)(t->end - t->begin) / dtype_bytes(out->dtype);
    b->w->n_params += out->n;
    return 0;
}

/* ---- matrices: as they lie --------------------------------------------- */

/* The format promises no alignment.  Writers pad the header, so this is rare,
 * and the only place where memory grows with a matrix. */
static int align(struct binder *b, struct found *f)
{
    size_t size = dtype_bytes(f->dtype);
    if ((uintptr_t)f->data % size == 0)
        return 0;
    void *copy = copy_new(b, f->n * size);
    if (copy == NULL)
        return err_nomem(b->err, "a tensor that is not aligned in its file");
    memcpy(copy, f->data, f->n * size);
    f->data = copy;
    return 0;
}

static int bind_matrix(struct binder *b, struct matrix *out, const char *name,
                       uint32_t rows, uint32_t cols)
{
    struct found f;
    int rc = find(b, &f, name, (uint64_t[]){rows, cols}, 2);
    if (rc == 0)
        rc = align(b, &f);
    if (rc == 0)
        *out = (struct matrix){f.data, f.dtype, rows, cols};
    return rc;
}

/* ---- vectors: converted ------------------------------------------------ */

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 0x1F;
    int fraction = h & 0x3FF;
    float value;
    if (exponent == 0x1F)
        value = fraction != 0 ? NAN : INFINITY;
    else if (exponent == 0)
        value = ldexpf((float)fraction, -24);
    else
        value = ldexpf((float)(fraction + 0x400), exponent - 25);
    return h & 0x8000 ? -value : value;
}

static float element(const void *data, enum dtype dtype, size_t i)
{
    const char *p = (const char *)data + i * dtype_bytes(dtype);
    uint32_t bits = 0;
    uint16_t half;
    float value;
    if (dtype == DTYPE_F32) {
        memcpy(&value, p, sizeof value);
        return value;
    }
    memcpy(&half, p, sizeof half);
    if (dtype == DTYPE_F16)
        return half_to_float(half);
    bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int bind_shaped(struct binder *b, const float **out, const char *name,
                       const uint64_t *dims, uint32_t n_dims)
{
    struct found f;
    int rc = find(b, &f, name, dims, n_dims);
    if (rc != 0)
        return rc;
    float *v = arena_calloc(b->o->arena, f.n, sizeof *v);
    if (v == NULL)
        return err_nomem(b->err, "the norms and biases");
    for (size_t i = 0; i < f.n; i++) {
        v[i] = element(f.data, f.dtype, i);
        if (!isfinite(v[i]))
            return refuse(b, name,
                          "holds a value that is not finite, at "
                          "element %zu",
                          i);
    }
    *out = v;
    return 0;
}

static int bind_vector(struct binder *b, const float **out, const char *name,
                       uint32_t n)
{
    return bind_shaped(b, out, name, (uint64_t[]){n}, 1);
}

/* ---- one layer --------------------------------------------------------- */

static int bind_attention(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    uint32_t q = hp->n_heads * hp->head_dim;
    uint32_t kv = hp->n_kv_heads * hp->head_dim;
    int rc = bind_matrix(b, &l->wq, "self_attn.q_proj.weight", q, hp->hidden);
    if (rc == 0)
        rc = bind_matrix(b, &l->wk, "self_attn.k_proj.weight", kv, hp->hidden);
    if (rc == 0)
        rc = bind_matrix(b, &l->wv, "self_attn.v_proj.weight", kv, hp->hidden);
    if (rc == 0)
        rc = bind_matrix(b, &l->wo, "self_attn.out_proj.weight", hp->hidden, q);
    if (rc == 0)
        rc = bind_vector(b, &l->q_norm, "self_attn.q_layernorm.weight",
                         hp->head_dim);
    if (rc == 0)
        rc = bind_vector(b, &l->k_norm, "self_attn.k_layernorm.weight",
                         hp->head_dim);
    return rc;
}

static int bind_conv(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    uint32_t h = hp->hidden;
    int rc = bind_matrix(b, &l->in_proj, "conv.in_proj.weight", 3 * h, h);
    if (rc == 0)
        rc = bind_matrix(b, &l->out_proj, "conv.out_proj.weight", h, h);
    if (rc == 0)
        rc = bind_shaped(b, &l->conv, "conv.conv.weight",
                         (uint64_t[]){h, 1, hp->conv_width}, 3);
    if (rc != 0 || !hp->conv_bias)
        return rc;
    rc = bind_vector(b, &l->conv_bias, "conv.conv.bias", h);
    if (rc == 0)
        rc = bind_vector(b, &l->in_bias, "conv.in_proj.bias", 3 * h);
    if (rc == 0)
        rc = bind_vector(b, &l->out_bias, "conv.out_proj.bias", h);
    return rc;
}

static int bind_dense(struct binder *b, struct layer_weights *l)
{
    uint32_t h = b->hp->hidden, f = b->hp->ffn_hidden;
    int rc = bind_matrix(b, &l->w1, "feed_forward.w1.weight", f, h);
    if (rc == 0)
        rc = bind_matrix(b, &l->w3, "feed_forward.w3.weight", f, h);
    if (rc == 0)
        rc = bind_matrix(b, &l->w2, "feed_forward.w2.weight", h, f);
    return rc;
}

static int bind_one_expert(struct binder *b, struct matrix *out, uint32_t j,
                           const char *part, uint32_t rows, uint32_t cols)
{
    char name[NAME_BYTES];
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
static int bind_fused_experts(struct binder *b, struct layer_weights *l)
{
    uint32_t n = b->hp->n_experts, h = b->hp->hidden, m = b->hp->moe_hidden;
    struct found up, down;
    int rc = find(b, &up, "feed_forward.experts.gate_up_proj",
                  (uint64_t[]){n, 2 * m, h}, 3);
    if (rc == 0)
        rc = find(b, &down, "feed_forward.experts.down_proj",
                  (uint64_t[]){n, h, m}, 3);
    if (rc == 0)
        rc = align(b, &up);
    if (rc == 0)
        rc = align(b, &down);
    if (rc != 0)
        return rc;
    size_t one = (size_t)m * h;
    for (size_t j = 0; j < n; j++) {
        const char *p =
            (const char *)up.data + 2 * j * one * dtype_bytes(up.dtype);
        const char *d =
            (const char *)down.data + j * one * dtype_bytes(down.dtype);
        l->ew1[j] = (struct matrix){p, up.dtype, m, h};
        l->ew3[j] =
            (struct matrix){p + one * dtype_bytes(up.dtype), up.dtype, m, h};
        l->ew2[j] = (struct matrix){d, down.dtype, h, m};
    }
    return 0;
}

static int bind_moe(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    l->ew1 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew1);
    l->ew3 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew3);
    l->ew2 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew2);
    if (l->ew1 == NULL || l->ew3 == NULL || l->ew2 == NULL)
        return err_nomem(b->err, "the list of experts");
    int rc = bind_matrix(b, &l->router, "feed_forward.gate.weight",
                         hp->n_experts, hp->hidden);
    if (rc == 0 && hp->use_expert_bias)
        rc = bind_vector(b, &l->expert_bias, "feed_forward.expert_bias",
                         hp->n_experts);
    if (rc != 0)
        return rc;
    uint64_t before = b->w->n_params;
    rc = exists(b, "feed_forward.experts.gate_up_proj")
             ? bind_fused_experts(b, l)
             : bind_single_experts(b, l);
    /* What the experts that are not chosen would have added. */
    uint64_t experts = b->w->n_params - before;
    b->w->n_params_active -=
        experts / hp->n_experts * (hp->n_experts - hp->n_experts_used);
    return rc;
}

static int bind_layer(struct binder *b, struct layer_weights *l)
{
    uint32_t i = (uint32_t)b->layer;
    int rc = bind_vector(b, &l->operator_norm, "operator_norm.weight",
                         b->hp->hidden);
    if (rc == 0)
        rc = bind_vector(b, &l->ffn_norm, "ffn_norm.weight", b->hp->hidden);
    if (rc == 0)
        rc = b->hp->kinds[i] == LAYER_ATTENTION ? bind_attention(b, l)
                                                : bind_conv(b, l);
    if (rc == 0)
        rc = i < b->hp->n_dense_layers ? bind_dense(b, l) : bind_moe(b, l);
    return rc;
}

/* ---- the whole --------------------------------------------------------- */

static size_t matrix_bytes(struct matrix m)
{
    return (size_t)m.rows * m.cols * dtype_bytes(m.dtype);
}

/* A tied model may carry a head all the same.  As in transformers (tie_weights
 * on load) it counts where it differs from the embedding. */
static int bind_head(struct binder *b)
{
    struct weights *w = b->w;
    const char *root = b->root;
    uint64_t before = w->n_params;
    w->head = w->embed;
    b->root = "";
    if (b->hp->tied && !exists(b, "lm_head.weight")) {
        b->root = root;
        return 0;
    }
    struct matrix head;
    int rc =
        bind_matrix(b, &head, "lm_head.weight", b->hp->n_vocab, b->hp->hidden);
    b->root = root;
    if (rc != 0)
        return rc;
    if (b->hp->tied && head.dtype == w->embed.dtype &&
        memcmp(head.data, w->embed.data, matrix_bytes(head)) == 0)
        w->n_params = before;
    else
        w->head = head;
    return 0;
}

static int bind_all(struct binder *b)
{
    struct weights *w = b->w;
    const struct hparams *hp = b->hp;
    if (!exists(b, "embed_tokens.weight")) {
        b->root = "";
        if (!exists(b, "embed_tokens.weight"))
            b->root = "model.";
    }
    int rc = bind_matrix(b, &w->embed, "embed_tokens.weight", hp->n_vocab,
                         hp->hidden);
    if (rc == 0)
        rc =
            bind_vector(b, &w->final_norm, "embedding_norm.weight", hp->hidden);
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++) {
        b->layer = (int)i;
        rc = bind_layer(b, &w->layers[i]);
    }
    b->layer = -1;
    if (rc == 0)
        rc = bind_head(b);
    if (rc != 0)
        return rc;
    size_t n_left = 0;
    const struct safetensor *left = shards_unused(&b->o->shards, &n_left);
    if (left != NULL) /* as transformers: saved buffers, unused heads */
        log_at(LOG_WARN, "model",
               "%zu tensors are ignored, the first is %.128s: the model that "
               "config.json describes does not have them",
               n_left, left->name);
    return 0;
}

static struct weights *weights_new(const struct hparams *hp, struct err *err)
{
    struct weights *w = mem_calloc(1, sizeof *w);
    if (w == NULL)
        goto short_of_memory;
    w->owned = mem_calloc(1, sizeof *w->owned);
    if (w->owned == NULL)
        goto short_of_memory;
    w->owned->arena = arena_new(0);
    if (w->owned->arena == NULL)
        goto short_of_memory;
    w->layers = arena_calloc(w->owned->arena, hp->n_layers, sizeof *w->layers);
    if (w->layers == NULL)
        goto short_of_memory;
    return w;
short_of_memory:
    err_nomem(err, "the weights");
    weights_close(w);
    return NULL;
}

int weights_open(struct weights **out, const char *dir,
                 const struct hparams *hp, load_progress_fn *progress,
                 void *user, struct err *err)
{
    *out = NULL;
    struct weights *w = weights_new(hp, err);
    if (w == NULL)
        return -ERR_NOMEM;
    struct binder b = {.w = w,
                       .o = w->owned,
                       .hp = hp,
                       .root = "model.",
                       .layer = -1,
                       .err = err};
    int rc = shards_open(&w->owned->shards, dir, err);
    if (rc == 0) {
        rc = bind_all(&b);
        if (rc != 0)
            err_wrap(err, "%s", dir);
    }
    if (rc != 0) {
        weights_close(w);
        return rc;
    }
    w->n_params_active += w->n_params;
    w->bytes = w->owned->shards.tensor_bytes;
    w->n_files = (uint32_t)w->owned->shards.n;
    w->dtype = w->embed.dtype;
    shards_touch(&w->owned->shards, progress, user);
    *out = w;
    return 0;
}

void weights_close(struct weights *w)
{
    if (w == NULL)
        return;
    if (w->owned != NULL) {
        for (struct copy *c = w->owned->copies; c != NULL; c = c->next)
            mem_free(c->data);
        arena_free(w->owned->arena);
        shards_close(&w->owned->shards);
        mem_free(w->owned);
    }
    mem_free(w);
}
