/* emit.c -- see emit.h.
 *
 * A sequence is in a step only when its ring has room for all that this can
 * tell, so a write that fails is a bug of the accounting. */
#include "server/engine/emit.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "server/engine/event.h"
#include "server/engine/job_state.h"

/* Text of one token, and of an end that has an unfinished character and a
 * stop string's beginning to let go. */
static size_t raw_room(const struct engine_model *model)
{
    return DETOK_ROOM(model->max_token_bytes);
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
        rc = binder_init(&em->binder, model, err);
    if (rc != 0)
        emitter_deinit(em);
    return rc;
}

void emitter_deinit(struct emitter *em)
{
    mem_free(em->raw);
    mem_free(em->text);
    sampler_free(em->sampler);
    binder_deinit(&em->binder);
    memset(em, 0, sizeof *em);
}

size_t emit_worst_bytes(const struct engine_model *model, const struct job *job)
{
    uint32_t n_top = job->params.n_logprobs;
    if (job->want_prompt_logprobs && job->n_prompt_logprobs > n_top)
        n_top = job->n_prompt_logprobs;
    return event_bytes(raw_room(model) + 2 * job->state->stop.max_bytes, n_top);
}

static void tell_times(const struct sequence *seq, struct job_event *event)
{
    const struct timeline *times = &seq->times;
    const uint64_t now_us = clock_now_us();
    const uint64_t first_us = times->first_us != 0 ? times->first_us : now_us;
    if (times->planned_us == 0)
        return; /* it ends before it was ever planned */
    event->prefill_us = first_us - times->planned_us;
    event->decode_us = now_us - first_us;
}

static void tell(struct sequence *seq, struct job_event *event)
{
    tell_times(seq, event);
    event->choice = seq->choice;
    event->n_prompt = seq->job->n_prompt;
    event->n_cached = seq->n_cached;
    event->n_completion = seq->n_output;
    event->n_thought = seq->n_thought;
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

/* vLLM's rule: text up to and with the min_tokens-th token is not searched. Nor
 * is a call that is held to its grammar: half of it would be none. */
static size_t through_stop(struct emitter *em, struct sequence *seq, size_t n,
                           char *out)
{
    const uint32_t least = seq->job->min_tokens;
    if ((seq->n_output > least || least == 0) && seq->bound != BOUND_CALL)
        return stop_push(&seq->stop, em->raw, n, out);
    size_t n_held = stop_finish(&seq->stop, out);
    memcpy(out + n_held, em->raw, n);
    return n_held + n;
}

/* An end at which held text becomes certain; `stop` was drawn, or is NULL. */
static void finish_with_rest(struct emitter *em, struct sequence *seq,
                             enum finish_reason reason,
                             const struct sampled *stop)
{
    size_t n =
        through_stop(em, seq, detok_finish(&seq->detok, em->raw), em->text);
    n += stop_finish(&seq->stop, em->text + n);
    tell_end(seq, &(struct job_event){
                      .kind = EVENT_FINISH,
                      .finish = reason,
                      .stop_token = stop != NULL ? stop->token : TOKEN_NONE,
                      .logprob = stop != NULL ? stop->logprob : 0.0f,
                      .n_top = stop != NULL ? stop->n_top : 0,
                      .top = stop != NULL ? stop->top : NULL,
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
    const bool loops =
        loops_hear(&seq->loops, seq->tokens + job->n_prompt, seq->n_output);
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
        finish_with_rest(em, seq, FINISH_LENGTH, NULL);
    else if (loops && seq->n_output >= job->min_tokens)
        finish_with_rest(em, seq, FINISH_LOOP, NULL);
}

void emit_token(struct emitter *em, struct sequence *seq, float *logits)
{
    const struct job *job = seq->job;
    struct sample_context context = {
        .params = &job->params,
        .prompt = job->prompt,
        .n_prompt = job->n_prompt,
        .output = seq->tokens + job->n_prompt,
        .n_output = seq->n_output,
        .banned = job->stop_ids,
        .n_banned = seq->n_output < job->min_tokens ? job->n_stop_ids : 0,
        .choice = seq->choice,
    };
    struct sampled drawn;
    struct err err = {0};
    int rc = bind_draw(&em->binder, seq, logits, &context, &err);
    if (rc > 0) {
        finish_with_rest(em, seq, FINISH_STOP, NULL);
        return;
    }
    if (rc == 0)
        rc = sampler_draw(em->sampler, logits, &context, &drawn, &err);
    if (rc != 0) {
        emit_error(seq, &err);
        return;
    }
    seq->tokens[job->n_prompt + seq->n_output++] = drawn.token;
    if (holds(job->stop_ids, job->n_stop_ids, drawn.token)) {
        finish_with_rest(em, seq, FINISH_STOP, &drawn);
    } else if (!bind_follow(&em->binder, seq, drawn.token)) {
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
                      job->n_prompt_logprobs, &given, &err) != 0) {
        emit_error(seq, &err);
        return;
    }
    seq->n_scored++;
    tell(seq, &(struct job_event){
                  .kind = EVENT_PROMPT_LOGPROB,
                  .token = given.token,
                  .text = "",
                  .logprob = given.logprob,
                  .rank = given.rank,
                  .n_top = given.n_top,
                  .top = given.top,
                  .stop_token = TOKEN_NONE,
                  .stop_string = -1,
              });
}
