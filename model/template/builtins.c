/* builtins.c -- binding of arguments, tests, and globals. */
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

static const struct builtin *find(const struct builtin *table,
                                  const struct str *name)
{
    for (; table->name != NULL; table++)
        if (str_is(name, table->name))
            return table;
    return NULL;
}

const struct builtin *builtin_filter(const struct str *name)
{
    const struct builtin *b = find(filters_plain, name);
    if (b == NULL)
        b = find(filters_text, name);
    return b != NULL ? b : find(filters_seq, name);
}

const struct builtin *builtin_test(const struct str *name)
{
    return find(tests_all, name);
}

const struct builtin *builtin_global(const struct str *name)
{
    return find(globals_all, name);
}

const struct builtin *builtin_method(struct value v, const struct str *name)
{
    switch (v.kind) {
    case VALUE_STR:
        return find(methods_str, name);
    case VALUE_SEQ:
        return v.sub <= SEQ_RANGE || (v.sub == SEQ_GROUP)
                   ? find(methods_seq, name)
                   : NULL;
    case VALUE_MAP:
        return find(methods_map, name);
    case VALUE_LOOP:
    case VALUE_CYCLER:
        return find(methods_object, name);
    default:
        return NULL;
    }
}

/* The index of the parameter called `name`, or BUILTIN_PARAMS. */
static unsigned find_param(const struct builtin *b, const struct str *name)
{
    unsigned i = 0;
    while (i < BUILTIN_PARAMS && b->params[i] != NULL &&
           !str_is(name, b->params[i]))
        i++;
    return i < BUILTIN_PARAMS && b->params[i] != NULL ? i : BUILTIN_PARAMS;
}

static int bind(struct eval *e, const struct args *args, struct call *c)
{
    const struct builtin *b = c->builtin;
    unsigned n = 0;
    while (n < BUILTIN_PARAMS && b->params[n] != NULL)
        n++;
    if (args->n_pos > n)
        return eval_fail(e, ERR_INVALID,
                         "%s takes at most %u arguments, not %zu", b->name, n,
                         args->n_pos);
    for (size_t i = 0; i < args->n_pos; i++)
        c->arg[i] = args->pos[i];
    for (size_t i = 0; i < args->n_kw; i++) {
        unsigned at = find_param(b, args->kw[i].name);
        if (at == BUILTIN_PARAMS || c->arg[at].kind != VALUE_ABSENT)
            return eval_fail(e, ERR_INVALID,
                             "%s does not take the argument '%.80s' here",
                             b->name, args->kw[i].name->s);
        c->arg[at] = args->kw[i].value;
    }
    for (unsigned i = 0; i < b->n_required; i++)
        if (c->arg[i].kind == VALUE_ABSENT)
            return eval_fail(e, ERR_INVALID, "%s needs the argument '%s'",
                             b->name, b->params[i]);
    return 0;
}

int builtin_call(struct eval *e, const struct builtin *b, struct value self,
                 const struct args *args, struct value *out)
{
    struct call c = {.builtin = b, .args = args};
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    if (!b->variadic)
        rc = bind(e, args, &c);
    if (rc == 0)
        rc = b->fn(e, self, &c, out);
    eval_leave(e);
    return rc;
}

int arg_int(struct eval *e, const struct call *c, unsigned i, int64_t *out)
{
    struct value v = c->arg[i];
    if (v.kind == VALUE_ABSENT || value_as_int(v, out))
        return 0;
    if (v.kind == VALUE_UNDEFINED)
        return eval_undefined(e, v);
    return eval_fail(e, ERR_INVALID, "%s: '%s' must be an integer, not %s",
                     c->builtin->name, c->builtin->params[i],
                     value_type_name(v));
}

int arg_str(struct eval *e, const struct call *c, unsigned i,
            const struct str **out)
{
    struct value v = c->arg[i];
    if (v.kind == VALUE_ABSENT)
        return 0;
    if (v.kind != VALUE_STR)
        return eval_fail(e, ERR_INVALID, "%s: '%s' must be a string, not %s",
                         c->builtin->name, c->builtin->params[i],
                         value_type_name(v));
    *out = v.u.str;
    return 0;
}

bool arg_truth(const struct call *c, unsigned i)
{
    return value_truth(c->arg[i]);
}

bool arg_given(const struct call *c, unsigned i)
{
    return c->arg[i].kind != VALUE_ABSENT && c->arg[i].kind != VALUE_NONE;
}

