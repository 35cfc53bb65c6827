/* parser.c -- statements, and what all parsing shares. */
#include "model/template/parser_private.h"

#include <stdio.h>
#include <string.h>

struct node *parser_fail(struct parser *p, const struct token *at,
                         const char *fmt, ...)
{
    if (p->rc != 0)
        return NULL;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->rc = err_set(p->err, ERR_FORMAT, "template line %u, column %u: %s",
                    at->line, at->column, text);
    return NULL;
}

struct node *parser_node(struct parser *p, enum node_kind kind,
                         const struct token *at)
{
    struct node *n = arena_alloc(p->arena, sizeof *n);
    if (n == NULL) {
        if (p->rc == 0)
            p->rc = err_nomem(p->err, "the template");
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->line = at->line;
    n->column = at->column;
    return n;
}

bool parser_enter(struct parser *p)
{
    if (++p->depth <= PARSER_DEPTH)
        return true;
    parser_fail(p, p->t, "nested more than %u deep", PARSER_DEPTH);
    return false;
}

void parser_leave(struct parser *p)
{
    p->depth--;
}

bool parser_is_name(const struct parser *p, const char *name)
{
    return p->t->kind == TOKEN_NAME && str_is(p->t->value.u.str, name);
}

bool parser_skip(struct parser *p, enum token_kind kind)
{
    if (p->t->kind != kind)
        return false;
    p->t++;
    return true;
}

bool parser_skip_name(struct parser *p, const char *name)
{
    if (!parser_is_name(p, name))
        return false;
    p->t++;
    return true;
}

bool parser_expect(struct parser *p, enum token_kind kind)
{
    if (parser_skip(p, kind))
        return true;
    if (p->t->kind == TOKEN_NAME)
        parser_fail(p, p->t, "expected %s, found '%.80s'", token_describe(kind),
                    p->t->value.u.str->s);
    else
        parser_fail(p, p->t, "expected %s, found %s", token_describe(kind),
                    token_describe(p->t->kind));
    return false;
}

/* Appends a pointer to an array in the arena that doubles. */
static bool add_name(struct parser *p, const struct str ***names, uint32_t *n,
                     uint32_t *cap, const struct str *name)
{
    if (*n == *cap) {
        uint32_t more = *cap == 0 ? 32 : *cap * 2;
        const struct str **grown = arena_calloc(p->arena, more, sizeof *grown);
        if (grown == NULL) {
            if (p->rc == 0)
                p->rc = err_nomem(p->err, "the template");
            return false;
        }
        if (*n > 0)
            memcpy(grown, *names, *n * sizeof *grown);
        *names = grown;
        *cap = more;
    }
    (*names)[(*n)++] = name;
    return true;
}

uint32_t parser_id(struct parser *p, const struct str *name)
{
    struct ast *a = p->ast;
    for (uint32_t i = 0; i < a->n_names; i++)
        if (str_same(a->names[i], name))
            return i;
    if (!add_name(p, &a->names, &a->n_names, &p->cap_names, name))
        return 0;
    return a->n_names - 1;
}

void parser_mention(struct parser *p, const struct str *name)
{
    struct ast *a = p->ast;
    for (uint32_t i = 0; i < a->n_mentions; i++)
        if (str_same(a->mentions[i], name))
            return;
    add_name(p, &a->mentions, &a->n_mentions, &p->cap_mentions, name);
}

static struct node *parse_body(struct parser *p, const char *const *ends);

/* ":"? "%}" body, up to a tag whose name is in `ends` (NULL ends them), which
 * is then current.  *ok tells failure from an empty body. */
static struct node *parse_block(struct parser *p, const char *const *ends,
                                bool *ok)
{
    const struct token *at = p->t;
    parser_skip(p, TOKEN_COLON);
    *ok = false;
    if (!parser_expect(p, TOKEN_BLOCK_END) || !parser_enter(p))
        return NULL;
    struct node *body = parse_body(p, ends);
    parser_leave(p);
    if (p->rc != 0)
        return NULL;
    if (p->t->kind == TOKEN_EOF) {
        parser_fail(p, at, "the template ends where {%% %s %%} should be",
                    ends[0]);
        return NULL;
    }
    *ok = true;
    return body;
}

/* As parse_block with one end, which is taken; unknown filters inside fail. */
static bool parse_hard(struct parser *p, const char *end, struct node **out)
{
    const char *const ends[] = {end, NULL};
    bool soft = p->soft, ok;
    p->soft = false;
    *out = parse_block(p, ends, &ok);
    p->soft = soft;
    if (ok)
        p->t++;
    return ok;
}

static bool can_assign(struct parser *p, struct node *n)
{
    if (n->kind == NODE_TUPLE) {
        for (struct node *i = n->list; i != NULL; i = i->next)
            if (!can_assign(p, i))
                return false;
        return true;
    }
    if (n->kind == NODE_NAME || n->kind == NODE_NSREF)
        return true;
    p->rc = err_set(p->err, ERR_FORMAT,
                    "template line %u, column %u: cannot assign to this",
                    n->line, n->column);
    return false;
}

/* name | ns.name | a, b | (a, b) */
static struct node *parse_target(struct parser *p, bool with_namespace,
                                 const char *end_name)
{
    const struct token *at = p->t;
    struct node *first = NULL, **tail = &first;
    bool is_tuple = false;
    while (p->t->kind != TOKEN_BLOCK_END && p->t->kind != TOKEN_RPAREN &&
           !(end_name != NULL && parser_is_name(p, end_name))) {
        *tail = parse_primary(p, with_namespace);
        if (*tail == NULL)
            return NULL;
        tail = &(*tail)->next;
        if (!parser_skip(p, TOKEN_COMMA))
            break;
        is_tuple = true;
    }
    if (first == NULL && !is_tuple)
        return parser_fail(p, at, "expected a name to assign to");
    struct node *n = first;
    if (is_tuple) {
        n = parser_node(p, NODE_TUPLE, at);
        if (n == NULL)
            return NULL;
        n->list = first;
    }
    return can_assign(p, n) ? n : NULL;
}

static struct node *parse_name_only(struct parser *p, enum node_kind kind)
{
    if (p->t->kind != TOKEN_NAME)
        return parser_fail(p, p->t, "expected a name, found %s",
                           token_describe(p->t->kind));
    static const char *const constants[] = {"true", "false", "none",
                                            "True", "False", "None"};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (parser_is_name(p, constants[i]))
            return parser_fail(p, p->t, "cannot assign to '%s'", constants[i]);
    struct node *n = parser_node(p, kind, p->t);
    if (n != NULL) {
        n->name = p->t->value.u.str;
        n->id = parser_id(p, n->name);
        p->t++;
    }
    return n;
}

static struct node *parse_set(struct parser *p, struct node *n)
{
    n->a = parse_target(p, true, NULL);
    if (n->a == NULL)
        return NULL;
    if (parser_skip(p, TOKEN_ASSIGN)) {
        n->b = parse_tuple(p, 0, NULL);
        return n->b != NULL ? n : NULL;
    }
    n->kind = NODE_SET_BLOCK;
    struct node *hole = parser_node(p, NODE_HOLE, p->t);
    if (hole == NULL)
        return NULL;
    n->b = parse_filters(p, hole, false);
    if (n->b == NULL || !parse_hard(p, "endset", &n->list))
        return NULL;
    return n;
}

static bool assigns_loop(const struct node *target)
{
    for (const struct node *i = target->list; i != NULL; i = i->next)
        if (assigns_loop(i))
            return true;
    return target->kind == NODE_NAME && target->id == ID_LOOP;
}

static struct node *parse_for_bodies(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    bool soft = p->soft, in_loop = p->in_loop, defines = p->defines, ok;
    p->soft = false;
    p->in_loop = true;
    p->defines = false;
    n->list = parse_block(p, ends, &ok);
    n->defines = p->defines;
    p->in_loop = in_loop;
    p->defines = defines || n->defines;
    p->soft = soft;
    if (!ok)
        return NULL;
    if (parser_skip_name(p, "endfor"))
        return n;
    p->t++;
    return parse_hard(p, "endfor", &n->els) ? n : NULL;
}

static struct node *parse_for(struct parser *p, struct node *n)
{
    const struct token *at = p->t;
    n->a = parse_target(p, false, "in");
    if (n->a == NULL)
        return NULL;
    if (assigns_loop(n->a))
        return parser_fail(p, at, "cannot assign to 'loop' in a for");
    if (!parser_skip_name(p, "in"))
        return parser_fail(p, p->t, "expected 'in'");
    n->b = parse_tuple(p, TUPLE_NO_COND, "recursive");
    if (n->b == NULL)
        return NULL;
    if (parser_skip_name(p, "if")) {
        n->c = parse_expression(p);
        if (n->c == NULL)
            return NULL;
    }
    n->flag = parser_skip_name(p, "recursive");
    return parse_for_bodies(p, n);
}

static struct node *parse_if(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    struct node *first = n;
    bool soft = p->soft, ok;
    p->soft = true;
    for (;;) {
        n->a = parse_tuple(p, TUPLE_NO_COND, NULL);
        if (n->a == NULL)
            return NULL;
        n->list = parse_block(p, ends, &ok);
        if (!ok)
            return NULL;
        const struct token *end = p->t++;
        if (str_is(end->value.u.str, "endif"))
            break;
        if (str_is(end->value.u.str, "else")) {
            n->els = parse_block(p, last, &ok);
            if (!ok)
                return NULL;
            p->t++;
            break;
        }
        n->els = parser_node(p, NODE_IF, end);
        n->flag = true; /* els is one elif */
        n = n->els;
        if (n == NULL)
            return NULL;
    }
    p->soft = soft;
    return first;
}

/* (name, name=default, ...) into n->args. */
static bool parse_signature(struct parser *p, struct node *n)
{
    struct node **tail = &n->args;
    bool defaults = false;
    if (!parser_expect(p, TOKEN_LPAREN))
        return false;
    while (p->t->kind != TOKEN_RPAREN) {
        if (n->args != NULL && !parser_expect(p, TOKEN_COMMA))
            return false;
        struct node *param = parse_name_only(p, NODE_PARAM);
        if (param == NULL)
            return false;
        if (parser_skip(p, TOKEN_ASSIGN)) {
            defaults = true;
            param->a = parse_expression(p);
            if (param->a == NULL)
                return false;
        } else if (defaults) {
            parser_fail(p, p->t,
                        "a parameter without a default follows one "
                        "that has it");
            return false;
        }
        *tail = param;
        tail = &param->next;
        n->n_args++;
    }
    p->t++;
    return true;
}

/* The body of a macro or call block; notes which special names it uses. */
static bool parse_macro_body(struct parser *p, struct node *n, const char *end)
{
    uint8_t uses = p->uses;
    bool in_loop = p->in_loop;
    p->uses = 0;
    p->in_loop = false;
    bool ok = parse_hard(p, end, &n->list);
    for (const struct node *a = n->args; a != NULL; a = a->next)
        if (a->id == ID_CALLER && a->a == NULL && ok) {
            parser_fail(p, p->t, "the parameter 'caller' needs a default");
            ok = false;
        }
    n->uses = p->uses;
    p->in_loop = in_loop;
    p->uses |= uses;
    p->defines = true;
    return ok;
}

static struct node *parse_macro(struct parser *p, struct node *unused)
{
    (void)unused;
    struct node *n = parse_name_only(p, NODE_MACRO);
    if (n == NULL || !parse_signature(p, n) ||
        !parse_macro_body(p, n, "endmacro"))
        return NULL;
    return n;
}

static struct node *parse_call_block(struct parser *p, struct node *n)
{
    n->b = parser_node(p, NODE_MACRO, p->t);
    if (n->b == NULL)
        return NULL;
    n->b->name = p->ast->names[ID_CALLER];
    if (p->t->kind == TOKEN_LPAREN && !parse_signature(p, n->b))
        return NULL;
    const struct token *at = p->t;
    n->a = parse_expression(p);
    if (n->a == NULL)
        return NULL;
    if (n->a->kind != NODE_CALL)
        return parser_fail(p, at, "expected a call after 'call'");
    return parse_macro_body(p, n->b, "endcall") ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p, struct node *n)
{
    struct node *hole = parser_node(p, NODE_HOLE, p->t);
    if (hole == NULL)
        return NULL;
    n->b = parse_filters(p, hole, true);
    return n->b != NULL && parse_hard(p, "endfilter", &n->list) ? n : NULL;
}

static struct node *parse_with(struct parser *p, struct node *n)
{
    struct node **tail = &n->args;
    while (p->t->kind != TOKEN_BLOCK_END) {
        if (n->args != NULL && !parser_expect(p, TOKEN_COMMA))
            return NULL;
        struct node *set = parser_node(p, NODE_SET, p->t);
        if (set == NULL)
            return NULL;
        set->a = parse_target(p, false, NULL);
        if (set->a == NULL || !parser_expect(p, TOKEN_ASSIGN))
            return NULL;
        set->b = parse_expression(p);
        if (set->b == NULL)
            return NULL;
        *tail = set;
        tail = &set->next;
    }
    return parse_hard(p, "endwith", &n->list) ? n : NULL;
}

static struct node *parse_generation(struct parser *p, struct node *n)
{
    bool in_loop = p->in_loop; /* jinja2 makes a function of the body */
    p->in_loop = false;
    bool ok = parse_hard(p, "endgeneration", &n->list);
    p->in_loop = in_loop;
    return ok ? n : NULL;
}

static struct node *parse_named_block(struct parser *p, struct node *n)
{
    if (!parser_expect(p, TOKEN_NAME))
        return NULL;
    const struct str *name = p->t[-1].value.u.str;
    parser_skip_name(p, "scoped");
    parser_skip_name(p, "required");
    bool in_loop = p->in_loop;
    p->in_loop = false;
    bool ok = parse_hard(p, "endblock", &n->list);
    p->in_loop = in_loop;
    if (ok && p->t->kind == TOKEN_NAME && str_same(p->t->value.u.str, name))
        p->t++;
    return ok ? n : NULL;
}

static struct node *parse_print(struct parser *p, struct node *n)
{
    n->a = parse_expression(p);
    if (n->a != NULL && p->t->kind == TOKEN_COMMA)
        return parser_fail(p, p->t, "print takes one expression here");
    return n->a != NULL ? n : NULL;
}

static struct node *parse_jump(struct parser *p, struct node *n)
{
    if (!p->in_loop)
        return parser_fail(p, p->t, "break and continue need a loop around");
    return n;
}

static struct node *parse_refused(struct parser *p, struct node *n)
{
    (void)n;
    return parser_fail(p, &p->t[-1],
                       "include, import, extends and autoescape are not "
                       "supported: a chat template is one text");
}

static struct node *parse_statement(struct parser *p)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *, struct node *);
        enum node_kind kind;
    } tags[] = {
        {"if", parse_if, NODE_IF},
        {"for", parse_for, NODE_FOR},
        {"set", parse_set, NODE_SET},
        {"macro", parse_macro, NODE_MACRO},
        {"call", parse_call_block, NODE_CALL_BLOCK},
        {"filter", parse_filter_block, NODE_FILTER_BLOCK},
        {"with", parse_with, NODE_WITH},
        {"generation", parse_generation, NODE_SCOPE},
        {"block", parse_named_block, NODE_BLOCK},
        {"print", parse_print, NODE_PRINT},
        {"break", parse_jump, NODE_BREAK},
        {"continue", parse_jump, NODE_CONTINUE},
        {"include", parse_refused, NODE_TEXT},
        {"import", parse_refused, NODE_TEXT},
        {"from", parse_refused, NODE_TEXT},
        {"extends", parse_refused, NODE_TEXT},
        {"autoescape", parse_refused, NODE_TEXT},
    };
    const struct token *at = p->t;
    if (at->kind != TOKEN_NAME)
        return parser_fail(p, at, "expected the name of a tag, found %s",
                           token_describe(at->kind));
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!str_is(at->value.u.str, tags[i].name))
            continue;
        struct node *n = parser_node(p, tags[i].kind, at);
        if (n == NULL)
            return NULL;
        p->t++;
        return tags[i].parse(p, n);
    }
    return parser_fail(p, at, "unknown tag '%.80s'", at->value.u.str->s);
}

