/* parser_expr.c -- expressions, by precedence climbing as jinja2 does it:
 * if-else, or, and, not, comparison, + -, ~, * / // %, **, sign, filters. */
#include <string.h>

#include "model/template/builtin.h"
#include "model/template/parser_private.h"

static struct node *binary(struct parser *p, const struct token *at,
                           enum node_kind kind, enum op op, struct node *a,
                           struct node *b)
{
    if (a == NULL || b == NULL)
        return NULL;
    struct node *n = parser_node(p, kind, at);
    if (n == NULL)
        return NULL;
    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    return n;
}

static struct node *parse_unary(struct parser *p, bool with_filter);

static struct node *parse_pow(struct parser *p)
{
    struct node *left = parse_unary(p, true);
    while (left != NULL && p->t->kind == TOKEN_POW) {
        const struct token *at = p->t++;
        left = binary(p, at, NODE_BINARY, OP_POW, left, parse_unary(p, true));
    }
    return left;
}

static struct node *parse_math2(struct parser *p)
{
    struct node *left = parse_pow(p);
    while (left != NULL) {
        enum op op;
        switch (p->t->kind) {
        case TOKEN_MUL:
            op = OP_MUL;
            break;
        case TOKEN_DIV:
            op = OP_DIV;
            break;
        case TOKEN_FLOORDIV:
            op = OP_FLOORDIV;
            break;
        case TOKEN_MOD:
            op = OP_MOD;
            break;
        default:
            return left;
        }
        const struct token *at = p->t++;
        left = binary(p, at, NODE_BINARY, op, left, parse_pow(p));
    }
    return NULL;
}

static struct node *parse_concat(struct parser *p)
{
    const struct token *at = p->t;
    struct node *first = parse_math2(p);
    if (first == NULL || p->t->kind != TOKEN_TILDE)
        return first;
    struct node *n = parser_node(p, NODE_CONCAT, at), *last = first;
    if (n == NULL)
        return NULL;
    n->list = first;
    while (parser_skip(p, TOKEN_TILDE)) {
        last->next = parse_math2(p);
        last = last->next;
        if (last == NULL)
            return NULL;
    }
    return n;
}

static struct node *parse_math1(struct parser *p)
{
    struct node *left = parse_concat(p);
    while (left != NULL &&
           (p->t->kind == TOKEN_ADD || p->t->kind == TOKEN_SUB)) {
        enum op op = p->t->kind == TOKEN_ADD ? OP_ADD : OP_SUB;
        const struct token *at = p->t++;
        left = binary(p, at, NODE_BINARY, op, left, parse_concat(p));
    }
    return left;
}

static bool compare_op(struct parser *p, enum op *op)
{
    switch (p->t->kind) {
    case TOKEN_EQ:
        *op = OP_EQ;
        break;
    case TOKEN_NE:
        *op = OP_NE;
        break;
    case TOKEN_LT:
        *op = OP_LT;
        break;
    case TOKEN_LE:
        *op = OP_LE;
        break;
    case TOKEN_GT:
        *op = OP_GT;
        break;
    case TOKEN_GE:
        *op = OP_GE;
        break;
    default:
        if (parser_is_name(p, "in")) {
            *op = OP_IN;
            break;
        }
        if (parser_is_name(p, "not") && p->t[1].kind == TOKEN_NAME &&
            str_is(p->t[1].value.u.str, "in")) {
            *op = OP_NOT_IN;
            p->t++;
            break;
        }
        return false;
    }
    p->t++;
    return true;
}

static struct node *parse_compare(struct parser *p)
{
    const struct token *at = p->t;
    struct node *first = parse_math1(p), *n = NULL, **tail = NULL;
    enum op op;
    while (first != NULL && compare_op(p, &op)) {
        if (n == NULL) {
            n = parser_node(p, NODE_COMPARE, at);
            if (n == NULL)
                return NULL;
            n->a = first;
            tail = &n->list;
        }
        struct node *operand = parser_node(p, NODE_OPERAND, p->t);
        if (operand == NULL)
            return NULL;
        operand->op = (uint8_t)op;
        if (op >= OP_IN && first->kind == NODE_CONST &&
            first->value.kind == VALUE_STR)
            parser_mention(p, first->value.u.str); /* "name" in x */
        operand->a = parse_math1(p);
        if (operand->a == NULL)
            return NULL;
        *tail = operand;
        tail = &operand->next;
    }
    return n != NULL ? n : first;
}

