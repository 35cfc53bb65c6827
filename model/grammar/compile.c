/* compile.c -- grammar_finish: rules to one table of states.
 *
 * Rules are first walked from the root, each after those it calls, which tells
 * what can be copied into its callers; the others become automata of their own,
 * laid one after another.  Then what leads to no end is cut off. */
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/analyse.h"
#include "model/grammar/automaton.h"
#include "model/grammar/builder.h"
#include "model/grammar/expr.h"

#define INLINE_MAX_SIZE 256u
#define MAX_ROWS 2048u
#define ROW_FROM_RANGES 5u

/* --- which rules are copied into their callers -----------------------------
 */

struct visit {
    uint32_t rule, next; /* the next of its calls to look at */
    uint32_t at, n;      /* its calls, in `calls` */
};

enum { UNSEEN, OPEN, DONE };

struct walk {
    struct grammar_builder *b;
    uint8_t *color; /* [n_rules] */
    uint32_t cap_color;
    uint32_t *calls; /* of the open rules, a stack */
    uint32_t n_calls, cap_calls;
    struct visit *open;
    uint32_t n_open, cap_open;
};

/* Pushes the rules x calls.  As deep as the expression. */
static void push_calls(struct walk *w, gexpr x)
{
    const struct expr *e = &w->b->exprs[x];
    struct budget *budget = &w->b->budget;
    if (!e->calls || !budget_spend(budget, 1))
        return;
    if (e->kind == EXPR_CALL) {
        w->calls = budget_grow(budget, w->calls, &w->cap_calls,
                               w->n_calls + 1ull, sizeof *w->calls);
        if (budget->rc == 0)
            w->calls[w->n_calls++] = e->at;
        return;
    }
    const uint32_t *kids = w->b->kids + e->at;
    if (e->kind == EXPR_LIST) {
        push_calls(w, kids[0]);
        for (uint32_t i = 0; i < e->n; i++)
            push_calls(w, kids[1 + 2 * i]);
        return;
    }
    for (uint32_t i = 0; i < e->n; i++)
        push_calls(w, kids[i]);
}

static void open_rule(struct walk *w, uint32_t rule)
{
    struct budget *budget = &w->b->budget;
    struct rule *r = &w->b->rules[rule];
    if (r->expr == GEXPR_NONE)
        budget_fail(budget, ERR_INVALID, "rule %s is used but not defined",
                    r->name);
    w->open = budget_grow(budget, w->open, &w->cap_open, w->n_open + 1ull,
                          sizeof *w->open);
    if (budget->rc != 0)
        return;
    w->color[rule] = OPEN;
    struct visit v = {.rule = rule, .at = w->n_calls};
    push_calls(w, r->expr);
    v.n = w->n_calls - v.at;
    w->open[w->n_open++] = v;
}

/* All it calls is done, or open and so kept. */
static void close_rule(struct walk *w, const struct visit *v)
{
    struct rule *r = &w->b->rules[v->rule];
    const struct expr *e = &w->b->exprs[r->expr];
    uint64_t size = e->size;
    unsigned depth = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct rule *callee = &w->b->rules[w->calls[v->at + i]];
        if (!callee->inlined)
            continue;
        size += callee->size;
        depth = callee->depth > depth ? callee->depth : depth;
    }
    r->size = size > EXPR_MAX_SIZE ? EXPR_MAX_SIZE + 1 : (uint32_t)size;
    r->depth = (uint16_t)(e->depth + depth + 1);
    r->inlined =
        !r->keep && size <= INLINE_MAX_SIZE && r->depth <= EXPR_MAX_DEPTH / 2;
    w->color[v->rule] = DONE;
}

static void choose_inlined(struct grammar_builder *b, uint32_t root)
{
    struct walk w = {.b = b};
    w.color = budget_grow(&b->budget, NULL, &w.cap_color, b->n_rules, 1);
    if (b->budget.rc == 0) {
        memset(w.color, 0, b->n_rules);
        open_rule(&w, root);
    }
    while (w.n_open > 0 && b->budget.rc == 0) {
        struct visit *v = &w.open[w.n_open - 1];
        if (v->next == v->n) {
            close_rule(&w, v);
            w.n_calls = v->at;
            w.n_open--;
            continue;
        }
        uint32_t callee = w.calls[v->at + v->next++];
        if (w.color[callee] == OPEN)
            b->rules[callee].keep = true; /* it recurs */
        else if (w.color[callee] == UNSEEN)
            open_rule(&w, callee);
    }
    budget_drop(&b->budget, w.color, w.cap_color, 1);
    budget_drop(&b->budget, w.calls, w.cap_calls, sizeof *w.calls);
    budget_drop(&b->budget, w.open, w.cap_open, sizeof *w.open);
    b->rules[root].inlined = false;
}

/* --- one table of states ----------------------------------------------------
 */

