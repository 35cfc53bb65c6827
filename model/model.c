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
#include <strings.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/base/utf8.h"
#include "model/chat_source.h"
#include "model/forward/machine.h"
#include "model/kernels/gemm_blas.h"
#include "model/memory_plan.h"
#include "model/model_source.h"
#include "model/tokenizer_source.h"
#include "model/weights/hparams_gguf.h"

#define DEFAULT_BATCH_TOKENS 512u
#define DEFAULT_SLICES 16u

/* No model can use more, and what is sized by the context stays small. */
#define MAX_CONTEXT_TOKENS (1u << 20)

/* More threads than this wait longer for each other than they compute. */
#define MAX_THREADS 32u

/* What is being opened, and how. */
struct opening {
    const struct model_options *options;
    const char *path;  /* of the directory or the file; borrowed */
    struct gguf *gguf; /* NULL: safetensors.  Owned until the weights have it */
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value != 0 ? value : fallback;
}

static uint32_t count_threads(const struct model_options *o)
{
    uint32_t n = or_default(o->n_threads, machine_cores());
    return n < MAX_THREADS ? n : MAX_THREADS;
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

/* Texts of files may be in a name or a sentence: they become UTF-8 without line
 * breaks and the like. */
static void make_printable(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        int step = utf8_decode(text + i, n - i, &c);
        if (step > 0 && c >= ' ' && c != 0x7F)
            i += (size_t)step;
        else
            text[i++] = '?';
    }
}

/* A GGUF file is called what it is called, less ".gguf" and the number of its
 * part; a blob, which is called by its hash, what its metadata say. */
static void set_file_name(struct model *m, const struct opening *op)
{
    const char *slash = strrchr(op->path, '/');
    const char *file = slash != NULL ? slash + 1 : op->path;
    size_t n = model_source_stem(file);
    struct gguf_text text = {0};
    if (file[n] == '\0' &&
        gguf_text(op->gguf, "general.name", &text, NULL) == 1 && text.n > 0 &&
        utf8_valid(text.bytes, text.n) && text.n < sizeof m->name) {
        file = text.bytes;
        n = text.n;
    }
    snprintf(m->name, sizeof m->name, "%.*s", (int)n, file);
}

/* `path` may be relative or end in ".": the true one is named. */
static void set_directory_name(struct model *m, const char *path)
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
    free(real); /* of the C library */
}

static void name_model(struct model *m, const struct opening *op)
{
    m->is_gguf = op->gguf != NULL;
    if (op->gguf != NULL)
        set_file_name(m, op);
    else
        set_directory_name(m, op->path);
    make_printable(m->name);
    if (m->name[0] == '\0' || strcmp(m->name, "/") == 0)
        snprintf(m->name, sizeof m->name, "model");
}

static int open_text(struct model *m, const struct opening *op, struct err *err)
{
    int rc = op->gguf != NULL
                 ? tokenizer_from_gguf(&m->tokenizer, op->gguf, err)
                 : tokenizer_load(&m->tokenizer, op->path, err);
    if (rc != 0)
        return rc;
    /* Embeddings are padded up to a round number; the other way round a text
     * could hold a token without one. */
    if (tokenizer_n_vocab(m->tokenizer) > m->hp.n_vocab)
        return err_set(err, ERR_FORMAT,
                       "the tokenizer has %u tokens, but the model only %u",
                       (unsigned)tokenizer_n_vocab(m->tokenizer),
                       (unsigned)m->hp.n_vocab);
    return mask_vocab_of_tokenizer(&m->mask_vocab, m->tokenizer, m->hp.n_vocab,
                                   err);
}

static int compile_template(struct template **out, const char *text,
                            const char *what, struct err *err)
{
    if (text == NULL)
        return 0;
    int rc = template_compile(out, text, strlen(text), err);
    return rc == 0 ? 0 : err_wrap(err, "%s", what);
}

