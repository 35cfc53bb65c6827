/* prepare.c -- see prepare.h. */
#include "api/prompt/prepare.h"

#include <math.h>
#include <string.h>

#include "api/base/ids.h"
#include "api/prompt/call_bind.h"
#include "api/prompt/chat_opening.h"
#include "api/prompt/chat_prompt.h"
#include "api/prompt/prepare_words.h"
#include "model/base/alloc.h"
#include "model/base/hash.h"
#include "model/dialect/dialect.h"
#include "model/grammar/grammar.h"
#include "model/model.h"
#include "server/engine/job.h"

#define SALT_SEED 1u /* so that no salt is an API key (tenant.c) */
#define STOP_IDS_MAX (2 * HPARAMS_MAX_EOS + 1 + SAMPLING_STOP_IDS_MAX)

_Static_assert(SAMPLING_DRAFT_MAX == JOB_DRAFT_MAX, "one bound, two rooms");
_Static_assert(THINKING_FREE == JOB_THOUGHT_FREE, "one value, two rooms");

/* What Liquid AI recommends for each checkpoint whose generation_config.json
 * is silent.  Source: docs.liquid.ai, lfm/models/{lfm25-8b-a1b, lfm2-24b-a2b,
 * lfm2-8b-a1b}.mdx, and the model cards.  The first row that fits counts. */
static const struct family {
    const char *name;
    uint32_t min_vocab; /* the tokenizer tells LFM2.5 from LFM2 */
    uint32_t min_layers;
    float temperature, min_p, repetition_penalty;
    int32_t top_k;
} families[] = {
    {"LFM2.5", 100000, 0, 0.2f, 0.0f, 1.05f, 80},
    {"LFM2-24B-A2B", 0, 40, 0.1f, 0.0f, 1.05f, 50},
    {"LFM2", 0, 0, 0.3f, 0.15f, 1.05f, 0},
};

static const struct family *family_of(const struct hparams *hp)
{
    const struct family *f = families;
    while (hp->n_vocab < f->min_vocab || hp->n_layers < f->min_layers)
        f++;
    return f;
}

static bool names_sampling(const struct generation_defaults *g)
{
    return g->greedy || g->has_temperature || g->has_top_p || g->has_top_k ||
           g->has_min_p || g->has_repetition_penalty;
}

struct sample_params prepare_defaults(const struct model *m)
{
    struct sample_params p = sample_params_neutral();
    const struct generation_defaults *g = &m->gen;
    const struct family *f = family_of(&m->hp);
    if (!names_sampling(g)) {
        p.temperature = f->temperature;
        p.min_p = f->min_p;
        p.top_k = f->top_k;
        p.repetition_penalty = f->repetition_penalty;
        return p;
    }
    if (g->has_temperature)
        p.temperature = g->temperature;
    if (g->greedy)
        p.temperature = 0;
    if (g->has_top_p)
        p.top_p = g->top_p;
    if (g->has_top_k)
        p.top_k = g->top_k;
    if (g->has_min_p)
        p.min_p = g->min_p;
    if (g->has_repetition_penalty)
        p.repetition_penalty = g->repetition_penalty;
    return p;
}

void prepare_describe_defaults(struct buf *out, const struct model *m)
{
    struct sample_params p = prepare_defaults(m);
    buf_printf(out,
               "temperature %g, top_p %g, top_k %d, min_p %g, "
               "repetition_penalty %g (",
               (double)p.temperature, (double)p.top_p, p.top_k, (double)p.min_p,
               (double)p.repetition_penalty);
    if (names_sampling(&m->gen))
        buf_puts(out, "the model's own)");
    else
        buf_printf(out, "recommended for %s)", family_of(&m->hp)->name);
}

static struct sample_params settle(const struct model *m,
                                   const struct sampling_fields *f)
{
    struct sample_params p = prepare_defaults(m);
    if (f->has & SAMPLING_TEMPERATURE)
        p.temperature = f->temperature;
    if (f->has & SAMPLING_TOP_P)
        p.top_p = f->top_p;
    if (f->has & SAMPLING_TOP_K)
        p.top_k = f->top_k;
    if (f->has & SAMPLING_MIN_P)
        p.min_p = f->min_p;
    if (f->has & SAMPLING_REPETITION)
        p.repetition_penalty = f->repetition_penalty;
    if (f->has & SAMPLING_PRESENCE)
        p.presence_penalty = f->presence_penalty;
    if (f->has & SAMPLING_FREQUENCY)
        p.frequency_penalty = f->frequency_penalty;
    p.penalty_window = f->penalty_window;
    p.seed = f->has & SAMPLING_SEED ? f->seed : ids_random();
    return p;
}

