/* team.h -- threads that do one thing at a time together.
 *
 * team_run() cuts one function into n parts, n being the size of the team, and
 * returns when all are done: fork and join, one barrier per call.  What a part
 * is depends on sizes only, so a result is the same every time; who runs it
 * depends on who is awake.
 *
 * Waiting members spin for some microseconds, because the next call of a step
 * comes at once, and then sleep in the kernel, because between requests it may
 * never come. */
#ifndef LFMD_MODEL_FORWARD_TEAM_H
#define LFMD_MODEL_FORWARD_TEAM_H

#include <stdint.h>

#include "model/base/err.h"

struct team;

/* `part` is in [0, n_parts); each is run once, by one member.  Two parts may
 * run at the same time or one after the other, so they share nothing that is
 * written. */
typedef void team_fn(void *arg, uint32_t part, uint32_t n_parts);

/* Starts n_threads - 1 threads (n_threads >= 1).  -ERR_NOMEM, -ERR_IO. */
int team_new(struct team **out, uint32_t n_threads, struct err *err);
void team_free(struct team *t); /* joins; NULL is fine */

/* One caller at a time, always from outside the team. */
void team_run(struct team *t, team_fn *fn, void *arg);

uint32_t team_size(const struct team *t);

/* The items [*begin, *end) of n that belong to `part`, both multiples of
 * `grain` but for the end of the last part; may be empty. */
static inline void team_split(uint32_t n, uint32_t grain, uint32_t part,
                              uint32_t n_parts, uint32_t *begin, uint32_t *end)
{
    uint64_t grains = ((uint64_t)n + grain - 1) / grain;
    uint64_t from = grains * part / n_parts * grain;
    uint64_t to = grains * (part + 1) / n_parts * grain;
    *begin = (uint32_t)(from < n ? from : n);
    *end = (uint32_t)(to < n ? to : n);
}

#endif
