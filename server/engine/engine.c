/* engine.c -- what others call: birth, submit, cancel, dispatch; see engine.h.
 *
 * It never touches what belongs to the engine thread (step.c) once that runs:
 * jobs go in by the inbox, events come out by rings and the outbox. */
#include "server/engine/engine.h"

#include <signal.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/cache/cache.h"
#include "model/forward/batch.h"
#include "server/engine/engine_state.h"
#include "server/engine/job_state.h"
#include "server/engine/sequence.h"

#define DEFAULT_RING_BYTES ((size_t)64 * 1024)
#define MAX_CHOICES 1024u

_Static_assert(JOB_DRAFT_MAX <= BATCH_MAX_DRAFT,
               "a longer draft could not be taken back");

/* ---- birth and death -------------------------------------------------- */

/* Signals are the loop's, but for those that the thread's own accesses raise:
 * blocked, they would kill the process past any handler. */
static int start_thread(struct engine *e, struct err *err)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGBUS);
    (void)sigdelset(&all, SIGSEGV);
    (void)sigdelset(&all, SIGILL);
    (void)sigdelset(&all, SIGFPE);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&e->thread, NULL, engine_run, e);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, ERR_IO, "engine: cannot start its thread: %s",
                       strerror(rc));
    return 0;
}

static int settle_options(struct engine_options *o,
                          const struct engine_model *model, struct err *err)
{
    if (o->max_sequences == 0 || o->max_queue == 0)
        return err_set(err, ERR_INVALID,
                       "engine: max_sequences is %u and max_queue %u, both "
                       "must be at least 1",
                       o->max_sequences, o->max_queue);
    if (o->max_sequences > cache_total_slots(model->cache))
        return err_set(err, ERR_INVALID,
                       "engine: max_sequences is %u, but the cache has slots "
                       "for %u",
                       o->max_sequences, cache_total_slots(model->cache));
    if (o->max_step_tokens < o->max_sequences)
        o->max_step_tokens = o->max_sequences;
    if (o->max_logit_rows < o->max_sequences)
        o->max_logit_rows = o->max_sequences;
    return 0;
}

int engine_new_with(struct engine **out, const struct engine_model *model,
                    const struct engine_options *options, engine_wake_fn *wake,
                    void *wake_user, struct err *err)
{
    *out = NULL;
    struct engine *e = mem_calloc(1, sizeof *e);
    if (e == NULL)
        return err_nomem(err, "the engine");
    e->model = *model;
    e->options = *options;
    e->wake = wake;
    e->wake_user = wake_user;
    e->sharing = (struct sharing){
        .cache = model->cache,
        .on = options->prefix_cache,
        .n_replay = model->n_replay,
    };
    list_init(&e->jobs);
    observer_init(&e->seen, model->ctx_tokens);
    pace_init(&e->pace, options->target_gap_ms);
    int rc = settle_options(&e->options, model, err);
    if (rc != 0)
        goto free_engine;
    const struct sched_limits limits = {
        .max_running = e->options.max_sequences,
        .max_tokens = e->options.max_step_tokens,
        .max_rows = e->options.max_logit_rows,
        .block_tokens = KV_BLOCK_TOKENS,
        .max_drafts = BATCH_MAX_DRAFTS,
    };
    if ((rc = scheduler_init(&e->scheduler, &limits, err)) != 0)
        goto free_engine;
    if ((rc = emitter_init(&e->emitter, &e->model, err)) != 0)
        goto deinit_scheduler;
    if ((rc = batch_new(&e->batch, limits.max_tokens, limits.max_running,
                        limits.max_rows, model->n_vocab, err)) != 0)
        goto deinit_emitter;
    if ((rc = inbox_init(&e->inbox, err)) != 0)
        goto free_batch;
    if ((rc = saver_init(&e->saver, model->cache, &e->inbox, err)) != 0)
        goto deinit_inbox;
    atomic_init(&e->count.free_blocks, cache_free_blocks(model->cache));
    if ((rc = start_thread(e, err)) != 0)
        goto deinit_saver;
    *out = e;
    return 0;

deinit_saver:
    saver_deinit(&e->saver);
deinit_inbox:
    inbox_deinit(&e->inbox);
free_batch:
    batch_free(e->batch);
deinit_emitter:
    emitter_deinit(&e->emitter);
deinit_scheduler:
    scheduler_deinit(&e->scheduler);
free_engine:
    mem_free(e);
    return rc;
}

