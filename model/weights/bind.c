/* bind.c -- see bind.h: the walk over the model. */
#include "model/weights/bind.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"

struct copy {
    struct copy *next;
    void *data; /* owned */
};

void bind_free_copies(struct weights_owned *o)
{
    for (struct copy *c = o->copies; c != NULL; c = c->next)
        mem_free(c->data);
    o->copies = NULL;
}

void *bind_memory(struct binder *b, size_t bytes)
{
    struct copy *c = arena_alloc(b->o->arena, sizeof *c);
    if (c == NULL || (c->data = mem_alloc(bytes)) == NULL)
        return NULL;
    c->next = b->o->copies;
    b->o->copies = c;
    return c->data;
}

/* ---- messages ---------------------------------------------------------- */

int bind_refuse(const struct binder *b, const char *name, const char *fmt, ...)
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

int bind_check_shape(const struct binder *b, const char *name,
                     const uint64_t *is, uint32_t n_is, const uint64_t *dims,
                     uint32_t n_dims)
{
    bool same = n_is == n_dims;
    for (uint32_t i = 0; same && i < n_dims; i++)
        same = is[i] == dims[i];
    if (same)
        return 0;
    char found[180], wanted[100];
    shape_text(found, sizeof found, is, n_is);
    shape_text(wanted, sizeof wanted, dims, n_dims);
    return bind_refuse(b, name, "is %s, but %s says %s", found, b->source->says,
                       wanted);
}

/* ---- one tensor -------------------------------------------------------- */

bool bind_exists(struct binder *b, const char *name)
{
    char full[BIND_NAME_BYTES];
    b->source->full_name(b, full, name);
    return b->source->exists(b, full);
}

int bind_find(struct binder *b, struct found *out, const char *name,
              const uint64_t *dims, uint32_t n_dims)
{
    char full[BIND_NAME_BYTES];
    b->source->full_name(b, full, name);
    int rc = b->source->find(b, out, name, full, dims, n_dims);
    if (rc == 0)
        b->w->n_params += out->n;
    return rc;
}

/* No format promises alignment.  Writers pad the header, so this is rare, and
 * the only place where memory grows with a matrix of floats. */
static int align(struct binder *b, struct found *f)
{
    size_t size = dtype_bytes(f->dtype);
    if ((uintptr_t)f->data % size == 0)
        return 0;
    f->mapped = false;
    if (b->measure)
        return 0;
    char *copy = bind_memory(b, f->n * size);
    if (copy == NULL)
        return err_nomem(b->err, "a tensor that is not aligned in its file");
    memcpy(copy, f->data, f->n * size);
    f->data = copy;
    return 0;
}

/* ---- matrices ---------------------------------------------------------- */

/* What a tensor's numbers become. */
static enum dtype target(const struct binder *b, const struct matrix *out,
                         const struct found *f, uint32_t cols)
{
    const struct weights_options *o = b->options;
    bool ends = b->layer < 0;
    bool router = !ends && out == &b->w->layers[b->layer].router;
    if (dtype_is_quantised(f->dtype) || !o->quantise || router ||
        cols % dtype_block_values(o->quantise_to) != 0)
        return f->dtype;
    return ends ? DTYPE_Q8_0 : o->quantise_to;
}

static int add_job(struct binder *b, const struct pack_job *job)
{
    struct weights_owned *o = b->o;
    if (o->n_jobs == o->cap_jobs) {
        size_t cap = o->cap_jobs == 0 ? 256 : 2 * o->cap_jobs;
        struct pack_job *jobs =
            mem_realloc_array(o->jobs, cap, sizeof *o->jobs);
        if (jobs == NULL)
            return err_nomem(b->err, "the list of matrices");
        o->jobs = jobs;
        o->cap_jobs = cap;
    }
    o->jobs[o->n_jobs] = *job;
    o->jobs[o->n_jobs].name = arena_strdup(o->arena, job->name);
    if (o->jobs[o->n_jobs].name == NULL)
        return err_nomem(b->err, "the list of matrices");
    o->n_jobs++;
    return 0;
}

int bind_rows(struct binder *b, struct matrix *out, uint32_t n,
              const struct found *f, size_t at, size_t stride, uint32_t rows,
              uint32_t cols)
{
    struct found own = *f;
    enum dtype to = target(b, out, f, cols);
    if (!dtype_is_quantised(to)) {
        int rc = align(b, &own);
        if (rc != 0)
            return rc;
    }
    const char *first = own.data + at;
    for (uint32_t j = 0; j < n; j++) {
        const char *data = dtype_is_quantised(to) ? NULL : first + j * stride;
        out[j] = (struct matrix){data, to, rows, cols};
    }
    struct pack_job job = {.out = out,
                           .n = n,
                           .src = first,
                           .stride = stride,
                           .from = f->dtype,
                           .mapped = own.mapped,
                           .name = f->name};
    return add_job(b, &job);
}

