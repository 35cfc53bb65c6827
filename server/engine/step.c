/* step.c -- the inference thread and its step; see engine.h.
 *
 * Everything but submit, cancel, dispatch and stats happens here, on the engine
 * thread, which owns the cache, the scheduler and all sequences.  The part of a
 * step between taking in and publishing runs with allocation forbidden. */
#include <assert.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/cache/cache.h"
#include "model/forward/batch.h"
#include "server/engine/engine_state.h"
#include "server/engine/job_state.h"
#include "server/engine/sequence.h"

#define LEAST_MIXED_TOKENS 8u /* fewer waste the weights they read */
#define STALLED_LOOK_MS 50u   /* how late a stalled job meets its deadline */

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
        if (sequence_is_empty(seq, 0)) {
            emit_finish(seq, FINISH_LENGTH);
            continue;
        }
        seq->sched.priority = job->priority;
        seq->sched.number = e->next_number++;
        seq->sched.tenant = job->tenant;
        seq->sched.keeps = share_keeps(&e->sharing, job);
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
    return most_us > 0 && !st->started && st->n_open > 0 &&
           now - st->arrived_us >= most_us;
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
        save_serve(&e->saver);
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
        engine_count(&e->count.cancelled, 1);
    else
        engine_count(st->failed ? &e->count.failed : &e->count.finished, 1);
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

/* Events the next plan may cause: what is free, less one end per open choice
 * and the waste of one jump to the ring's beginning. */
static void measure_room(struct engine *e)
{
    for (struct list *at = e->jobs.next; at != &e->jobs; at = at->next) {
        struct job_state *st = list_owner(at, struct job_state, node);
        size_t kept = st->n_open * engine_end_bytes() +
                      engine_larger(st->worst_bytes, engine_end_bytes());
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
        const token_id *tokens = seq->tokens + s->n_computed;
        bool added = s->n_draft > 0
                         ? batch_add_draft(e->batch, &seq->cache, tokens,
                                           s->n_planned, s->n_computed)
                         : batch_add_resumed(e->batch, &seq->cache, tokens,
                                             s->n_planned, s->n_computed,
                                             s->n_rows, share_n_replay(seq));
        assert(added);
        (void)rc, (void)added;
        if (capture_wants(&seq->job->want))
            batch_capture(e->batch, &seq->job->captured);
    }
}

/* Draws from one row after the other, as if each token were computed by itself,
 * until one is drawn that the next row was not computed for.  How much of the
 * draft was right. */
static uint32_t read_draft(struct engine *e, struct sequence *seq,
                           const struct batch_slice *slice)
{
    uint32_t n_accepted = 0;
    for (uint32_t r = 0; r < slice->n_logits && !seq->ended; r++) {
        uint32_t at = seq->sched.n_tokens + r, n_before = seq->n_output;
        token_id guess = r < seq->sched.n_draft ? seq->tokens[at] : TOKEN_NONE;
        emit_token(&e->emitter, seq, batch_logits(e->batch, slice, r));
        if (seq->n_output == n_before || seq->tokens[at] != guess)
            break;
        n_accepted++;
    }
    return n_accepted;
}

/* A slice with a draft: afterwards cache and columns are those of the tokens
 * that were right. */
static void take_draft(struct engine *e, struct sequence *seq,
                       const struct batch_slice *slice, uint32_t n_decodes)
{
    struct sched_entry *s = &seq->sched;
    uint32_t n_accepted = read_draft(e, seq, slice);
    struct drafter *drafter = sequence_drafter(seq);
    drafter_learn(drafter, s->n_draft, n_accepted);
    drafter_judge(drafter,
                  pace_draft_pays(&e->pace, n_decodes, drafter->accepted));
    observe_draft(&e->seen, s->n_draft, n_accepted);
    s->n_planned = 1 + n_accepted;
    if (!seq->ended && n_accepted < s->n_draft)
        e->model.rewind(e->model.ctx, slice, s->n_planned);
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
    if (!seq->ended &&
        sequence_is_empty(seq, seq->sched.n_computed + seq->sched.n_planned))
        emit_finish(seq, FINISH_LENGTH);
}

/* After a step: it has filled a block, or has come through its prompt. */
static bool is_worth_remembering(const struct sequence *seq)
{
    uint32_t n = seq->sched.n_computed, before = n - seq->sched.n_planned;
    return n / KV_BLOCK_TOKENS > before / KV_BLOCK_TOKENS ||
           (before < seq->job->n_prompt && n >= seq->job->n_prompt);
}

static void read_batch(struct engine *e, const struct plan *plan,
                       uint32_t n_decodes)
{
    uint64_t n_drawn = 0, n_prompt = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct sequence *seq = sequence_of(plan->items[i]);
        uint32_t n_before = seq->n_output;
        const struct batch_slice *slice = &e->batch->slices[i];
        if (seq->sched.n_draft > 0)
            take_draft(e, seq, slice, n_decodes);
        else
            read_rows(e, seq, slice);
        seq->sched.n_computed += seq->sched.n_planned;
        if (seq->n_kept < seq->sched.n_computed)
            seq->n_kept = seq->sched.n_computed;
        observe_tokens(&e->seen, seq, seq->n_output - n_before);
        n_drawn += seq->n_output - n_before;
        if (seq->sched.n_draft == 0)
            /* What is computed again ends in a token of the reply. */
            n_prompt += seq->sched.n_planned -
                        (n_before > 0 && slice->n_logits > 0 ? 1 : 0);
        if (!seq->ended && is_worth_remembering(seq))
            share_remember(&e->sharing, seq);
        if (seq->choice == 0 && seq->n_kept >= seq->job->n_prompt)
            join_others(e, seq->job);
        if (seq->ended)
            let_go(e, seq);
        else
            sequence_aim(seq);
    }
    engine_count(&e->count.tokens_generated, n_drawn);
    engine_count(&e->count.tokens_prompt, n_prompt);
}

/* Forward and what it says, timed for the steps to come. */
static void compute(struct engine *e, const struct plan *plan)
{
    uint32_t n_decodes = 0, n_draft = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        n_decodes += plan->items[i]->n_planned == 1 + plan->items[i]->n_draft;
        n_draft += plan->items[i]->n_draft;
    }
    const uint32_t n_prompt = e->batch->n_tokens - n_decodes - n_draft;
    const uint64_t start = clock_now_us();
    e->model.forward(e->model.ctx, e->batch);
    read_batch(e, plan, n_decodes);
    const uint64_t end = clock_now_us();
    if (n_draft > 0)
        pace_learn_draft(&e->pace, end - start, n_draft);
    else
        pace_learn(&e->pace, end - start, n_decodes, n_prompt);
    engine_count(&e->count.steps, 1);
    observe_step(&e->seen, e->batch->n_tokens);
    atomic_store_explicit(&e->count.last_step_us, end, memory_order_relaxed);
}

/* Before a plan: what the running ones would try. */
static void draft(struct engine *e)
{
    for (uint32_t i = 0; i < e->scheduler.n_running; i++)
        sequence_draft(sequence_of(e->scheduler.running[i]),
                       e->model.mask_vocab);
}

/* False when there was nothing to compute. */
static bool step(struct engine *e)
{
    receive(e);
    alloc_forbid("engine step");
    measure_room(e);
    draft(e);
    scheduler_choose(&e->scheduler);
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
    engine_count(&e->count.preemptions, plan->n_evicted);
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

void *engine_run(void *user)
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
    save_leave(&e->saver); /* the cache is touched no more */
    return NULL;
}
