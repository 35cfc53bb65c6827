/* emit.c -- see emit.h.
 *
 * A sequence is in a step only when its ring has room for all that this can
 * tell, so a write that fails is a bug of the accounting. */
#include "server/engine/emit.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/mask.h"
#include "server/engine/event.h"
#include "server/engine/job_state.h"

/* 2 MiB at 65,536 tokens: places of a grammar come back again and again. */
#define N_MASKS 256u

/* Text of one token, and of an end that has an unfinished character and a
 * stop string's beginning to let go. */
static size_t raw_room(const struct engine_model *model)
{
    return DETOK_ROOM(model->max_token_bytes);
}

static int init_masks(struct emitter *em, struct err *err)
{
    const struct mask_vocab *v = em->model->mask_vocab;
    if (v == NULL)
        return 0;
    em->allowed = mem_calloc(mask_vocab_n_words(v), sizeof *em->allowed);
    if (em->allowed == NULL)
        return err_nomem(err, "the engine's masks");
    return masker_new(&em->masker, v, N_MASKS, err);
}

int emitter_init(struct emitter *em, const struct engine_model *model,
                 struct err *err)
{
    memset(em, 0, sizeof *em);
    em->model = model;
    em->raw = mem_alloc(raw_room(model));
    em->text = mem_alloc(raw_room(model) + 2 * STOP_MAX_BYTES);
    if (em->raw == NULL || em->text == NULL) {
        emitter_deinit(em);
        return err_nomem(err, "the engine's text");
    }
    int rc = sampler_new(&em->sampler, model->n_vocab, err);
    if (rc == 0)
        rc = init_masks(em, err);
    if (rc != 0)
        emitter_deinit(em);
    return rc;
}

void emitter_deinit(struct emitter *em)
{
    mem_free(em->raw);
    mem_free(em->text);
    sampler_free(em->sampler);
    masker_free(em->masker);
    mem_free(em->allowed);
    memset(em, 0, sizeof *em);
}

size_t emit_worst_bytes(const struct engine_model *model, const struct job *job)
{
    return event_bytes(raw_room(model) + 2 * job->state->stop.max_bytes,
                       job->params.n_logprobs);
}

static void tell(struct sequence *seq, struct job_event *event)
{
    event->choice = seq->choice;
    event->n_prompt = seq->job->n_prompt;
    event->n_cached = seq->n_cached;
    event->n_completion = seq->n_output;
    struct job_state *st = seq->job->state;
    bool written = event_write(&st->ring, event);
    assert(written);
    (void)written;
    st->dirty = true;
}

static void tell_end(struct sequence *seq, struct job_event *event)
{
    if (seq->ended)
        return;
    seq->ended = true;
    seq->job->state->n_open--;
    seq->times.outcome = observe_outcome(event);
    event->token = TOKEN_NONE;
    tell(seq, event);
}

void emit_finish(struct sequence *seq, enum finish_reason reason)
{
    tell_end(seq, &(struct job_event){
                      .kind = EVENT_FINISH,
                      .finish = reason,
                      .stop_token = TOKEN_NONE,
                      .stop_string = -1,
                  });
}

void emit_error(struct sequence *seq, const struct err *err)
{
    seq->job->state->failed = true;
    tell_end(seq, &(struct job_event){
                      .kind = EVENT_ERROR,
                      .stop_token = TOKEN_NONE,
                      .stop_string = -1,
                      .err = *err,
                  });
}

/* vLLM's rule: text up to and with the min_tokens-th token is not searched. */
static size_t through_stop(struct emitter *em, struct sequence *seq, size_t n,
                           char *out)
{
    if (seq->n_output > seq->job->min_tokens || seq->job->min_tokens == 0)
        return stop_push(&seq->stop, em->raw, n, out);
    memcpy(out, em->raw, n);
    return n;
}

/* An end at which held text becomes certain. */
static void finish_with_rest(struct emitter *em, struct sequence *seq,
                             enum finish_reason reason, token_id stop_token)
{
    size_t n =
        through_stop(em, seq, detok_finish(&seq->detok, em->raw), em->text);
    n += stop_finish(&seq->stop, em->text + n);
    tell_end(seq, &(struct job_event){
                      .kind = EVENT_FINISH,
                      .finish = reason,
                      .stop_token = stop_token,
                      .stop_string = -1,
                      .text = em->text,
                      .n_text = n,
                  });
}

