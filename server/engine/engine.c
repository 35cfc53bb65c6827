/* engine.c -- the inference thread and its step; see engine.h.
 *
 * Everything but submit, cancel, dispatch and stats happens on the engine
 * thread, which owns the cache, the scheduler and all sequences.  The part of a
 * step between taking in and publishing runs with allocation forbidden. */
#include "server/engine/engine.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/cache/cache.h"
#include "model/forward/batch.h"
#include "server/engine/emit.h"
#include "server/engine/event.h"
#include "server/engine/job_state.h"
#include "server/engine/mailbox.h"
#include "server/engine/observe.h"
#include "server/engine/pace.h"
#include "server/engine/scheduler.h"
#include "server/engine/sequence.h"
#include "server/engine/share.h"

#define DEFAULT_RING_BYTES ((size_t)64 * 1024)
#define MAX_CHOICES 1024u
#define LEAST_MIXED_TOKENS 16u /* fewer waste the weights they read */
#define STALLED_LOOK_MS 50u    /* how late a stalled job meets its deadline */

struct counters {
    atomic_ullong steps, tokens_prompt, tokens_generated, preemptions;
    atomic_ullong prefix_query, prefix_hit, prefix_evictions;
    atomic_ullong accepted, refused, cancelled, finished, failed;
    atomic_ullong last_step_us;
    atomic_uint running, waiting, free_blocks;
};

struct engine {
    struct engine_model model;
    struct engine_options options;
    engine_wake_fn *wake;
    void *wake_user;
    pthread_t thread;
    bool joined; /* loop thread */

    struct inbox inbox;
    struct outbox outbox;
    atomic_uint n_jobs; /* accepted and not ended */
    atomic_bool draining, stopping;
    atomic_bool blocked; /* nothing can move until a ring is read */
    struct counters count;
    struct observer seen;

    /* Engine thread. */
    struct scheduler scheduler;
    struct sharing sharing;
    struct pace pace;
    struct emitter emitter;
    struct batch *batch; /* owned */
    struct list jobs;    /* job_state.node; a reference each */
    uint64_t next_number;
};

static void add(atomic_ullong *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static struct sequence *sequence_of(struct sched_entry *entry)
{
    return list_owner(entry, struct sequence, sched);
}

/* ---- jobs come and go ------------------------------------------------- */

/* Its tokens may be wanted again: by itself after a preemption, by others. */
static void put_away(struct engine *e, struct sequence *seq)
{
    share_remember(&e->sharing, seq);
    cache_close(e->model.cache, &seq->cache);
    seq->n_kept = 0;
}

static void let_go(struct engine *e, struct sequence *seq)
{
    seq->ended = true;
    scheduler_remove(&e->scheduler, &seq->sched);
    put_away(e, seq);
}

static void join(struct engine *e, struct sequence *seq)
{
    if (seq->ended || seq->has_joined)
        return;
    seq->has_joined = true;
    sequence_aim(seq);
    scheduler_add(&e->scheduler, &seq->sched);
}

/* The choices that let the first compute the prompt for all. */
static void join_others(struct engine *e, struct job *job)
{
    for (uint32_t i = 1; i < job->n_choices; i++)
        join(e, &job->state->seqs[i]);
}

static void take_in(struct engine *e, struct job *job)
{
    struct job_state *st = job->state;
    st->n_open = job->n_choices;
    for (uint32_t i = 0; i < job->n_choices; i++) {
        struct sequence *seq = &st->seqs[i];
        if (sequence_is_empty(seq)) {
            emit_finish(seq, FINISH_LENGTH);
            continue;
        }
        seq->sched.priority = job->priority;
        seq->sched.number = e->next_number++;
        seq->sched.room = &st->room;
        if (i == 0 || !share_saves_choices(&e->sharing, job))
            join(e, seq);
    }
}

static void end_job(struct engine *e, struct job *job, bool silent)
{
    struct job_state *st = job->state;
    for (uint32_t i = 0; i < job->n_choices; i++) {
        struct sequence *seq = &st->seqs[i];
        if (!seq->ended && !silent)
            emit_finish(seq, FINISH_ABORT);
        let_go(e, seq);
    }
    if (silent) {
        st->n_open = 0;
        st->dirty = false;
    }
}

static bool waits_too_long(const struct engine *e, const struct job_state *st,
                           uint64_t now)
{
    uint64_t most_us = (uint64_t)e->options.max_queue_ms * 1000;
    return most_us > 0 && !st->started && now - st->arrived_us >= most_us;
}

static void expire(struct engine *e, struct job *job)
{
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE,
            "The request waited for %u ms and was not started; try again "
            "later.",
            e->options.max_queue_ms);
    for (uint32_t i = 0; i < job->n_choices; i++) {
        emit_error(&job->state->seqs[i], &err);
        let_go(e, &job->state->seqs[i]);
    }
    counter_add(&e->seen.expired, 1);
}