static struct node *parse_not(struct parser *p)
{
    if (!parser_is_name(p, "not"))
        return parse_compare(p);
    const struct token *at = p->t++;
    if (!parser_enter(p))
        return NULL;
    struct node *a = parse_not(p);
    parser_leave(p);
    if (a == NULL)
        return NULL;
    struct node *n = parser_node(p, NODE_NOT, at);
    if (n != NULL)
        n->a = a;
    return n;
}

static struct node *parse_and(struct parser *p)
{
    struct node *left = parse_not(p);
    while (left != NULL && parser_is_name(p, "and")) {
        const struct token *at = p->t++;
        left = binary(p, at, NODE_AND, OP_ADD, left, parse_not(p));
    }
    return left;
}

static struct node *parse_or(struct parser *p)
{
    struct node *left = parse_and(p);
    while (left != NULL && parser_is_name(p, "or")) {
        const struct token *at = p->t++;
        left = binary(p, at, NODE_OR, OP_ADD, left, parse_and(p));
    }
    return left;
}

static struct node *parse_cond(struct parser *p)
{
    size_t first_unresolved = p->n_unresolved;
    struct node *value = parse_or(p);
    while (value != NULL && parser_is_name(p, "if")) {
        const struct token *at = p->t++;
        struct node *n = parser_node(p, NODE_COND, at);
        if (n == NULL)
            return NULL;
        n->b = value;
        n->a = parse_or(p);
        if (n->a == NULL)
            return NULL;
        if (parser_skip_name(p, "else")) {
            n->c = parse_expression(p);
            if (n->c == NULL)
                return NULL;
        }
        for (size_t i = first_unresolved; i < p->n_unresolved; i++)
            p->unresolved[i].soft = true;
        value = n;
    }
    return value;
}

struct node *parse_expression(struct parser *p)
{
    if (!parser_enter(p))
        return NULL;
    struct node *n = parse_cond(p);
    parser_leave(p);
    return n;
}

static bool tuple_ends(const struct parser *p, const char *end_name)
{
    return p->t->kind == TOKEN_PRINT_END || p->t->kind == TOKEN_BLOCK_END ||
           p->t->kind == TOKEN_RPAREN ||
           (end_name != NULL && parser_is_name(p, end_name));
}

struct node *parse_tuple(struct parser *p, unsigned flags, const char *end_name)
{
    const struct token *at = p->t;
    struct node *first = NULL, **tail = &first;
    bool is_tuple = false;
    for (;;) {
        if (tuple_ends(p, end_name))
            break;
        if (!parser_enter(p))
            return NULL;
        *tail = (flags & TUPLE_NO_COND) != 0 ? parse_or(p) : parse_cond(p);
        parser_leave(p);
        if (*tail == NULL)
            return NULL;
        tail = &(*tail)->next;
        if (!parser_skip(p, TOKEN_COMMA))
            break;
        is_tuple = true;
    }
    if (!is_tuple && first != NULL)
        return first;
    if (!is_tuple && (flags & TUPLE_PARENS) == 0)
        return parser_fail(p, p->t, "expected an expression, found %s",
                           token_describe(p->t->kind));
    struct node *n = parser_node(p, NODE_TUPLE, at);
    if (n != NULL)
        n->list = first;
    return n;
}

static struct node *parse_list(struct parser *p)
{
    const struct token *at = p->t++;
    struct node *n = parser_node(p, NODE_LIST, at);
    if (n == NULL)
        return NULL;
    struct node **tail = &n->list;
    while (p->t->kind != TOKEN_RBRACKET) {
        if (n->list != NULL) {
            if (!parser_expect(p, TOKEN_COMMA))
                return NULL;
            if (p->t->kind == TOKEN_RBRACKET)
                break;
        }
        *tail = parse_expression(p);
        if (*tail == NULL)
            return NULL;
        tail = &(*tail)->next;
    }
    return parser_expect(p, TOKEN_RBRACKET) ? n : NULL;
}

static struct node *parse_dict(struct parser *p)
{
    const struct token *at = p->t++;
    struct node *n = parser_node(p, NODE_DICT, at);
    if (n == NULL)
        return NULL;
    struct node **tail = &n->list;
    while (p->t->kind != TOKEN_RBRACE) {
        if (n->list != NULL) {
            if (!parser_expect(p, TOKEN_COMMA))
                return NULL;
            if (p->t->kind == TOKEN_RBRACE)
                break;
        }
        for (int i = 0; i < 2; i++) {
            if (i == 1 && !parser_expect(p, TOKEN_COLON))
                return NULL;
            *tail = parse_expression(p);
            if (*tail == NULL)
                return NULL;
            tail = &(*tail)->next;
        }
    }
    return parser_expect(p, TOKEN_RBRACE) ? n : NULL;
}

