/* subset.c -- dfa_of_nfa: the subset construction, with calls as symbols.
 *
 * A state of the result is a set of states of the NFA; only those count from
 * which a byte, a call or the end is reached, so sets that differ in nothing
 * else are one.  Edges that hold at the start only are followed in the first
 * set, edges that hold at the end only where it is asked whether a set ends. */
#include <stdlib.h>
#include <string.h>

#include "model/base/hash.h"
#include "model/grammar/dfa.h"
#include "model/grammar/grammar.h"

struct set {
    uint32_t at, n; /* in pool, ascending */
};

struct subset {
    const struct nfa *nfa;
    struct dfa *dfa;
    struct budget *budget;
    uint32_t *pool;
    uint32_t n_pool, cap_pool;
    struct set *sets; /* one a state of the DFA */
    uint32_t n_sets, cap_sets;
    uint32_t *slots; /* 1 + index into sets */
    uint32_t n_slots;
    uint32_t *mark; /* [nfa->n_states]; == stamp: in the set being made */
    uint32_t cap_mark, stamp;
    uint32_t *todo; /* [nfa->n_states] */
    uint32_t cap_todo;
    uint32_t *now; /* [nfa->n_states], the set being made */
    uint32_t cap_now, n_now;
    uint32_t *out_edges; /* of the state at hand: indices into nfa->edges */
    uint32_t n_out, cap_out;
    uint32_t *active; /* of those, who has the byte at hand */
    uint32_t cap_active;
};

static void begin_set(struct subset *s)
{
    s->n_now = 0;
    s->stamp++;
}

