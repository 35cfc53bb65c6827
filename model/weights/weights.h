/* weights.h -- the checkpoint's tensors, bound to the fields that use them.
 *
 * Matrices of floats stay in the mapped file at their stored width (F32, F16 or
 * BF16); only a tensor that is not aligned to its element is copied.  Quantised
 * ones are packed into panels (panel.h) in memory of the weights, and the
 * file's pages given back as that goes.  Vectors - norms, convolution taps,
 * biases - are small and become float32 at load.  Nothing is looked up by name
 * afterwards.
 *
 * Tensor names and shapes: transformers 5.23, models/lfm2_moe; experts either
 * one by one (experts.J.w1/w2/w3.weight, the files on the hub) or fused
 * (experts.gate_up_proj [E, 2I, H] with w1 first, experts.down_proj [E, H, I]).
 * In GGUF: llama.cpp, src/models/lfm2moe.cpp.
 *
 * Read-only once open: any thread.  A file that shrinks while mapped raises
 * SIGBUS, which is not handled here. */
#ifndef LFMD_MODEL_WEIGHTS_WEIGHTS_H
#define LFMD_MODEL_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/kernels/blocks.h"
#include "model/weights/gguf.h"
#include "model/weights/hparams.h"

/* What a layer does not have is zero: a convolution layer has no wq, a dense
 * layer no router. */
struct layer_weights {
    const float *operator_norm; /* [hidden], before attention or convolution */
    const float *ffn_norm;      /* [hidden] */

    struct matrix wq;     /* [n_heads * head_dim, hidden] */
    struct matrix wk, wv; /* [n_kv_heads * head_dim, hidden] */
    struct matrix wo;     /* [hidden, n_heads * head_dim] */
    const float *q_norm;  /* [head_dim] */
    const float *k_norm;  /* [head_dim] */

    struct matrix in_proj;  /* [3 * hidden, hidden]: rows of B, C, x */
    struct matrix out_proj; /* [hidden, hidden] */
    const float *conv;      /* [hidden][conv_width], oldest tap first */
    const float *conv_bias; /* [hidden], NULL unless hparams.conv_bias */
    const float *in_bias;   /* [3 * hidden], NULL likewise */
    const float *out_bias;  /* [hidden], NULL likewise */

    struct matrix w1, w3; /* dense: [ffn_hidden, hidden] */
    struct matrix w2;     /* dense: [hidden, ffn_hidden] */

    struct matrix router;     /* [n_experts, hidden] */
    const float *expert_bias; /* [n_experts], NULL unless use_expert_bias */
    struct matrix *ew1, *ew3; /* [n_experts] of [moe_hidden, hidden] */
    struct matrix *ew2;       /* [n_experts] of [hidden, moe_hidden] */
};

struct weights {
    struct matrix embed;          /* [n_vocab, hidden] */
    struct matrix head;           /* [n_vocab, hidden]; embed when tied */
    const float *final_norm;      /* [hidden] */
    struct layer_weights *layers; /* [n_layers] */

    size_t bytes;             /* of all tensors in the files */
    uint64_t n_params;        /* parameters; a tied head counts once */
    uint64_t n_params_active; /* those one token passes through */
    uint32_t n_files;
    enum dtype dtype; /* of the embedding: "the" width, for the banner */

    struct weights_owned *owned; /* the mappings and the converted vectors */
};

/* Called on the loading thread, at most about a hundred times, last with
 * done == total. */
typedef void load_progress_fn(void *user, size_t done_bytes,
                              size_t total_bytes);

struct weights_options {
    bool quantise;          /* matrices of floats become... */
    enum dtype quantise_to; /* ...this: DTYPE_Q4_0 or DTYPE_Q8_0 */
    uint32_t n_threads;     /* that pack, this one included; 0 is 1 */
};

/* Maps the safetensors files in `dir`, checks that they hold the tensors that
 * `hp` asks for, in its shapes, and brings them into memory, as far as they
 * fit, before it returns.
 *
 * With `quantise` every matrix whose rows are whole blocks, but for the
 * routers, is packed at the width asked for; embedding and head take Q8_0 even
 * for Q4_0, being few and read finely.  A value that is not finite is refused.
 *
 * `options` and `progress` may be NULL; `hp` is borrowed during the call only.
 * On refusal *out is NULL and nothing stays mapped. */
int weights_open(struct weights **out, const char *dir,
                 const struct hparams *hp,
                 const struct weights_options *options,
                 load_progress_fn *progress, void *user, struct err *err);

/* The same from a GGUF file, whose quantised matrices are packed as they are
 * and whose floats stay, or are quantised, as above.  `g` is taken over
 * whatever happens, and lives until weights_close: read all else from it
 * before. */
int weights_open_gguf(struct weights **out, struct gguf *g,
                      const struct hparams *hp,
                      const struct weights_options *options,
                      load_progress_fn *progress, void *user, struct err *err);

/* What such a load will occupy: packed panels, and floats that must be copied,
 * which stay; and floats that are mapped, which the kernel may drop and read
 * again.  Reads headers and vectors only.  `g` is borrowed. */
struct weights_need {
    uint64_t packed_bytes, mapped_bytes;
};
int weights_bytes_needed(struct weights_need *out, const char *dir,
                         const struct hparams *hp,
                         const struct weights_options *options,
                         struct err *err);
int weights_bytes_needed_gguf(struct weights_need *out, const struct gguf *g,
                              const struct hparams *hp,
                              const struct weights_options *options,
                              struct err *err);

void weights_close(struct weights *w); /* NULL is fine */

#endif
