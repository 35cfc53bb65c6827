/* weights.c -- see weights.h: bind (bind.h), then pack (pack.h). */
#include "model/weights/weights.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/weights/bind.h"

static const struct weights_options as_they_are = {0};

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

/* Reads what was bound; the vectors are there already. */
static int fill(struct weights *w, const struct weights_options *options,
                load_progress_fn *progress, void *user, struct err *err)
{
    struct weights_owned *o = w->owned;
    o->slabs = mem_calloc(o->n_jobs + 1, sizeof *o->slabs);
    if (o->slabs == NULL)
        return err_nomem(err, "the list of matrices");
    int rc = pack_run(o->jobs, o->n_jobs, o->slabs, options->n_threads,
                      progress, user, err);
    if (w->head.rows == 0)
        w->head = w->embed;
    w->n_params_active += w->n_params;
    w->dtype = w->embed.dtype;
    return rc;
}

/* ---- safetensors ------------------------------------------------------- */

static void warn_unused(const struct shards *s)
{
    size_t n = 0;
    const struct safetensor *left = shards_unused(s, &n);
    if (left != NULL) /* as transformers: saved buffers, unused heads */
        log_at(LOG_WARN, "model",
               "%zu tensors are ignored, the first is %.128s: the model that "
               "config.json describes does not have them",
               n, left->name);
}

/* Everything but the reading of matrices. */
static int bind_dir(struct weights **out, const char *dir,
                    const struct hparams *hp,
                    const struct weights_options *options, bool measure,
                    struct err *err)
{
    *out = NULL;
    struct weights *w = weights_new(hp, err);
    if (w == NULL)
        return -ERR_NOMEM;
    struct binder b = {.source = &bind_from_safetensors,
                       .options = options,
                       .w = w,
                       .o = w->owned,
                       .hp = hp,
                       .root = "model.",
                       .measure = measure,
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
    w->bytes = w->owned->shards.tensor_bytes;
    w->n_files = (uint32_t)w->owned->shards.n;
    *out = w;
    return 0;
}

int weights_open(struct weights **out, const char *dir,
                 const struct hparams *hp,
                 const struct weights_options *options,
                 load_progress_fn *progress, void *user, struct err *err)
{
    struct weights *w;
    options = options != NULL ? options : &as_they_are;
    *out = NULL;
    int rc = bind_dir(&w, dir, hp, options, false, err);
    if (rc != 0)
        return rc;
    warn_unused(&w->owned->shards);
    rc = fill(w, options, progress, user, err);
    if (rc != 0) {
        err_wrap(err, "%s", dir);
        weights_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

/* ---- GGUF -------------------------------------------------------------- */

/* As for safetensors: what nobody asks for is said, and is no error. */
static void warn_unused_of(const struct gguf *g, const bool *used)
{
    const struct gguf_tensor *first = NULL;
    uint64_t n = 0;
    for (uint64_t i = gguf_n_tensors(g); i-- > 0;)
        if (!used[i]) {
            first = gguf_tensor(g, i);
            n++;
        }
    if (first != NULL)
        log_at(LOG_WARN, "model",
               "%llu tensors are ignored, the first is %.128s: the model that "
               "the file's metadata describe does not have them",
               (unsigned long long)n, first->name);
}

static int bind_file(struct weights **out, const struct gguf *g,
                     const struct hparams *hp,
                     const struct weights_options *options, bool measure,
                     struct err *err)
{
    *out = NULL;
    struct weights *w = weights_new(hp, err);
    if (w == NULL)
        return -ERR_NOMEM;
    struct binder b = {.source = &bind_from_gguf,
                       .options = options,
                       .w = w,
                       .o = w->owned,
                       .gguf = g,
                       .hp = hp,
                       .root = "",
                       .file_mapped = gguf_is_mapped(g),
                       .measure = measure,
                       .err = err};
    if (!measure)
        b.used = arena_calloc(w->owned->arena, gguf_n_tensors(g) + 1,
                              sizeof *b.used);
    int rc = b.used != NULL || measure ? bind_all(&b)
                                       : err_nomem(err, "the list of tensors");
    if (rc != 0) {
        err_wrap(err, "%s", gguf_file_name(g));
        weights_close(w);
        return rc;
    }
    for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
        w->bytes += gguf_tensor(g, i)->bytes;
    w->n_files = gguf_n_files(g);
    if (!measure)
        warn_unused_of(g, b.used);
    *out = w;
    return 0;
}

int weights_open_gguf(struct weights **out, struct gguf *g,
                      const struct hparams *hp,
                      const struct weights_options *options,
                      load_progress_fn *progress, void *user, struct err *err)
{
    struct weights *w;
    options = options != NULL ? options : &as_they_are;
    *out = NULL;
    int rc = bind_file(&w, g, hp, options, false, err);
    if (rc != 0) {
        gguf_close(g);
        return rc;
    }
    w->owned->gguf = g;
    rc = fill(w, options, progress, user, err);
    if (rc != 0) {
        err_wrap(err, "%s", gguf_file_name(g));
        weights_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

/* ---- what it takes ----------------------------------------------------- */

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

static struct weights_need sum(const struct weights *w)
{
    struct weights_need need = {0};
    for (size_t i = 0; i < w->owned->n_jobs; i++) {
        const struct pack_job *job = &w->owned->jobs[i];
        uint64_t packed = pack_bytes(job), source = pack_source_bytes(job);
        need.packed_bytes = plus(need.packed_bytes, packed);
        if (!job->mapped) /* a copy, which is kept */
            need.packed_bytes = plus(need.packed_bytes, source);
        else if (packed == 0)
            need.mapped_bytes = plus(need.mapped_bytes, source);
    }
    return need;
}

int weights_bytes_needed(struct weights_need *out, const char *dir,
                         const struct hparams *hp,
                         const struct weights_options *options, struct err *err)
{
    struct weights *w;
    int rc = bind_dir(&w, dir, hp, options != NULL ? options : &as_they_are,
                      true, err);
    if (rc != 0)
        return rc;
    *out = sum(w);
    weights_close(w);
    return 0;
}

int weights_bytes_needed_gguf(struct weights_need *out, const struct gguf *g,
                              const struct hparams *hp,
                              const struct weights_options *options,
                              struct err *err)
{
    struct weights *w;
    int rc = bind_file(&w, g, hp, options != NULL ? options : &as_they_are,
                       true, err);
    if (rc != 0)
        return rc;
    *out = sum(w);
    weights_close(w);
    return 0;
}

void weights_close(struct weights *w)
{
    if (w == NULL)
        return;
    struct weights_owned *o = w->owned;
    if (o != NULL) {
        for (size_t i = 0; o->slabs != NULL && i < o->n_jobs; i++)
            mem_free_aligned(o->slabs[i]);
        mem_free(o->slabs);
        mem_free(o->jobs);
        bind_free_copies(o);
        arena_free(o->arena);
        shards_close(&o->shards);
        gguf_close(o->gguf);
        mem_free(o);
    }
    mem_free(w);
}