static void receive(struct engine *e)
{
    if (inbox_was_nudged(&e->inbox)) {
        struct list fresh;
        list_init(&fresh);
        inbox_take(&e->inbox, &fresh);
        while (!list_empty(&fresh)) {
            struct list *node = fresh.next;
            list_remove(node);
            list_append(&e->jobs, node);
            take_in(e, list_owner(node, struct job_state, node)->self);
        }
    }
    uint64_t now = clock_now_us();
    for (struct list *at = e->jobs.next; at != &e->jobs; at = at->next) {
        struct job_state *st = list_owner(at, struct job_state, node);
        uint64_t deadline = st->self->deadline_us;
        if (atomic_load(&st->cancelled))
            end_job(e, st->self, true);
        else if (deadline != 0 && now >= deadline)
            end_job(e, st->self, false);
        else if (waits_too_long(e, st, now))
            expire(e, st->self);
    }
}

static void retire(struct engine *e, struct job_state *st)
{
    if (atomic_load(&st->cancelled))
        add(&e->count.cancelled, 1);
    else
        add(st->failed ? &e->count.failed : &e->count.finished, 1);
    observe_job_end(&e->seen, st->self);
    list_remove(&st->node);
    job_release(st->self);
    atomic_fetch_sub(&e->n_jobs, 1);
}

static void publish(struct engine *e)
{
    bool news = false;
    struct list *next;
    for (struct list *at = e->jobs.next; at != &e->jobs; at = next) {
        struct job_state *st = list_owner(at, struct job_state, node);
        next = at->next;
        if (st->dirty) {
            st->dirty = false;
            news = true;
            outbox_put(&e->outbox, st->self);
        }
        if (st->n_open == 0)
            retire(e, st);
    }
    atomic_store_explicit(&e->count.running, e->scheduler.n_running,
                          memory_order_relaxed);
    atomic_store_explicit(&e->count.waiting, e->scheduler.n_waiting,
                          memory_order_relaxed);
    atomic_store_explicit(&e->count.free_blocks,
                          cache_free_blocks(e->model.cache),
                          memory_order_relaxed);
    atomic_store_explicit(&e->count.prefix_query, e->sharing.query_tokens,
                          memory_order_relaxed);
    atomic_store_explicit(&e->count.prefix_hit, e->sharing.hit_tokens,
                          memory_order_relaxed);
    atomic_store_explicit(&e->count.prefix_evictions,
                          cache_n_forgotten(e->model.cache),
                          memory_order_relaxed);
    if (news)
        e->wake(e->wake_user);
}

/* ---- one step --------------------------------------------------------- */