struct table {
    struct grammar_builder *b;
    struct state *states;
    uint32_t n_states, cap_states;
    struct dfa_range *ranges;
    uint32_t n_ranges, cap_ranges;
    struct call *calls; /* `start` holds the rule until all are placed */
    uint32_t n_calls, cap_calls;
    uint32_t *rules; /* in the order they are placed */
    uint32_t *starts;
    uint32_t n_rules, cap_rules, cap_starts;
};

static void place_rule_later(struct table *t, uint32_t rule)
{
    struct budget *budget = &t->b->budget;
    if (t->b->rules[rule].number != GRAMMAR_NO_RULE)
        return;
    t->rules = budget_grow(budget, t->rules, &t->cap_rules, t->n_rules + 1ull,
                           sizeof *t->rules);
    t->starts = budget_grow(budget, t->starts, &t->cap_starts,
                            t->n_rules + 1ull, sizeof *t->starts);
    if (budget->rc != 0)
        return;
    t->b->rules[rule].number = t->n_rules;
    t->rules[t->n_rules++] = rule;
}

static void place_state(struct table *t, const struct dfa *d, uint32_t i,
                        uint32_t base)
{
    const struct dfa_state *from = &d->states[i];
    struct state *s = &t->states[t->n_states++];
    *s = (struct state){.ranges = t->n_ranges,
                        .calls = t->n_calls,
                        .n_ranges = (uint16_t)from->n_ranges,
                        .n_calls = from->n_calls,
                        .row = NO_ROW,
                        .only = -1,
                        .flags = from->accept ? STATE_ACCEPT : 0};
    for (uint32_t r = 0; r < from->n_ranges; r++) {
        struct dfa_range range = d->ranges[from->ranges + r];
        range.to += base;
        t->ranges[t->n_ranges++] = range;
    }
    for (uint32_t c = 0; c < from->n_calls; c++) {
        const struct dfa_call *call = &d->calls[from->calls + c];
        place_rule_later(t, call->rule);
        t->calls[t->n_calls++] =
            (struct call){.start = call->rule, .to = call->to + base};
    }
}

static void place_rule(struct table *t, uint32_t number)
{
    struct budget *budget = &t->b->budget;
    struct nfa nfa;
    struct dfa dfa = {0};
    nfa_of_expr(&nfa, t->b, t->b->rules[t->rules[number]].expr, budget);
    if (budget->rc == 0)
        dfa_of_nfa(&dfa, &nfa, budget);
    nfa_deinit(&nfa, budget);
    uint64_t n = (uint64_t)t->n_states + dfa.n_states;
    if (n > GRAMMAR_MAX_STATES)
        budget_fail(budget, ERR_LIMIT,
                    "the constraint needs more than %u states: make it "
                    "smaller or less ambiguous",
                    GRAMMAR_MAX_STATES);
    t->states =
        budget_grow(budget, t->states, &t->cap_states, n, sizeof *t->states);
    t->ranges =
        budget_grow(budget, t->ranges, &t->cap_ranges,
                    (uint64_t)t->n_ranges + dfa.n_ranges, sizeof *t->ranges);
    t->calls =
        budget_grow(budget, t->calls, &t->cap_calls,
                    (uint64_t)t->n_calls + dfa.n_calls, sizeof *t->calls);
    uint32_t base = t->n_states;
    t->starts[number] = base;
    for (uint32_t i = 0; i < dfa.n_states && budget->rc == 0; i++)
        place_state(t, &dfa, i, base);
    dfa_deinit(&dfa, budget);
}

static void place_rules(struct table *t, uint32_t root)
{
    struct budget *budget = &t->b->budget;
    place_rule_later(t, root);
    for (uint32_t i = 0; i < t->n_rules && budget->rc == 0; i++)
        place_rule(t, i);
    if (budget->rc != 0)
        return;
    for (uint32_t i = 0; i < t->n_calls; i++)
        t->calls[i].start = t->starts[t->b->rules[t->calls[i].start].number];
}

/* --- what is known of the states --------------------------------------------
 */

/* Cuts what leads to no end. */
static void prune(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n_states; i++) {
        struct state *s = &g->states[i];
        uint16_t n_ranges = 0;
        for (uint32_t r = 0; r < s->n_ranges; r++) {
            struct dfa_range range = g->ranges[s->ranges + r];
            if (g->states[range.to].need < NEED_NEVER)
                g->ranges[s->ranges + n_ranges++] = range;
        }
        s->n_ranges = n_ranges;
        uint32_t n_calls = 0;
        for (uint32_t c = 0; c < s->n_calls; c++) {
            struct call call = g->calls[s->calls + c];
            if (g->states[call.start].need < NEED_NEVER &&
                g->states[call.to].need < NEED_NEVER)
                g->calls[s->calls + n_calls++] = call;
        }
        s->n_calls = n_calls;
    }
}

static void describe_states(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n_states; i++) {
        struct state *s = &g->states[i];
        const struct dfa_range *r = g->ranges + s->ranges;
        if (s->n_ranges == 1 && r->lo == r->hi)
            s->only = r->lo;
        if (s->n_calls == 0 && !(s->flags & STATE_ACCEPT))
            s->flags |= STATE_SIMPLE;
    }
}

