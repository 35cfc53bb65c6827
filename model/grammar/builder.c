/* builder.c -- see builder.h: expressions.  compile.c finishes them. */
#include "model/grammar/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/expr.h"

int grammar_builder_new(struct grammar_builder **out, struct err *err)
{
    struct grammar_builder *b = mem_calloc(1, sizeof *b);
    *out = b;
    if (b == NULL)
        return err_nomem(err, "a grammar");
    budget_init(&b->budget, GRAMMAR_MAX_BYTES, GRAMMAR_MAX_WORK);
    /* Expression 0 is GEXPR_NONE, which no call returns otherwise. */
    b->exprs =
        budget_grow(&b->budget, b->exprs, &b->cap_exprs, 1, sizeof *b->exprs);
    if (b->budget.rc != 0) {
        grammar_builder_free(b);
        *out = NULL;
        return err_nomem(err, "a grammar");
    }
    b->exprs[b->n_exprs++] = (struct expr){.kind = EXPR_NEVER, .size = 1};
    return 0;
}

void grammar_builder_free(struct grammar_builder *b)
{
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->n_dfas; i++)
        dfa_deinit(&b->dfas[i], &b->budget);
    mem_free(b->exprs);
    mem_free(b->kids);
    mem_free(b->bytes);
    mem_free(b->sets);
    mem_free(b->dfas);
    mem_free(b->rules);
    mem_free(b);
}