static bool holds(const token_id *ids, uint32_t n, token_id id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static bool is_hidden(const struct emitter *em, const struct job *job,
                      token_id id)
{
    return job->skip_special && em->model->is_special(em->model->ctx, id) &&
           !holds(job->keep_ids, job->n_keep_ids, id);
}

/* The text that `id` makes certain, in em->text. */
static size_t text_of(struct emitter *em, struct sequence *seq, token_id id)
{
    size_t n = 0;
    const char *bytes = "";
    if (!is_hidden(em, seq->job, id))
        bytes = em->model->token_bytes(em->model->ctx, id, &n);
    if (n > em->model->max_token_bytes)
        n = em->model->max_token_bytes;
    n = detok_push(&seq->detok, bytes, n, em->raw);
    return through_stop(em, seq, n, em->text);
}

static void tell_token(struct emitter *em, struct sequence *seq,
                       const struct sampled *drawn)
{
    const struct job *job = seq->job;
    size_t n_text = text_of(em, seq, drawn->token);
    tell(seq, &(struct job_event){
                  .kind = EVENT_TOKEN,
                  .token = drawn->token,
                  .text = em->text,
                  .n_text = n_text,
                  .logprob = drawn->logprob,
                  .n_top = drawn->n_top,
                  .top = drawn->top,
                  .stop_token = TOKEN_NONE,
                  .stop_string = -1,
              });
    if (seq->stop.found >= 0)
        tell_end(seq, &(struct job_event){
                          .kind = EVENT_FINISH,
                          .finish = FINISH_STOP,
                          .stop_token = TOKEN_NONE,
                          .stop_string = seq->stop.found,
                      });
    else if (seq->n_output == job->max_tokens)
        finish_with_rest(em, seq, FINISH_LENGTH, TOKEN_NONE);
}

/* ---- a reply that is bound to a grammar ------------------------------- */

/* The token that the model itself would rather say than any other. */
static token_id likeliest(const struct emitter *em, const float *logits)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < em->model->n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return (token_id)best;
}

static void allow_only(struct emitter *em, token_id id)
{
    size_t n = mask_vocab_n_words(em->model->mask_vocab);
    memset(em->allowed, 0, n * sizeof *em->allowed);
    em->allowed[(uint32_t)id / 32] = 1u << (uint32_t)id % 32;
}

static bool is_space(const struct emitter *em, token_id id)
{
    size_t n;
    const char *bytes = em->model->token_bytes(em->model->ctx, id, &n);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != '\n' && bytes[i] != ' ')
            return false;
    return n > 0;
}

/* What the model would rather say than an answer, where it may: a thought, a
 * call, or the white space between the two, once.  Or TOKEN_NONE. */
static token_id rather(const struct emitter *em, const struct sequence *seq,
                       const float *logits)
{
    const struct job *job = seq->job;
    if (seq->bound != BOUND_START && seq->bound != BOUND_ANSWER)
        return TOKEN_NONE;
    token_id id = likeliest(em, logits);
    bool thinks = seq->bound == BOUND_START && id == job->think_start;
    bool calls = id == job->call_start;
    bool spaces =
        seq->bound == BOUND_ANSWER && seq->n_output > 0 &&
        job->call_start != TOKEN_NONE &&
        seq->tokens[job->n_prompt + seq->n_output - 1] == job->think_end &&
        is_space(em, id);
    return thinks || calls || spaces ? id : TOKEN_NONE;
}

/* Before a draw: what may be drawn, NULL for anything but an end, in *allowed.
 * A model that wants to think or to call first may; one that would end in its
 * thought closes it instead.  False when the reply has come to its end, or
 * cannot go on. */
