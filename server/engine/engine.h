/* engine.h -- many jobs, one model, one thread.
 *
 * The engine thread repeats one step: take what arrived, plan, forward, draw,
 * publish.  Between the wait and the publishing it neither allocates, locks
 * nor logs.  What a job says does not depend on the jobs beside it beyond what
 * the model's arithmetic lets through, nor on having been preempted.
 *
 * Threads: each function says.  "Loop thread" is the one thread that calls
 * engine_dispatch. */
#ifndef LFMD_SERVER_ENGINE_ENGINE_H
#define LFMD_SERVER_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "server/engine/engine_options.h"
#include "server/engine/job.h"

struct batch;
struct batch_slice;
struct cache;
struct engine;
struct metrics_text;
struct mask_vocab;
struct model;
struct prefix_file_stats;

/* Called from the engine thread after a step with something to deliver, and
 * from engine_resume; must only arrange that engine_dispatch is called soon on
 * the loop thread (uv_async_send). */
typedef void engine_wake_fn(void *user);

/* What the engine needs of a model; engine_new makes one of a struct model,
 * tests make their own.  All borrowed, must outlive the engine; the functions
 * are called from the engine thread only. */
struct engine_model {
    void (*forward)(void *ctx, struct batch *batch);
    /* forward_rewind */
    void (*rewind)(void *ctx, const struct batch_slice *slice, uint32_t n_kept);
    const char *(*token_bytes)(void *ctx, token_id id, size_t *n);
    bool (*is_special)(void *ctx, token_id id);
    void *ctx;
    struct cache *cache;
    const struct mask_vocab *mask_vocab; /* NULL: no job may have a grammar */
    uint32_t n_vocab;
    uint32_t ctx_tokens;
    uint32_t max_token_bytes; /* longest answer of token_bytes */
    uint32_t n_replay; /* tokens before a cached prefix's end that run again */
    struct capture_shape shape; /* of what jobs may want of their prompts */
};

/* Starts the thread. */
int engine_new(struct engine **out, struct model *model,
               const struct engine_options *options, engine_wake_fn *wake,
               void *wake_user, struct err *err);
int engine_new_with(struct engine **out, const struct engine_model *model,
                    const struct engine_options *options, engine_wake_fn *wake,
                    void *wake_user, struct err *err);

/* Any thread.  0: accepted, events will follow.  Otherwise no event ever comes:
 *   -ERR_BUSY         max_queue jobs are in
 *   -ERR_UNAVAILABLE  draining or stopped
 *   -ERR_CONTEXT      n_prompt + max_tokens exceeds engine_context_tokens()
 *   -ERR_INVALID      no prompt, a token outside the vocabulary, no choice,
 *                     a want beside what cannot go with it
 *   -ERR_UNSUPPORTED  a grammar, and the model has no mask_vocab
 *   -ERR_NOMEM
 * The caller's reference stays the caller's in every case.  A job is submitted
 * once; the tables of its stop strings go into its arena. */
int engine_submit(struct engine *e, struct job *job, struct err *err);

/* Most tokens prompt and reply may have together: the model's context or the
 * cache, whichever is less.  Any thread. */
uint32_t engine_context_tokens(const struct engine *e);

/* Sequences computed at once, at most.  Any thread. */
uint32_t engine_max_sequences(const struct engine *e);

/* Any thread, idempotent, also for a job that was refused or has ended.  The
 * engine lets go of it at its next step.  On the loop thread no event comes
 * after this returns, not even an end. */
void engine_cancel(struct engine *e, struct job *job);

/* Loop thread: calls on_event for all that is pending. */
void engine_dispatch(struct engine *e);

/* Loop thread: while paused a job's events wait in its ring, and the engine
 * leaves the job out of its steps once the ring is full.  For slow readers.
 * Resuming never calls on_event itself. */
void engine_pause(struct engine *e, struct job *job);
void engine_resume(struct engine *e, struct job *job);

/* Any thread: from now on submit refuses; what is accepted runs to its end. */
void engine_drain(struct engine *e);

/* Any thread: no accepted job is left unfinished (events may still wait for
 * dispatch). */
bool engine_idle(const struct engine *e);

/* Loop thread: joins the engine thread; every unfinished choice ends with
 * FINISH_ABORT, delivered by one more engine_dispatch.  Idempotent. */
void engine_stop(struct engine *e);

/* Loop thread: stops if need be, drops undelivered events, frees. */
void engine_free(struct engine *e); /* NULL is fine */

/* Writes what the prefix cache remembers to a file (prefix_file.h) and returns
 * when it is on disk.  Requests go on meanwhile; what is being written counts
 * as taken, so memory may be short.  After engine_stop any thread may, before
 * it any but the loop's and the engine's; one at a time, and engine_free only
 * when it has returned. */
int engine_save(struct engine *e, const char *path, uint64_t fingerprint,
                struct prefix_file_stats *out, struct err *err);

struct engine_stats {
    uint64_t steps;
    uint64_t tokens_prompt; /* computed, recomputation included */
    uint64_t tokens_generated;
    uint64_t preemptions;
    /* Of prompts at their first admission that might have been shared: their
     * tokens, those not computed; blocks forgotten for want of memory. */
    uint64_t prefix_query_tokens, prefix_hit_tokens, prefix_evictions;
    uint64_t jobs_accepted, jobs_refused, jobs_cancelled, jobs_finished,
        jobs_failed;
    uint32_t running, waiting;          /* sequences */
    uint32_t free_blocks, total_blocks; /* free: with those only cached */
    uint64_t last_step_us; /* clock_now_us() at its end; 0 before */
};

/* Any thread, lock-free; the numbers are each right, not all of one instant. */
struct engine_stats engine_stats(const struct engine *e);

/* Any thread, lock-free: when a client that was refused for want of a place, or
 * gave its place up, had better come back.  Seconds, at least 1. */
uint32_t engine_retry_s(const struct engine *e);

/* Likewise, when one of `n_own` accepted jobs will have ended. */
uint32_t engine_retry_own_s(const struct engine *e, uint32_t n_own);

/* Any thread, lock-free: everything that observe.h counts, as text. */
void engine_metrics(const struct engine *e, struct metrics_text *t);

#endif
