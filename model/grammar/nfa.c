/* nfa.c -- see nfa.h.  Thompson's construction.
 *
 * Every piece is drawn from a state that is there already to a new one, so
 * pieces in a row need no edges between them.  Only repetition and lists make
 * cycles, and they make a state of their own to return to. */
#include "model/grammar/nfa.h"

#include "model/grammar/expr.h"

struct drawing {
    struct nfa *nfa;
    const struct grammar_builder *b;
    struct budget *budget;
};

static uint32_t draw(struct drawing *d, gexpr x, uint32_t from);

static uint32_t add_state(struct drawing *d)
{
    struct nfa *n = d->nfa;
    n->first = budget_grow(d->budget, n->first, &n->cap_states,
                           (uint64_t)n->n_states + 1, sizeof *n->first);
    if (!budget_spend(d->budget, 1))
        return 0;
    n->first[n->n_states] = 0;
    return n->n_states++;
}

static void add_edge(struct drawing *d, uint32_t from, struct nfa_edge edge)
{
    struct nfa *n = d->nfa;
    n->edges = budget_grow(d->budget, n->edges, &n->cap_edges,
                           (uint64_t)n->n_edges + 2, sizeof *n->edges);
    if (d->budget->rc != 0)
        return;
    if (n->n_edges == 0)
        n->edges[n->n_edges++] = (struct nfa_edge){0};
    edge.next = n->first[from];
    n->first[from] = n->n_edges;
    n->edges[n->n_edges++] = edge;
}

static void join(struct drawing *d, uint32_t from, uint32_t to)
{
    add_edge(d, from, (struct nfa_edge){.kind = NFA_EMPTY, .to = to});
}

static void add_bytes(struct drawing *d, uint32_t from, uint8_t lo, uint8_t hi,
                      uint32_t to)
{
    add_edge(
        d, from,
        (struct nfa_edge){.kind = NFA_BYTES, .lo = lo, .hi = hi, .to = to});
}

static uint32_t draw_bytes(struct drawing *d, const struct expr *e,
                           uint32_t from)
{
    for (uint32_t i = 0; i < e->n && d->budget->rc == 0; i++) {
        uint8_t byte = (uint8_t)d->b->bytes[e->at + i];
        uint32_t to = add_state(d);
        add_bytes(d, from, byte, byte, to);
        from = to;
    }
    return from;
}

static uint32_t draw_set(struct drawing *d, const struct byte_set *set,
                         uint32_t from)
{
    uint32_t to = add_state(d);
    for (unsigned lo = 0; lo < 256; lo++) {
        if (!(set->bits[lo / 64] >> (lo % 64) & 1))
            continue;
        unsigned hi = lo;
        while (hi < 255 && (set->bits[(hi + 1) / 64] >> ((hi + 1) % 64) & 1))
            hi++;
        add_bytes(d, from, (uint8_t)lo, (uint8_t)hi, to);
        lo = hi;
    }
    return to;
}

static uint32_t draw_alt(struct drawing *d, const struct expr *e, uint32_t from)
{
    uint32_t to = add_state(d);
    for (uint32_t i = 0; i < e->n && d->budget->rc == 0; i++)
        join(d, draw(d, d->b->kids[e->at + i], from), to);
    return to;
}

static uint32_t draw_repeat(struct drawing *d, const struct expr *e,
                            uint32_t from)
{
    gexpr x = d->b->kids[e->at];
    for (uint32_t i = 0; i < e->min && d->budget->rc == 0; i++)
        from = draw(d, x, from);
    if (e->max == GRAMMAR_NO_MAX) {
        uint32_t again = add_state(d);
        join(d, from, again);
        join(d, draw(d, x, again), again);
        return again;
    }
    uint32_t to = add_state(d);
    for (uint32_t i = e->min; i < e->max && d->budget->rc == 0; i++) {
        join(d, from, to);
        from = draw(d, x, from);
    }
    join(d, from, to);
    return to;
}

/* Two lanes: `none` before any item, `some` after one.  An item is drawn once;
 * both lanes enter it, and it always leaves into `some`. */