void engine_drain(struct engine *e)
{
    atomic_store(&e->draining, true);
    inbox_close(&e->inbox);
}

bool engine_idle(const struct engine *e)
{
    return atomic_load(&e->n_jobs) == 0;
}

void engine_stop(struct engine *e)
{
    if (e->joined)
        return;
    atomic_store(&e->stopping, true);
    engine_drain(e);
    (void)pthread_join(e->thread, NULL);
    e->joined = true;
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    engine_stop(e);
    for (struct job *job = outbox_take(&e->outbox); job != NULL;) {
        struct job *next = outbox_leave(job);
        job_release(job);
        job = next;
    }
    saver_deinit(&e->saver);
    inbox_deinit(&e->inbox);
    batch_free(e->batch);
    emitter_deinit(&e->emitter);
    scheduler_deinit(&e->scheduler);
    mem_free(e);
}

int engine_save(struct engine *e, const char *path, uint64_t fingerprint,
                struct prefix_file_stats *out, struct err *err)
{
    return save_to(&e->saver, path, fingerprint, out, err);
}

/* ---- submit, cancel --------------------------------------------------- */

uint32_t engine_context_tokens(const struct engine *e)
{
    uint64_t pool =
        (uint64_t)cache_total_blocks(e->model.cache) * KV_BLOCK_TOKENS;
    return pool < e->model.ctx_tokens ? (uint32_t)pool : e->model.ctx_tokens;
}

uint32_t engine_max_sequences(const struct engine *e)
{
    return e->options.max_sequences;
}

static int check_want(const struct engine *e, const struct job *job,
                      struct err *err)
{
    const struct capture_want *want = &job->want;
    if (capture_wants(want) && (job->max_tokens > 0 || job->n_choices > 1 ||
                                job->want_prompt_logprobs ||
                                want->n_states > e->model.shape.n_layers + 1))
        return err_set(err, ERR_INVALID,
                       "a prompt whose states are wanted has one choice and "
                       "neither a reply nor logprobs");
    return 0;
}

static int check_job(const struct engine *e, const struct job *job,
                     struct err *err)
{
    if (job->n_prompt == 0)
        return err_field(err, "prompt",
                         "the prompt has no tokens, at least "
                         "one is needed");
    if (job->n_choices == 0 || job->n_choices > MAX_CHOICES)
        return err_field(err, "n", "n is %u, it must be 1 to %u",
                         job->n_choices, MAX_CHOICES);
    if ((job->grammar != NULL || job->call_grammar != NULL) &&
        e->model.mask_vocab == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "this model's answers cannot be bound to a grammar");
    uint32_t most = engine_context_tokens(e);
    if ((uint64_t)job->n_prompt + job->max_tokens > most)
        return err_set(err, ERR_CONTEXT,
                       "the prompt has %u tokens and the reply may have %u, "
                       "together they must not exceed %u",
                       job->n_prompt, job->max_tokens, most);
    for (uint32_t i = 0; i < job->n_prompt; i++) {
        if (job->prompt[i] < 0 || (uint32_t)job->prompt[i] >= e->model.n_vocab)
            return err_field(err, "prompt",
                             "prompt token %u is %d, the vocabulary has %u", i,
                             job->prompt[i], e->model.n_vocab);
    }
    return check_want(e, job, err);
}

static int prepare_job(struct engine *e, struct job *job, struct err *err)
{
    struct job_state *st = job->state;
    if (job->params.n_logprobs > SAMPLE_MAX_TOP)
        job->params.n_logprobs = SAMPLE_MAX_TOP;
    if (job->n_prompt_logprobs > SAMPLE_MAX_TOP)
        job->n_prompt_logprobs = SAMPLE_MAX_TOP;
    int rc = stop_set_init(&st->stop, job->arena, job->stop, job->n_stop,
                           job->include_stop, err);
    if (rc != 0)
        return rc;
    st->worst_bytes = emit_worst_bytes(&e->model, job);
    st->arrived_us = clock_now_us();
    /* All choices must be able to move in one step. */
    size_t least = (2 * (size_t)job->n_choices + 2) * st->worst_bytes +
                   ((size_t)job->n_choices + 1) * engine_end_bytes();
    size_t wanted =
        e->options.ring_bytes > 0 ? e->options.ring_bytes : DEFAULT_RING_BYTES;
    if (capture_wants(&job->want))
        wanted = 0; /* it has only its end to tell */
    rc = ring_init(&st->ring, engine_larger(least, wanted), err);
    if (rc == 0)
        rc = capture_init(&job->captured, &e->model.shape, &job->want,
                          job->n_prompt, err);
    if (rc != 0)
        return rc;
    uint32_t n_draft =
        job->n_draft == JOB_DRAFT_DEFAULT ? e->options.n_draft : job->n_draft;
    if (n_draft > JOB_DRAFT_MAX)
        n_draft = JOB_DRAFT_MAX;
    return sequences_new(
        job, n_draft,
        job->n_draft == JOB_DRAFT_DEFAULT ? JOB_DRAFT_MAX : n_draft, err);
}

