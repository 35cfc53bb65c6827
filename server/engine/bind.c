/* bind.c -- see bind.h. */
#include "server/engine/bind.h"

#include <math.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/mask.h"
#include "model/grammar/matcher.h"

/* 2 MiB at 65,536 tokens: places of a grammar come back again and again. */
#define N_MASKS 256u

int binder_init(struct binder *b, const struct engine_model *model,
                struct err *err)
{
    const struct mask_vocab *v = model->mask_vocab;
    *b = (struct binder){.model = model,
                         .n_words = v != NULL ? mask_vocab_n_words(v)
                                              : (model->n_vocab + 31) / 32};
    b->allowed = mem_calloc(b->n_words, sizeof *b->allowed);
    int rc = b->allowed != NULL ? 0 : err_nomem(err, "the engine's masks");
    if (rc == 0 && v != NULL)
        rc = masker_new(&b->masker, v, N_MASKS, err);
    if (rc != 0)
        binder_deinit(b);
    return rc;
}

void binder_deinit(struct binder *b)
{
    masker_free(b->masker);
    mem_free(b->allowed);
    *b = (struct binder){0};
}

/* What the client leaves of a token's score. */
static float wanted(const struct sample_params *p, token_id id, float score)
{
    const uint32_t at = (uint32_t)id;
    if (p->allowed != NULL && (p->allowed[at / 32] >> at % 32 & 1) == 0)
        return -INFINITY;
    for (uint32_t i = 0; i < p->n_bad_words; i++)
        if (p->bad_words[i].n == 1 && p->bad_words[i].ids[0] == id)
            return -INFINITY;
    for (uint32_t i = 0; i < p->n_bias; i++)
        if (p->bias[i].id == id)
            score += p->bias[i].bias;
    return score;
}

/* The token that the model itself would rather say than any other; TOKEN_NONE
 * if the client will not have it. */
static token_id likeliest(const struct binder *b, const struct job *job,
                          const float *logits)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < b->model->n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    const float score = wanted(&job->params, (token_id)best, logits[best]);
    for (uint32_t i = 0; score < logits[best] && i < b->model->n_vocab; i++)
        if (i != best && logits[i] > score)
            return TOKEN_NONE;
    return (token_id)best;
}

/* Even one that the request counts among the ends. */
static void allow_only(struct binder *b, struct sample_context *context,
                       token_id id)
{
    memset(b->allowed, 0, b->n_words * sizeof *b->allowed);
    b->allowed[(uint32_t)id / 32] = 1u << (uint32_t)id % 32;
    context->allowed = b->allowed;
    context->is_forced = true;
}

static bool is_space(const struct binder *b, token_id id)
{
    size_t n;
    const char *bytes = b->model->token_bytes(b->model->ctx, id, &n);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != '\n' && bytes[i] != ' ')
            return false;
    return n > 0;
}

static bool ends_reply(const struct job *job, token_id id)
{
    for (uint32_t i = 0; i < job->n_stop_ids; i++)
        if (job->stop_ids[i] == id)
            return true;
    return false;
}

/* Whether the model, which would rather say `id` than an answer, may: a
 * thought, a call, or the white space between the two, once. */
static bool may_first(const struct binder *b, const struct sequence *seq,
                      token_id id)
{
    const struct job *job = seq->job;
    bool calls = job->call_start != TOKEN_NONE;
    if (id == TOKEN_NONE)
        return false;
    if (calls && id == job->call_start)
        return true;
    if (seq->bound == BOUND_START)
        return job->think_start != TOKEN_NONE && id == job->think_start;
    return calls && seq->n_output > 0 &&
           seq->tokens[job->n_prompt + seq->n_output - 1] == job->think_end &&
           is_space(b, id);
}

/* `m` goes on with nothing that is no stop id: the client's doing, or ours. */
static int no_way_on(struct binder *b, const struct matcher *m, struct err *err)
{
    if (mask_fill(b->masker, m, NULL, 0, b->allowed) > 0)
        return err_set(err, ERR_INVALID,
                       "stop_token_ids and the form the answer must have leave "
                       "together no token that may come next");
    return err_set(err, ERR_INTERNAL,
                   "no token of the vocabulary goes on with what the grammar "
                   "asks");
}

/* In a call: its grammar, and the marker where it may end.  What else ends a
 * reply may not come: half a call is none. */
static int draw_call(struct binder *b, const struct sequence *seq,
                     struct sample_context *context, struct err *err)
{
    const struct job *job = seq->job;
    uint32_t n =
        mask_fill(b->masker, seq->calls, &job->call_end, 1, b->allowed);
    for (uint32_t i = 0; i < job->n_stop_ids; i++) {
        const uint32_t id = (uint32_t)job->stop_ids[i];
        if (id >= b->model->n_vocab || job->stop_ids[i] == job->call_end)
            continue;
        n -= b->allowed[id / 32] >> id % 32 & 1;
        b->allowed[id / 32] &= ~(1u << id % 32);
    }
    context->allowed = b->allowed;
    if (matcher_must_end(seq->calls))
        context->n_banned = 0; /* ends the call, whatever else it ends */
    return n > 0 ? 0 : no_way_on(b, seq->calls, err);
}

