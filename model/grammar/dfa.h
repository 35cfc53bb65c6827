/* dfa.h -- a deterministic automaton over bytes, with calls beside them.
 *
 * From a state a byte leads to at most one other.  Calls are symbols like
 * bytes: a state has at most one for each rule.  State 0 is the start.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_DFA_H
#define LFMD_MODEL_GRAMMAR_DFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/grammar/budget.h"
#include "model/grammar/nfa.h"

#define DFA_DEAD UINT32_MAX

struct dfa_range { /* bytes lo..hi lead to `to` */
    uint32_t to;
    uint8_t lo, hi;
};

struct dfa_call { /* after `rule`, go on at `to` */
    uint32_t rule, to;
};

struct dfa_state {
    uint32_t ranges, calls; /* where they begin */
    uint32_t n_ranges, n_calls;
    bool accept;
};

struct dfa {
    struct dfa_state *states;
    uint32_t n_states, cap_states;
    struct dfa_range *ranges; /* of a state: ascending, apart */
    uint32_t n_ranges, cap_ranges;
    struct dfa_call *calls;
    uint32_t n_calls, cap_calls;
};

/* Subset construction.  On failure *out is empty and budget->rc says so. */
void dfa_of_nfa(struct dfa *out, const struct nfa *nfa, struct budget *budget);

enum dfa_product { DFA_BOTH, DFA_EXCEPT };
/* Of automata without calls. */
void dfa_product(struct dfa *out, const struct dfa *x, const struct dfa *y,
                 enum dfa_product kind, struct budget *budget);

uint32_t dfa_step(const struct dfa *d, uint32_t state, uint8_t byte);
bool dfa_matches(const struct dfa *d, const void *bytes, size_t n);
bool dfa_is_never(const struct dfa *d, struct budget *budget);

void dfa_deinit(struct dfa *d, struct budget *budget);

/* For who fills one by hand (dfa_product, a remainder's automaton): appends. */
uint32_t dfa_add_state(struct dfa *d, bool accept, struct budget *budget);
/* To the last state only, bytes ascending. */
void dfa_add_range(struct dfa *d, uint8_t lo, uint8_t hi, uint32_t to,
                   struct budget *budget);

#endif
