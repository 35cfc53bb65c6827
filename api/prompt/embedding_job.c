/* embedding_job.c -- see embedding_job.h. */
#include "api/prompt/embedding_job.h"

#include <stdio.h>

#include "api/prompt/prepare.h"
#include "model/base/alloc.h"
#include "model/model.h"
#include "server/engine/job.h"

static struct capture_want want_of(const struct model *m,
                                   const struct embedding_request *r)
{
    const uint32_t n_all = m->hp.n_layers + 1;
    return (struct capture_want){
        .last = r->pooling == POOLING_LAST,
        .mean = r->pooling == POOLING_MEAN,
        .router = r->router_logits,
        .n_states = r->hidden_states             ? n_all
                    : r->pooling == POOLING_NONE ? 1
                                                 : 0,
    };
}

uint64_t embedding_numbers(const struct model *m,
                           const struct embedding_request *r, uint32_t n_prompt)
{
    const struct capture_shape shape = capture_shape(&m->hp);
    const struct capture_want tables = {
        .router = r->router_logits,
        .n_states = (r->hidden_states ? m->hp.n_layers + 1 : 0) +
                    (r->pooling == POOLING_NONE ? 1 : 0),
    };
    uint64_t bytes = capture_bytes(&shape, &tables, n_prompt);
    if (bytes == UINT64_MAX)
        return bytes;
    return bytes / sizeof(float) +
           (r->pooling != POOLING_NONE ? m->hp.hidden : 0);
}

static int keep_text(struct embedding_request *r, const struct buf *text,
                     struct err *err)
{
    struct completion_prompt *p = arena_calloc(r->arena, 1, sizeof *p);
    if (p == NULL || !buf_ok(text))
        return err_nomem(err, "the request");
    p->text = arena_strndup(r->arena, buf_str(text), text->len);
    p->n_text = text->len;
    r->inputs = p;
    r->n_inputs = 1;
    return p->text != NULL ? 0 : err_nomem(err, "the request");
}

int embedding_read_chat(struct embedding_request *r, const struct model *m,
                        const char *body, size_t n, size_t arena_limit,
                        struct err *err)
{
    struct chat_request chat;
    struct buf text = {0};
    int rc =
        chat_request_parse(&chat, body, n, m->hp.n_vocab, arena_limit, err);
    if (rc != 0)
        return rc;
    chat.add_generation_prompt = r->add_generation_prompt;
    rc = prepare_chat_text(&text, m, &chat, err);
    if (rc == 0)
        rc = keep_text(r, &text, err);
    buf_deinit(&text);
    chat_request_deinit(&chat);
    return rc;
}

static int check_length(const struct model *m,
                        const struct embedding_request *r, uint32_t i, size_t n,
                        struct err *err)
{
    char path[32];
    if (r->n_inputs == 1)
        snprintf(path, sizeof path, r->is_chat ? "messages" : "input");
    else
        snprintf(path, sizeof path, "input[%u]", (unsigned)i);
    if (n == 0)
        return err_field(err, path, "%s has no tokens", path);
    if (n <= m->ctx_tokens)
        return 0;
    (void)err_field(err, path,
                    "%s has %zu tokens, which exceeds the available context "
                    "size: this model's maximum context length is %u tokens; "
                    "truncate_prompt_tokens cuts it",
                    path, n, (unsigned)m->ctx_tokens);
    return err_too_long(err, n, m->ctx_tokens);
}

/* What is left of n tokens, and where it begins. */
static size_t cut(const struct model *m, const struct embedding_request *r,
                  size_t n, size_t *first)
{
    uint32_t most = r->most_tokens < m->ctx_tokens || r->most_tokens == 0
                        ? r->most_tokens
                        : m->ctx_tokens;
    *first = 0;
    if (most == 0 || n <= most)
        return n;
    *first = r->cut_right ? 0 : n - most;
    return most;
}

static int make(struct job **out, const struct model *m,
                const struct embedding_request *r, const token_id *ids,
                size_t n, size_t arena_limit, struct err *err)
{
    struct job *job = job_new(arena_limit);
    if (job == NULL)
        return err_nomem(err, "the request");
    job->prompt = arena_dup(job->arena, ids, n * sizeof *ids);
    if (job->prompt == NULL) {
        job_release(job);
        return err_nomem(err, "the request");
    }
    job->n_prompt = (uint32_t)n;
    job->want = want_of(m, r);
    job->priority = r->priority;
    job->no_prefix = r->no_prefix;
    if (r->cache_salt != NULL)
        job->cache_salt = prepare_salt(r->cache_salt);
    *out = job;
    return 0;
}

int embedding_job(struct job **out, const struct model *m,
                  const struct embedding_request *r, uint32_t i,
                  size_t arena_limit, struct err *err)
{
    const struct completion_prompt *p = &r->inputs[i];
    const unsigned how =
        TOKENIZE_SPECIAL | (r->add_special ? TOKENIZE_BOS : 0u);
    const token_id *ids = p->ids;
    token_id *encoded = NULL;
    size_t n = p->n_ids, first;
    int rc = 0;
    if (p->text != NULL) {
        rc = tokenizer_encode(m->tokenizer, p->text, p->n_text, how, &encoded,
                              &n, err);
        ids = encoded;
    }
    if (rc == 0) {
        n = cut(m, r, n, &first);
        rc = check_length(m, r, i, n, err);
    }
    if (rc == 0)
        rc = make(out, m, r, ids + first, n, arena_limit, err);
    mem_free(encoded);
    return rc;
}