static struct node *constant(struct parser *p, const struct token *at,
                             struct value v)
{
    struct node *n = parser_node(p, NODE_CONST, at);
    if (n != NULL)
        n->value = v;
    return n;
}

static struct node *parse_name(struct parser *p, bool with_namespace)
{
    const struct token *at = p->t++;
    const struct str *name = at->value.u.str;
    if (str_is(name, "true") || str_is(name, "True"))
        return constant(p, at, value_bool(true));
    if (str_is(name, "false") || str_is(name, "False"))
        return constant(p, at, value_bool(false));
    if (str_is(name, "none") || str_is(name, "None"))
        return constant(p, at, value_none());
    bool is_ref = with_namespace && p->t->kind == TOKEN_DOT;
    struct node *n = parser_node(p, is_ref ? NODE_NSREF : NODE_NAME, at);
    if (n == NULL)
        return NULL;
    n->name = name;
    n->id = parser_id(p, name);
    parser_mention(p, name);
    if (n->id == ID_CALLER)
        p->uses |= USES_CALLER;
    else if (n->id == ID_KWARGS)
        p->uses |= USES_KWARGS;
    else if (n->id == ID_VARARGS)
        p->uses |= USES_VARARGS;
    if (is_ref) {
        p->t++;
        if (p->t->kind != TOKEN_NAME)
            return parser_fail(p, p->t, "expected the name of an attribute");
        n->value = p->t->value;
        p->t++;
    }
    return p->rc == 0 ? n : NULL;
}

static struct node *parse_strings(struct parser *p)
{
    const struct token *at = p->t++;
    if (p->t->kind != TOKEN_STRING)
        return constant(p, at, at->value);
    struct buf b;
    buf_init(&b, 0);
    buf_put(&b, at->value.u.str->s, at->value.u.str->n);
    for (; p->t->kind == TOKEN_STRING; p->t++)
        buf_put(&b, p->t->value.u.str->s, p->t->value.u.str->n);
    const struct str *s =
        buf_ok(&b) ? str_new(p->arena, buf_str(&b), b.len) : NULL;
    buf_deinit(&b);
    if (s == NULL) {
        p->rc = err_nomem(p->err, "the template");
        return NULL;
    }
    return constant(p, at, value_str(s));
}

struct node *parse_primary(struct parser *p, bool with_namespace)
{
    const struct token *at = p->t;
    switch (at->kind) {
    case TOKEN_NAME:
        return parse_name(p, with_namespace);
    case TOKEN_STRING:
        return parse_strings(p);
    case TOKEN_INT:
    case TOKEN_FLOAT:
        p->t++;
        return constant(p, at, at->value);
    case TOKEN_LPAREN: {
        p->t++;
        struct node *n = parse_tuple(p, TUPLE_PARENS, NULL);
        return n != NULL && parser_expect(p, TOKEN_RPAREN) ? n : NULL;
    }
    case TOKEN_LBRACKET:
        return parse_list(p);
    case TOKEN_LBRACE:
        return parse_dict(p);
    default:
        return parser_fail(p, at, "expected an expression, found %s",
                           token_describe(at->kind));
    }
}

/* One part of a slice; *out stays NULL when it is not there. */
static bool slice_part(struct parser *p, struct node **out)
{
    if (p->t->kind == TOKEN_COLON || p->t->kind == TOKEN_RBRACKET ||
        p->t->kind == TOKEN_COMMA)
        return true;
    *out = parse_expression(p);
    return *out != NULL;
}

static struct node *parse_subscribed(struct parser *p)
{
    const struct token *at = p->t;
    struct node *start = NULL;
    if (p->t->kind != TOKEN_COLON) {
        start = parse_expression(p);
        if (start == NULL || p->t->kind != TOKEN_COLON)
            return start;
    }
    p->t++;
    struct node *n = parser_node(p, NODE_SLICE, at);
    if (n == NULL)
        return NULL;
    n->a = start;
    if (!slice_part(p, &n->b))
        return NULL;
    if (parser_skip(p, TOKEN_COLON) && !slice_part(p, &n->c))
        return NULL;
    return n;
}