static int open_template(struct model *m, const struct opening *op,
                         struct err *err)
{
    const char *file = op->options->chat_template_file;
    struct chat_source src;
    int rc = op->gguf != NULL ? chat_source_from_gguf(&src, op->gguf, file, err)
                              : chat_source_load(&src, op->path, file, err);
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
    int rc = cache_parse_format(&m->kv_format, o->cache_type, err);
    if (rc != 0)
        return rc;
    m->kernels = kernels_select(o->isa, err);
    if (m->kernels == NULL)
        return err != NULL ? -(int)err->class_ : -ERR_UNSUPPORTED;
    gemm_reserve(m->kernels, count_threads(o));
    return gemm_self_test(err);
}

static struct forward_limits limits_of(const struct model *m,
                                       const struct model_options *o)
{
    return (struct forward_limits){
        .n_threads = count_threads(o),
        .max_batch_tokens = m->max_batch_tokens,
        .max_logit_rows = m->max_logit_rows,
    };
}

/* All that will be taken, against what is free, before any of it is. */
static int plan_memory(struct model *m, struct memory_plan *plan,
                       const struct weights_need *w,
                       const struct model_options *o, struct err *err)
{
    struct forward_limits limits = limits_of(m, o);
    uint64_t memory = machine_memory_bytes();
    struct memory_need need = {
        .packed_bytes = w->packed_bytes,
        .mapped_bytes = w->mapped_bytes,
        .work_bytes =
            forward_bytes_needed(&m->hp, &limits, w->packed_bytes > 0),
        .block_bytes = cache_block_bytes(&m->hp, m->kv_format),
        .context_blocks = cache_blocks_for(m->ctx_tokens),
        .block_tokens = KV_BLOCK_TOKENS,
        .n_sequences = m->max_slices,
        .asked_cache_bytes = o->cache_bytes,
        .context_asked = o->ctx_tokens > 0,
    };
    if (need.work_bytes < UINT64_MAX / 2)
        need.work_bytes += mask_vocab_bytes(m->mask_vocab) +
                           m->max_slices * cache_slot_bytes(&m->hp) +
                           (uint64_t)m->max_logit_rows * m->hp.n_vocab * 4;
    int rc = memory_plan_make(plan, &need, memory, err);
    if (rc != 0)
        return rc;
    memory_plan_describe(m->memory, sizeof m->memory, plan, &need, memory);
    log_at(LOG_INFO, "model", "takes %s", m->memory);
    if (plan->crowded)
        log_at(LOG_WARN, "model",
               "the weights do not all stay in memory: parts will be read from "
               "disk again and again");
    return 0;
}

static int open_cache(struct model *m, const struct memory_plan *plan,
                      struct err *err)
{
    uint64_t n_blocks = plan->n_blocks;
    if (n_blocks >= UINT32_MAX / KV_BLOCK_TOKENS)
        n_blocks = UINT32_MAX / KV_BLOCK_TOKENS;
    if (n_blocks < cache_blocks_for(m->ctx_tokens)) {
        m->ctx_tokens = (uint32_t)n_blocks * KV_BLOCK_TOKENS;
        log_at(LOG_WARN, "model",
               "the cache holds %u tokens, so no sequence may be longer",
               (unsigned)m->ctx_tokens);
    }
    return cache_new(&m->cache, &m->hp, m->kv_format, (uint32_t)n_blocks,
                     m->max_slices, err);
}

static int open_forward(struct model *m, const struct model_options *o,
                        struct err *err)
{
    const struct forward_parts parts = {
        .hp = &m->hp,
        .weights = m->weights,
        .kernels = m->kernels,
        .cache = m->cache,
    };
    const struct forward_limits limits = limits_of(m, o);
    return forward_new(&m->forward, &parts, &limits, err);
}

