/* queue.h -- in which order those who wait are served.
 *
 * Between tenants: the one that was served the fewest tokens goes first.  A
 * tenant that had nobody waiting is counted as served no less than the least
 * of those who have, or the most of all where nobody waits: idling saves
 * nothing up, and using what nobody wanted costs nothing (VTC: Sheng et al.,
 * "Fairness in Serving Large Language Models", OSDI 2024).  Priority counts for
 * at most QUEUE_LEVEL_TOKENS here: no tenant buys the machine with it.
 *
 * Within a tenant: the earliest due, and due is the clock at arrival, plus the
 * tokens to compute, plus QUEUE_LEVEL_TOKENS a level of priority.  The clock is
 * the number of tokens computed so far, for everybody.  So a short prompt
 * passes a long one that came little before; and once as many tokens have been
 * computed as a prompt has, it is passed by nobody who comes then with no
 * better priority.  That is the aging bound.
 *
 * Each token is paid for once, when it is known and its sequence runs: not when
 * it is found in the cache, nor again after a preemption.  So two tenants that
 * always wait are never further apart than what the sequences of one that run
 * at once can cost: max_running times the longest prompt and reply.
 *
 * Tenants are told apart by hash, so two may now and then share one place in
 * the table (McKenney, "Stochastic Fairness Queueing", INFOCOM 1990).
 *
 * Who waits is in a pairing heap per tenant, so adding costs O(1), taking and
 * removing O(log n), amortized.  No heap memory.  One thread at a time. */
#ifndef LFMD_SERVER_ENGINE_QUEUE_H
#define LFMD_SERVER_ENGINE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_TENANTS 64u
#define QUEUE_LEVEL_TOKENS ((int64_t)65536)

struct sched_entry;

/* Inside an entry: first child, next sibling, and previous sibling or, of a
 * first child, the parent. */
struct queue_node {
    struct queue_node *child, *next, *prev;
};

struct queue_tenant {
    struct queue_node *first; /* who waits, or NULL */
    uint64_t served;          /* tokens */
    uint32_t n_running;
};

struct queue {
    struct queue_tenant tenants[QUEUE_TENANTS];
    uint64_t clock; /* tokens computed, guesses aside */
    uint32_t n_waiting;
};

struct queue_tenant *queue_tenant(struct queue *q, const struct sched_entry *e);

/* A new entry: its due and its tenant's standing are settled.
 * O(QUEUE_TENANTS). */
void queue_add(struct queue *q, struct sched_entry *e);

/* It waits (again) with the due it has. */
void queue_put(struct queue *q, struct sched_entry *e);
void queue_remove(struct queue *q, struct sched_entry *e);

/* Takes out the first `n` in order of those that can move, each tenant counted
 * as having been served what those before it will cost; returns how many.
 * O((taken + unable to move) * QUEUE_TENANTS). */
uint32_t queue_take(struct queue *q, struct sched_entry **out, uint32_t n);

/* A plan computes n_planned tokens of `e`. */
void queue_pay(struct queue *q, struct sched_entry *e);

/* Whether `a` is to be computed rather than `b`, both of them known by now: by
 * what their tenants were served, then by due. */
bool queue_before(const struct queue *q, const struct sched_entry *a,
                  const struct sched_entry *b);

#endif
