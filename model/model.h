/* model.h -- a checkpoint, opened: everything that turns text into tokens and
 * tokens into logits.
 *
 * model_open is the whole start: description, weights, tokenizer, template,
 * kernels with their self-test, cache and forward pass, each checked against
 * the others.  What it returns is used by many and owned by one.
 *
 * Threads: tokenizer, template, generation defaults and all plain numbers are
 * const after model_open and may be read by any thread; cache and forward
 * belong to the inference thread. */
#ifndef LFMD_MODEL_MODEL_H
#define LFMD_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/cache/cache.h"
#include "model/forward/batch.h"
#include "model/forward/forward.h"
#include "model/grammar/mask.h"
#include "model/kernels/kernels.h"
#include "model/model_options.h"
#include "model/template/template.h"
#include "model/text/tokenizer.h"
#include "model/weights/generation.h"
#include "model/weights/hparams.h"
#include "model/weights/weights.h"

struct model {
    struct hparams hp;
    struct generation_defaults gen;
    struct weights *weights;        /* owned */
    struct tokenizer *tokenizer;    /* owned */
    struct template *chat_template; /* owned; NULL: the model has none */
    char *template_text;            /* owned; its source, or NULL */
    struct template *tool_template; /* owned; the one named "tool_use", or
                                       NULL: chat_template serves both */
    struct mask_vocab *mask_vocab;  /* owned; the tokens as grammars see them */
    const struct kernels *kernels;  /* static */
    enum kv_format kv_format;       /* of the cache */
    struct cache *cache;            /* owned */
    struct forward *forward;        /* owned */
    uint32_t ctx_tokens;            /* longest sequence that is served; fits
                                       the cache alone */
    uint32_t max_batch_tokens;      /* the options, with defaults applied */
    uint32_t max_slices;
    uint32_t max_logit_rows;
    char name[256];   /* of the file or directory */
    bool is_gguf;     /* a file of that name and ".gguf" */
    char memory[192]; /* what it takes, for the banner */
};

/* Opens what options->path means (model_source.h).  `progress` (may be NULL) is
 * called from this thread while the weights are read.  On failure nothing is
 * left behind and the text begins "cannot load the model in PATH: ". */
int model_open(struct model **out, const struct model_options *options,
               load_progress_fn *progress, void *user, struct err *err);

/* Computes one batch; see forward_run.  Inference thread only. */
void model_forward(struct model *m, struct batch *batch);

/* Frees everything; every cache_seq is closed before.  NULL is fine. */
void model_close(struct model *m);

#endif
