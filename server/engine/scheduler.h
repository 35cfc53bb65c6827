/* scheduler.h -- who is computed in the next step, and how much of each.
 *
 * A pure function of the entries, the free blocks and the limits: no thread,
 * no clock, no cache, no heap; the same state gives the same plan.  The engine
 * carries the plan out.
 *
 * Entries are served in order: lower priority value first, then lower
 * sequence number.  In a plan
 *   - running entries with one token left to compute (decodes) come first and
 *     take the block they need; when none is free, one running entry is
 *     evicted: one that could not move anyway (its reader is slow), else the
 *     last in order, if need be the asker itself;
 *   - if there are any, the chunks of prompts share at most mixed_tokens;
 *   - then running entries with more to compute take chunks, in order, each
 *     half of what is left of the token and row budgets, so that a short prompt
 *     need not wait until a long one is through;
 *   - then waiting entries are admitted in order while a place, tokens, rows
 *     and the blocks for all their known tokens are there (those that it shares
 *     are), plus one spare block
 *     for each running entry; the first that does not fit ends it (no
 *     overtaking, except of those whose reader is slow), and a step that
 *     evicted for want of blocks admits none;
 *   - then what is left of the budgets goes to the planned chunks, in order;
 *   - and if there are only decodes, and nobody waits who could be helped, each
 *     takes in order what it would like to draft, as far as budgets, rings,
 *     max_drafts and blocks (a spare one for each running entry stays) go.
 * So a chunk never waits for blocks, and the first entry in order that may
 * move is in every plan while it runs.
 *
 * One thread at a time. */
#ifndef LFMD_SERVER_ENGINE_SCHEDULER_H
#define LFMD_SERVER_ENGINE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/list.h"

struct sched_limits {
    uint32_t max_running;  /* at least 1 */
    uint32_t max_tokens;   /* per plan, at least max_running */
    uint32_t max_rows;     /* logit rows per plan, at least max_running */
    uint32_t block_tokens; /* positions in one cache block */
    uint32_t max_drafts;   /* entries with a draft per plan */
};

/* A sequence as the scheduler sees it; sits inside the sequence. */
struct sched_entry {
    /* Set by the engine before scheduler_add. */
    int32_t priority;
    uint64_t number;
    /* Kept up by the engine between plans. */
    uint32_t n_tokens;   /* to compute in all; at least 1 */
    uint32_t n_computed; /* < n_tokens at every plan; the plan zeroes it on
                            eviction, the engine adds n_planned after a step.
                            Of a waiting entry: where it would start */
    uint32_t n_shared;   /* blocks it need not take when admitted, and will not
                            give back when evicted (which zeroes it) */
    uint32_t first_row;  /* tokens from here on give a logit row each */
    uint32_t n_draft;    /* of a decode, set before every plan: guesses that it
                            would like computed behind its token; the plan
                            leaves what it has taken, 0 for all others */
    uint32_t *room;      /* events its job can take, shared by the job's
                            entries, set before every plan and spent by it: one
                            per row and one for a possible end */
    /* The scheduler's own. */
    uint32_t n_blocks;  /* held, after the plan is carried out */
    uint32_t n_planned; /* tokens of this plan, a draft included; 0: not in
                           it */
    uint32_t n_rows;
    enum { SCHED_OUT, SCHED_WAITING, SCHED_RUNNING } where;
    struct list node; /* in the waiting list */
};

/* Valid until the next call on the scheduler.  To be carried out in this order:
 * evicted entries give their blocks back, admitted ones start from n_computed
 * with n_shared blocks, items get room for n_computed + n_planned (admitted:
 * n_tokens).  The engine adds to n_computed what of a draft was right. */
struct plan {
    struct sched_entry **evicted;  /* [n_evicted]; they wait again */
    struct sched_entry **admitted; /* [n_admitted]; they are items too */
    struct sched_entry **items;    /* [n_items], decodes first */
    uint32_t n_evicted, n_admitted, n_items;
};

struct scheduler {
    struct sched_limits limits;
    uint32_t mixed_tokens; /* for chunks in a plan with decodes, at least 1; may
                              be set before any plan, max_tokens at first */
    struct sched_entry **running; /* [max_running], owned, in order */
    uint32_t n_running, n_waiting;
    struct list waiting; /* in order */
    struct plan plan;    /* its arrays are owned */
};

int scheduler_init(struct scheduler *s, const struct sched_limits *limits,
                   struct err *err);
void scheduler_deinit(struct scheduler *s);

/* A new entry waits.  O(waiting entries behind it). */
void scheduler_add(struct scheduler *s, struct sched_entry *entry);

/* Forgets an entry; twice is harmless.  Its blocks are the engine's to free. */
void scheduler_remove(struct scheduler *s, struct sched_entry *entry);

/* Moves entries between waiting and running as the plan says. */
const struct plan *scheduler_plan(struct scheduler *s, uint32_t free_blocks);

#endif
