/* macro.c -- calling: macros bind their parameters as jinja2's Macro does, all
 * else goes through builtin_call. */
#include <string.h>

#include "model/template/eval.h"

static const struct kwarg *find_kwarg(const struct args *args,
                                      const struct str *name)
{
    for (size_t i = 0; i < args->n_kw; i++)
        if (str_same(args->kw[i].name, name))
            return &args->kw[i];
    return NULL;
}

/* Whether keyword `i` went to a parameter that no position filled. */
static bool taken(const struct node *n, const struct args *args, size_t i)
{
    size_t at = 0;
    for (const struct node *p = n->args; p != NULL; p = p->next, at++)
        if (at >= args->n_pos && str_same(p->name, args->kw[i].name))
            return true;
    return false;
}

static bool has_param(const struct node *n, uint32_t id)
{
    for (const struct node *p = n->args; p != NULL; p = p->next)
        if (p->id == id)
            return true;
    return false;
}

/* `kwargs`: the keywords no parameter took; a refusal when not wanted. */
static int bind_rest(struct eval *e, const struct node *n,
                     const struct args *args)
{
    struct value rest;
    bool wants_kwargs = (n->uses & USES_KWARGS) && !has_param(n, ID_KWARGS);
    bool wants_varargs = (n->uses & USES_VARARGS) && !has_param(n, ID_VARARGS);
    bool wants_caller = (n->uses & USES_CALLER) && !has_param(n, ID_CALLER);
    int rc = make_map(e, 0, &rest);
    for (size_t i = 0; i < args->n_kw && rc == 0; i++) {
        const struct str *name = args->kw[i].name;
        if (taken(n, args, i) || (wants_caller && str_is(name, "caller")))
            continue;
        if (!wants_kwargs)
            return eval_fail(e, ERR_INVALID,
                             "macro '%.80s' takes no keyword argument '%.80s'",
                             n->name->s, name->s);
        rc = map_set(e, rest.u.map, value_str(name), args->kw[i].value);
    }
    if (rc == 0 && wants_kwargs)
        rc = scope_set(e, e->scope, ID_KWARGS, rest);
    size_t extra = args->n_pos > n->n_args ? args->n_pos - n->n_args : 0;
    if (rc == 0 && extra > 0 && !wants_varargs)
        return eval_fail(e, ERR_INVALID,
                         "macro '%.80s' takes not more than %u arguments",
                         n->name->s, n->n_args);
    if (rc == 0 && wants_varargs) {
        rc = make_seq(e, extra > 0 ? args->pos + n->n_args : NULL, extra,
                      SEQ_TUPLE, &rest);
        if (rc == 0)
            rc = scope_set(e, e->scope, ID_VARARGS, rest);
    }
    if (rc == 0 && wants_caller) {
        const struct kwarg *kw = find_kwarg(args, e->ast->names[ID_CALLER]);
        rc = scope_set(e, e->scope, ID_CALLER,
                       kw != NULL ? kw->value
                                  : value_undefined(e->ast->names[ID_CALLER]));
    }
    return rc;
}

/* Parameters in order, so that a default may name an earlier one. */
static int bind_params(struct eval *e, const struct node *n,
                       const struct args *args)
{
    size_t at = 0;
    int rc = bind_rest(e, n, args);
    for (const struct node *p = n->args; p != NULL && rc == 0;
         p = p->next, at++) {
        const struct kwarg *kw =
            at < args->n_pos ? NULL : find_kwarg(args, p->name);
        struct value v = value_undefined(p->name);
        if (at < args->n_pos)
            v = args->pos[at];
        else if (kw != NULL)
            v = kw->value;
        else if (p->a != NULL)
            rc = eval_expr(e, p->a, &v);
        if (rc == 0)
            rc = scope_set(e, e->scope, p->id, v);
    }
    return rc;
}

int exec_macro(struct eval *e, const struct macro *m, const struct args *args,
               struct value *out)
{
    struct scope *saved = e->scope;
    struct buf text, *saved_out = e->out;
    if (e->depth >= e->limits.depth)
        return eval_fail(e, ERR_LIMIT,
                         "macros call each other more than %u "
                         "deep",
                         e->limits.depth);
    if (scope_push(e, m->scope) == NULL)
        return eval_nomem(e);
    e->depth++;
    buf_init(&text, e->limits.output_bytes);
    e->out = &text;
    int rc = bind_params(e, m->node, args);
    if (rc == 0)
        rc = exec_body(e, m->node->list);
    e->out = saved_out;
    e->scope = saved;
    e->depth--;
    if (rc == 0)
        return make_str_buf(e, &text, out);
    buf_deinit(&text);
    return rc;
}

static int call_joiner(struct eval *e, struct cycler *j, struct value *out)
{
    bool first = !j->used;
    j->used = true;
    if (!first) {
        *out = j->separator;
        return 0;
    }
    return make_str(e, "", 0, out);
}

int eval_call_value(struct eval *e, struct value f, const struct args *args,
                    struct value *out)
{
    switch (f.kind) {
    case VALUE_FUNCTION:
        return builtin_call(e, f.u.function->builtin, f.u.function->self, args,
                            out);
    case VALUE_MACRO:
        return exec_macro(e, f.u.macro, args, out);
    case VALUE_JOINER:
        return call_joiner(e, f.u.cycler, out);
    case VALUE_LOOP:
        if (args->n_pos != 1 || args->n_kw != 0)
            return eval_fail(e, ERR_INVALID, "loop() takes one argument");
        return loop_recurse(e, f.u.loop, args->pos[0], out);
    case VALUE_UNDEFINED:
        return eval_undefined(e, f);
    default:
        return eval_fail(e, ERR_INVALID, "a %s cannot be called",
                         value_type_name(f));
    }
}
