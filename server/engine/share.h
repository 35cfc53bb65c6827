/* share.h -- what a sequence takes from the cache instead of computing it, and
 * what it leaves there.
 *
 * Before a plan those that it may admit are matched: each takes hold of the
 * blocks it would start from, and its sched entry says how many those are and
 * where it would start.  Only as much is held as leaves the blocks that the
 * plan needs, so a match never costs anybody his turn.  After the plan those
 * not admitted let go again.
 *
 * A prefix ends at any token; the n_replay tokens before that end run again,
 * for the columns of the convolutions are not kept (forward.h).
 *
 * It does not know when a sequence ends or what it says.  Engine thread; never
 * allocates. */
#ifndef LFMD_SERVER_ENGINE_SHARE_H
#define LFMD_SERVER_ENGINE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/engine/sequence.h"

struct cache;

#define SHARE_MATCHES 16u

struct sharing {
    struct cache *cache; /* borrowed */
    bool on;
    uint32_t n_replay;
    struct sequence *matched[SHARE_MATCHES]; /* borrowed, during a plan */
    uint32_t n_matched;
    uint64_t query_tokens, hit_tokens; /* engine_stats, ever */
};

/* After scheduler_choose: sets n_computed and n_shared of the chosen, and
 * n_shared of the running ones if the plan may evict one. */
void share_before_plan(struct sharing *sh, struct scheduler *s);
void share_after_plan(struct sharing *sh);

/* Notes what an admitted sequence starts with. */
void share_begin(struct sharing *sh, struct sequence *seq);

/* Leaves what an open sequence has computed for others. */
void share_remember(struct sharing *sh, struct sequence *seq);

/* How many of the next n_planned tokens run for the columns only. */
uint32_t share_n_replay(const struct sequence *seq);

/* Whether what is computed for the job may come from the cache, and is left
 * there. */
bool share_keeps(const struct sharing *sh, const struct job *job);

/* Whether the other choices of a job had better wait until the first has
 * computed the prompt. */
bool share_saves_choices(const struct sharing *sh, const struct job *job);

#endif