/* An end that was not planned (deadline, stop) must always find room. */
static size_t end_bytes(void)
{
    return event_bytes(EVENT_ERROR_BYTES, 0);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Events the next plan may cause: what is free, less one end per open choice
 * and the waste of one jump to the ring's beginning. */
static void measure_room(struct engine *e)
{
    for (struct list *at = e->jobs.next; at != &e->jobs; at = at->next) {
        struct job_state *st = list_owner(at, struct job_state, node);
        size_t kept =
            st->n_open * end_bytes() + larger(st->worst_bytes, end_bytes());
        size_t unused = ring_free(&st->ring);
        st->room =
            unused > kept ? (uint32_t)((unused - kept) / st->worst_bytes) : 0;
    }
}

static void fill_batch(struct engine *e, const struct plan *plan)
{
    struct cache *cache = e->model.cache;
    batch_clear(e->batch);
    for (uint32_t i = 0; i < plan->n_evicted; i++)
        put_away(e, sequence_of(plan->evicted[i]));
    for (uint32_t i = 0; i < plan->n_admitted; i++) {
        struct sequence *seq = sequence_of(plan->admitted[i]);
        observe_planned(&e->seen, seq);
        int rc = cache_open(cache, &seq->cache);
        assert(rc == CACHE_OK);
        rc = cache_reserve(cache, &seq->cache, seq->sched.n_tokens);
        assert(rc == CACHE_OK);
        (void)rc;
        share_begin(&e->sharing, seq);
    }
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sequence *seq = sequence_of(plan->items[i]);
        const struct sched_entry *s = &seq->sched;
        int rc =
            cache_reserve(cache, &seq->cache, s->n_computed + s->n_planned);
        assert(rc == CACHE_OK);
        bool added = batch_add_resumed(
            e->batch, &seq->cache, seq->tokens + s->n_computed, s->n_planned,
            s->n_computed, s->n_rows, share_n_replay(seq));
        assert(added);
        (void)rc, (void)added;
    }
}

/* What one sequence has to say about its rows. */
static void read_rows(struct engine *e, struct sequence *seq,
                      const struct batch_slice *slice)
{
    const struct job *job = seq->job;
    for (uint32_t r = 0; r < slice->n_logits && !seq->ended; r++) {
        float *logits = batch_logits(e->batch, slice, r);
        if (job->want_prompt_logprobs && seq->n_scored < job->n_prompt)
            emit_prompt_logprob(&e->emitter, seq, logits);
        else
            emit_token(&e->emitter, seq, logits);
    }
    if (!seq->ended && sequence_is_empty(seq))
        emit_finish(seq, FINISH_LENGTH);
}

/* After a step: it has filled a block, or has come through its prompt. */
static bool is_worth_remembering(const struct sequence *seq)
{
    uint32_t n = seq->sched.n_computed, before = n - seq->sched.n_planned;
    return n / KV_BLOCK_TOKENS > before / KV_BLOCK_TOKENS ||
           (before < seq->job->n_prompt && n >= seq->job->n_prompt);
}

static void read_batch(struct engine *e, const struct plan *plan)
{
    uint64_t n_drawn = 0, n_prompt = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sequence *seq = sequence_of(plan->items[i]);
        uint32_t n_before = seq->n_output;
        seq->sched.n_computed += seq->sched.n_planned;
        if (seq->n_kept < seq->sched.n_computed)
            seq->n_kept = seq->sched.n_computed;
        read_rows(e, seq, &e->batch->slices[i]);
        observe_tokens(&e->seen, seq, seq->n_output - n_before);
        n_drawn += seq->n_output - n_before;
        n_prompt += seq->sched.n_planned - (n_before > 0 ? 1 : 0);
        if (!seq->ended && is_worth_remembering(seq))
            share_remember(&e->sharing, seq);
        if (seq->choice == 0 && seq->n_kept >= seq->job->n_prompt)
            join_others(e, seq->job);
        if (seq->ended)
            let_go(e, seq);
        else
            sequence_aim(seq);
    }
    add(&e->count.tokens_generated, n_drawn);
    add(&e->count.tokens_prompt, n_prompt);
}

/* Forward and what it says, timed for the steps to come. */
static void compute(struct engine *e, const struct plan *plan)
{
    uint32_t n_decodes = 0;
    for (uint32_t i = 0; i < plan->n_items; i++)
        n_decodes += plan->items[i]->n_planned == 1;
    const uint32_t n_prompt = e->batch->n_tokens - n_decodes;
    const uint64_t start = clock_now_us();
    e->model.forward(e->model.ctx, e->batch);
    read_batch(e, plan);
    const uint64_t end = clock_now_us();
    pace_learn(&e->pace, end - start, n_decodes, n_prompt);
    add(&e->count.steps, 1);
    atomic_store_explicit(&e->count.last_step_us, end, memory_order_relaxed);
}

