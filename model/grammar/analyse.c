/* analyse.c -- see analyse.h. */
#include "model/grammar/analyse.h"

#include <string.h>

static uint8_t need_of(const struct grammar *g, const struct state *s)
{
    unsigned best = s->flags & STATE_ACCEPT ? 0 : NEED_NEVER;
    for (uint32_t i = 0; i < s->n_ranges && best > 0; i++) {
        unsigned need = g->states[g->ranges[s->ranges + i].to].need;
        best = need < best ? need : best;
    }
    for (uint32_t i = 0; i < s->n_calls && best > 0; i++) {
        const struct call *c = &g->calls[s->calls + i];
        unsigned inside = g->states[c->start].need;
        unsigned after = g->states[c->to].need;
        if (inside < NEED_NEVER && !c->tail)
            inside++;
        if (inside < after)
            inside = after;
        best = inside < best ? inside : best;
    }
    return (uint8_t)best;
}

/* Values only fall, and nearly every edge leads to a higher number, so a few
 * passes from the end settle them. */
void analyse_need(struct grammar *g, struct budget *budget)
{
    bool changed = true;
    for (uint32_t i = 0; i < g->n_states; i++)
        g->states[i].need = NEED_NEVER;
    while (changed && budget_spend(budget, g->n_states / 4 + 1)) {
        changed = false;
        for (uint32_t i = g->n_states; i-- > 0;) {
            uint8_t need = need_of(g, &g->states[i]);
            changed |= need != g->states[i].need;
            g->states[i].need = need;
        }
    }
}

/* Tarjan's components over the edges that take no byte, without recursion. */
struct components {
    const struct grammar *g;
    const uint8_t *nullable; /* [n_states] */
    uint32_t *order;         /* [n_states]; 0 is unseen */
    uint32_t *low;           /* ... the component, once it is settled */
    uint32_t *edge;          /* ... the next edge to look at */
    uint32_t *path;          /* ... states being looked at */
    uint32_t *open;          /* ... states of unsettled components */
    uint8_t *is_open;
    uint32_t n_path, n_open, clock;
};

/* Edge 2i leads into call i, edge 2i + 1 past it. */
static uint32_t edge_to(const struct components *c, uint32_t state, uint32_t i)
{
    const struct call *call = &c->g->calls[c->g->states[state].calls + i / 2];
    if (i % 2 == 0)
        return call->start;
    return c->nullable[call->start] ? call->to : DFA_DEAD;
}

static void enter(struct components *c, uint32_t state)
{
    c->order[state] = c->low[state] = ++c->clock;
    c->edge[state] = 0;
    c->path[c->n_path++] = state;
    c->open[c->n_open++] = state;
    c->is_open[state] = 1;
}

static void leave(struct components *c, uint32_t state)
{
    c->n_path--;
    if (c->n_path > 0) {
        uint32_t above = c->path[c->n_path - 1];
        if (c->low[state] < c->low[above])
            c->low[above] = c->low[state];
    }
    if (c->low[state] != c->order[state])
        return;
    uint32_t member;
    do {
        member = c->open[--c->n_open];
        c->is_open[member] = 0;
        c->low[member] = c->order[state];
    } while (member != state);
}

static void explore(struct components *c, uint32_t from, struct budget *budget)
{
    enter(c, from);
    while (c->n_path > 0) {
        uint32_t state = c->path[c->n_path - 1];
        if (c->edge[state] == 2 * c->g->states[state].n_calls) {
            leave(c, state);
            continue;
        }
        uint32_t to = edge_to(c, state, c->edge[state]++);
        if (to == DFA_DEAD || !budget_spend(budget, 1))
            continue;
        if (c->order[to] == 0)
            enter(c, to);
        else if (c->is_open[to] && c->order[to] < c->low[state])
            c->low[state] = c->order[to];
    }
}

static void find_nullable(const struct grammar *g, uint8_t *nullable,
                          struct budget *budget)
{
    bool changed = true;
    for (uint32_t i = 0; i < g->n_states; i++)
        nullable[i] = g->states[i].flags & STATE_ACCEPT ? 1 : 0;
    while (changed && budget_spend(budget, g->n_states / 8 + 1)) {
        changed = false;
        for (uint32_t i = g->n_states; i-- > 0;) {
            const struct state *s = &g->states[i];
            for (uint32_t j = 0; j < s->n_calls && !nullable[i]; j++) {
                const struct call *c = &g->calls[s->calls + j];
                nullable[i] = nullable[c->start] && nullable[c->to];
                changed |= nullable[i];
            }
        }
    }
}

static uint32_t growing_cycle(const struct components *c)
{
    const struct grammar *g = c->g;
    for (uint32_t i = 0; i < g->n_states; i++)
        for (uint32_t j = 0; j < g->states[i].n_calls; j++) {
            const struct call *call = &g->calls[g->states[i].calls + j];
            if (!call->tail && c->low[call->start] == c->low[i])
                return i;
        }
    return DFA_DEAD;
}