/* Numbers of the model and its author's sampling. */
static int open_description(struct model *m, const struct opening *op,
                            struct err *err)
{
    int rc = op->gguf != NULL ? hparams_from_gguf(&m->hp, op->gguf, err)
                              : hparams_load(&m->hp, op->path, err);
    if (rc == 0)
        rc = op->gguf != NULL ? generation_from_gguf(&m->gen, op->gguf, err)
                              : generation_load(&m->gen, op->path, err);
    if (rc == 0)
        hparams_drop_tokens(m->gen.eos, &m->gen.n_eos, m->hp.n_vocab,
                            "generation_config.json: eos_token_id");
    return rc;
}

static int read_quantize(struct weights_options *w, const char *text,
                         struct err *err)
{
    if (text == NULL)
        return 0;
    w->quantise = true;
    if (strcasecmp(text, "q4_0") == 0)
        w->quantise_to = DTYPE_Q4_0;
    else if (strcasecmp(text, "q8_0") == 0)
        w->quantise_to = DTYPE_Q8_0;
    else
        return err_set(err, ERR_INVALID,
                       "quantize is %.40s, expected q4_0 or q8_0", text);
    return 0;
}

/* Plans the memory, then takes the weights' part of it. */
static int open_weights(struct model *m, struct opening *op,
                        struct memory_plan *plan, load_progress_fn *progress,
                        void *user, struct err *err)
{
    struct weights_options w = {.n_threads = count_threads(op->options)};
    int rc = read_quantize(&w, op->options->quantize, err);
    if (rc != 0)
        return rc;
    struct gguf *g = op->gguf;
    struct weights_need need;
    rc = g != NULL ? weights_bytes_needed_gguf(&need, g, &m->hp, &w, err)
                   : weights_bytes_needed(&need, op->path, &m->hp, &w, err);
    if (rc == 0)
        rc = plan_memory(m, plan, &need, op->options, err);
    if (rc != 0)
        return rc;
    op->gguf = NULL;
    return g != NULL ? weights_open_gguf(&m->weights, g, &m->hp, &w, progress,
                                         user, err)
                     : weights_open(&m->weights, op->path, &m->hp, &w, progress,
                                    user, err);
}

static int open_parts(struct model *m, struct opening *op,
                      load_progress_fn *progress, void *user, struct err *err)
{
    int rc = open_description(m, op, err);
    if (rc != 0)
        return rc;
    apply_options(m, op->options);
    name_model(m, op);
    /* What is quick and can refuse comes before the weights. */
    if ((rc = open_text(m, op, err)) != 0 ||
        (rc = open_template(m, op, err)) != 0 ||
        (rc = open_kernels(m, op->options, err)) != 0)
        return rc;
    struct memory_plan plan;
    rc = open_weights(m, op, &plan, progress, user, err);
    if (rc == 0)
        rc = open_cache(m, &plan, err);
    if (rc == 0)
        rc = open_forward(m, op->options, err);
    return rc;
}

static int open_source(struct model *m, const struct model_options *o,
                       load_progress_fn *progress, void *user, struct err *err)
{
    struct model_source src;
    struct opening op = {.options = o};
    int rc = model_source_find(&src, o->path, err);
    if (rc == 0 && src.gguf)
        rc = gguf_open(&op.gguf, src.path, err);
    if (rc == 0) {
        op.path = src.path;
        if (strcmp(src.path, o->path) != 0)
            log_at(LOG_INFO, "model", "%s is %s", o->path, src.path);
        rc = open_parts(m, &op, progress, user, err);
    }
    gguf_close(op.gguf);
    model_source_deinit(&src);
    return rc;
}

int model_open(struct model **out, const struct model_options *options,
               load_progress_fn *progress, void *user, struct err *err)
{
    struct err local = {0};
    struct err *e = err != NULL ? err : &local;
    struct model *m = mem_calloc(1, sizeof *m);
    int rc = m != NULL ? open_source(m, options, progress, user, e)
                       : err_nomem(e, "the model");
    if (rc != 0) {
        model_close(m);
        make_printable(e->text);
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
    mask_vocab_free(m->mask_vocab);
    tokenizer_free(m->tokenizer);
    hparams_deinit(&m->hp);
    mem_free(m);
}