/* Tests.  Those that only look at the kind share one function. */

static int test_kind(struct eval *e, struct value v, const struct call *c,
                     struct value *out)
{
    const char *n = c->builtin->name;
    bool yes;
    (void)e;
    if (strcmp(n, "defined") == 0)
        yes = v.kind != VALUE_UNDEFINED;
    else if (strcmp(n, "undefined") == 0)
        yes = v.kind == VALUE_UNDEFINED;
    else if (strcmp(n, "none") == 0)
        yes = v.kind == VALUE_NONE;
    else if (strcmp(n, "boolean") == 0)
        yes = v.kind == VALUE_BOOL;
    else if (strcmp(n, "true") == 0)
        yes = v.kind == VALUE_BOOL && v.u.b;
    else if (strcmp(n, "false") == 0)
        yes = v.kind == VALUE_BOOL && !v.u.b;
    else if (strcmp(n, "integer") == 0)
        yes = v.kind == VALUE_INT;
    else if (strcmp(n, "float") == 0)
        yes = v.kind == VALUE_FLOAT;
    else if (strcmp(n, "number") == 0)
        yes = v.kind >= VALUE_BOOL && v.kind <= VALUE_FLOAT;
    else if (strcmp(n, "string") == 0)
        yes = v.kind == VALUE_STR;
    else if (strcmp(n, "mapping") == 0)
        yes = v.kind == VALUE_MAP;
    else if (strcmp(n, "sequence") == 0)
        yes =
            v.kind == VALUE_STR || v.kind == VALUE_MAP ||
            v.kind == VALUE_UNDEFINED ||
            (v.kind == VALUE_SEQ && (v.sub <= SEQ_RANGE || v.sub == SEQ_GROUP));
    else if (strcmp(n, "iterable") == 0)
        yes = v.kind == VALUE_STR || v.kind == VALUE_MAP ||
              v.kind == VALUE_UNDEFINED || v.kind == VALUE_SEQ ||
              v.kind == VALUE_LOOP;
    else if (strcmp(n, "callable") == 0)
        yes = v.kind == VALUE_FUNCTION || v.kind == VALUE_MACRO ||
              v.kind == VALUE_JOINER || v.kind == VALUE_LOOP ||
              v.kind == VALUE_UNDEFINED;
    else
        yes = false; /* escaped */
    *out = value_bool(yes);
    return 0;
}

static int test_modulo(struct eval *e, struct value v, const struct call *c,
                       struct value *out)
{
    int64_t by = c->builtin->name[0] == 'd' ? 0 : 2;
    struct value rest;
    bool same;
    struct value divisor = c->arg[0];
    if (by == 2)
        divisor = value_int(2);
    int rc = eval_binary(e, OP_MOD, v, divisor, &rest);
    if (rc == 0)
        rc = value_equal(e, rest, value_int(c->builtin->name[0] == 'o'), &same);
    if (rc == 0)
        *out = value_bool(same);
    return rc;
}

static int test_compare(struct eval *e, struct value v, const struct call *c,
                        struct value *out)
{
    const char *n = c->builtin->name;
    bool equal;
    int order, rc;
    if (n[0] == 'e' || n[0] == 'n' || n[0] == '=' || n[0] == '!') {
        rc = value_equal(e, v, c->arg[0], &equal);
        *out = value_bool(equal == (n[0] == 'e' || n[0] == '='));
        return rc;
    }
    rc = value_order(e, v, c->arg[0], &order);
    if (rc != 0)
        return rc;
    bool or_equal = n[1] == '=' || (n[1] == 'e' && n[2] == '\0');
    bool greater = n[0] == 'g' || n[0] == '>';
    *out = value_bool(order != 2 && ((order == 0 && or_equal) ||
                                     (greater ? order > 0 : order < 0)));
    return 0;
}

static int test_in(struct eval *e, struct value v, const struct call *c,
                   struct value *out)
{
    bool yes;
    int rc = value_contains(e, v, c->arg[0], &yes);
    *out = value_bool(yes);
    return rc;
}