/* Adds `state` and all it reaches without a byte. */
static void add_to_set(struct subset *s, uint32_t state, bool at_start)
{
    const struct nfa *nfa = s->nfa;
    uint32_t n_todo = 0;
    if (s->mark[state] == s->stamp)
        return;
    s->mark[state] = s->stamp;
    s->todo[n_todo++] = state;
    while (n_todo > 0) {
        state = s->todo[--n_todo];
        bool counts = state == nfa->end;
        uint64_t work = 1;
        for (uint32_t e = nfa->first[state]; e != 0; e = nfa->edges[e].next) {
            const struct nfa_edge *edge = &nfa->edges[e];
            work++;
            if (edge->kind != NFA_EMPTY &&
                !(edge->kind == NFA_AT_START && at_start)) {
                counts |= edge->kind != NFA_AT_START;
            } else if (s->mark[edge->to] != s->stamp) {
                s->mark[edge->to] = s->stamp;
                s->todo[n_todo++] = edge->to;
            }
        }
        if (counts)
            s->now[s->n_now++] = state;
        if (!budget_spend(s->budget, work))
            return;
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_set(struct subset *s)
{
    if (s->n_now > 12) {
        budget_spend(s->budget, s->n_now);
        qsort(s->now, s->n_now, sizeof *s->now, by_number);
        return;
    }
    for (uint32_t i = 1; i < s->n_now; i++) {
        uint32_t x = s->now[i], j = i;
        for (; j > 0 && s->now[j - 1] > x; j--)
            s->now[j] = s->now[j - 1];
        s->now[j] = x;
    }
}

/* Does the set in `now` contain the end, also through AT_END?  Leaves `now`
 * and the marks changed. */
static bool set_ends(struct subset *s)
{
    const struct nfa *nfa = s->nfa;
    uint32_t n = s->n_now, n_todo = 0;
    s->stamp++;
    for (uint32_t i = 0; i < n; i++) {
        if (s->now[i] == nfa->end)
            return true;
        s->mark[s->now[i]] = s->stamp;
        s->todo[n_todo++] = s->now[i];
    }
    while (n_todo > 0) {
        uint32_t state = s->todo[--n_todo];
        if (state == nfa->end)
            return true;
        for (uint32_t e = nfa->first[state]; e != 0; e = nfa->edges[e].next) {
            const struct nfa_edge *edge = &nfa->edges[e];
            if ((edge->kind == NFA_EMPTY || edge->kind == NFA_AT_END) &&
                s->mark[edge->to] != s->stamp) {
                s->mark[edge->to] = s->stamp;
                s->todo[n_todo++] = edge->to;
            }
        }
    }
    return false;
}

static void rehash(struct subset *s)
{
    uint32_t n = s->n_slots == 0 ? 256 : s->n_slots * 2, cap = 0;
    uint32_t *slots = budget_grow(s->budget, NULL, &cap, n, sizeof *slots);
    if (s->budget->rc != 0)
        return;
    memset(slots, 0, (size_t)n * sizeof *slots);
    for (uint32_t i = 0; i < s->n_sets; i++) {
        uint64_t h = hash_bytes(s->pool + s->sets[i].at,
                                s->sets[i].n * sizeof *s->pool, 0);
        while (slots[h & (n - 1)] != 0)
            h++;
        slots[h & (n - 1)] = i + 1;
    }
    budget_drop(s->budget, s->slots, s->n_slots, sizeof *s->slots);
    s->slots = slots;
    s->n_slots = n;
}

/* The number of the set in `now`, which is new or was met before; DFA_DEAD for
 * the empty one. */
static uint32_t end_set(struct subset *s)
{
    if (s->n_now == 0)
        return DFA_DEAD;
    sort_set(s);
    if (s->n_sets * 2 >= s->n_slots)
        rehash(s);
    s->sets = budget_grow(s->budget, s->sets, &s->cap_sets,
                          (uint64_t)s->n_sets + 1, sizeof *s->sets);
    s->pool = budget_grow(s->budget, s->pool, &s->cap_pool,
                          (uint64_t)s->n_pool + s->n_now, sizeof *s->pool);
    if (s->budget->rc != 0)
        return DFA_DEAD;
    size_t n_bytes = s->n_now * sizeof *s->now;
    uint64_t h = hash_bytes(s->now, n_bytes, 0);
    for (;; h++) {
        uint32_t slot = s->slots[h & (s->n_slots - 1)];
        if (slot == 0)
            break;
        const struct set *old = &s->sets[slot - 1];
        if (old->n == s->n_now &&
            memcmp(s->pool + old->at, s->now, n_bytes) == 0)
            return slot - 1;
    }
    s->slots[h & (s->n_slots - 1)] = s->n_sets + 1;
    memcpy(s->pool + s->n_pool, s->now, n_bytes);
    s->sets[s->n_sets] = (struct set){s->n_pool, s->n_now};
    s->n_pool += s->n_now;
    return s->n_sets++;
}

/* By first byte; calls last, by rule. */
static int by_symbol(const struct nfa_edge *x, const struct nfa_edge *y)
{
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind == NFA_BYTES)
        return (x->lo > y->lo) - (x->lo < y->lo);
    return (x->rule > y->rule) - (x->rule < y->rule);
}

static void sort_edges(struct subset *s)
{
    const struct nfa_edge *edges = s->nfa->edges;
    uint32_t *v = s->out_edges, n = s->n_out;
    /* Shell's gaps: short lists are nearly all there is. */
    for (uint32_t gap = n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < n; i++) {
            uint32_t x = v[i], j = i;
            for (; j >= gap && by_symbol(&edges[v[j - gap]], &edges[x]) > 0;
                 j -= gap)
                v[j] = v[j - gap];
            v[j] = x;
        }
    budget_spend(s->budget, n);
}

static void collect_edges(struct subset *s, struct set set)
{
    const struct nfa *nfa = s->nfa;
    s->n_out = 0;
    for (uint32_t i = 0; i < set.n; i++)
        for (uint32_t e = nfa->first[s->pool[set.at + i]]; e != 0;
             e = nfa->edges[e].next) {
            if (nfa->edges[e].kind != NFA_BYTES &&
                nfa->edges[e].kind != NFA_CALL)
                continue;
            s->out_edges =
                budget_grow(s->budget, s->out_edges, &s->cap_out,
                            (uint64_t)s->n_out + 1, sizeof *s->out_edges);
            s->active = budget_grow(s->budget, s->active, &s->cap_active,
                                    (uint64_t)s->n_out + 1, sizeof *s->active);
            if (s->budget->rc != 0)
                return;
            s->out_edges[s->n_out++] = e;
        }
    sort_edges(s);
}

/* Sweeps over the bytes: between two places where an edge begins or ends, all
 * bytes lead to one set. */
static uint32_t make_ranges(struct subset *s)
{
    const struct nfa_edge *edges = s->nfa->edges;
    uint32_t next = 0, n_active = 0;
    for (unsigned lo = 0; lo < 256 && s->budget->rc == 0;) {
        while (next < s->n_out && edges[s->out_edges[next]].kind == NFA_BYTES &&
               edges[s->out_edges[next]].lo == lo)
            s->active[n_active++] = s->out_edges[next++];
        unsigned end = 256;
        if (next < s->n_out && edges[s->out_edges[next]].kind == NFA_BYTES)
            end = edges[s->out_edges[next]].lo;
        for (uint32_t i = 0; i < n_active; i++)
            if (edges[s->active[i]].hi + 1u < end)
                end = edges[s->active[i]].hi + 1u;
        if (n_active > 0) {
            begin_set(s);
            for (uint32_t i = 0; i < n_active; i++)
                add_to_set(s, edges[s->active[i]].to, false);
            uint32_t to = end_set(s);
            if (to != DFA_DEAD)
                dfa_add_range(s->dfa, (uint8_t)lo, (uint8_t)(end - 1), to,
                              s->budget);
        }
        uint32_t kept = 0;
        for (uint32_t i = 0; i < n_active; i++)
            if (edges[s->active[i]].hi + 1u > end)
                s->active[kept++] = s->active[i];
        budget_spend(s->budget, 1 + n_active);
        n_active = kept;
        lo = end;
    }
    return next;
}

static void make_calls(struct subset *s, uint32_t next)
{
    const struct nfa_edge *edges = s->nfa->edges;
    struct dfa *d = s->dfa;
    while (next < s->n_out && s->budget->rc == 0) {
        uint32_t rule = edges[s->out_edges[next]].rule;
        begin_set(s);
        for (; next < s->n_out && edges[s->out_edges[next]].rule == rule;
             next++)
            add_to_set(s, edges[s->out_edges[next]].to, false);
        uint32_t to = end_set(s);
        d->calls = budget_grow(s->budget, d->calls, &d->cap_calls,
                               (uint64_t)d->n_calls + 1, sizeof *d->calls);
        if (to == DFA_DEAD || s->budget->rc != 0)
            continue;
        d->calls[d->n_calls++] = (struct dfa_call){rule, to};
        d->states[d->n_states - 1].n_calls++;
    }
}

static void prepare(struct subset *s)
{
    uint32_t n = s->nfa->n_states;
    struct budget *b = s->budget;
    s->mark = budget_grow(b, s->mark, &s->cap_mark, n, sizeof *s->mark);
    s->todo = budget_grow(b, s->todo, &s->cap_todo, n, sizeof *s->todo);
    s->now = budget_grow(b, s->now, &s->cap_now, n, sizeof *s->now);
    if (b->rc == 0)
        memset(s->mark, 0, (size_t)n * sizeof *s->mark);
}

static void release(struct subset *s)
{
    struct budget *b = s->budget;
    budget_drop(b, s->pool, s->cap_pool, sizeof *s->pool);
    budget_drop(b, s->sets, s->cap_sets, sizeof *s->sets);
    budget_drop(b, s->slots, s->n_slots, sizeof *s->slots);
    budget_drop(b, s->mark, s->cap_mark, sizeof *s->mark);
    budget_drop(b, s->todo, s->cap_todo, sizeof *s->todo);
    budget_drop(b, s->now, s->cap_now, sizeof *s->now);
    budget_drop(b, s->out_edges, s->cap_out, sizeof *s->out_edges);
    budget_drop(b, s->active, s->cap_active, sizeof *s->active);
}

void dfa_of_nfa(struct dfa *out, const struct nfa *nfa, struct budget *budget)
{
    *out = (struct dfa){0};
    struct subset s = {.nfa = nfa, .dfa = out, .budget = budget};
    prepare(&s);
    if (budget->rc == 0) {
        begin_set(&s);
        add_to_set(&s, nfa->start, true);
        if (end_set(&s) == DFA_DEAD)
            dfa_add_state(out, false, budget);
    }
    for (uint32_t i = 0; i < s.n_sets && budget->rc == 0; i++) {
        struct set set = s.sets[i];
        memcpy(s.now, s.pool + set.at, set.n * sizeof *s.now);
        s.n_now = set.n;
        dfa_add_state(out, set_ends(&s), budget);
        if (out->n_states > GRAMMAR_MAX_STATES)
            budget_fail(budget, ERR_LIMIT,
                        "the constraint needs more than %u states: make it "
                        "smaller or less ambiguous",
                        GRAMMAR_MAX_STATES);
        collect_edges(&s, set);
        make_calls(&s, make_ranges(&s));
    }
    release(&s);
    if (budget->rc != 0)
        dfa_deinit(out, budget);
}
