/* expr.h -- the expressions behind builder.h, for the files that compile them.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_EXPR_H
#define LFMD_MODEL_GRAMMAR_EXPR_H

#include "model/grammar/budget.h"
#include "model/grammar/builder.h"
#include "model/grammar/dfa.h"

#define EXPR_MAX_DEPTH 600u /* the compiler recurses as deep */
#define EXPR_MAX_SIZE 400000u

enum expr_kind {
    EXPR_NEVER,
    EXPR_EMPTY,
    EXPR_BYTES,    /* n bytes at `at` of builder.bytes */
    EXPR_SET,      /* sets[at] */
    EXPR_SEQ,      /* kids[at .. at + n) */
    EXPR_ALT,      /* the same */
    EXPR_REPEAT,   /* kids[at], min..max times */
    EXPR_LIST,     /* kids: separator, then an item and its flags, n times */
    EXPR_CALL,     /* rule `at` */
    EXPR_AT_START, /* these two only inside grammar_whole */
    EXPR_AT_END,
    EXPR_DFA /* dfas[at] */
};

enum { ITEM_OPTIONAL = 1, ITEM_MANY = 2 };

struct expr {
    enum expr_kind kind;
    uint16_t depth;
    bool calls; /* some rule, somewhere below */
    uint32_t at, n;
    uint32_t min, max;
    uint32_t size; /* states of the automaton it becomes, about; >= 1 */
};

struct byte_set {
    uint64_t bits[4];
};

struct rule {
    char name[64];
    gexpr expr; /* GEXPR_NONE until defined */
    bool keep;
    bool inlined;    /* filled by compile.c */
    uint16_t depth;  /* ... of the expression with what is inlined */
    uint32_t size;   /* ... likewise */
    uint32_t number; /* ... among the rules of the grammar */
};

struct grammar_builder {
    struct budget budget;
    struct expr *exprs;
    uint32_t n_exprs, cap_exprs;
    uint32_t *kids;
    uint32_t n_kids, cap_kids;
    char *bytes;
    uint32_t n_bytes, cap_bytes;
    struct byte_set *sets;
    uint32_t n_sets, cap_sets;
    struct dfa *dfas; /* each owned */
    uint32_t n_dfas, cap_dfas;
    struct rule *rules;
    uint32_t n_rules, cap_rules;
};

/* An automaton as an expression; takes it over whatever happens. */
gexpr grammar_of_dfa(struct grammar_builder *b, struct dfa dfa);

#endif
