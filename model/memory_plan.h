/* memory_plan.h -- what a model will take, before any of it is taken.
 *
 * Two kinds of memory: packed weights, cache and activations are the process's
 * own, and what does not fit is killed for; mapped floats are pages of a file,
 * which the kernel drops and reads again, so too little is slow, not fatal.
 *
 * It knows numbers only, not where they come from.  Pure functions. */
#ifndef LFMD_MODEL_MEMORY_PLAN_H
#define LFMD_MODEL_MEMORY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

struct memory_need {
    uint64_t packed_bytes, mapped_bytes; /* weights */
    uint64_t work_bytes;                 /* activations and the like */
    uint64_t block_bytes;                /* of keys and values; 0: none kept */
    uint64_t context_blocks;             /* of one sequence at its longest */
    uint32_t block_tokens;
    uint32_t n_sequences;
    uint64_t asked_cache_bytes; /* 0: to be chosen */
    bool context_asked;         /* the length is the operator's wish */
};

struct memory_plan {
    uint64_t n_blocks;    /* of the cache, at least 1 */
    uint64_t cache_bytes; /* of these; pages are touched as they are used */
    uint64_t own_bytes;   /* packed weights, work and the whole cache */
    bool crowded;         /* the mapped weights do not stay in memory */
};

/* `memory` is what may be used, UINT64_MAX: unknown, everything fits.
 *
 * A cache that is chosen holds all sequences, but no more than a quarter of
 * what weights and work leave; yet one whole context, if that leaves a quarter
 * of it free.  -ERR_LIMIT when it cannot fit: one sentence with the sum. */
int memory_plan_make(struct memory_plan *out, const struct memory_need *need,
                     uint64_t memory, struct err *err);

/* "packed weights 5.20 GB, cache up to 900 MB, ..., free before 12.00 GB";
 * what there is none of is left out.  n > 0. */
void memory_plan_describe(char *out, size_t n, const struct memory_plan *plan,
                          const struct memory_need *need, uint64_t memory);

#endif