void grammar_fail(struct grammar_builder *b, enum err_class class_,
                  const char *fmt, ...)
{
    char text[sizeof b->budget.err.text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    budget_fail(&b->budget, class_, "%s", text);
}

bool grammar_failed(const struct grammar_builder *b)
{
    return b->budget.rc != 0;
}

bool grammar_forgive(struct grammar_builder *b)
{
    struct budget *budget = &b->budget;
    if (budget->rc == -ERR_NOMEM || budget->rc == -ERR_INTERNAL ||
        budget->work > budget->max_work)
        return false;
    budget->rc = 0;
    budget->err = (struct err){0};
    return true;
}

struct err *grammar_failure(struct grammar_builder *b)
{
    return b->budget.rc != 0 ? &b->budget.err : NULL;
}

static gexpr add(struct grammar_builder *b, struct expr e)
{
    if (e.depth > EXPR_MAX_DEPTH)
        budget_fail(&b->budget, ERR_LIMIT,
                    "the constraint is nested deeper than %u levels",
                    EXPR_MAX_DEPTH);
    if (e.size > EXPR_MAX_SIZE)
        budget_fail(&b->budget, ERR_LIMIT,
                    "the constraint needs more than %u states: repeat less",
                    EXPR_MAX_SIZE);
    b->exprs = budget_grow(&b->budget, b->exprs, &b->cap_exprs,
                           (uint64_t)b->n_exprs + 1, sizeof *b->exprs);
    if (!budget_spend(&b->budget, 1))
        return GEXPR_NONE;
    b->exprs[b->n_exprs] = e;
    return b->n_exprs++;
}

static uint32_t saturate(uint64_t size)
{
    return size > EXPR_MAX_SIZE ? EXPR_MAX_SIZE + 1 : (uint32_t)size;
}

/* Room for n kids; where they begin. */
static uint32_t room_for_kids(struct grammar_builder *b, size_t n)
{
    b->kids = budget_grow(&b->budget, b->kids, &b->cap_kids,
                          (uint64_t)b->n_kids + (uint64_t)n, sizeof *b->kids);
    return b->n_kids;
}

/* What a parent takes over from a kid. */
static void adopt(struct grammar_builder *b, struct expr *parent, gexpr kid)
{
    const struct expr *e = &b->exprs[kid];
    if (kid == GEXPR_NONE)
        budget_fail(&b->budget, ERR_INTERNAL,
                    "a grammar was built of an expression that is none");
    if (parent->depth <= e->depth)
        parent->depth = (uint16_t)(e->depth + 1);
    parent->calls |= e->calls;
    parent->size = saturate((uint64_t)parent->size + e->size);
}

gexpr grammar_empty(struct grammar_builder *b)
{
    return add(b, (struct expr){.kind = EXPR_EMPTY, .size = 1});
}

gexpr grammar_never(struct grammar_builder *b)
{
    return add(b, (struct expr){.kind = EXPR_NEVER, .size = 1});
}

gexpr grammar_at_start(struct grammar_builder *b)
{
    return add(b, (struct expr){.kind = EXPR_AT_START, .size = 1});
}

gexpr grammar_at_end(struct grammar_builder *b)
{
    return add(b, (struct expr){.kind = EXPR_AT_END, .size = 1});
}

gexpr grammar_bytes_of(struct grammar_builder *b, const void *bytes, size_t n)
{
    b->bytes = budget_grow(&b->budget, b->bytes, &b->cap_bytes,
                           (uint64_t)b->n_bytes + n, 1);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    struct expr e = {.kind = n ? EXPR_BYTES : EXPR_EMPTY,
                     .at = b->n_bytes,
                     .n = (uint32_t)n,
                     .size = saturate((uint64_t)n + 1)};
    if (n > 0)
        memcpy(b->bytes + b->n_bytes, bytes, n);
    b->n_bytes += (uint32_t)n;
    return add(b, e);
}

gexpr grammar_text(struct grammar_builder *b, const char *s)
{
    return grammar_bytes_of(b, s, strlen(s));
}

gexpr grammar_set(struct grammar_builder *b, const uint64_t bits[4])
{
    b->sets = budget_grow(&b->budget, b->sets, &b->cap_sets,
                          (uint64_t)b->n_sets + 1, sizeof *b->sets);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    memcpy(b->sets[b->n_sets].bits, bits, sizeof b->sets[b->n_sets].bits);
    return add(b,
               (struct expr){.kind = EXPR_SET, .at = b->n_sets++, .size = 1});
}

gexpr grammar_range(struct grammar_builder *b, uint8_t lo, uint8_t hi)
{
    uint64_t bits[4] = {0};
    for (unsigned i = lo; i <= hi; i++)
        bits[i / 64] |= (uint64_t)1 << (i % 64);
    return grammar_set(b, bits);
}

static gexpr add_many(struct grammar_builder *b, enum expr_kind kind,
                      const gexpr *items, size_t n)
{
    struct expr e = {.kind = kind, .n = (uint32_t)n, .size = 1};
    e.at = room_for_kids(b, n);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    for (size_t i = 0; i < n; i++) {
        adopt(b, &e, items[i]);
        b->kids[b->n_kids++] = items[i];
    }
    return add(b, e);
}

gexpr grammar_seq(struct grammar_builder *b, const gexpr *items, size_t n)
{
    if (n == 1)
        return items[0];
    return n == 0 ? grammar_empty(b) : add_many(b, EXPR_SEQ, items, n);
}

gexpr grammar_seq2(struct grammar_builder *b, gexpr x, gexpr y)
{
    return grammar_seq(b, (gexpr[]){x, y}, 2);
}

gexpr grammar_seq3(struct grammar_builder *b, gexpr x, gexpr y, gexpr z)
{
    return grammar_seq(b, (gexpr[]){x, y, z}, 3);
}

gexpr grammar_alt(struct grammar_builder *b, const gexpr *items, size_t n)
{
    if (n == 1)
        return items[0];
    return n == 0 ? grammar_never(b) : add_many(b, EXPR_ALT, items, n);
}

gexpr grammar_alt2(struct grammar_builder *b, gexpr x, gexpr y)
{
    return grammar_alt(b, (gexpr[]){x, y}, 2);
}

gexpr grammar_repeat(struct grammar_builder *b, gexpr x, uint32_t min,
                     uint32_t max)
{
    struct expr e = {.kind = EXPR_REPEAT, .n = 1, .min = min, .max = max};
    uint32_t times = max == GRAMMAR_NO_MAX ? min : max;
    if (times > GRAMMAR_MAX_REPEAT)
        budget_fail(&b->budget, ERR_LIMIT,
                    "a repetition of %u times is more than the %u allowed",
                    times, GRAMMAR_MAX_REPEAT);
    if (max < min)
        budget_fail(&b->budget, ERR_INVALID,
                    "a repetition of at least %u and at most %u times is "
                    "never satisfied",
                    min, max);
    e.at = room_for_kids(b, 1);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    adopt(b, &e, x);
    e.size = saturate(
        (uint64_t)e.size * (max == GRAMMAR_NO_MAX ? times + 1u : times) + 1);
    b->kids[b->n_kids++] = x;
    return add(b, e);
}

gexpr grammar_optional(struct grammar_builder *b, gexpr x)
{
    return grammar_repeat(b, x, 0, 1);
}

gexpr grammar_list(struct grammar_builder *b, const struct grammar_item *items,
                   size_t n, gexpr separator)
{
    struct expr e = {.kind = EXPR_LIST, .n = (uint32_t)n, .size = 2};
    e.at = room_for_kids(b, 2 * n + 1);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    uint32_t *kids = b->kids + b->n_kids;
    b->n_kids += (uint32_t)(2 * n + 1);
    kids[0] = separator;
    adopt(b, &e, separator);
    uint64_t separators = (uint64_t)b->exprs[separator].size + 3;
    for (size_t i = 0; i < n; i++) {
        kids[1 + 2 * i] = items[i].expr;
        kids[2 + 2 * i] = (items[i].optional ? ITEM_OPTIONAL : 0u) |
                          (items[i].many ? ITEM_MANY : 0u);
        adopt(b, &e, items[i].expr);
        e.size = saturate(e.size + separators * (items[i].many ? 2u : 1u));
    }
    return add(b, e);
}

uint32_t grammar_rule(struct grammar_builder *b, const char *name)
{
    b->rules = budget_grow(&b->budget, b->rules, &b->cap_rules,
                           (uint64_t)b->n_rules + 1, sizeof *b->rules);
    if (!budget_spend(&b->budget, 1))
        return GRAMMAR_NO_RULE;
    struct rule *r = &b->rules[b->n_rules];
    *r = (struct rule){.number = GRAMMAR_NO_RULE};
    snprintf(r->name, sizeof r->name, "%s", name);
    return b->n_rules++;
}

void grammar_define(struct grammar_builder *b, uint32_t rule, gexpr x)
{
    if (b->budget.rc == 0)
        b->rules[rule].expr = x;
}

void grammar_keep(struct grammar_builder *b, uint32_t rule)
{
    if (b->budget.rc == 0)
        b->rules[rule].keep = true;
}

gexpr grammar_call(struct grammar_builder *b, uint32_t rule)
{
    return add(b, (struct expr){
                      .kind = EXPR_CALL, .at = rule, .calls = true, .size = 1});
}

gexpr grammar_of_dfa(struct grammar_builder *b, struct dfa dfa)
{
    b->dfas = budget_grow(&b->budget, b->dfas, &b->cap_dfas,
                          (uint64_t)b->n_dfas + 1, sizeof *b->dfas);
    if (b->budget.rc != 0) {
        dfa_deinit(&dfa, &b->budget);
        return GEXPR_NONE;
    }
    b->dfas[b->n_dfas] = dfa;
    return add(b, (struct expr){.kind = EXPR_DFA,
                                .at = b->n_dfas++,
                                .size = saturate(dfa.n_states + 1ull)});
}

gexpr grammar_whole(struct grammar_builder *b, gexpr x)
{
    if (b->budget.rc != 0 || b->exprs[x].kind == EXPR_DFA)
        return b->budget.rc != 0 ? GEXPR_NONE : x;
    if (b->exprs[x].calls) {
        budget_fail(&b->budget, ERR_INTERNAL,
                    "a grammar combined an expression that calls rules");
        return GEXPR_NONE;
    }
    struct nfa nfa;
    struct dfa dfa = {0};
    nfa_of_expr(&nfa, b, x, &b->budget);
    if (b->budget.rc == 0)
        dfa_of_nfa(&dfa, &nfa, &b->budget);
    nfa_deinit(&nfa, &b->budget);
    return grammar_of_dfa(b, dfa);
}

static gexpr combine(struct grammar_builder *b, gexpr x, gexpr y,
                     enum dfa_product kind)
{
    x = grammar_whole(b, x);
    y = grammar_whole(b, y);
    if (b->budget.rc != 0)
        return GEXPR_NONE;
    struct dfa dfa;
    dfa_product(&dfa, &b->dfas[b->exprs[x].at], &b->dfas[b->exprs[y].at], kind,
                &b->budget);
    return grammar_of_dfa(b, dfa);
}

gexpr grammar_both(struct grammar_builder *b, gexpr x, gexpr y)
{
    return combine(b, x, y, DFA_BOTH);
}

gexpr grammar_except(struct grammar_builder *b, gexpr x, gexpr y)
{
    return combine(b, x, y, DFA_EXCEPT);
}

bool grammar_is_never(struct grammar_builder *b, gexpr x)
{
    return b->budget.rc == 0 && b->exprs[x].kind == EXPR_DFA &&
           dfa_is_never(&b->dfas[b->exprs[x].at], &b->budget);
}

bool grammar_matches(struct grammar_builder *b, gexpr x, const void *bytes,
                     size_t n)
{
    return b->budget.rc == 0 && b->exprs[x].kind == EXPR_DFA &&
           budget_spend(&b->budget, n) &&
           dfa_matches(&b->dfas[b->exprs[x].at], bytes, n);
}
