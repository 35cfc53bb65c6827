/* bind.h -- tensors of a file, whatever its format, to the fields of weights.
 *
 * bind_all walks the model as hparams describes it and asks a source for each
 * tensor by name and shape.  A source knows one format: its names, its shapes'
 * order, its number types.  Vectors are converted at once; matrices become
 * jobs for pack.h.  Errors say the tensor's name, what it is and what the
 * model's numbers make of it.
 *
 * Private to this room; the loading thread. */
#ifndef LFMD_MODEL_WEIGHTS_BIND_H
#define LFMD_MODEL_WEIGHTS_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/weights/gguf.h"
#include "model/weights/hparams.h"
#include "model/weights/pack.h"
#include "model/weights/shards.h"
#include "model/weights/weights.h"

#define BIND_NAME_BYTES 256

/* What a tensor is for; every format has its own name for each. */
enum tensor_role {
    ROLE_EMBED,
    ROLE_HEAD,
    ROLE_FINAL_NORM,
    ROLE_OPERATOR_NORM, /* from here on: of a layer */
    ROLE_FFN_NORM,
    ROLE_WQ,
    ROLE_WK,
    ROLE_WV,
    ROLE_WO,
    ROLE_Q_NORM,
    ROLE_K_NORM,
    ROLE_IN_PROJ,
    ROLE_OUT_PROJ,
    ROLE_CONV,
    ROLE_CONV_BIAS,
    ROLE_IN_BIAS,
    ROLE_OUT_BIAS,
    ROLE_W1,
    ROLE_W2,
    ROLE_W3,
    ROLE_ROUTER,
    ROLE_EXPERT_BIAS,
    N_ROLES
};

/* One tensor, as it lies in the file, perhaps unaligned. */
struct found {
    const char *data;
    enum dtype dtype;
    bool mapped; /* in a file, not in memory of ours */
    size_t n;    /* numbers */
    const char *name;
};

struct binder;

struct tensor_source {
    const char *const *names; /* [N_ROLES] */
    const char *says;         /* who says how it must be: "config.json" */
    bool conv_has_middle; /* [hidden, 1, width] rather than [hidden, width] */

    /* The whole name of `name` in the current layer. */
    void (*full_name)(const struct binder *b, char out[BIND_NAME_BYTES],
                      const char *name);
    bool (*exists)(struct binder *b, const char *full);
    /* The tensor of exactly this shape, outermost dimension first.  `name` is
     * for messages. */
    int (*find)(struct binder *b, struct found *out, const char *name,
                const char *full, const uint64_t *dims, uint32_t n_dims);
    int (*bind_experts)(struct binder *b, struct layer_weights *l);
    int (*bind_qkv)(struct binder *b, struct layer_weights *l);
};

extern const struct tensor_source bind_from_safetensors;
extern const struct tensor_source bind_from_gguf;

struct copy;

/* Everything that weights refer to; freed by weights_close. */
struct weights_owned {
    struct arena *arena; /* converted vectors, layers, experts, jobs, names */
    struct copy *copies; /* matrices that could not stay where they lay */
    struct shards shards;
    struct gguf *gguf;       /* owned, or NULL */
    struct pack_job *jobs;   /* [n_jobs], owned, while loading */
    void **slabs;            /* [n_jobs], owned: what was packed */
    size_t n_jobs, cap_jobs; /* of jobs */
};

/* One load: where it is, for names and for messages. */
struct binder {
    const struct tensor_source *source;
    const struct weights_options *options;
    struct weights *w;
    struct weights_owned *o;
    const struct gguf *gguf; /* borrowed; NULL with safetensors */
    const struct hparams *hp;
    const char *root; /* what names outside a layer start with */
    bool file_mapped; /* gguf is mapped, not in memory */
    bool measure;     /* only for the sum: matrices are never read */
    bool *used;       /* [gguf_n_tensors], of the arena; NULL likewise */
    int layer;        /* -1 outside the layers */
    struct err *err;
};

int bind_all(struct binder *b);
void bind_free_copies(struct weights_owned *o);

/* ---- for sources ------------------------------------------------------- */

/* "layer 7: <name> <what is wrong>" */
int bind_refuse(const struct binder *b, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Refuses unless the shapes are the same. */
int bind_check_shape(const struct binder *b, const char *name,
                     const uint64_t *is, uint32_t n_is, const uint64_t *dims,
                     uint32_t n_dims);

/* Memory that lives as long as the weights. */
void *bind_memory(struct binder *b, size_t bytes);

bool bind_exists(struct binder *b, const char *name);
int bind_find(struct binder *b, struct found *out, const char *name,
              const uint64_t *dims, uint32_t n_dims);

/* out[0 .. n) = the matrices of one shape that start `stride` bytes apart at
 * byte `at` of the tensor. */
int bind_rows(struct binder *b, struct matrix *out, uint32_t n,
              const struct found *f, size_t at, size_t stride, uint32_t rows,
              uint32_t cols);

/* The whole tensor, a matrix. */
int bind_matrix(struct binder *b, struct matrix *out, const char *name,
                uint32_t rows, uint32_t cols);

/* wq, wk and wv, each on its own. */
int bind_qkv_single(struct binder *b, struct layer_weights *l);

/* Bytes of n numbers; n is a multiple of the block. */
static inline size_t bind_bytes(enum dtype t, size_t n)
{
    return n / dtype_block_values(t) * dtype_block_bytes(t);
}

#endif
