/* dfa.c -- see dfa.h: the automaton itself and products of two.  The subset
 * construction is in subset.c. */
#include "model/grammar/dfa.h"

#include <string.h>

#include "model/base/hash.h"

void dfa_deinit(struct dfa *d, struct budget *budget)
{
    budget_drop(budget, d->states, d->cap_states, sizeof *d->states);
    budget_drop(budget, d->ranges, d->cap_ranges, sizeof *d->ranges);
    budget_drop(budget, d->calls, d->cap_calls, sizeof *d->calls);
    *d = (struct dfa){0};
}

uint32_t dfa_add_state(struct dfa *d, bool accept, struct budget *budget)
{
    d->states = budget_grow(budget, d->states, &d->cap_states,
                            (uint64_t)d->n_states + 1, sizeof *d->states);
    if (!budget_spend(budget, 1))
        return 0;
    d->states[d->n_states] = (struct dfa_state){
        .ranges = d->n_ranges, .calls = d->n_calls, .accept = accept};
    return d->n_states++;
}

void dfa_add_range(struct dfa *d, uint8_t lo, uint8_t hi, uint32_t to,
                   struct budget *budget)
{
    if (budget->rc != 0)
        return;
    struct dfa_state *s = &d->states[d->n_states - 1];
    if (s->n_ranges > 0) {
        struct dfa_range *last = &d->ranges[d->n_ranges - 1];
        if (last->to == to && last->hi + 1 == lo) {
            last->hi = hi;
            return;
        }
    }
    d->ranges = budget_grow(budget, d->ranges, &d->cap_ranges,
                            (uint64_t)d->n_ranges + 1, sizeof *d->ranges);
    if (budget->rc != 0)
        return;
    d->ranges[d->n_ranges++] = (struct dfa_range){to, lo, hi};
    s->n_ranges++;
}

uint32_t dfa_step(const struct dfa *d, uint32_t state, uint8_t byte)
{
    const struct dfa_state *s = &d->states[state];
    for (uint32_t i = s->ranges; i < s->ranges + s->n_ranges; i++)
        if (byte >= d->ranges[i].lo && byte <= d->ranges[i].hi)
            return d->ranges[i].to;
    return DFA_DEAD;
}

bool dfa_matches(const struct dfa *d, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    if (d->n_states == 0)
        return false;
    uint32_t s = 0;
    for (size_t i = 0; i < n && s != DFA_DEAD; i++)
        s = dfa_step(d, s, p[i]);
    return s != DFA_DEAD && d->states[s].accept;
}

/* Every state is reachable in what this room makes, so any accepting one will
 * do. */
bool dfa_is_never(const struct dfa *d, struct budget *budget)
{
    budget_spend(budget, d->n_states);
    for (uint32_t i = 0; i < d->n_states; i++)
        if (d->states[i].accept)
            return false;
    return true;
}

/* Pairs of states met so far; `y` is DFA_DEAD where y cannot go on. */
struct pair {
    uint32_t x, y;
};

struct pairs {
    struct pair *list;
    uint32_t n, cap;
    uint32_t *slots; /* 1 + index into list; 0 is free */
    uint32_t n_slots;
};

static void rehash(struct pairs *p, struct budget *budget)
{
    uint32_t n = p->n_slots == 0 ? 256 : p->n_slots * 2, cap = 0;
    uint32_t *slots = budget_grow(budget, NULL, &cap, n, sizeof *slots);
    if (budget->rc != 0)
        return;
    memset(slots, 0, (size_t)n * sizeof *slots);
    for (uint32_t i = 0; i < p->n; i++) {
        uint64_t h = hash_bytes(&p->list[i], sizeof p->list[i], 0);
        while (slots[h & (n - 1)] != 0)
            h++;
        slots[h & (n - 1)] = i + 1;
    }
    budget_drop(budget, p->slots, p->n_slots, sizeof *p->slots);
    p->slots = slots;
    p->n_slots = n;
}

static uint32_t find_pair(struct pairs *p, struct pair pair,
                          struct budget *budget)
{
    if (p->n * 2 >= p->n_slots)
        rehash(p, budget);
    p->list = budget_grow(budget, p->list, &p->cap, (uint64_t)p->n + 1,
                          sizeof *p->list);
    if (budget->rc != 0)
        return 0;
    uint64_t h = hash_bytes(&pair, sizeof pair, 0);
    for (;; h++) {
        uint32_t slot = p->slots[h & (p->n_slots - 1)];
        if (slot == 0)
            break;
        if (memcmp(&p->list[slot - 1], &pair, sizeof pair) == 0)
            return slot - 1;
    }
    p->slots[h & (p->n_slots - 1)] = p->n + 1;
    p->list[p->n] = pair;
    return p->n++;
}

/* The bytes from..255 that go on as `from` does: *last is the end of the run
 * and the result where it leads. */
static uint32_t run_from(const struct dfa *d, uint32_t state, unsigned from,
                         unsigned *last)
{
    *last = 255;
    if (state == DFA_DEAD)
        return DFA_DEAD;
    const struct dfa_state *s = &d->states[state];
    for (uint32_t i = s->ranges; i < s->ranges + s->n_ranges; i++) {
        const struct dfa_range *r = &d->ranges[i];
        if (r->hi < from)
            continue;
        if (r->lo > from) {
            *last = r->lo - 1u;
            return DFA_DEAD;
        }
        *last = r->hi;
        return r->to;
    }
    return DFA_DEAD;
}

static bool accepts(const struct dfa *d, uint32_t state)
{
    return state != DFA_DEAD && d->states[state].accept;
}

void dfa_product(struct dfa *out, const struct dfa *x, const struct dfa *y,
                 enum dfa_product kind, struct budget *budget)
{
    *out = (struct dfa){0};
    struct pairs pairs = {0};
    if (x->n_states == 0 || (y->n_states == 0 && kind == DFA_BOTH)) {
        dfa_add_state(out, false, budget);
        return;
    }
    find_pair(&pairs, (struct pair){0, y->n_states ? 0 : DFA_DEAD}, budget);
    for (uint32_t i = 0; i < pairs.n && budget->rc == 0; i++) {
        struct pair at = pairs.list[i];
        bool in_y = accepts(y, at.y);
        dfa_add_state(
            out, accepts(x, at.x) && (kind == DFA_BOTH ? in_y : !in_y), budget);
        for (unsigned lo = 0, hi; lo < 256 && budget_spend(budget, 1);
             lo = hi + 1) {
            unsigned hi_y;
            struct pair to;
            to.x = run_from(x, at.x, lo, &hi);
            to.y = run_from(y, at.y, lo, &hi_y);
            hi = hi < hi_y ? hi : hi_y;
            if (to.x == DFA_DEAD || (to.y == DFA_DEAD && kind == DFA_BOTH))
                continue;
            uint32_t target = find_pair(&pairs, to, budget);
            dfa_add_range(out, (uint8_t)lo, (uint8_t)hi, target, budget);
        }
    }
    budget_drop(budget, pairs.list, pairs.cap, sizeof *pairs.list);
    budget_drop(budget, pairs.slots, pairs.n_slots, sizeof *pairs.slots);
}