static int test_sameas(struct eval *e, struct value v, const struct call *c,
                       struct value *out)
{
    struct value o = c->arg[0];
    bool yes = v.kind == o.kind;
    (void)e;
    if (yes && v.kind == VALUE_BOOL)
        yes = v.u.b == o.u.b;
    else if (yes && v.kind == VALUE_INT)
        yes = v.u.i == o.u.i;
    else if (yes && v.kind == VALUE_STR)
        yes = str_same(v.u.str, o.u.str);
    else if (yes && v.kind != VALUE_NONE && v.kind != VALUE_FLOAT)
        yes = v.u.map == o.u.map;
    *out = value_bool(yes);
    return 0;
}

/* At least one cased letter, and none of the other case. */
static int test_case(struct eval *e, struct value v, const struct call *c,
                     struct value *out)
{
    bool upper = c->builtin->name[0] == 'u', some = false, all = true;
    const struct str *s;
    int rc = print_to_str(e, v, &s);
    if (rc != 0)
        return rc;
    for (size_t at = 0, len; at < s->n && all; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        if (!text_is(cp, TEXT_CASED))
            continue;
        some = true;
        all = text_is(cp, upper ? TEXT_UPPER : TEXT_LOWER);
    }
    *out = value_bool(some && all);
    return eval_steps(e, s->n);
}

static int test_names(struct eval *e, struct value v, const struct call *c,
                      struct value *out)
{
    (void)e;
    const struct builtin *b = NULL;
    if (v.kind == VALUE_STR)
        b = c->builtin->name[0] == 'f' ? builtin_filter(v.u.str)
                                       : builtin_test(v.u.str);
    *out = value_bool(b != NULL);
    return 0;
}

#define KIND(name)                     \
    {                                  \
        name, test_kind, {0}, 0, false \
    }
#define COMPARE(name)                           \
    {                                           \
        name, test_compare, {"other"}, 1, false \
    }

const struct builtin tests_all[] = {
    KIND("defined"),
    KIND("undefined"),
    KIND("none"),
    KIND("string"),
    KIND("mapping"),
    KIND("boolean"),
    KIND("true"),
    KIND("false"),
    KIND("integer"),
    KIND("float"),
    KIND("number"),
    KIND("sequence"),
    KIND("iterable"),
    KIND("callable"),
    KIND("escaped"),
    {"odd", test_modulo, {0}, 0, false},
    {"even", test_modulo, {0}, 0, false},
    {"divisibleby", test_modulo, {"num"}, 1, false},
    COMPARE("=="),
    COMPARE("eq"),
    COMPARE("equalto"),
    COMPARE("!="),
    COMPARE("ne"),
    COMPARE(">"),
    COMPARE("gt"),
    COMPARE("greaterthan"),
    COMPARE("ge"),
    COMPARE(">="),
    COMPARE("<"),
    COMPARE("lt"),
    COMPARE("lessthan"),
    COMPARE("<="),
    COMPARE("le"),
    {"in", test_in, {"seq"}, 1, false},
    {"sameas", test_sameas, {"other"}, 1, false},
    {"lower", test_case, {0}, 0, false},
    {"upper", test_case, {0}, 0, false},
    {"filter", test_names, {0}, 0, false},
    {"test", test_names, {0}, 0, false},
    {0},
};

/* Globals. */

#define RANGE_MOST 100000 /* jinja2's sandbox allows no more */

static int global_range(struct eval *e, struct value self, const struct call *c,
                        struct value *out)
{
    int64_t start = 0, stop = 0, step = 1, span, n = 0;
    (void)self;
    int rc = arg_int(e, c, 0, &stop);
    if (rc == 0 && c->arg[1].kind != VALUE_ABSENT) {
        start = stop;
        rc = arg_int(e, c, 1, &stop);
    }
    if (rc == 0)
        rc = arg_int(e, c, 2, &step);
    if (rc != 0)
        return rc;
    if (step == 0)
        return eval_fail(e, ERR_INVALID, "the step of a range cannot be zero");
    if (__builtin_sub_overflow(stop, start, &span) || step == INT64_MIN)
        return eval_fail(e, ERR_INVALID, "range: the bounds are too far apart");
    if (step > 0 ? span > 0 : span < 0)
        n = step > 0 ? (span - 1) / step + 1 : (-span - 1) / -step + 1;
    if (n > RANGE_MOST)
        return eval_fail(e, ERR_INVALID, "a range has more than %d items",
                         RANGE_MOST);
    struct value *items = eval_alloc(e, (size_t)n, sizeof *items);
    if (items == NULL)
        return eval_nomem(e);
    for (int64_t i = 0; i < n; i++)
        items[i] = value_int(start + i * step);
    rc = make_seq(e, items, (size_t)n, SEQ_RANGE, out);
    if (rc == 0) {
        out->u.seq->start = start;
        out->u.seq->stop = stop;
        out->u.seq->step = step;
    }
    return rc != 0 ? rc : eval_steps(e, (size_t)n * sizeof *items);
}

