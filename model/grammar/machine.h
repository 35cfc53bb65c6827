/* machine.h -- where in a grammar a text may be: sets of states with stacks.
 *
 * A place is a state and what is to be returned to; places that share a past
 * share the nodes of their stacks, each of which exists once.  Nodes come from
 * a pool of fixed size; when it is empty, those that no place reaches are found
 * and used again.  If there are still none, or a set has too many places, the
 * place at hand is left out: what remains is a part of the grammar, and each of
 * its places can still finish.
 *
 * All sets live one after another in `places`: a set is a slice of it, and
 * whoever steps appends.  Truncating `n_places` forgets what came after.
 *
 * Private to model/grammar.  Touches the heap only in machine_init.  One thread
 * at a time. */
#ifndef LFMD_MODEL_GRAMMAR_MACHINE_H
#define LFMD_MODEL_GRAMMAR_MACHINE_H

#include "model/grammar/automaton.h"

#define SET_MAX_PLACES 128u /* that a byte leads on from */
#define SET_MAX_VISITED 512u
#define BOTTOM 0u

struct place {
    uint32_t state, node;
};

struct node {
    uint32_t to;     /* the state to return to */
    uint32_t parent; /* BOTTOM for the last */
    uint32_t next;   /* in its bucket, or in the list of free ones */
    uint8_t depth;   /* 0 is BOTTOM */
    uint8_t reached;
    uint64_t key; /* of the whole stack, whichever machine it is in */
};

struct set {
    uint32_t at, n;
    bool may_end; /* the whole text so far is a text of the grammar */
};

struct machine {
    const struct grammar *grammar; /* borrowed */
    struct place *places;          /* owned */
    uint32_t n_places, cap_places;
    struct node *nodes; /* owned; [0] is BOTTOM */
    uint32_t n_nodes, cap_nodes, free_node;
    uint32_t *buckets; /* owned; [bucket_mask + 1] */
    uint32_t bucket_mask;
    bool left_out; /* something was, since this was last cleared */
};

/* With one node (and so no calls) if n_nodes is 1. */
int machine_init(struct machine *m, uint32_t n_places, uint32_t n_nodes);
void machine_deinit(struct machine *m);

/* Forgets all; from now on sets are of `grammar`. */
void machine_reset(struct machine *m, const struct grammar *grammar);

/* Before the first byte. */
struct set machine_start(struct machine *m);

/* After one more byte; empty and not may_end if it leads nowhere. */
struct set machine_step(struct machine *m, struct set from, uint8_t byte);

/* The set of another machine with the same grammar, copied into this one. */
struct set machine_import(struct machine *m, const struct machine *other,
                          struct set set);

/* Equal for sets of the same places, in any machine and order. */
uint64_t machine_key(const struct machine *m, struct set set);

static inline bool set_alive(struct set set)
{
    return set.n > 0 || set.may_end;
}

#endif
