/* job.c -- birth and death of a job. */
#include "server/engine/job.h"

#include "model/base/alloc.h"
#include "model/grammar/grammar.h"
#include "server/engine/job_state.h"
#include "server/engine/sequence.h"

struct job *job_new(size_t arena_limit)
{
    struct job *job = mem_calloc(1, sizeof *job);
    struct job_state *st = mem_calloc(1, sizeof *st);
    struct arena *arena = arena_new(arena_limit);
    if (job == NULL || st == NULL || arena == NULL) {
        mem_free(job);
        mem_free(st);
        arena_free(arena);
        return NULL;
    }
    atomic_init(&st->refs, 1);
    atomic_init(&st->cancelled, false);
    atomic_init(&st->in_outbox, false);
    st->self = job;
    list_init(&st->node);
    job->arena = arena;
    job->state = st;
    job->params = sample_params_neutral();
    job->n_choices = 1;
    job->think_start = job->think_end = TOKEN_NONE;
    job->call_start = job->call_end = TOKEN_NONE;
    job->max_thought = JOB_THOUGHT_FREE;
    job->skip_special = true;
    job->n_draft = JOB_DRAFT_DEFAULT;
    return job;
}

struct job *job_retain(struct job *job)
{
    atomic_fetch_add(&job->state->refs, 1);
    return job;
}

void job_release(struct job *job)
{
    if (job == NULL || atomic_fetch_sub(&job->state->refs, 1) != 1)
        return;
    sequences_free(job);
    grammar_unref(job->grammar);
    capture_deinit(&job->captured);
    grammar_unref(job->call_grammar);
    ring_deinit(&job->state->ring);
    mem_free(job->state);
    arena_free(job->arena);
    mem_free(job);
}