static void mark_tails(struct grammar *g)
{
    g->has_calls = false;
    for (uint32_t i = 0; i < g->n_states; i++)
        for (uint32_t c = 0; c < g->states[i].n_calls; c++) {
            struct call *call = &g->calls[g->states[i].calls + c];
            const struct state *to = &g->states[call->to];
            call->tail = (to->flags & STATE_ACCEPT) && to->n_ranges == 0 &&
                         to->n_calls == 0;
            g->has_calls = true;
        }
}

static void make_rows(struct grammar *g, struct budget *budget)
{
    uint32_t n = 0, cap = 0;
    for (uint32_t i = 0; i < g->n_states && n < MAX_ROWS; i++)
        if (g->states[i].n_ranges >= ROW_FROM_RANGES)
            g->states[i].row = n++;
    g->rows = budget_grow(budget, NULL, &cap, n * 256ull, sizeof *g->rows);
    if (budget->rc != 0)
        return;
    for (uint32_t i = 0; i < g->n_states; i++) {
        const struct state *s = &g->states[i];
        if (s->row == NO_ROW)
            continue;
        uint32_t *row = g->rows + (size_t)s->row * 256;
        for (unsigned byte = 0; byte < 256; byte++)
            row[byte] = DFA_DEAD;
        for (uint32_t r = s->ranges; r < s->ranges + s->n_ranges; r++)
            for (unsigned byte = g->ranges[r].lo; byte <= g->ranges[r].hi;
                 byte++)
                row[byte] = g->ranges[r].to;
    }
    g->bytes += (size_t)n * 256 * sizeof *g->rows;
}

static const char *rule_of_state(const struct table *t, uint32_t state)
{
    uint32_t rule = 0;
    for (uint32_t i = 0; i < t->n_rules; i++)
        if (t->starts[i] <= state)
            rule = i;
    return t->b->rules[t->rules[rule]].name;
}

static void analyse(struct grammar *g, const struct table *t)
{
    struct budget *budget = &t->b->budget;
    mark_tails(g);
    analyse_need(g, budget);
    prune(g);
    /* Fewer edges make more tails, and those need less. */
    mark_tails(g);
    analyse_need(g, budget);
    if (budget->rc != 0)
        return;
    if (g->states[g->root].need == NEED_NEVER) {
        budget_fail(budget, ERR_INVALID,
                    "no finite text can satisfy the constraint");
        return;
    }
    uint32_t state = analyse_left_recursion(g, budget);
    if (state != DFA_DEAD)
        budget_fail(budget, ERR_INVALID,
                    "rule %s calls itself before any character (left "
                    "recursion)",
                    rule_of_state(t, state));
    if (g->states[g->root].need > GRAMMAR_MAX_DEPTH)
        budget_fail(budget, ERR_LIMIT,
                    "the constraint cannot be satisfied within %u levels of "
                    "nesting",
                    GRAMMAR_MAX_DEPTH);
    analyse_plain(g, budget);
    make_rows(g, budget);
    describe_states(g);
}

static uint64_t next_serial(void)
{
    static atomic_ullong serial;
    return atomic_fetch_add(&serial, 1) + 1;
}

static void *shrink(void *p, uint64_t n, size_t size)
{
    void *smaller = mem_realloc_array(p, n ? (size_t)n : 1, size);
    return smaller ? smaller : p;
}

static void take_table(struct grammar *g, struct table *t)
{
    g->states = shrink(t->states, t->n_states, sizeof *g->states);
    g->ranges = shrink(t->ranges, t->n_ranges, sizeof *g->ranges);
    g->calls = shrink(t->calls, t->n_calls, sizeof *g->calls);
    g->n_states = t->n_states;
    g->bytes += sizeof *g + t->n_states * sizeof *g->states +
                t->n_ranges * sizeof *g->ranges + t->n_calls * sizeof *g->calls;
}

int grammar_finish(struct grammar_builder *b, uint32_t root,
                   struct grammar **out, struct err *err)
{
    struct budget *budget = &b->budget;
    struct table t = {.b = b};
    struct grammar *g = mem_calloc(1, sizeof *g);
    *out = NULL;
    if (g == NULL)
        budget_fail(budget, ERR_NOMEM, "out of memory for a grammar");
    if (budget->rc == 0)
        choose_inlined(b, root);
    if (budget->rc == 0)
        place_rules(&t, root);
    if (g != NULL) {
        atomic_init(&g->refs, 1);
        g->serial = next_serial();
        take_table(g, &t);
        g->root = 0;
        if (budget->rc == 0)
            analyse(g, &t);
    }
    budget_drop(budget, t.rules, t.cap_rules, sizeof *t.rules);
    budget_drop(budget, t.starts, t.cap_starts, sizeof *t.starts);
    if (budget->rc == 0) {
        *out = g;
        return 0;
    }
    grammar_unref(g);
    if (err != NULL)
        *err = budget->err;
    return budget->rc;
}