uint32_t analyse_left_recursion(const struct grammar *g, struct budget *budget)
{
    uint32_t n = g->n_states, cap = 0, cap_bytes = 0, found = DFA_DEAD;
    uint32_t *words = budget_grow(budget, NULL, &cap, 5ull * n, sizeof *words);
    uint8_t *bytes = budget_grow(budget, NULL, &cap_bytes, 2ull * n, 1);
    if (budget->rc == 0) {
        memset(words, 0, 5 * (size_t)n * sizeof *words);
        memset(bytes, 0, 2 * (size_t)n);
        struct components c = {.g = g,
                               .nullable = bytes,
                               .order = words,
                               .low = words + n,
                               .edge = words + 2 * (size_t)n,
                               .path = words + 3 * (size_t)n,
                               .open = words + 4 * (size_t)n,
                               .is_open = bytes + n};
        find_nullable(g, bytes, budget);
        for (uint32_t i = 0; i < n && budget->rc == 0; i++)
            if (c.order[i] == 0 && g->states[i].n_calls > 0)
                explore(&c, i, budget);
        if (budget->rc == 0)
            found = growing_cycle(&c);
    }
    budget_drop(budget, words, cap, sizeof *words);
    budget_drop(budget, bytes, cap_bytes, 1);
    return found;
}

#define MAX_NEXT 6

/* Some states, few. */
struct few {
    uint32_t state[MAX_NEXT];
    unsigned n;
};

static bool few_add(struct few *f, uint32_t state)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->state[i] == state)
            return true;
    if (f->n == MAX_NEXT)
        return false;
    f->state[f->n++] = state;
    return true;
}

/* Adds to `to` where the bytes lo..hi lead; false if some lead nowhere. */
static bool cover(const struct grammar *g, const struct few *from, uint8_t lo,
                  uint8_t hi, struct few *to)
{
    for (unsigned i = 0; i < from->n; i++) {
        const struct state *s = &g->states[from->state[i]];
        unsigned next = lo;
        for (unsigned j = 0; j < s->n_ranges && next <= hi; j++) {
            const struct dfa_range *r = &g->ranges[s->ranges + j];
            if (r->hi < next)
                continue;
            if (r->lo > next || !few_add(to, r->to))
                return false;
            next = r->hi + 1u;
        }
        if (next <= hi)
            return false;
    }
    return true;
}

/* The characters of plain text (mask.h) as sequences of byte ranges. */
static const uint8_t plain_rows[][8] = {
    {0x20, 0x21},
    {0x23, 0x26},
    {0x28, 0x5B},
    {0x5D, 0x7E},
    {0xC2, 0xDF, 0x80, 0xBF},
    {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF},
    {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF},
    {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF},
    {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF},
    {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
    {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF},
    {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF},
};

/* Where one plain character leads from `state`; false unless all lead on. */
static bool plain_next(const struct grammar *g, uint32_t state, struct few *to)
{
    to->n = 0;
    for (size_t i = 0; i < sizeof plain_rows / sizeof plain_rows[0]; i++) {
        const uint8_t *row = plain_rows[i];
        struct few at = {.state = {state}, .n = 1};
        for (unsigned j = 0; j < 8 && row[j] != 0; j += 2) {
            bool last = j == 6 || row[j + 2] == 0;
            struct few next = {.n = 0};
            if (!cover(g, &at, row[j], row[j + 1], last ? to : &next))
                return false;
            at = next;
        }
    }
    return true;
}

void analyse_plain(struct grammar *g, struct budget *budget)
{
    uint32_t cap = 0, n = 0, cap_who = 0;
    struct few *next = NULL;
    uint32_t *who = NULL;
    for (uint32_t i = 0; i < g->n_states && budget_spend(budget, 1); i++) {
        struct few to;
        if (g->states[i].n_ranges < 8 || !plain_next(g, i, &to))
            continue;
        next = budget_grow(budget, next, &cap, n + 1ull, sizeof *next);
        who = budget_grow(budget, who, &cap_who, n + 1ull, sizeof *who);
        if (budget->rc != 0)
            break;
        next[n] = to;
        who[n++] = i;
        g->states[i].plain = PLAIN_FOREVER;
    }
    bool changed = true;
    while (changed && budget_spend(budget, n)) {
        changed = false;
        for (uint32_t i = n; i-- > 0;) {
            unsigned best = PLAIN_FOREVER - 1;
            bool forever = true;
            for (unsigned j = 0; j < next[i].n; j++) {
                unsigned plain = g->states[next[i].state[j]].plain;
                forever &= plain == PLAIN_FOREVER;
                if (plain + 1 < best)
                    best = plain + 1;
            }
            uint8_t plain = (uint8_t)(forever ? PLAIN_FOREVER : best);
            changed |= g->states[who[i]].plain != plain;
            g->states[who[i]].plain = plain;
        }
    }
    budget_drop(budget, next, cap, sizeof *next);
    budget_drop(budget, who, cap_who, sizeof *who);
}