static struct node *parse_brackets(struct parser *p)
{
    const struct token *at = p->t++;
    struct node *first = NULL, **tail = &first;
    while (p->t->kind != TOKEN_RBRACKET) {
        if (first != NULL && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        *tail = parse_subscribed(p);
        if (*tail == NULL)
            return NULL;
        tail = &(*tail)->next;
    }
    p->t++;
    if (first != NULL && first->next == NULL)
        return first;
    struct node *n = parser_node(p, NODE_TUPLE, at);
    if (n != NULL)
        n->list = first;
    return n;
}

static struct node *parse_dot(struct parser *p, struct node *of)
{
    const struct token *at = p->t++, *name = p->t;
    if (name->kind == TOKEN_NAME) {
        p->t++;
        struct node *n = parser_node(p, NODE_ATTR, at);
        if (n == NULL)
            return NULL;
        n->a = of;
        n->value = name->value;
        parser_mention(p, name->value.u.str);
        return n;
    }
    if (name->kind != TOKEN_INT)
        return parser_fail(p, name, "expected a name or number after '.'");
    p->t++;
    return binary(p, at, NODE_ITEM, OP_ADD, of, constant(p, name, name->value));
}

static struct node *parse_call(struct parser *p, struct node *of)
{
    struct node *n = parser_node(p, NODE_CALL, p->t);
    if (n == NULL)
        return NULL;
    n->a = of;
    if (!parse_call_args(p, n))
        return NULL;
    if (of->kind == NODE_ATTR && n->args != NULL &&
        n->args->kind == NODE_CONST && n->args->value.kind == VALUE_STR)
        parser_mention(p, n->args->value.u.str); /* x.get("name") */
    return n;
}

struct node *parse_postfix(struct parser *p, struct node *n)
{
    while (n != NULL) {
        const struct token *at = p->t;
        if (at->kind == TOKEN_DOT) {
            n = parse_dot(p, n);
        } else if (at->kind == TOKEN_LBRACKET) {
            struct node *index = parse_brackets(p);
            if (index != NULL && index->kind == NODE_CONST &&
                index->value.kind == VALUE_STR)
                parser_mention(p, index->value.u.str);
            n = binary(p, at, NODE_ITEM, OP_ADD, n, index);
        } else if (at->kind == TOKEN_LPAREN) {
            n = parse_call(p, n);
        } else {
            return n;
        }
    }
    return NULL;
}

/* One argument, appended to the right list of `call`. */
static bool parse_arg(struct parser *p, struct node *call, struct node ***args,
                      struct node ***kwargs)
{
    const struct token *at = p->t;
    const char *wrong = "an argument is in a place where it cannot be";
    bool star = parser_skip(p, TOKEN_MUL);
    bool star2 = !star && parser_skip(p, TOKEN_POW);
    bool keyword =
        !star && !star2 && at->kind == TOKEN_NAME && at[1].kind == TOKEN_ASSIGN;
    if (call->star2 != NULL || (star && call->star != NULL) ||
        (!star && !star2 && !keyword &&
         (call->star != NULL || call->kwargs != NULL))) {
        parser_fail(p, at, "%s", wrong);
        return false;
    }
    if (keyword)
        p->t += 2;
    struct node *value = parse_expression(p);
    if (value == NULL)
        return false;
    if (star) {
        call->star = value;
    } else if (star2) {
        call->star2 = value;
    } else if (keyword) {
        for (const struct node *k = call->kwargs; k != NULL; k = k->next)
            if (str_same(k->name, at->value.u.str)) {
                parser_fail(p, at, "a keyword is given twice");
                return false;
            }
        struct node *n = parser_node(p, NODE_KWARG, at);
        if (n == NULL)
            return false;
        n->name = at->value.u.str;
        n->a = value;
        **kwargs = n;
        *kwargs = &n->next;
    } else {
        **args = value;
        *args = &value->next;
        call->n_args++;
    }
    return true;
}

bool parse_call_args(struct parser *p, struct node *call)
{
    struct node **args = &call->args, **kwargs = &call->kwargs;
    bool more = false;
    if (!parser_expect(p, TOKEN_LPAREN))
        return false;
    while (p->t->kind != TOKEN_RPAREN) {
        if (more) {
            if (!parser_expect(p, TOKEN_COMMA))
                return false;
            if (p->t->kind == TOKEN_RPAREN)
                break;
        }
        if (!parse_arg(p, call, &args, &kwargs))
            return false;
        more = true;
    }
    p->t++;
    return true;
}

/* name(.name)* of a filter or test into n->name. */
static bool dotted_name(struct parser *p, struct node *n)
{
    if (p->t->kind != TOKEN_NAME) {
        parser_fail(p, p->t, "expected a name, found %s",
                    token_describe(p->t->kind));
        return false;
    }
    n->name = p->t->value.u.str;
    p->t++;
    if (p->t->kind == TOKEN_DOT) {
        parser_fail(p, p->t, "a filter or test has no '.' in its name");
        return false;
    }
    return true;
}

static bool remember_unresolved(struct parser *p, struct node *n)
{
    if (n->builtin != NULL)
        return true;
    if (p->n_unresolved == p->cap_unresolved) {
        size_t cap = p->cap_unresolved == 0 ? 16 : p->cap_unresolved * 2;
        struct unresolved *u = arena_calloc(p->arena, cap, sizeof *u);
        if (u == NULL) {
            p->rc = err_nomem(p->err, "the template");
            return false;
        }
        if (p->n_unresolved > 0)
            memcpy(u, p->unresolved, p->n_unresolved * sizeof *u);
        p->unresolved = u;
        p->cap_unresolved = cap;
    }
    p->unresolved[p->n_unresolved++] = (struct unresolved){n, p->soft};
    return true;
}

struct node *parse_filters(struct parser *p, struct node *of, bool inline_)
{
    struct node *n = of;
    while (inline_ || p->t->kind == TOKEN_PIPE) {
        if (!inline_)
            p->t++;
        inline_ = false;
        struct node *f = parser_node(p, NODE_FILTER, p->t);
        if (f == NULL || !dotted_name(p, f))
            return NULL;
        f->a = n;
        if (p->t->kind == TOKEN_LPAREN && !parse_call_args(p, f))
            return NULL;
        if (f->args != NULL && f->args->kind == NODE_CONST &&
            f->args->value.kind == VALUE_STR)
            parser_mention(p, f->args->value.u.str); /* selectattr("name") */
        f->builtin = builtin_filter(f->name);
        if (!remember_unresolved(p, f))
            return NULL;
        n = f;
    }
    return n;
}

static bool test_has_argument(const struct parser *p)
{
    switch (p->t->kind) {
    case TOKEN_STRING:
    case TOKEN_INT:
    case TOKEN_FLOAT:
    case TOKEN_LBRACKET:
    case TOKEN_LBRACE:
        return true;
    case TOKEN_NAME:
        return !parser_is_name(p, "else") && !parser_is_name(p, "or") &&
               !parser_is_name(p, "and");
    default:
        return false;
    }
}

static struct node *parse_test(struct parser *p, struct node *of)
{
    const struct token *at = p->t++;
    bool negated = parser_skip_name(p, "not");
    struct node *n = parser_node(p, NODE_TEST, at);
    if (n == NULL || !dotted_name(p, n))
        return NULL;
    n->a = of;
    if (p->t->kind == TOKEN_LPAREN) {
        if (!parse_call_args(p, n))
            return NULL;
    } else if (test_has_argument(p)) {
        if (parser_is_name(p, "is"))
            return parser_fail(p, p->t, "tests cannot be chained with is");
        n->args = parse_postfix(p, parse_primary(p, false));
        n->n_args = 1;
        if (n->args == NULL)
            return NULL;
    }
    n->builtin = builtin_test(n->name);
    if (!remember_unresolved(p, n))
        return NULL;
    if (!negated)
        return n;
    struct node *not_ = parser_node(p, NODE_NOT, at);
    if (not_ != NULL)
        not_->a = n;
    return not_;
}

static struct node *parse_filter_expr(struct parser *p, struct node *n)
{
    while (n != NULL) {
        if (p->t->kind == TOKEN_PIPE)
            n = parse_filters(p, n, false);
        else if (parser_is_name(p, "is"))
            n = parse_test(p, n);
        else if (p->t->kind == TOKEN_LPAREN)
            n = parse_call(p, n);
        else
            return n;
    }
    return NULL;
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    struct node *n;
    if (p->t->kind == TOKEN_SUB || p->t->kind == TOKEN_ADD) {
        const struct token *at = p->t++;
        if (!parser_enter(p))
            return NULL;
        struct node *a = parse_unary(p, false);
        parser_leave(p);
        if (a == NULL)
            return NULL;
        n = parser_node(p, at->kind == TOKEN_SUB ? NODE_NEG : NODE_POS, at);
        if (n == NULL)
            return NULL;
        n->a = a;
    } else {
        n = parse_primary(p, false);
    }
    n = parse_postfix(p, n);
    return with_filter ? parse_filter_expr(p, n) : n;
}