static uint32_t draw_list(struct drawing *d, const struct expr *e,
                          uint32_t none)
{
    const uint32_t *kids = d->b->kids + e->at;
    uint32_t some = add_state(d);
    for (uint32_t i = 0; i < e->n && d->budget->rc == 0; i++) {
        gexpr item = kids[1 + 2 * i];
        uint32_t flags = kids[2 + 2 * i];
        uint32_t enter = add_state(d), leave = add_state(d);
        join(d, none, enter);
        join(d, draw(d, kids[0], some), enter);
        join(d, draw(d, item, enter), leave);
        if (flags & ITEM_MANY)
            join(d, draw(d, kids[0], leave), enter);
        uint32_t next = add_state(d);
        if (flags & ITEM_OPTIONAL) {
            join(d, some, leave);
            join(d, none, next);
        }
        none = next;
        some = leave;
    }
    uint32_t to = add_state(d);
    join(d, none, to);
    join(d, some, to);
    return to;
}

static uint32_t draw_dfa(struct drawing *d, const struct dfa *dfa,
                         uint32_t from)
{
    uint32_t base = d->nfa->n_states, to;
    for (uint32_t i = 0; i < dfa->n_states && d->budget->rc == 0; i++)
        add_state(d);
    to = add_state(d);
    if (d->budget->rc != 0 || dfa->n_states == 0)
        return to;
    join(d, from, base);
    for (uint32_t i = 0; i < dfa->n_states; i++) {
        const struct dfa_state *s = &dfa->states[i];
        for (uint32_t r = s->ranges; r < s->ranges + s->n_ranges; r++)
            add_bytes(d, base + i, dfa->ranges[r].lo, dfa->ranges[r].hi,
                      base + dfa->ranges[r].to);
        if (s->accept)
            join(d, base + i, to);
    }
    return to;
}

static uint32_t draw_call(struct drawing *d, uint32_t rule, uint32_t from)
{
    const struct rule *r = &d->b->rules[rule];
    if (r->inlined)
        return draw(d, r->expr, from);
    uint32_t to = add_state(d);
    add_edge(d, from,
             (struct nfa_edge){.kind = NFA_CALL, .rule = rule, .to = to});
    return to;
}

/* As deep as the expression, at most EXPR_MAX_DEPTH. */
static uint32_t draw(struct drawing *d, gexpr x, uint32_t from)
{
    if (d->budget->rc != 0)
        return from;
    const struct expr *e = &d->b->exprs[x];
    uint32_t to;
    switch (e->kind) {
    case EXPR_NEVER:
        return add_state(d);
    case EXPR_EMPTY:
        return from;
    case EXPR_BYTES:
        return draw_bytes(d, e, from);
    case EXPR_SET:
        return draw_set(d, &d->b->sets[e->at], from);
    case EXPR_SEQ:
        for (uint32_t i = 0; i < e->n; i++)
            from = draw(d, d->b->kids[e->at + i], from);
        return from;
    case EXPR_ALT:
        return draw_alt(d, e, from);
    case EXPR_REPEAT:
        return draw_repeat(d, e, from);
    case EXPR_LIST:
        return draw_list(d, e, from);
    case EXPR_CALL:
        return draw_call(d, e->at, from);
    case EXPR_AT_START:
    case EXPR_AT_END:
        to = add_state(d);
        add_edge(d, from,
                 (struct nfa_edge){.kind = e->kind == EXPR_AT_START
                                               ? NFA_AT_START
                                               : NFA_AT_END,
                                   .to = to});
        return to;
    case EXPR_DFA:
        return draw_dfa(d, &d->b->dfas[e->at], from);
    }
    return from;
}

void nfa_of_expr(struct nfa *out, const struct grammar_builder *b,
                 uint32_t expr, struct budget *budget)
{
    *out = (struct nfa){0};
    struct drawing d = {out, b, budget};
    out->start = add_state(&d);
    uint32_t last = draw(&d, expr, out->start);
    /* An end of its own, which nothing leaves. */
    out->end = add_state(&d);
    join(&d, last, out->end);
}

void nfa_deinit(struct nfa *n, struct budget *budget)
{
    budget_drop(budget, n->first, n->cap_states, sizeof *n->first);
    budget_drop(budget, n->edges, n->cap_edges, sizeof *n->edges);
    *n = (struct nfa){0};
}