static bool bind_draw(struct emitter *em, struct sequence *seq,
                      const float *logits, const uint32_t **allowed)
{
    const struct job *job = seq->job;
    struct err err = {0};
    *allowed = seq->bound == BOUND_NO_MORE ? NULL : em->allowed;
    if (seq->bound == BOUND_NO_MORE)
        return true;
    if (seq->bound == BOUND_THOUGHT) {
        if (holds(job->stop_ids, job->n_stop_ids, likeliest(em, logits)))
            allow_only(em, job->think_end);
        else
            *allowed = NULL;
        return true;
    }
    token_id first = rather(em, seq, logits);
    if (first != TOKEN_NONE) {
        allow_only(em, first);
        return true;
    }
    if (mask_fill(em->masker, seq->matcher, job->stop_ids, job->n_stop_ids,
                  em->allowed) > 0)
        return true;
    if (matcher_may_end(seq->matcher)) {
        finish_with_rest(em, seq, FINISH_STOP, TOKEN_NONE);
        return false;
    }
    err_set(&err, ERR_INTERNAL,
            "no token of the vocabulary goes on with what the grammar asks");
    emit_error(seq, &err);
    return false;
}

/* Stop ids are drawn neither before min_tokens, except where only the end is
 * left, nor in a thought of which the answer is still to come. */
static bool bans_ends(const struct sequence *seq)
{
    if (seq->matcher != NULL && seq->bound == BOUND_THOUGHT)
        return true;
    return seq->n_output < seq->job->min_tokens &&
           !(seq->matcher != NULL && matcher_must_end(seq->matcher));
}

/* Follows the token just drawn, which was allowed; false if the grammar did not
 * take it, which is a bug of the mask. */
static bool follow(struct emitter *em, struct sequence *seq, token_id id)
{
    const struct job *job = seq->job;
    const bool open = seq->bound == BOUND_START || seq->bound == BOUND_ANSWER;
    size_t n;
    const char *bytes = em->model->token_bytes(em->model->ctx, id, &n);
    if (seq->bound == BOUND_NO_MORE)
        return true;
    if (seq->bound == BOUND_THOUGHT) {
        if (id == job->think_end)
            seq->bound = BOUND_ANSWER;
        return true;
    }
    if (open && id == job->think_start) {
        seq->bound = BOUND_THOUGHT;
        return true;
    }
    if (open && id == job->call_start) {
        seq->bound = BOUND_NO_MORE;
        return true;
    }
    if (seq->bound == BOUND_ANSWER && is_space(em, id) &&
        !matcher_allows(seq->matcher, bytes, n))
        return true;
    seq->bound = BOUND_TEXT;
    return matcher_accept(seq->matcher, bytes, n);
}

/* ---- a draw ----------------------------------------------------------- */

void emit_token(struct emitter *em, struct sequence *seq, float *logits)
{
    const struct job *job = seq->job;
    const uint32_t *allowed = NULL;
    if (seq->matcher != NULL && !bind_draw(em, seq, logits, &allowed))
        return;
    const struct sample_context context = {
        .params = &job->params,
        .prompt = job->prompt,
        .n_prompt = job->n_prompt,
        .output = seq->tokens + job->n_prompt,
        .n_output = seq->n_output,
        .banned = job->stop_ids,
        .n_banned = bans_ends(seq) ? job->n_stop_ids : 0,
        .allowed = allowed,
        .choice = seq->choice,
    };
    struct sampled drawn;
    struct err err = {0};
    if (sampler_draw(em->sampler, logits, &context, &drawn, &err) != 0) {
        emit_error(seq, &err);
        return;
    }
    seq->tokens[job->n_prompt + seq->n_output++] = drawn.token;
    if (holds(job->stop_ids, job->n_stop_ids, drawn.token)) {
        finish_with_rest(em, seq, FINISH_STOP, drawn.token);
    } else if (seq->matcher != NULL && !follow(em, seq, drawn.token)) {
        err_set(&err, ERR_INTERNAL, "token %d is none the grammar takes",
                drawn.token);
        emit_error(seq, &err);
    } else {
        tell_token(em, seq, &drawn);
    }
}

void emit_prompt_logprob(struct emitter *em, struct sequence *seq,
                         const float *logits)
{
    const struct job *job = seq->job;
    struct sampled given;
    struct err err = {0};
    if (sampler_score(em->sampler, logits, job->prompt[seq->n_scored],
                      job->params.n_logprobs, &given, &err) != 0) {
        emit_error(seq, &err);
        return;
    }
    seq->n_scored++;
    tell(seq, &(struct job_event){
                  .kind = EVENT_PROMPT_LOGPROB,
                  .token = given.token,
                  .text = "",
                  .logprob = given.logprob,
                  .n_top = given.n_top,
                  .top = given.top,
                  .stop_token = TOKEN_NONE,
                  .stop_string = -1,
              });
}