/* `field` is the one that would have to shrink.  The message begins as OpenAI's
 * does, for litellm and pydantic-ai know by those words that a shorter
 * conversation, or a model that holds more, would do. */
static int too_long(const char *field, size_t n_prompt, uint32_t n_reply,
                    size_t ctx, struct err *err)
{
    (void)err_field(err, field,
                    "the prompt has %zu tokens and the reply wants %u more, "
                    "%zu in all, which exceeds the available context size: "
                    "this model's maximum context length is %zu tokens",
                    n_prompt, n_reply, n_prompt + n_reply, ctx);
    return err_too_long(err, n_prompt, ctx);
}

/* How many tokens the reply may have; -ERR_CONTEXT when that cannot be. */
static int check_context(uint32_t *max_tokens, const struct model *m,
                         const struct sampling_fields *f, const char *field,
                         size_t n_prompt, uint32_t wanted, struct err *err)
{
    const size_t ctx = m->ctx_tokens;
    const bool given = f->has & SAMPLING_MAX_TOKENS;
    const bool asked = given && !f->clips_max_tokens;
    const bool bounded = given || wanted > 0;
    const uint32_t least = asked || (given && wanted == 0) ? wanted : 1;
    if (n_prompt + least > ctx)
        return too_long(n_prompt < ctx ? "max_tokens" : field, n_prompt, least,
                        ctx, err);
    size_t rest = ctx - n_prompt;
    *max_tokens = asked || (bounded && wanted < rest) ? wanted : (uint32_t)rest;
    if (f->min_tokens > *max_tokens)
        return err_field(err, "min_tokens",
                         "min_tokens is %u, but the reply "
                         "can have %u tokens at most",
                         f->min_tokens, *max_tokens);
    return 0;
}

/* truncate_prompt_tokens: the rest of the prompt is as if it was not sent. */
static void truncate_prompt(const struct model *m,
                            const struct sampling_fields *f, uint32_t wanted,
                            const token_id **prompt, size_t *n_prompt)
{
    size_t most = f->truncate;
    if (f->truncate == SAMPLING_TRUNCATE_FIT) {
        size_t reply = wanted > 0 ? wanted : 1;
        most = m->ctx_tokens > reply ? m->ctx_tokens - reply : 1;
    }
    if (most == 0 || *n_prompt <= most)
        return;
    if (!f->truncate_right)
        *prompt += *n_prompt - most;
    *n_prompt = most;
}

static void add_id(token_id *ids, uint32_t *n, token_id id)
{
    for (uint32_t i = 0; i < *n; i++)
        if (ids[i] == id)
            return;
    if (id != TOKEN_NONE)
        ids[(*n)++] = id;
}

static int set_stop_ids(struct job *job, const struct model *m,
                        const struct sampling_fields *f, struct err *err)
{
    token_id ids[STOP_IDS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_stop_ids; i++)
        add_id(ids, &n, f->stop_ids[i]);
    if (!f->ignore_eos) {
        for (uint32_t i = 0; i < m->hp.n_eos; i++)
            add_id(ids, &n, m->hp.eos[i]);
        for (uint32_t i = 0; i < m->gen.n_eos; i++)
            add_id(ids, &n, m->gen.eos[i]);
        add_id(ids, &n, tokenizer_find(m->tokenizer, DIALECT_TURN_END));
    }
    job->n_stop_ids = n;
    job->stop_ids = arena_dup(job->arena, ids, n * sizeof *ids);
    return job->stop_ids != NULL ? 0 : err_nomem(err, "the request");
}

static int set_stop_strings(struct job *job, const struct sampling_fields *f,
                            struct err *err)
{
    const char **stop = arena_calloc(job->arena, f->n_stop, sizeof *stop);
    bool ok = stop != NULL;
    for (uint32_t i = 0; ok && i < f->n_stop; i++) {
        stop[i] = arena_strdup(job->arena, f->stop[i]);
        ok = stop[i] != NULL;
    }
    if (!ok)
        return err_nomem(err, "the request");
    job->stop = stop;
    job->n_stop = f->n_stop;
    return 0;
}

uint64_t prepare_salt(const char *cache_salt)
{
    return hash_bytes(cache_salt, strlen(cache_salt), SALT_SEED);
}

/* Everything but what chat and completions differ in.  `wanted` is the length
 * of the reply, 0 when the request leaves it to the context. */
