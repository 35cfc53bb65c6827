/* eval.c -- statements, scopes and limits; expressions are in expr.c, loops and
 * macros in loop.c and macro.c. */
#include "model/template/eval.h"

#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"

#define NESTING 1000u /* eval and exec calls inside each other */

int eval_fail(struct eval *e, enum err_class class_, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    /* Whoever meets a limit cannot tell it from memory that was short. */
    if (class_ == ERR_LIMIT && mem_n_failed() != e->n_failed_before)
        return err_nomem(e->err, "rendering a template");
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (e->at == NULL)
        return err_set(e->err, class_, "template: %s", text);
    return err_set(e->err, class_, "template line %u, column %u: %s",
                   e->at->line, e->at->column, text);
}

int eval_nomem(struct eval *e)
{
    return eval_fail(e, ERR_LIMIT, "rendering needs more than %zu bytes",
                     e->limits.memory_bytes);
}

int eval_undefined(struct eval *e, struct value v)
{
    struct value of = {.kind = v.sub};
    if (v.u.str == NULL)
        return eval_fail(e, ERR_INVALID, "an undefined value is used");
    if (v.sub == VALUE_ABSENT)
        return eval_fail(e, ERR_INVALID, "'%.100s' is undefined", v.u.str->s);
    return eval_fail(e, ERR_INVALID, "a %s has no attribute '%.100s'",
                     value_type_name(of), v.u.str->s);
}

int eval_steps(struct eval *e, size_t bytes)
{
    uint64_t cost = 1 + bytes / 64;
    if (cost > e->steps) {
        e->steps = 0;
        return eval_fail(e, ERR_LIMIT, "rendering takes more than %llu steps",
                         (unsigned long long)e->limits.steps);
    }
    e->steps -= cost;
    return 0;
}

void *eval_alloc(struct eval *e, size_t n, size_t size)
{
    return arena_calloc(e->arena, n, size);
}

int eval_enter(struct eval *e)
{
    if (e->nesting >= NESTING)
        return eval_fail(e, ERR_LIMIT, "evaluation is nested more than %u deep",
                         NESTING);
    int rc = eval_steps(e, 0);
    if (rc == 0)
        e->nesting++;
    return rc;
}

void eval_leave(struct eval *e)
{
    e->nesting--;
}

struct scope *scope_push(struct eval *e, struct scope *outer)
{
    struct scope *s = eval_alloc(e, 1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->outer = outer;
    e->scope = s;
    return s;
}

int scope_set(struct eval *e, struct scope *s, uint32_t id, struct value v)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->vars[i].id == id) {
            s->vars[i].value = v;
            return 0;
        }
    if (s->n == s->cap) {
        uint32_t cap = s->cap == 0 ? 4 : s->cap * 2;
        struct variable *vars = eval_alloc(e, cap, sizeof *vars);
        if (vars == NULL)
            return eval_nomem(e);
        if (s->n > 0)
            memcpy(vars, s->vars, s->n * sizeof *vars);
        s->vars = vars;
        s->cap = cap;
    }
    s->vars[s->n++] = (struct variable){id, v};
    return 0;
}

static int assign_ref(struct eval *e, const struct node *n, struct value v)
{
    struct value ns = e->globals[n->id];
    for (const struct scope *s = e->scope; s != NULL; s = s->outer)
        for (uint32_t i = 0; i < s->n; i++)
            if (s->vars[i].id == n->id) {
                ns = s->vars[i].value;
                s = e->top; /* the outermost: ends both loops */
                break;
            }
    e->at = n;
    if (ns.kind != VALUE_NAMESPACE)
        return eval_fail(e, ERR_INVALID,
                         "'%.100s' is no namespace: its attributes cannot be "
                         "set",
                         n->name->s);
    if (n->value.u.str->n > 0 && n->value.u.str->s[0] == '_')
        return eval_fail(e, ERR_INVALID,
                         "a namespace cannot hold '%.100s', which begins "
                         "with an underscore",
                         n->value.u.str->s);
    return map_set(e, ns.u.map, n->value, v);
}

/* Unpacks `v` over the targets of a tuple. */
static int assign_tuple(struct eval *e, const struct node *target,
                        struct value v)
{
    const struct value *items;
    size_t n, wanted = 0;
    int rc = value_items(e, v, &items, &n);
    if (rc != 0)
        return rc;
    for (const struct node *t = target->list; t != NULL; t = t->next)
        wanted++;
    if (n != wanted)
        return eval_fail(e, ERR_INVALID,
                         "cannot unpack %zu values into %zu names", n, wanted);
    for (const struct node *t = target->list; t != NULL && rc == 0; t = t->next)
        rc = scope_assign(e, t, *items++);
    return rc;
}

int scope_assign(struct eval *e, const struct node *target, struct value v)
{
    if (target->kind == NODE_NAME)
        return scope_set(e, e->scope, target->id, v);
    if (target->kind == NODE_NSREF)
        return assign_ref(e, target, v);
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    rc = assign_tuple(e, target, v);
    eval_leave(e);
    return rc;
}

static int emit(struct eval *e, const char *s, size_t n)
{
    if (n > e->limits.memory_bytes - e->emitted)
        return eval_nomem(e);
    e->emitted += n;
    buf_put(e->out, s, n);
    if (!buf_ok(e->out))
        return eval_fail(e, ERR_LIMIT, "the output has more than %zu bytes",
                         e->limits.output_bytes);
    return eval_steps(e, n);
}

static int emit_value(struct eval *e, struct value v)
{
    const struct str *text;
    int rc = print_to_str(e, v, &text);
    return rc != 0 ? rc : emit(e, text->s, text->n);
}