/* Adds what dict(x) would: a mapping's items, or pairs. */
static int add_pairs(struct eval *e, struct map *m, struct value from)
{
    const struct value *items, *pair;
    size_t n, n_pair;
    int rc = value_items(e, from, &items, &n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (from.kind == VALUE_MAP) {
            rc = map_set(e, m, items[i], from.u.map->values[i]);
            continue;
        }
        rc = value_items(e, items[i], &pair, &n_pair);
        if (rc == 0 && n_pair != 2)
            rc = eval_fail(e, ERR_INVALID, "dict needs pairs, not %zu values",
                           n_pair);
        if (rc == 0)
            rc = map_set(e, m, pair[0], pair[1]);
    }
    return rc;
}

static int global_dict(struct eval *e, struct value self, const struct call *c,
                       struct value *out)
{
    (void)self;
    const struct args *a = c->args;
    bool is_namespace = c->builtin->name[0] == 'n';
    if (a->n_pos > 1)
        return eval_fail(e, ERR_INVALID, "%s takes at most one position",
                         c->builtin->name);
    int rc = make_map(e, 0, out);
    if (rc == 0 && a->n_pos == 1)
        rc = add_pairs(e, out->u.map, a->pos[0]);
    for (size_t i = 0; i < a->n_kw && rc == 0; i++)
        rc = map_set(e, out->u.map, value_str(a->kw[i].name), a->kw[i].value);
    if (rc != 0 || !is_namespace)
        return rc;
    for (uint32_t i = 0; i < out->u.map->n; i++) {
        struct value k = out->u.map->keys[i];
        if (k.kind == VALUE_STR && k.u.str->n > 0 && k.u.str->s[0] == '_')
            return eval_fail(e, ERR_INVALID,
                             "a namespace cannot hold a name "
                             "that begins with an underscore");
    }
    out->kind = VALUE_NAMESPACE;
    return 0;
}

static int global_cycler(struct eval *e, struct value self,
                         const struct call *c, struct value *out)
{
    (void)self;
    if (c->args->n_pos == 0 || c->args->n_kw > 0)
        return eval_fail(e, ERR_INVALID, "cycler needs items");
    struct cycler *cycler = eval_alloc(e, 1, sizeof *cycler);
    if (cycler == NULL)
        return eval_nomem(e);
    cycler->items = c->args->pos;
    cycler->n = c->args->n_pos;
    *out = (struct value){.kind = VALUE_CYCLER, .u.cycler = cycler};
    return 0;
}

static int global_joiner(struct eval *e, struct value self,
                         const struct call *c, struct value *out)
{
    (void)self;
    struct cycler *joiner = eval_alloc(e, 1, sizeof *joiner);
    if (joiner == NULL)
        return eval_nomem(e);
    joiner->separator = c->arg[0];
    *out = (struct value){.kind = VALUE_JOINER, .u.cycler = joiner};
    return c->arg[0].kind == VALUE_ABSENT
               ? make_str(e, ", ", 2, &joiner->separator)
               : 0;
}

static int global_raise(struct eval *e, struct value self, const struct call *c,
                        struct value *out)
{
    const struct str *s;
    (void)self;
    *out = value_none();
    int rc = print_to_str(e, c->arg[0], &s);
    return rc != 0 ? rc : err_set(e->err, ERR_INVALID, "%s", s->s);
}

static int global_now(struct eval *e, struct value self, const struct call *c,
                      struct value *out)
{
    const struct str *f = NULL;
    (void)self;
    int rc = arg_str(e, c, 0, &f);
    return rc != 0 ? rc : format_now(e, f, out);
}

const struct builtin globals_all[] = {
    {"range", global_range, {"start", "stop", "step"}, 1, false},
    {"dict", global_dict, {0}, 0, true},
    {"namespace", global_dict, {0}, 0, true},
    {"cycler", global_cycler, {0}, 0, true},
    {"joiner", global_joiner, {"sep"}, 0, false},
    {"raise_exception", global_raise, {"message"}, 1, false},
    {"strftime_now", global_now, {"format"}, 1, false},
    {0},
};
