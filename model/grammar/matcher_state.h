/* matcher_state.h -- a matcher's insides, for mask.c.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_MATCHER_STATE_H
#define LFMD_MODEL_GRAMMAR_MATCHER_STATE_H

#include "model/grammar/machine.h"
#include "model/grammar/matcher.h"

struct matcher {
    struct machine machine;
    struct grammar *grammar; /* one reference */
    uint32_t max_rollback;
    /* After each token that can be taken back, and after those before; the
     * last is where we are.  Owned, [cap_sets]. */
    struct set *sets;
    uint32_t n_sets, cap_sets;
};

static inline struct set matcher_set(const struct matcher *m)
{
    return m->sets[m->n_sets - 1];
}

#endif