static int exec_print(struct eval *e, const struct node *n)
{
    struct value v;
    int rc = eval_expr(e, n->a, &v);
    if (rc != 0)
        return rc;
    e->at = n;
    return emit_value(e, v);
}

static int exec_if(struct eval *e, const struct node *n)
{
    for (;;) {
        struct value v;
        int rc = eval_expr(e, n->a, &v);
        if (rc != 0)
            return rc;
        if (value_truth(v))
            return exec_body(e, n->list);
        if (!n->flag)
            return exec_body(e, n->els);
        n = n->els;
        rc = eval_steps(e, 0);
        if (rc != 0)
            return rc;
    }
}

/* Runs a body in a scope of its own. */
static int exec_scoped(struct eval *e, struct scope *outer,
                       const struct node *first)
{
    struct scope *saved = e->scope;
    if (scope_push(e, outer) == NULL)
        return eval_nomem(e);
    int rc = exec_body(e, first);
    e->scope = saved;
    return rc;
}

int exec_capture(struct eval *e, const struct node *first, struct value *out)
{
    struct buf text, *saved = e->out;
    buf_init(&text, e->limits.output_bytes);
    e->out = &text;
    int rc = exec_scoped(e, e->scope, first);
    e->out = saved;
    if (rc == 0)
        return make_str_buf(e, &text, out);
    buf_deinit(&text);
    return rc;
}

/* The captured body through the filters of n->b. */
static int filtered(struct eval *e, const struct node *n, struct value *out)
{
    struct value hole = e->hole;
    int rc = exec_capture(e, n->list, &e->hole);
    if (rc == 0)
        rc = eval_expr(e, n->b, out);
    e->hole = hole;
    return rc;
}

static int exec_set(struct eval *e, const struct node *n)
{
    struct value v;
    int rc = n->kind == NODE_SET ? eval_expr(e, n->b, &v) : filtered(e, n, &v);
    if (rc != 0)
        return rc;
    e->at = n;
    return scope_assign(e, n->a, v);
}

static int exec_filter_block(struct eval *e, const struct node *n)
{
    struct value v;
    int rc = filtered(e, n, &v);
    return rc != 0 ? rc : emit_value(e, v);
}

static int exec_with(struct eval *e, const struct node *n)
{
    struct scope *outer = e->scope;
    struct scope *inner = scope_push(e, outer);
    if (inner == NULL)
        return eval_nomem(e);
    int rc = 0;
    for (const struct node *s = n->args; s != NULL && rc == 0; s = s->next) {
        struct value v;
        e->scope = outer;
        rc = eval_expr(e, s->b, &v);
        e->scope = inner;
        if (rc == 0)
            rc = scope_assign(e, s->a, v);
    }
    if (rc == 0)
        rc = exec_body(e, n->list);
    e->scope = outer;
    return rc;
}

static int make_macro(struct eval *e, const struct node *n, struct value *out)
{
    struct macro *m = eval_alloc(e, 1, sizeof *m);
    if (m == NULL)
        return eval_nomem(e);
    m->node = n;
    m->scope = e->scope;
    *out = (struct value){.kind = VALUE_MACRO, .u.macro = m};
    return 0;
}

static int exec_call_block(struct eval *e, const struct node *n)
{
    struct value caller, f, v;
    struct args args;
    int rc = make_macro(e, n->b, &caller);
    if (rc == 0)
        rc = eval_expr(e, n->a->a, &f);
    if (rc == 0)
        rc = eval_call_args(e, n->a, &args);
    if (rc != 0)
        return rc;
    struct kwarg *kw = eval_alloc(e, args.n_kw + 1, sizeof *kw);
    if (kw == NULL)
        return eval_nomem(e);
    if (args.n_kw > 0)
        memcpy(kw, args.kw, args.n_kw * sizeof *kw);
    kw[args.n_kw++] = (struct kwarg){e->ast->names[ID_CALLER], caller};
    args.kw = kw;
    e->at = n;
    rc = eval_call_value(e, f, &args, &v);
    return rc != 0 ? rc : emit_value(e, v);
}

static int exec_one(struct eval *e, const struct node *n)
{
    struct value v;
    int rc;
    e->at = n;
    switch (n->kind) {
    case NODE_TEXT:
        return emit(e, n->value.u.str->s, n->value.u.str->n);
    case NODE_PRINT:
        return exec_print(e, n);
    case NODE_IF:
        return exec_if(e, n);
    case NODE_FOR:
        return exec_for(e, n);
    case NODE_SET:
    case NODE_SET_BLOCK:
        return exec_set(e, n);
    case NODE_MACRO:
        rc = make_macro(e, n, &v);
        return rc != 0 ? rc : scope_set(e, e->scope, n->id, v);
    case NODE_CALL_BLOCK:
        return exec_call_block(e, n);
    case NODE_FILTER_BLOCK:
        return exec_filter_block(e, n);
    case NODE_WITH:
        return exec_with(e, n);
    case NODE_SCOPE:
        return exec_scoped(e, e->scope, n->list);
    case NODE_BLOCK:
        return exec_scoped(e, e->top, n->list);
    case NODE_BREAK:
        return FLOW_BREAK;
    default:
        return FLOW_CONTINUE;
    }
}

int exec_body(struct eval *e, const struct node *first)
{
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    for (const struct node *n = first; n != NULL && rc == 0; n = n->next) {
        rc = eval_steps(e, 0);
        if (rc == 0)
            rc = exec_one(e, n);
    }
    eval_leave(e);
    return rc;
}
