/* scheduler.h -- who is computed in the next step, and how much of each.
 *
 * A pure function of the entries, the free blocks and the limits: no thread,
 * no clock, no cache, no heap; the same state gives the same plan.  The engine
 * carries the plan out.
 *
 * Three orders.  Who waits is admitted in the queue's (queue.h: fair between
 * tenants, aging within).  Prompts share the budgets in the same.  Who runs
 * loses his blocks by age: the last by (priority, number) first.  In a plan
 *   - a tenant of whom nothing runs may take a place over from the one with
 *     most, when all are taken: see below;
 *   - running entries with one token left to compute (decodes) come first and
 *     take the block they need; when none is free, one running entry is
 *     evicted: one that could not move anyway (its reader is slow), else the
 *     last by age, if need be the asker itself;
 *   - if there are any, the chunks of prompts share at most mixed_tokens;
 *   - then come running entries with more to compute and those who wait, each
 *     with half of what is left of the token and row budgets, so that a short
 *     prompt need not wait until a long one is through.  A waiting one is
 *     admitted while a place and the blocks for all its known tokens are there
 *     (those that it shares are), plus one spare block for each running entry;
 *     the first that does not fit ends admission (no overtaking, except of
 *     those whose reader is slow), and so does an eviction for want of blocks;
 *   - then what is left of the budgets goes to the planned chunks, in order;
 *   - and if there are only decodes, and nobody waits who could be helped, each
 *     takes by age what it would like to draft, as far as budgets, rings,
 *     max_drafts and blocks (a spare one for each running entry stays) go.
 * So a chunk never waits for blocks, somebody moves in every plan in which
 * anybody can, and want of blocks never evicts the oldest but a slow reader.
 *
 * A place taken over costs its loser little where the cache keeps what it has
 * computed, so only such (`keeps`) lose one, the last by age of a tenant with
 * two at least, to an entry that never ran.  An entry takes over at most once
 * and loses at most once that way, and the taker's tenant then has something
 * running, so nothing goes back and forth.
 *
 * One thread at a time. */
#ifndef LFMD_SERVER_ENGINE_SCHEDULER_H
#define LFMD_SERVER_ENGINE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/list.h"
#include "server/engine/queue.h"

/* No plan admits more. */
#define SCHED_NEXT 64u

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
    uint64_t number; /* all different */
    uint64_t tenant; /* whose share it takes from */
    bool keeps;      /* evicted, it finds again what it has computed */
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
    bool took, lost; /* a place, over from or to another tenant */
    /* The queue's own. */
    struct queue_node node;
    int64_t due;     /* on its clock */
    uint32_t n_paid; /* tokens */
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
    struct sched_entry **running; /* [max_running], owned, by age */
    uint32_t n_running, n_waiting;
    struct queue queue;
    struct sched_entry *next[SCHED_NEXT]; /* [n_next], in order: the only ones
                                             that the next plan may admit */
    uint32_t n_next;
    struct sched_entry *loser;   /* of its place, to next[0]; or NULL */
    struct sched_entry **chunks; /* [max_running], owned; of one plan */
    struct plan plan;            /* its arrays are owned */
};

int scheduler_init(struct scheduler *s, const struct sched_limits *limits,
                   struct err *err);
void scheduler_deinit(struct scheduler *s);

/* A new entry waits.  O(1) in those that wait. */
void scheduler_add(struct scheduler *s, struct sched_entry *entry);

/* Forgets an entry; twice is harmless.  Its blocks are the engine's to free. */
void scheduler_remove(struct scheduler *s, struct sched_entry *entry);

/* Before every plan, with `room` set and nothing called in between: chooses
 * `next`, none where no place is free or may become so.  Their n_computed and
 * n_shared may then be set. */
void scheduler_choose(struct scheduler *s);

/* Moves entries between waiting and running as the plan says. */
const struct plan *scheduler_plan(struct scheduler *s, uint32_t free_blocks);

#endif