static int try_submit(struct engine *e, struct job *job, struct err *err)
{
    if (atomic_load(&e->draining))
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    int rc = check_job(e, job, err);
    if (rc != 0)
        return rc;
    if (atomic_fetch_add(&e->n_jobs, 1) >= e->options.max_queue) {
        rc = err_set(err, ERR_BUSY,
                     "%u requests are being served or wait, no more are "
                     "taken",
                     e->options.max_queue);
        goto leave;
    }
    rc = prepare_job(e, job, err);
    if (rc != 0)
        goto leave;
    job_retain(job);
    if (!inbox_put(&e->inbox, job)) {
        job_release(job);
        rc = err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
        goto leave;
    }
    return 0;

leave:
    atomic_fetch_sub(&e->n_jobs, 1);
    return rc;
}

int engine_submit(struct engine *e, struct job *job, struct err *err)
{
    int rc = try_submit(e, job, err);
    engine_count(rc == 0 ? &e->count.accepted : &e->count.refused, 1);
    return rc;
}

void engine_cancel(struct engine *e, struct job *job)
{
    if (!atomic_exchange(&job->state->cancelled, true))
        inbox_nudge(&e->inbox);
}

/* ---- the loop's side -------------------------------------------------- */

static void deliver(struct job *job)
{
    struct job_state *st = job->state;
    struct job_event event;
    while (!st->paused && !atomic_load(&st->cancelled) &&
           event_read(&st->ring, &event)) {
        job->on_event(job->user, &event);
        ring_pop(&st->ring);
    }
}

void engine_dispatch(struct engine *e)
{
    for (struct job *job = outbox_take(&e->outbox); job != NULL;) {
        struct job *next = outbox_leave(job);
        deliver(job);
        job_release(job);
        job = next;
    }
    if (atomic_load(&e->blocked))
        inbox_nudge(&e->inbox);
}

void engine_pause(struct engine *e, struct job *job)
{
    (void)e;
    job->state->paused = true;
}

void engine_resume(struct engine *e, struct job *job)
{
    if (!job->state->paused)
        return;
    job->state->paused = false;
    outbox_put(&e->outbox, job);
    e->wake(e->wake_user);
}

static uint64_t get(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct engine_stats engine_stats(const struct engine *e)
{
    const struct counters *c = &e->count;
    return (struct engine_stats){
        .steps = get(&c->steps),
        .tokens_prompt = get(&c->tokens_prompt),
        .tokens_generated = get(&c->tokens_generated),
        .preemptions = get(&c->preemptions),
        .prefix_query_tokens = get(&c->prefix_query),
        .prefix_hit_tokens = get(&c->prefix_hit),
        .prefix_evictions = get(&c->prefix_evictions),
        .jobs_accepted = get(&c->accepted),
        .jobs_refused = get(&c->refused),
        .jobs_cancelled = get(&c->cancelled),
        .jobs_finished = get(&c->finished),
        .jobs_failed = get(&c->failed),
        .running = atomic_load_explicit(&c->running, memory_order_relaxed),
        .waiting = atomic_load_explicit(&c->waiting, memory_order_relaxed),
        .free_blocks =
            atomic_load_explicit(&c->free_blocks, memory_order_relaxed),
        .total_blocks = cache_total_blocks(e->model.cache),
        .last_step_us = get(&c->last_step_us),
    };
}

uint32_t engine_retry_s(const struct engine *e)
{
    return observe_retry_s(&e->seen, atomic_load(&e->n_jobs));
}

uint32_t engine_retry_own_s(const struct engine *e, uint32_t n_own)
{
    return observe_end_s(&e->seen, atomic_load(&e->n_jobs), n_own);
}

void engine_metrics(const struct engine *e, struct metrics_text *t)
{
    struct engine_stats stats = engine_stats(e);
    observe_write(&e->seen, &stats, t);
}
