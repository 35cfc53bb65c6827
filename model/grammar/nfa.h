/* nfa.h -- one rule as an automaton that may be in many states at once.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_NFA_H
#define LFMD_MODEL_GRAMMAR_NFA_H

#include <stdint.h>

#include "model/grammar/budget.h"

enum nfa_edge_kind {
    NFA_EMPTY,    /* without a byte */
    NFA_BYTES,    /* lo..hi */
    NFA_CALL,     /* rule */
    NFA_AT_START, /* without a byte, before the first one */
    NFA_AT_END    /* without a byte, after the last one */
};

struct nfa_edge {
    uint32_t to;
    uint32_t next; /* of the same state; 0 ends, edge 0 is nobody's */
    uint32_t rule;
    uint8_t kind, lo, hi;
};

struct nfa {
    uint32_t *first; /* [n_states] */
    uint32_t n_states, cap_states;
    struct nfa_edge *edges;
    uint32_t n_edges, cap_edges;
    uint32_t start, end;
};

struct grammar_builder;

/* Of an expression; calls to rules that are not inlined become NFA_CALL. */
void nfa_of_expr(struct nfa *out, const struct grammar_builder *b,
                 uint32_t expr, struct budget *budget);
void nfa_deinit(struct nfa *n, struct budget *budget);

#endif