/* False when there was nothing to compute. */
static bool step(struct engine *e)
{
    receive(e);
    alloc_forbid("engine step");
    measure_room(e);
    share_before_plan(&e->sharing, &e->scheduler);
    e->scheduler.mixed_tokens = pace_prompt_tokens(&e->pace, LEAST_MIXED_TOKENS,
                                                   e->options.max_step_tokens);
    const struct plan *plan =
        scheduler_plan(&e->scheduler, cache_free_blocks(e->model.cache));
    share_after_plan(&e->sharing);
    const bool worked = plan->n_items > 0;
    fill_batch(e, plan);
    if (worked)
        compute(e, plan);
    add(&e->count.preemptions, plan->n_evicted);
    alloc_permit();
    publish(e);
    return worked;
}

/* Nothing to compute: sleep until somebody has something.  `blocked` is set
 * before the rings are looked at once more, and dispatch looks at it after it
 * has read a ring, so one of the two sees the other. */
static void rest(struct engine *e)
{
    if (list_empty(&e->jobs)) {
        inbox_wait(&e->inbox, 0);
        return;
    }
    atomic_store(&e->blocked, true);
    if (!step(e))
        inbox_wait(&e->inbox, STALLED_LOOK_MS);
    atomic_store(&e->blocked, false);
}

static void *engine_run(void *user)
{
    struct engine *e = user;
    /* A step takes the inbox's nudge, that of engine_stop too; whoever is about
     * to sleep must therefore look once more at what came before the nudge. */
    while (!atomic_load(&e->stopping)) {
        if (!step(e) && !atomic_load(&e->stopping))
            rest(e);
    }
    receive(e);
    for (struct list *at = e->jobs.next; at != &e->jobs; at = at->next)
        end_job(e, list_owner(at, struct job_state, node)->self, false);
    publish(e);
    return NULL;
}

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
    atomic_init(&e->count.free_blocks, cache_free_blocks(model->cache));
    if ((rc = start_thread(e, err)) != 0)
        goto deinit_inbox;
    *out = e;
    return 0;

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
    inbox_deinit(&e->inbox);
    batch_free(e->batch);
    emitter_deinit(&e->emitter);
    scheduler_deinit(&e->scheduler);
    mem_free(e);
}

/* ---- submit, cancel --------------------------------------------------- */

uint32_t engine_context_tokens(const struct engine *e)
{
    uint64_t pool =
        (uint64_t)cache_total_blocks(e->model.cache) * KV_BLOCK_TOKENS;
    return pool < e->model.ctx_tokens ? (uint32_t)pool : e->model.ctx_tokens;
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
    return 0;
}

static int prepare_job(struct engine *e, struct job *job, struct err *err)
{
    struct job_state *st = job->state;
    if (job->params.n_logprobs > SAMPLE_MAX_TOP)
        job->params.n_logprobs = SAMPLE_MAX_TOP;
    int rc = stop_set_init(&st->stop, job->arena, job->stop, job->n_stop,
                           job->include_stop, err);
    if (rc != 0)
        return rc;
    st->worst_bytes = emit_worst_bytes(&e->model, job);
    st->arrived_us = clock_now_us();
    /* All choices must be able to move in one step. */
    size_t least = (2 * (size_t)job->n_choices + 2) * st->worst_bytes +
                   ((size_t)job->n_choices + 1) * end_bytes();
    size_t wanted =
        e->options.ring_bytes > 0 ? e->options.ring_bytes : DEFAULT_RING_BYTES;
    rc = ring_init(&st->ring, larger(least, wanted), err);
    if (rc != 0)
        return rc;
    return sequences_new(job, err);
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
    add(rc == 0 ? &e->count.accepted : &e->count.refused, 1);
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

void engine_metrics(const struct engine *e, struct metrics_text *t)
{
    struct engine_stats stats = engine_stats(e);
    observe_write(&e->seen, &stats, t);
}