static bool is_end(const struct parser *p, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++)
        if (parser_is_name(p, *ends))
            return true;
    return false;
}

/* One piece; NULL at an end tag (its name is then current) or a failure. */
static struct node *parse_piece(struct parser *p, const char *const *ends)
{
    const struct token *at = p->t++;
    if (at->kind == TOKEN_DATA) {
        struct node *n = parser_node(p, NODE_TEXT, at);
        if (n != NULL)
            n->value = at->value;
        return n;
    }
    if (at->kind == TOKEN_PRINT_BEGIN) {
        struct node *n = parser_node(p, NODE_PRINT, at);
        if (n == NULL)
            return NULL;
        n->a = parse_tuple(p, 0, NULL);
        return n->a != NULL && parser_expect(p, TOKEN_PRINT_END) ? n : NULL;
    }
    if (is_end(p, ends))
        return NULL;
    struct node *n = parse_statement(p);
    return n != NULL && parser_expect(p, TOKEN_BLOCK_END) ? n : NULL;
}

static struct node *parse_body(struct parser *p, const char *const *ends)
{
    struct node *first = NULL, **tail = &first;
    while (p->t->kind != TOKEN_EOF) {
        struct node *n = parse_piece(p, ends);
        if (n == NULL)
            return first;
        *tail = n;
        tail = &n->next;
    }
    return first;
}

static int check_unresolved(struct parser *p)
{
    for (size_t i = 0; i < p->n_unresolved; i++) {
        const struct node *n = p->unresolved[i].node;
        if (p->unresolved[i].soft)
            continue;
        return err_set(p->err, ERR_FORMAT,
                       "template line %u, column %u: unknown %s '%.80s'",
                       n->line, n->column,
                       n->kind == NODE_FILTER ? "filter" : "test", n->name->s);
    }
    return 0;
}

int parser_run(struct arena *a, const struct token *tokens, struct ast *out,
               struct err *err)
{
    static const char *const fixed[] = {"loop", "caller", "kwargs", "varargs",
                                        "self"};
    struct parser p = {.arena = a, .err = err, .t = tokens, .ast = out};
    for (uint32_t i = 0; i < ID_FIRST_FREE; i++) {
        const struct str *s = str_new(a, fixed[i], strlen(fixed[i]));
        if (s == NULL)
            return err_nomem(err, "the template");
        parser_id(&p, s);
    }
    if (p.rc == 0)
        out->body = parse_body(&p, NULL);
    return p.rc != 0 ? p.rc : check_unresolved(&p);
}
