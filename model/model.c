/* model.c -- the start of a model, step by step, and its end.
 *
 * Each step checks what it got against what came before; whatever fails, all
 * before it is undone by model_close, which works on a half-open model.
 *
 * The opening thread. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/chat_source.h"
#include "model/forward/machine.h"
#include "model/kernels/gemm_blas.h"

#define DEFAULT_BATCH_TOKENS 512u
#define DEFAULT_SLICES 16u

/* No model can use more, and what is sized by the context stays small. */
#define MAX_CONTEXT_TOKENS (1u << 20)

/* More threads than this wait longer for each other than they compute. */
#define MAX_THREADS 32u

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static void apply_options(struct model *m, const struct model_options *o)
{
    m->max_batch_tokens = or_default(o->max_batch_tokens, DEFAULT_BATCH_TOKENS);
    m->max_slices = or_default(o->max_slices, DEFAULT_SLICES);
    m->max_logit_rows = or_default(o->max_logit_rows, m->max_slices);
    uint32_t most = m->hp.max_positions < MAX_CONTEXT_TOKENS
                        ? m->hp.max_positions
                        : MAX_CONTEXT_TOKENS;
    m->ctx_tokens = or_default(o->ctx_tokens, most);
    if (m->ctx_tokens > most) {
        log_at(LOG_WARN, "model",
               "a context of %u tokens was asked for, the model has %u",
               (unsigned)m->ctx_tokens, (unsigned)most);
        m->ctx_tokens = most;
    }
}

/* The last part of path[0, *end), without the slashes that may follow it; what
 * lies before it is left in *end. */
static const char *last_part(const char *path, size_t *end, size_t *n)
{
    size_t stop = *end;
    while (stop > 1 && path[stop - 1] == '/')
        stop--;
    size_t start = stop;
    while (start > 0 && path[start - 1] != '/')
        start--;
    *n = stop - start;
    *end = start;
    return path + start;
}

/* In the cache of Hugging Face, models--ORG--NAME/snapshots/REVISION, the name
 * is not the last part.  NULL when the path is not such a one. */
static const char *cached_name(const char *path, size_t *n)
{
    size_t end = strlen(path), n_part;
    last_part(path, &end, &n_part);
    const char *part = last_part(path, &end, &n_part);
    if (n_part != strlen("snapshots") || strncmp(part, "snapshots", n_part))
        return NULL;
    part = last_part(path, &end, &n_part);
    if (n_part < strlen("models--") || strncmp(part, "models--", 8) != 0)
        return NULL;
    size_t start = n_part;
    while (start > 8 && strncmp(part + start - 2, "--", 2) != 0)
        start--;
    *n = n_part - start;
    return part + start;
}

/* `path` may be relative or end in ".": the true one is named. */
static void set_name(struct model *m, const char *path)
{
    char *real = realpath(path, NULL);
    const char *whole = real != NULL ? real : path;
    size_t n = 0, end = strlen(whole);
    const char *name = cached_name(whole, &n);
    /* A link by another name is how somebody calls it. */
    if (name == NULL && (name = cached_name(path, &n)) == NULL) {
        end = strlen(path);
        name = last_part(path, &end, &n);
        if (n == 0 || name[0] == '.') {
            end = strlen(whole);
            name = last_part(whole, &end, &n);
        }
    }
    snprintf(m->name, sizeof m->name, "%.*s", (int)n, name);
    if (n == 0 || strcmp(m->name, "/") == 0)
        snprintf(m->name, sizeof m->name, "model");
    free(real); /* of the C library */
}

static int open_text(struct model *m, const struct model_options *o,
                     struct err *err)
{
    int rc = tokenizer_load(&m->tokenizer, o->path, err);
    if (rc != 0)
        return rc;
    /* Embeddings are padded up to a round number; the other way round a text
     * could hold a token without one. */
    if (tokenizer_n_vocab(m->tokenizer) > m->hp.n_vocab)
        return err_set(err, ERR_FORMAT,
                       "tokenizer.json has %u tokens, but config.json says "
                       "vocab_size %u",
                       (unsigned)tokenizer_n_vocab(m->tokenizer),
                       (unsigned)m->hp.n_vocab);
    return 0;
}

static int compile_template(struct template **out, const char *text,
                            const char *what, struct err *err)
{
    if (text == NULL)
        return 0;
    int rc = template_compile(out, text, strlen(text), err);
    return rc == 0 ? 0 : err_wrap(err, "%s", what);
}

static int open_template(struct model *m, const struct model_options *o,
                         struct err *err)
{
    struct chat_source src;
    int rc = chat_source_load(&src, o->path, o->chat_template_file, err);
    if (rc != 0)
        return rc;
    rc = compile_template(&m->chat_template, src.text, src.from, err);
    if (rc == 0)
        rc = compile_template(&m->tool_template, src.tool_use,
                              "the chat template \"tool_use\"", err);
    m->template_text = src.text;
    src.text = NULL;
    chat_source_deinit(&src);
    return rc;
}

static int open_kernels(struct model *m, const struct model_options *o,
                        struct err *err)
{
    gemm_init();
    m->kernels = kernels_select(o->isa, err);
    if (m->kernels == NULL)
        return err != NULL ? -(int)err->class_ : -ERR_UNSUPPORTED;
    return gemm_self_test(err);
}

