/* automaton.h -- the compiled grammar as matcher.c and mask.c read it.
 *
 * The states of all rules lie in one table.  A state with many ranges has a row
 * of 256 targets as well, since those are the ones met most.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_AUTOMATON_H
#define LFMD_MODEL_GRAMMAR_AUTOMATON_H

#include <stdatomic.h>
#include <stdbool.h>

#include "model/grammar/dfa.h"
#include "model/grammar/grammar.h"

#define NO_ROW UINT32_MAX
#define PLAIN_FOREVER 255u

enum {
    STATE_ACCEPT = 1,
    STATE_SIMPLE = 2 /* no call begins and no rule ends here */
};

struct state {
    uint32_t ranges, calls; /* where they begin */
    uint32_t row;           /* of 256 targets, or NO_ROW */
    uint32_t n_calls;
    uint16_t n_ranges;
    int16_t only;  /* the one byte that leads on, or -1 */
    uint8_t flags; /* STATE_* */
    uint8_t need;  /* calls inside calls until the rule can end; see push() */
    uint8_t plain; /* so many characters of mask.h's plain text all lead on */
};

struct call {
    uint32_t start; /* of the rule called */
    uint32_t to;    /* where to go on */
    bool tail;      /* nothing is left to do at `to` but to end as well */
};

struct grammar {
    atomic_uint refs;
    uint64_t serial;
    struct state *states;
    uint32_t n_states;
    struct dfa_range *ranges;
    struct call *calls;
    uint32_t *rows; /* [n_rows * 256] */
    uint32_t root;  /* where to begin */
    bool has_calls; /* without them no stack is ever needed */
    size_t bytes;
};

static inline uint32_t state_step(const struct grammar *g, uint32_t state,
                                  uint8_t byte)
{
    const struct state *s = &g->states[state];
    if (s->row != NO_ROW)
        return g->rows[s->row * 256u + byte];
    const struct dfa_range *r = g->ranges + s->ranges;
    for (unsigned i = 0; i < s->n_ranges; i++)
        if (byte <= r[i].hi)
            return byte >= r[i].lo ? r[i].to : DFA_DEAD;
    return DFA_DEAD;
}

#endif