static int make_job(struct job **out, const struct model *m,
                    const struct api_options *o,
                    const struct sampling_fields *f, const char *field,
                    const token_id *prompt, size_t n_prompt, uint32_t wanted,
                    struct err *err)
{
    uint32_t max_tokens = 0;
    truncate_prompt(m, f, wanted, &prompt, &n_prompt);
    if (n_prompt == 0)
        return err_field(err, field, "the prompt has no tokens");
    int rc = check_context(&max_tokens, m, f, field, n_prompt, wanted, err);
    if (rc != 0)
        return rc;
    struct job *job = job_new(api_request_bytes(o));
    if (job == NULL)
        return err_nomem(err, "the request");
    job->prompt = arena_dup(job->arena, prompt, n_prompt * sizeof *prompt);
    job->n_prompt = (uint32_t)n_prompt;
    job->params = settle(m, f);
    job->loops = f->loops;
    job->want_prompt_logprobs = f->has & SAMPLING_PROMPT_LOGPROBS;
    job->n_prompt_logprobs = f->n_prompt_logprobs;
    job->n_choices = f->n;
    job->max_tokens = max_tokens;
    job->min_tokens = f->min_tokens;
    job->ignore_eos = f->ignore_eos;
    job->include_stop = f->include_stop;
    job->priority = f->priority;
    if (f->has & SAMPLING_DRAFT)
        job->n_draft = f->n_draft;
    job->no_prefix = f->no_prefix;
    if (f->cache_salt != NULL)
        job->cache_salt = prepare_salt(f->cache_salt);
    job->skip_special = f->skip_special;
    if (job->prompt == NULL)
        rc = err_nomem(err, "the request");
    if (rc == 0)
        rc = prepare_words(job, m->tokenizer, f, m->hp.n_vocab, err);
    if (rc == 0)
        rc = set_stop_ids(job, m, f, err);
    if (rc == 0)
        rc = set_stop_strings(job, f, err);
    if (rc != 0)
        job_release(job);
    else
        *out = job;
    return rc;
}

const char *prepare_served_name(const struct model *m,
                                const struct api_options *o)
{
    return o->served_name != NULL && o->served_name[0] != '\0' ? o->served_name
                                                               : m->name;
}

int prepare_no_model(const char *served, struct err *err)
{
    (void)err_field(err, "model",
                    "there is no such model here; the one served "
                    "is %s",
                    served);
    if (err != NULL)
        err->class_ = ERR_NOT_FOUND;
    return -ERR_NOT_FOUND;
}

int prepare_check_model(const struct model *m, const struct api_options *o,
                        const char *name, struct err *err)
{
    const char *served = prepare_served_name(m, o);
    if (!o->strict_model_name || name == NULL || strcmp(name, served) == 0)
        return 0;
    return prepare_no_model(served, err);
}

int prepare_chat_text(struct buf *out, const struct model *m,
                      const struct chat_request *r, struct err *err)
{
    const struct template *t = m->chat_template;
    if (r->tools != NULL && m->tool_template != NULL)
        t = m->tool_template;
    if (t == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "this model has no chat template; "
                       "use /v1/completions");
    return chat_prompt_render(out, t, tokenizer_bos_text(m->tokenizer),
                              tokenizer_eos_text(m->tokenizer), r, err);
}

/* The rendered text as tokens, which the caller frees. */
static int encode_chat(token_id **ids, size_t *n, struct buf *text,
                       const struct model *m, const struct chat_request *r,
                       struct err *err)
{
    int rc = prepare_chat_text(text, m, r, err);
    /* The template writes BOS itself. */
    return rc != 0 ? rc
                   : tokenizer_encode(m->tokenizer, buf_str(text), text->len,
                                      TOKENIZE_SPECIAL, ids, n, err);
}

int prepare_chat_count(size_t *n, const struct model *m,
                       const struct chat_request *r, struct err *err)
{
    struct buf text = {0};
    token_id *ids = NULL;
    int rc = encode_chat(&ids, n, &text, m, r, err);
    mem_free(ids);
    buf_deinit(&text);
    return rc;
}

/* The answer proper is bound; thoughts are free, and so are calls. */
static void bind_chat(struct job *job, const struct dialect *d,
                      const struct chat_request *r)
{
    if (r->grammar != NULL)
        job->grammar = grammar_ref(r->grammar);
    if (d->calls && chat_request_reads_calls(r))
        job->call_start = d->call_start;
}

static int forbid_token(struct job *job, token_id id, struct err *err)
{
    struct sample_params *p = &job->params;
    struct logit_bias *bias =
        arena_calloc(job->arena, p->n_bias + 1, sizeof *bias);
    if (bias == NULL)
        return err_nomem(err, "the request");
    for (uint32_t i = 0; i < p->n_bias; i++)
        bias[i] = p->bias[i];
    bias[p->n_bias++] = (struct logit_bias){id, -INFINITY};
    p->bias = bias;
    return 0;
}