int bind_matrix(struct binder *b, struct matrix *out, const char *name,
                uint32_t rows, uint32_t cols)
{
    struct found f;
    int rc = bind_find(b, &f, name, (uint64_t[]){rows, cols}, 2);
    return rc != 0 ? rc : bind_rows(b, out, 1, &f, 0, 0, rows, cols);
}

static int bind_role(struct binder *b, struct matrix *out,
                     enum tensor_role role, uint32_t rows, uint32_t cols)
{
    return bind_matrix(b, out, b->source->names[role], rows, cols);
}

/* ---- vectors: converted ------------------------------------------------ */

static int to_floats(struct binder *b, const float **out, const char *name,
                     const struct found *f)
{
    float *v = arena_calloc(b->o->arena, f->n, sizeof *v);
    if (v == NULL)
        return err_nomem(b->err, "the norms and biases");
    blocks_decode(f->dtype, v, f->data, f->n);
    for (size_t i = 0; i < f->n; i++)
        if (!isfinite(v[i]))
            return bind_refuse(b, name,
                               "holds a value that is not finite, at element "
                               "%zu",
                               i);
    *out = v;
    return 0;
}

static int bind_shaped(struct binder *b, const float **out,
                       enum tensor_role role, const uint64_t *dims,
                       uint32_t n_dims)
{
    struct found f;
    const char *name = b->source->names[role];
    int rc = bind_find(b, &f, name, dims, n_dims);
    return rc != 0 ? rc : to_floats(b, out, name, &f);
}

static int bind_vector(struct binder *b, const float **out,
                       enum tensor_role role, uint32_t n)
{
    return bind_shaped(b, out, role, (uint64_t[]){n}, 1);
}

/* ---- one layer --------------------------------------------------------- */

int bind_qkv_single(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    uint32_t q = hp->n_heads * hp->head_dim;
    uint32_t kv = hp->n_kv_heads * hp->head_dim;
    int rc = bind_role(b, &l->wq, ROLE_WQ, q, hp->hidden);
    if (rc == 0)
        rc = bind_role(b, &l->wk, ROLE_WK, kv, hp->hidden);
    if (rc == 0)
        rc = bind_role(b, &l->wv, ROLE_WV, kv, hp->hidden);
    return rc;
}

static int bind_attention(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    int rc = b->source->bind_qkv(b, l);
    if (rc == 0)
        rc = bind_role(b, &l->wo, ROLE_WO, hp->hidden,
                       hp->n_heads * hp->head_dim);
    if (rc == 0)
        rc = bind_vector(b, &l->q_norm, ROLE_Q_NORM, hp->head_dim);
    if (rc == 0)
        rc = bind_vector(b, &l->k_norm, ROLE_K_NORM, hp->head_dim);
    return rc;
}

static int bind_conv(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    uint32_t h = hp->hidden;
    int rc = bind_role(b, &l->in_proj, ROLE_IN_PROJ, 3 * h, h);
    if (rc == 0)
        rc = bind_role(b, &l->out_proj, ROLE_OUT_PROJ, h, h);
    if (rc == 0)
        rc = b->source->conv_has_middle
                 ? bind_shaped(b, &l->conv, ROLE_CONV,
                               (uint64_t[]){h, 1, hp->conv_width}, 3)
                 : bind_shaped(b, &l->conv, ROLE_CONV,
                               (uint64_t[]){h, hp->conv_width}, 2);
    if (rc != 0 || !hp->conv_bias)
        return rc;
    rc = bind_vector(b, &l->conv_bias, ROLE_CONV_BIAS, h);
    if (rc == 0)
        rc = bind_vector(b, &l->in_bias, ROLE_IN_BIAS, 3 * h);
    if (rc == 0)
        rc = bind_vector(b, &l->out_bias, ROLE_OUT_BIAS, h);
    return rc;
}

static int bind_dense(struct binder *b, struct layer_weights *l)
{
    uint32_t h = b->hp->hidden, f = b->hp->ffn_hidden;
    int rc = bind_role(b, &l->w1, ROLE_W1, f, h);
    if (rc == 0)
        rc = bind_role(b, &l->w3, ROLE_W3, f, h);
    if (rc == 0)
        rc = bind_role(b, &l->w2, ROLE_W2, h, f);
    return rc;
}

/* The router decides by small differences: it is computed in floats, whatever
 * the file holds. */