/* Blocks for keys and values when the operator names no size: what all
 * sequences together can need, but no more than a quarter of the memory that is
 * left beside the weights; yet one whole context, if that leaves a quarter of
 * it free.  The pages are touched only as sequences grow. */
static uint64_t auto_blocks(const struct model *m, uint64_t per_context,
                            uint64_t block_bytes)
{
    uint64_t wanted = per_context * m->max_slices;
    uint64_t memory = machine_memory_bytes();
    if (memory == UINT64_MAX)
        return wanted;
    /* Mapped weights are page cache: "available" until we push them out. */
    uint64_t left =
        memory > m->weights->bytes ? memory - m->weights->bytes : memory / 8;
    uint64_t quarter = left / 4 / block_bytes;
    if (quarter < per_context)
        quarter = per_context < 3 * quarter ? per_context : 3 * quarter;
    return wanted < quarter ? wanted : quarter;
}

static int open_cache(struct model *m, const struct model_options *o,
                      struct err *err)
{
    enum kv_format format;
    int rc = cache_parse_format(&format, o->cache_type, err);
    if (rc != 0)
        return rc;
    uint64_t block_bytes = cache_block_bytes(&m->hp, format);
    uint64_t per_context = cache_blocks_for(m->ctx_tokens);
    uint64_t n_blocks = per_context * m->max_slices;
    if (block_bytes > 0 && o->cache_bytes > 0)
        n_blocks = o->cache_bytes / block_bytes;
    else if (block_bytes > 0)
        n_blocks = auto_blocks(m, per_context, block_bytes);

    if (n_blocks == 0)
        return err_set(err, ERR_LIMIT,
                       "a cache of %llu bytes is too small: %u tokens take "
                       "%llu",
                       (unsigned long long)o->cache_bytes, KV_BLOCK_TOKENS,
                       (unsigned long long)block_bytes);
    if (n_blocks >= UINT32_MAX / KV_BLOCK_TOKENS)
        n_blocks = UINT32_MAX / KV_BLOCK_TOKENS;
    if (n_blocks < per_context) {
        m->ctx_tokens = (uint32_t)n_blocks * KV_BLOCK_TOKENS;
        log_at(LOG_WARN, "model",
               "the cache holds %u tokens, so no sequence may be longer",
               (unsigned)m->ctx_tokens);
    }
    return cache_new(&m->cache, &m->hp, format, (uint32_t)n_blocks,
                     m->max_slices, err);
}

static int open_forward(struct model *m, const struct model_options *o,
                        struct err *err)
{
    uint32_t n_threads = or_default(o->n_threads, machine_cores());
    const struct forward_parts parts = {
        .hp = &m->hp,
        .weights = m->weights,
        .kernels = m->kernels,
        .cache = m->cache,
    };
    const struct forward_limits limits = {
        .n_threads = n_threads < MAX_THREADS ? n_threads : MAX_THREADS,
        .max_batch_tokens = m->max_batch_tokens,
        .max_logit_rows = m->max_logit_rows,
    };
    return forward_new(&m->forward, &parts, &limits, err);
}

static int open_parts(struct model *m, const struct model_options *o,
                      load_progress_fn *progress, void *user, struct err *err)
{
    int rc = hparams_load(&m->hp, o->path, err);
    if (rc == 0)
        rc = generation_load(&m->gen, o->path, err);
    if (rc != 0)
        return rc;
    hparams_drop_tokens(m->gen.eos, &m->gen.n_eos, m->hp.n_vocab,
                        "generation_config.json: eos_token_id");
    apply_options(m, o);
    set_name(m, o->path);
    /* What is quick and can refuse comes before the weights. */
    if ((rc = open_text(m, o, err)) != 0 ||
        (rc = open_template(m, o, err)) != 0 ||
        (rc = open_kernels(m, o, err)) != 0)
        return rc;
    rc = weights_open(&m->weights, o->path, &m->hp, progress, user, err);
    if (rc == 0)
        rc = open_cache(m, o, err);
    if (rc == 0)
        rc = open_forward(m, o, err);
    return rc;
}

int model_open(struct model **out, const struct model_options *options,
               load_progress_fn *progress, void *user, struct err *err)
{
    struct err local = {0};
    struct err *e = err != NULL ? err : &local;
    struct model *m = mem_calloc(1, sizeof *m);
    int rc = m != NULL ? open_parts(m, options, progress, user, e)
                       : err_nomem(e, "the model");
    if (rc != 0) {
        model_close(m);
        return err_wrap(e, "cannot load the model in %s", options->path);
    }
    *out = m;
    return 0;
}

void model_forward(struct model *m, struct batch *batch)
{
    forward_run(m->forward, batch);
}

void model_close(struct model *m)
{
    if (m == NULL)
        return;
    forward_free(m->forward);
    cache_free(m->cache);
    weights_close(m->weights);
    template_free(m->tool_template);
    template_free(m->chat_template);
    mem_free(m->template_text);
    tokenizer_free(m->tokenizer);
    hparams_deinit(&m->hp);
    mem_free(m);
}