static int set_thoughts(struct job *job, const struct dialect *d,
                        const struct chat_request *r,
                        const struct chat_opening *opening, struct err *err)
{
    if (!d->thinks)
        return 0;
    if (r->thinking.off)
        return forbid_token(job, d->think_start, err);
    if (opening->in_answer || opening->after_thought)
        return 0;
    job->think_start = d->think_start;
    job->think_end = d->think_end;
    job->in_thought = opening->in_thought;
    job->max_thought = r->thinking.budget;
    return 0;
}

static int set_chat(struct job *job, struct speech_options *speech,
                    const struct dialect *d, const struct chat_request *r,
                    const struct chat_opening *opening, struct err *err)
{
    token_id keep[DIALECT_MARKERS];
    const bool told_apart = r->thinking.shown != THINKING_INLINE;
    job->params.want_logprob = r->want_logprobs;
    job->params.n_logprobs = r->n_top_logprobs;
    job->n_keep_ids = dialect_keep(d, keep);
    job->keep_ids = arena_dup(job->arena, keep, job->n_keep_ids * sizeof *keep);
    if (job->keep_ids == NULL)
        return err_nomem(err, "the request");
    bind_chat(job, d, r);
    *speech = (struct speech_options){
        .reasoning = told_apart && !opening->in_answer &&
                     (d->thinks || opening->in_thought),
        .in_reasoning = told_apart && opening->in_thought,
        .resumes = opening->resumes,
        .after_think = opening->after_thought,
        .calls = chat_request_reads_calls(r),
        .single_call = !r->parallel_tool_calls,
        .keep_markers = !r->sampling.skip_special,
    };
    int rc = set_thoughts(job, d, r, opening, err);
    return rc == 0 ? call_bind(job, d, r, err) : rc;
}

static uint32_t reply_of(const struct sampling_fields *f,
                         const struct api_options *o)
{
    const unsigned given = SAMPLING_MAX_TOKENS | SAMPLING_UNLIMITED;
    return f->has & given ? f->max_tokens : o->default_max_tokens;
}

int prepare_chat(struct job **out, struct speech_options *speech,
                 const struct model *m, const struct api_options *o,
                 const struct chat_request *r, struct err *err)
{
    const struct sampling_fields *f = &r->sampling;
    struct buf text = {0};
    struct dialect dialect;
    token_id *ids = NULL;
    size_t n = 0;
    struct job *job = NULL;
    int rc = encode_chat(&ids, &n, &text, m, r, err);
    if (rc == 0)
        rc = make_job(&job, m, o, f, "messages", ids, n, reply_of(f, o), err);
    if (rc == 0) {
        dialect_init(&dialect, m->tokenizer);
        struct chat_opening opening = chat_opening_of(&text, r);
        if (job->n_prompt < n && f->truncate_right)
            opening = (struct chat_opening){0}; /* what it left open is gone */
        rc = set_chat(job, speech, &dialect, r, &opening, err);
    }
    if (rc == 0)
        *out = job;
    else
        job_release(job);
    mem_free(ids);
    buf_deinit(&text);
    return rc;
}

/* One pass over the prompt serves both who asks for its logprobs. */
static void want_echo_logprobs(struct job *job, uint32_t n_top)
{
    job->want_prompt_logprobs = true;
    if (job->n_prompt_logprobs < n_top)
        job->n_prompt_logprobs = n_top;
}

int prepare_completion(struct job **out, const struct model *m,
                       const struct api_options *o,
                       const struct completion_request *r, uint32_t prompt,
                       struct err *err)
{
    const struct completion_prompt *p = &r->prompts[prompt];
    const struct sampling_fields *f = &r->sampling;
    const token_id *ids = p->ids;
    size_t n = p->n_ids;
    token_id *encoded = NULL;
    int rc = 0;
    if (p->text != NULL) {
        rc = tokenizer_encode(m->tokenizer, p->text, p->n_text,
                              TOKENIZE_SPECIAL | TOKENIZE_BOS, &encoded, &n,
                              err);
        ids = encoded;
    }
    if (rc == 0)
        rc = make_job(out, m, o, f, "prompt", ids, n, f->max_tokens, err);
    if (rc == 0) {
        struct job *job = *out;
        job->n_choices = r->best_of;
        job->params.want_logprob = r->want_logprobs || r->best_of > f->n;
        job->params.n_logprobs = r->n_logprobs;
        if (r->echo && r->want_logprobs)
            want_echo_logprobs(job, r->n_logprobs);
        /* A prompt nothing is wanted of is not computed: so its state is. */
        job->want.last =
            r->warms_cache && job->n_choices == 1 && !job->want_prompt_logprobs;
        if (r->grammar != NULL)
            job->grammar = grammar_ref(r->grammar);
    }
    mem_free(encoded);
    return rc;
}
