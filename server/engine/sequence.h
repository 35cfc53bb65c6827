/* sequence.h -- one choice of one job on its way through the model.
 *
 * Its life is WAITING, then RUNNING through prompt chunks into single tokens,
 * and back to WAITING when its blocks are taken from it: the tokens it has are
 * then computed again, or found in the cache, and nothing else changes, for
 * chance depends on positions only.  Where it stands is in `sched`.
 *
 * Engine thread, after sequences_new. */
#ifndef LFMD_SERVER_ENGINE_SEQUENCE_H
#define LFMD_SERVER_ENGINE_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/cache/cache.h"
#include "model/text/detok.h"
#include "model/text/stop.h"
#include "server/engine/draft.h"
#include "server/engine/job.h"
#include "server/engine/loops.h"
#include "server/engine/observe.h"
#include "server/engine/scheduler.h"

struct mask_vocab;
struct matcher;

/* What a reply has said so far. */
enum bound {
    BOUND_START,   /* nothing: it may yet think, or call */
    BOUND_THOUGHT, /* it thinks, unbound */
    BOUND_ANSWER,  /* nothing after its thought: it may yet call */
    BOUND_TEXT,    /* a text of the grammar, up to here */
    BOUND_NO_MORE, /* there is no answer to bind: no grammar, or it calls;
                      where calls have a grammar the next one is held to it */
    BOUND_CALL,    /* a text of the grammar of calls, up to here */
    BOUND_CALLED   /* its one call: only its end may come */
};

struct sequence {
    struct sched_entry sched;
    struct job *job; /* borrowed: the job owns its sequences */
    uint32_t choice;
    struct cache_seq cache;
    token_id *tokens; /* [n_prompt + max_tokens], owned: prompt, output, and
                         during a step what may come next */
    uint32_t n_output;
    uint32_t n_thought; /* of them, drawn in a thought or to open or close it */
    uint32_t n_kept;    /* tokens whose keys and values are in its blocks; those
                           from sched.n_computed on run again for the columns */
    uint32_t n_cached;  /* prompt tokens it never had to compute */
    bool was_admitted, has_joined;
    uint32_t n_scored; /* prompt tokens whose logprob was told, the first
                          (which has none) included */
    struct detok detok;
    struct stop stop;
    struct matcher *matcher; /* owned; NULL: its answer may be anything */
    struct matcher *calls;   /* owned; NULL: its calls may be anything */
    enum bound bound;
    struct loops loops;
    struct drafter drafter;
    struct drafter forcer; /* of what its grammar leaves no choice about */
    bool is_forced;        /* whose the draft of this step is */
    struct timeline times;
    bool ended;
};

static inline struct sequence *sequence_of(struct sched_entry *entry)
{
    return list_owner(entry, struct sequence, sched);
}

static inline bool sequence_is_bound(const struct sequence *seq)
{
    return seq->matcher != NULL || seq->calls != NULL;
}

/* The sequences of a job, in job->state->seqs; its stop set must be ready. They
 * guess n_draft tokens ahead at most, n_forced where there is no choice.  Any
 * thread that owns the job. -ERR_NOMEM leaves none. */
int sequences_new(struct job *job, uint32_t n_draft, uint32_t n_forced,
                  struct err *err);
void sequences_free(struct job *job); /* none is fine */

/* Sets what the scheduler is to compute from what has been said so far. */
void sequence_aim(struct sequence *seq);

/* Says what may come next, before a plan of a running sequence: writes it
 * behind its tokens and sets sched.n_draft.  `v` is NULL if nobody is bound. */
void sequence_draft(struct sequence *seq, const struct mask_vocab *v);

/* Whoever made the draft of this step, to be told how it went. */
static inline struct drafter *sequence_drafter(struct sequence *seq)
{
    return seq->is_forced ? &seq->forcer : &seq->drafter;
}

/* Nothing left to compute once n_computed tokens are: no reply wanted, no
 * prompt logprob to tell, and the prompt through if more is wanted of it. */
bool sequence_is_empty(const struct sequence *seq, uint32_t n_computed);

#endif
