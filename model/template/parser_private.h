/* parser_private.h -- what statements (parser.c) and expressions
 * (parser_expr.c) share: the cursor, the names, and how nodes are made.
 *
 * A failure is remembered in `rc` and makes every node NULL; callers look at
 * the node they got, and run back to the top. */
#ifndef LFMD_MODEL_TEMPLATE_PARSER_PRIVATE_H
#define LFMD_MODEL_TEMPLATE_PARSER_PRIVATE_H

#include "model/template/parser.h"

struct unresolved {
    struct node *node;
    bool soft;
};

struct parser {
    struct arena *arena;
    struct err *err;
    int rc;
    const struct token *t; /* the current one */
    uint32_t depth;
    bool soft;    /* inside an if: unknown filters fail only when run */
    bool in_loop; /* break and continue are allowed */
    bool defines; /* a macro was made in the loop being parsed */
    uint8_t uses; /* of the macro being parsed */
    struct ast *ast;
    uint32_t cap_names, cap_mentions;
    struct unresolved *unresolved;
    size_t n_unresolved, cap_unresolved;
};

struct node *parser_fail(struct parser *p, const struct token *at,
                         const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct node *parser_node(struct parser *p, enum node_kind kind,
                         const struct token *at);
bool parser_enter(struct parser *p); /* a level deeper; false: failed */
void parser_leave(struct parser *p);
bool parser_is_name(const struct parser *p, const char *name);
bool parser_skip(struct parser *p, enum token_kind kind);
bool parser_skip_name(struct parser *p, const char *name);
bool parser_expect(struct parser *p, enum token_kind kind);
uint32_t parser_id(struct parser *p, const struct str *name);
void parser_mention(struct parser *p, const struct str *name);

/* Expressions; NULL when failed. */
struct node *parse_expression(struct parser *p);
enum tuple_flags { TUPLE_NO_COND = 1, TUPLE_PARENS = 2 };
struct node *parse_tuple(struct parser *p, unsigned flags,
                         const char *end_name);
struct node *parse_primary(struct parser *p, bool with_namespace);
struct node *parse_postfix(struct parser *p, struct node *n);
struct node *parse_filters(struct parser *p, struct node *n, bool inline_);
bool parse_call_args(struct parser *p, struct node *call);

#endif