static int bind_router(struct binder *b, struct layer_weights *l)
{
    struct found f;
    const char *name = b->source->names[ROLE_ROUTER];
    uint32_t rows = b->hp->n_experts, cols = b->hp->hidden;
    const float *floats;
    int rc = bind_find(b, &f, name, (uint64_t[]){rows, cols}, 2);
    if (rc != 0)
        return rc;
    if (!dtype_is_quantised(f.dtype))
        return bind_rows(b, &l->router, 1, &f, 0, 0, rows, cols);
    rc = to_floats(b, &floats, name, &f);
    if (rc == 0)
        l->router = (struct matrix){floats, DTYPE_F32, rows, cols};
    return rc;
}

static int bind_moe(struct binder *b, struct layer_weights *l)
{
    const struct hparams *hp = b->hp;
    l->ew1 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew1);
    l->ew3 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew3);
    l->ew2 = arena_calloc(b->o->arena, hp->n_experts, sizeof *l->ew2);
    if (l->ew1 == NULL || l->ew3 == NULL || l->ew2 == NULL)
        return err_nomem(b->err, "the list of experts");
    int rc = bind_router(b, l);
    if (rc == 0 && hp->use_expert_bias)
        rc = bind_vector(b, &l->expert_bias, ROLE_EXPERT_BIAS, hp->n_experts);
    if (rc != 0)
        return rc;
    uint64_t before = b->w->n_params;
    rc = b->source->bind_experts(b, l);
    /* What the experts that are not chosen would have added. */
    uint64_t experts = b->w->n_params - before;
    b->w->n_params_active -=
        experts / hp->n_experts * (hp->n_experts - hp->n_experts_used);
    return rc;
}

static int bind_layer(struct binder *b, struct layer_weights *l)
{
    uint32_t i = (uint32_t)b->layer;
    int rc =
        bind_vector(b, &l->operator_norm, ROLE_OPERATOR_NORM, b->hp->hidden);
    if (rc == 0)
        rc = bind_vector(b, &l->ffn_norm, ROLE_FFN_NORM, b->hp->hidden);
    if (rc == 0)
        rc = b->hp->kinds[i] == LAYER_ATTENTION ? bind_attention(b, l)
                                                : bind_conv(b, l);
    if (rc == 0)
        rc = i < b->hp->n_dense_layers ? bind_dense(b, l) : bind_moe(b, l);
    return rc;
}

/* ---- the whole --------------------------------------------------------- */

/* A tied model may carry a head all the same.  As in transformers (tie_weights
 * on load) it counts where it differs from the embedding. */
static int bind_head(struct binder *b, const struct found *embed)
{
    const char *root = b->root, *name = b->source->names[ROLE_HEAD];
    uint32_t rows = b->hp->n_vocab, cols = b->hp->hidden;
    uint64_t before = b->w->n_params;
    struct found head;
    b->root = "";
    bool there = bind_exists(b, name);
    int rc = 0;
    if (there || !b->hp->tied)
        rc = bind_find(b, &head, name, (uint64_t[]){rows, cols}, 2);
    b->root = root;
    if (rc != 0)
        return rc;
    if (b->hp->tied &&
        (!there || (head.dtype == embed->dtype &&
                    memcmp(head.data, embed->data,
                           bind_bytes(head.dtype, head.n)) == 0))) {
        b->w->n_params = before;
        return 0; /* head.rows stays 0: it becomes the embedding */
    }
    return bind_rows(b, &b->w->head, 1, &head, 0, 0, rows, cols);
}

int bind_all(struct binder *b)
{
    struct weights *w = b->w;
    const struct hparams *hp = b->hp;
    const char *embed_name = b->source->names[ROLE_EMBED];
    struct found embed;
    b->layer = -1;
    if (!bind_exists(b, embed_name)) { /* a checkpoint of the bare model */
        const char *root = b->root;
        b->root = "";
        if (!bind_exists(b, embed_name))
            b->root = root;
    }
    int rc = bind_find(b, &embed, embed_name,
                       (uint64_t[]){hp->n_vocab, hp->hidden}, 2);
    if (rc == 0)
        rc = bind_rows(b, &w->embed, 1, &embed, 0, 0, hp->n_vocab, hp->hidden);
    if (rc == 0)
        rc = bind_vector(b, &w->final_norm, ROLE_FINAL_NORM, hp->hidden);
    for (uint32_t i = 0; i < hp->n_layers && rc == 0; i++) {
        b->layer = (int)i;
        rc = bind_layer(b, &w->layers[i]);
    }
    b->layer = -1;
    return rc != 0 ? rc : bind_head(b, &embed);
}
