/* observe.h -- what operators ask about jobs: how many, how long, how ended.
 *
 * Names, meanings and buckets are vLLM's, for everything that watches language
 * models reads those.  As there, a request with n choices counts as n.
 *
 *     arrived      planned        first token        last token
 *        |--queue--->|----prefill---->|-----decode------>|
 *                    |-------------inference------------>|
 *        |---time to first token----->|                  |
 *        |---------------------end to end--------------->|
 *
 * It decides nothing; the engine calls it where something happens, and a
 * refused client is told from it when to come back.
 *
 * Engine thread, but what reads a const observer: any thread.  Neither
 * allocates nor locks, but observe_write. */
#ifndef LFMD_SERVER_ENGINE_OBSERVE_H
#define LFMD_SERVER_ENGINE_OBSERVE_H

#include <stdint.h>

#include "model/base/metrics.h"
#include "server/engine/job.h"

struct engine_stats;
struct sequence;

enum outcome {
    OUTCOME_ABORT, /* cancelled, past its deadline, or the engine stopped */
    OUTCOME_STOP,
    OUTCOME_LENGTH,
    OUTCOME_ERROR,
    OUTCOME_LOOP,
    N_OUTCOMES
};

/* Of one sequence, inside it; zeroed at first.  Times are clock_now_us(), 0 is
 * not yet. */
struct timeline {
    uint64_t planned_us, first_us, last_us;
    enum outcome outcome;
};

struct observer {
    struct histogram first_token, between_tokens, per_token;
    struct histogram whole, queue, prefill, decode, inference;
    struct histogram prompt, generation, max_tokens, n_choices;
    struct histogram step_tokens;
    struct counter prompt_tokens, generation_tokens;
    struct counter outcomes[N_OUTCOMES];
    struct counter drafts, draft_tokens;
    struct counter accepted[JOB_DRAFT_MAX]; /* by their place in the draft */
    struct counter expired; /* jobs that waited longer than they may */
    /* The pace at which started jobs end. */
    atomic_uint n_started; /* and not ended */
    atomic_ullong n_ended;
    atomic_ullong gap_us;  /* mean time from one end to the next */
    atomic_ullong mark_us; /* the last end, or the first start after a rest */
};

void observer_init(struct observer *o, uint32_t ctx_tokens);

/* A sequence is in a plan: its first, or one after a preemption. */
void observe_planned(struct observer *o, struct sequence *seq);

/* A step drew so many tokens of it; may be none. */
void observe_tokens(struct observer *o, struct sequence *seq, uint32_t n_new);

/* A draft was computed, and so many of its tokens were right. */
void observe_draft(struct observer *o, uint32_t n_draft, uint32_t n_accepted);

/* A step computed so many tokens, of prompts and of answers. */
void observe_step(struct observer *o, uint32_t n_tokens);

/* What an end that is told means. */
enum outcome observe_outcome(const struct job_event *end);

/* All choices have ended, told or not. */
void observe_job_end(struct observer *o, const struct job *job);

/* Seconds until those that now wait, of `n_jobs` that are in, will have been
 * started at the present pace; at least 1. */
uint32_t observe_retry_s(const struct observer *o, uint32_t n_jobs);

/* Seconds until one of `n_own` of the `n_jobs` that are in will have ended at
 * the present pace; at least 1. */
uint32_t observe_end_s(const struct observer *o, uint32_t n_jobs,
                       uint32_t n_own);

/* Everything as text.  Any thread; allocates in the text's buffer. */
void observe_write(const struct observer *o, const struct engine_stats *stats,
                   struct metrics_text *t);

#endif