/* After it: nothing but an end, which min_tokens cannot put off. */
static int draw_end(struct binder *b, const struct job *job,
                    struct sample_context *context)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < job->n_stop_ids; i++) {
        uint32_t id = (uint32_t)job->stop_ids[i];
        if (id >= b->model->n_vocab)
            continue;
        if (n++ == 0)
            allow_only(b, context, (token_id)id);
        b->allowed[id / 32] |= 1u << id % 32;
    }
    return n > 0 ? 0 : 1;
}

/* Something is to come of it: an answer in a form, or a call. */
static bool is_held(const struct sequence *seq)
{
    return seq->matcher != NULL || seq->job->must_call;
}

/* What stands between the markers is counted against the job's limit. */
static bool has_thought_enough(const struct sequence *seq)
{
    const struct job *job = seq->job;
    uint32_t n_opening = job->in_thought ? 0 : 1;
    return seq->bound == BOUND_THOUGHT && job->think_end != TOKEN_NONE &&
           job->max_thought != JOB_THOUGHT_FREE &&
           seq->n_thought - n_opening >= job->max_thought;
}

/* Where it would end in its thought, it closes that instead. */
static void draw_thought(struct binder *b, const struct job *job,
                         const float *logits, struct sample_context *context)
{
    context->n_banned = job->n_stop_ids;
    if (ends_reply(job, likeliest(b, job, logits)))
        allow_only(b, context, job->think_end);
}

static int draw_answer(struct binder *b, const struct sequence *seq,
                       struct sample_context *context, struct err *err)
{
    const struct job *job = seq->job;
    context->allowed = b->allowed;
    if (matcher_must_end(seq->matcher))
        context->n_banned = 0; /* min_tokens cannot have more */
    if (mask_fill(b->masker, seq->matcher, job->stop_ids, job->n_stop_ids,
                  b->allowed) > 0)
        return 0;
    return matcher_may_end(seq->matcher) ? 1 : no_way_on(b, seq->matcher, err);
}

int bind_draw(struct binder *b, const struct sequence *seq, const float *logits,
              struct sample_context *context, struct err *err)
{
    const struct job *job = seq->job;
    if (has_thought_enough(seq)) {
        allow_only(b, context, job->think_end);
        return 0;
    }
    if (seq->bound == BOUND_CALL)
        return draw_call(b, seq, context, err);
    if (seq->bound == BOUND_CALLED)
        return draw_end(b, job, context);
    if (!is_held(seq) || seq->bound == BOUND_NO_MORE)
        return 0;
    if (seq->bound == BOUND_THOUGHT) {
        draw_thought(b, job, logits, context);
        return 0;
    }
    if (seq->bound != BOUND_TEXT) {
        token_id id = likeliest(b, job, logits);
        if (may_first(b, seq, id)) {
            allow_only(b, context, id);
            return 0;
        }
    }
    if (job->must_call) {
        allow_only(b, context, job->call_start);
        return 0;
    }
    return draw_answer(b, seq, context, err);
}

static bool begin_call(struct sequence *seq)
{
    seq->bound = seq->calls != NULL ? BOUND_CALL : BOUND_NO_MORE;
    if (seq->calls != NULL)
        matcher_reset(seq->calls);
    return true;
}

static bool follow_call(struct sequence *seq, token_id id, const char *bytes,
                        size_t n)
{
    const struct job *job = seq->job;
    if (id != job->call_end || !matcher_may_end(seq->calls))
        return matcher_accept(seq->calls, bytes, n);
    seq->bound =
        job->must_call || job->single_block ? BOUND_CALLED : BOUND_NO_MORE;
    return true;
}

bool bind_follow(const struct binder *b, struct sequence *seq, token_id id)
{
    const struct job *job = seq->job;
    size_t n;
    const char *bytes = b->model->token_bytes(b->model->ctx, id, &n);
    if (seq->bound == BOUND_CALL)
        return follow_call(seq, id, bytes, n);
    /* A call ends a thought that was never closed, too (speech.h). */
    if (seq->bound != BOUND_TEXT && id == job->call_start)
        return begin_call(seq);
    if (seq->bound == BOUND_NO_MORE)
        return true;
    if (seq->bound == BOUND_THOUGHT) {
        seq->n_thought++;
        if (id == job->think_end)
            seq->bound = is_held(seq) ? BOUND_ANSWER : BOUND_NO_MORE;
        return true;
    }
    if (seq->bound == BOUND_START && id == job->think_start) {
        seq->bound = BOUND_THOUGHT;
        seq->n_thought++;
        return true;
    }
    if (!is_held(seq)) {
        if (!is_space(b, id))
            seq->bound = BOUND_NO_MORE;
        return true;
    }
    if (seq->bound == BOUND_ANSWER && is_space(b, id) &&
        (job->must_call || !matcher_allows(seq->matcher, bytes, n)))
        return true;
    seq->bound = BOUND_TEXT;
    return matcher_accept(seq->matcher, bytes, n);
}
