/* expr.c -- expressions: names, attributes, items, operators, calls. */
#include <math.h>
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

static struct value lookup(const struct eval *e, uint32_t id)
{
    for (const struct scope *s = e->scope; s != NULL; s = s->outer)
        for (uint32_t i = 0; i < s->n; i++)
            if (s->vars[i].id == id)
                return s->vars[i].value;
    return e->globals[id];
}

static struct value missing(struct value of, const struct str *name)
{
    struct value v = value_undefined(name);
    v.sub = name != NULL ? of.kind : VALUE_ABSENT;
    return v;
}

static int bind_method(struct eval *e, const struct builtin *b,
                       struct value self, struct value *out)
{
    struct function *f = eval_alloc(e, 1, sizeof *f);
    if (f == NULL)
        return eval_nomem(e);
    f->builtin = b;
    f->self = self;
    *out = (struct value){.kind = VALUE_FUNCTION, .u.function = f};
    return 0;
}

/* Attributes that are values, not methods; *found tells. */
static int plain_attr(struct eval *e, struct value of, const struct str *name,
                      struct value *out, bool *found)
{
    *found = false;
    if (of.kind == VALUE_LOOP)
        return loop_attr(e, of, name, out, found);
    if (value_is_seq(of, SEQ_GROUP)) {
        bool grouper = str_is(name, "grouper");
        *found = grouper || str_is(name, "list");
        if (*found)
            *out = of.u.seq->items[grouper ? 0 : 1];
    } else if (of.kind == VALUE_CYCLER && str_is(name, "current")) {
        *found = true;
        *out = of.u.cycler->items[of.u.cycler->at];
    } else if (of.kind == VALUE_NAMESPACE) {
        const struct value *v = map_find_str(of.u.map, name);
        *found = v != NULL;
        if (*found)
            *out = *v;
    } else if (of.kind == VALUE_MACRO && str_is(name, "name")) {
        *found = true;
        *out = value_str(of.u.macro->node->name);
    }
    return 0;
}

int eval_attr(struct eval *e, struct value of, const struct str *name,
              struct value *out)
{
    if (of.kind == VALUE_UNDEFINED)
        return eval_undefined(e, of);
    const struct builtin *b = builtin_method(of, name);
    if (b != NULL)
        return bind_method(e, b, of, out);
    if (of.kind == VALUE_MAP) {
        const struct value *v = map_find_str(of.u.map, name);
        *out = v != NULL ? *v : missing(of, name);
        return 0;
    }
    bool found;
    int rc = plain_attr(e, of, name, out, &found);
    if (rc == 0 && !found)
        *out = missing(of, name);
    return rc;
}

static int str_at(struct eval *e, const struct str *s, int64_t i,
                  struct value *out)
{
    int64_t n = (int64_t)s->n_chars;
    i = i < 0 ? i + n : i;
    if (i < 0 || i >= n) {
        *out = value_undefined(NULL);
        return 0;
    }
    size_t at =
        s->n == s->n_chars ? (size_t)i : text_offset(s->s, s->n, (size_t)i);
    int rc = eval_steps(e, at);
    if (rc != 0)
        return rc;
    return make_str_borrowed(e, s->s + at, text_offset(s->s + at, s->n - at, 1),
                             out);
}

int eval_item(struct eval *e, struct value of, struct value key,
              struct value *out)
{
    int64_t i;
    if (of.kind == VALUE_UNDEFINED)
        return eval_undefined(e, of);
    if (of.kind == VALUE_MAP && key.kind != VALUE_SEQ &&
        key.kind != VALUE_MAP) {
        int rc = map_get(e, of.u.map, key, out);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (key.kind == VALUE_STR && builtin_method(of, key.u.str) != NULL)
            return bind_method(e, builtin_method(of, key.u.str), of, out);
    } else if (key.kind == VALUE_STR) {
        return eval_attr(e, of, key.u.str, out);
    } else if (of.kind == VALUE_SEQ && value_as_int(key, &i) &&
               (of.sub <= SEQ_RANGE || of.sub == SEQ_GROUP)) {
        int64_t n = (int64_t)of.u.seq->n;
        i = i < 0 ? i + n : i;
        if (i >= 0 && i < n) {
            *out = of.u.seq->items[i];
            return 0;
        }
    } else if (of.kind == VALUE_STR && value_as_int(key, &i)) {
        return str_at(e, of.u.str, i, out);
    }
    *out = missing(of, key.kind == VALUE_STR ? key.u.str : NULL);
    return 0;
}

static int slice_bound(struct eval *e, struct value v, int64_t otherwise,
                       int64_t n, bool back, int64_t *out)
{
    if (v.kind == VALUE_ABSENT || v.kind == VALUE_NONE) {
        *out = otherwise;
        return 0;
    }
    if (!value_as_int(v, out))
        return eval_fail(e, ERR_INVALID, "a slice needs integers, not %s",
                         value_type_name(v));
    if (*out < 0)
        *out = *out < -n ? -1 : *out + n;
    if (*out < 0)
        *out = back ? -1 : 0;
    if (*out >= n)
        *out = back ? n - 1 : n;
    return 0;
}

/* Items start, start + step, ... as a new array. */
static int slice_items(struct eval *e, struct value of, int64_t start,
                       int64_t stop, int64_t step, struct value *out)
{
    const struct seq *seq = of.u.seq;
    enum seq_kind kind =
        of.sub == SEQ_GROUP ? SEQ_TUPLE : (enum seq_kind)of.sub;
    int64_t n = 0;
    if (step > 0 ? start < stop : start > stop)
        n = step > 0 ? (stop - start - 1) / step + 1
                     : (start - stop - 1) / -step + 1;
    struct value *items = NULL;
    if (step != 1) {
        items = eval_alloc(e, (size_t)n, sizeof *items);
        if (items == NULL)
            return eval_nomem(e);
        for (int64_t i = 0; i < n; i++)
            items[i] = seq->items[start + i * step];
    }
    int rc = make_seq(e, step != 1 || n == 0 ? items : seq->items + start,
                      (size_t)n, kind, out);
    if (rc == 0 && kind == SEQ_RANGE) {
        out->u.seq->start = seq->start + start * seq->step;
        out->u.seq->stop = seq->start + stop * seq->step;
        out->u.seq->step = seq->step * step;
    }
    return rc != 0 ? rc : eval_steps(e, (size_t)n * (step != 1 ? 16 : 0));
}

static int slice_str(struct eval *e, const struct str *s, int64_t start,
                     int64_t stop, int64_t step, struct value *out)
{
    if (step == 1) {
        if (start >= stop)
            return make_str_borrowed(e, "", 0, out);
        size_t from = (size_t)start, n = (size_t)(stop - start);
        if (s->n != s->n_chars) {
            from = text_offset(s->s, s->n, from);
            n = text_offset(s->s + from, s->n - from, n);
            int rc = eval_steps(e, s->n);
            if (rc != 0)
                return rc;
        }
        return make_str_borrowed(e, s->s + from, n, out);
    }
    struct value chars = value_str(s), picked;
    const struct value *items;
    struct seq seq = {0};
    int rc = value_items(e, chars, &items, &seq.n);
    seq.items = items;
    if (rc == 0)
        rc = slice_items(e, value_seq(&seq, SEQ_LIST), start, stop, step,
                         &picked);
    if (rc != 0)
        return rc;
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < picked.u.seq->n; i++)
        buf_put(&b, picked.u.seq->items[i].u.str->s,
                picked.u.seq->items[i].u.str->n);
    return make_str_buf(e, &b, out);
}

int eval_slice(struct eval *e, struct value of, const struct slice *s,
               struct value *out)
{
    int64_t n, start, stop, step = 1;
    bool sliceable =
        of.kind == VALUE_STR ||
        (of.kind == VALUE_SEQ && (of.sub <= SEQ_RANGE || of.sub == SEQ_GROUP));
    if (of.kind == VALUE_UNDEFINED)
        return eval_undefined(e, of);
    if (!sliceable)
        return eval_fail(e, ERR_INVALID, "a %s cannot be sliced",
                         value_type_name(of));
    int rc = value_length(e, of, &n);
    if (rc == 0 && s->step.kind > VALUE_NONE && !value_as_int(s->step, &step))
        rc = eval_fail(e, ERR_INVALID, "a slice needs integers, not %s",
                       value_type_name(s->step));
    if (rc == 0 && step == 0)
        rc = eval_fail(e, ERR_INVALID, "the step of a slice cannot be zero");
    if (rc == 0 && step > INT32_MAX)
        step = INT32_MAX;
    if (rc == 0 && step < -INT32_MAX)
        step = -INT32_MAX;
    bool back = step < 0;
    if (rc == 0)
        rc = slice_bound(e, s->start, back ? n - 1 : 0, n, back, &start);
    if (rc == 0)
        rc = slice_bound(e, s->stop, back ? -1 : n, n, back, &stop);
    if (rc != 0)
        return rc;
    return of.kind == VALUE_STR ? slice_str(e, of.u.str, start, stop, step, out)
                                : slice_items(e, of, start, stop, step, out);
}

static int item_node(struct eval *e, const struct node *n, struct value *out)
{
    struct value of, key;
    int rc = eval_expr(e, n->a, &of);
    if (rc != 0)
        return rc;
    if (n->b->kind != NODE_SLICE) {
        rc = eval_expr(e, n->b, &key);
        e->at = n;
        return rc != 0 ? rc : eval_item(e, of, key, out);
    }
    struct slice s = {0};
    if (n->b->a != NULL)
        rc = eval_expr(e, n->b->a, &s.start);
    if (rc == 0 && n->b->b != NULL)
        rc = eval_expr(e, n->b->b, &s.stop);
    if (rc == 0 && n->b->c != NULL)
        rc = eval_expr(e, n->b->c, &s.step);
    e->at = n;
    return rc != 0 ? rc : eval_slice(e, of, &s, out);
}

/* Lists and maps. */

static int eval_list(struct eval *e, const struct node *n, enum seq_kind kind,
                     struct value *out)
{
    struct list l = {0};
    for (const struct node *i = n->list; i != NULL; i = i->next) {
        struct value v;
        int rc = eval_expr(e, i, &v);
        if (rc == 0)
            rc = list_add(e, &l, v);
        if (rc != 0)
            return rc;
    }
    return make_seq(e, l.items, l.n, kind, out);
}

static int eval_dict(struct eval *e, const struct node *n, struct value *out)
{
    int rc = make_map(e, 0, out);
    for (const struct node *k = n->list; k != NULL && rc == 0;
         k = k->next->next) {
        struct value key, v;
        rc = eval_expr(e, k, &key);
        if (rc == 0)
            rc = eval_expr(e, k->next, &v);
        e->at = n;
        if (rc == 0)
            rc = map_set(e, out->u.map, key, v);
    }
    return rc;
}

static int eval_concat(struct eval *e, const struct node *n, struct value *out)
{
    const struct str *text = NULL;
    for (const struct node *i = n->list; i != NULL; i = i->next) {
        const struct str *s;
        struct value v;
        int rc = eval_expr(e, i, &v);
        if (rc == 0)
            rc = print_to_str(e, v, &s);
        if (rc == 0 && text != NULL) {
            rc = value_concat(e, text, s, &v);
            s = v.u.str;
        }
        if (rc != 0)
            return rc;
        text = s;
    }
    *out = value_str(text);
    return 0;
}

/* Calls. */

static int spread_list(struct eval *e, const struct node *n, struct list *pos)
{
    struct value v;
    const struct value *items;
    size_t n_items;
    int rc = eval_expr(e, n, &v);
    if (rc == 0)
        rc = value_items(e, v, &items, &n_items);
    for (size_t i = 0; rc == 0 && i < n_items; i++)
        rc = list_add(e, pos, items[i]);
    return rc;
}

static int spread_map(struct eval *e, const struct node *n, struct args *out,
                      size_t n_kwargs)
{
    struct value v;
    int rc = eval_expr(e, n, &v);
    if (rc != 0)
        return rc;
    if (v.kind != VALUE_MAP)
        return eval_fail(e, ERR_INVALID, "** needs a dict, not %s",
                         value_type_name(v));
    struct kwarg *kw = eval_alloc(e, n_kwargs + v.u.map->n, sizeof *kw);
    if (kw == NULL)
        return eval_nomem(e);
    if (out->n_kw > 0)
        memcpy(kw, out->kw, out->n_kw * sizeof *kw);
    for (uint32_t i = 0; i < v.u.map->n; i++) {
        if (v.u.map->keys[i].kind != VALUE_STR)
            return eval_fail(e, ERR_INVALID, "a keyword must be a string");
        for (size_t k = 0; k < n_kwargs; k++)
            if (str_same(kw[k].name, v.u.map->keys[i].u.str))
                return eval_fail(e, ERR_INVALID, "a keyword is given twice");
        kw[out->n_kw++] =
            (struct kwarg){v.u.map->keys[i].u.str, v.u.map->values[i]};
    }
    out->kw = kw;
    return 0;
}

int eval_call_args(struct eval *e, const struct node *n, struct args *out)
{
    struct list pos = {0};
    size_t n_kwargs = 0;
    int rc = 0;
    *out = (struct args){0};
    for (const struct node *a = n->args; a != NULL && rc == 0; a = a->next) {
        struct value v;
        rc = eval_expr(e, a, &v);
        if (rc == 0)
            rc = list_add(e, &pos, v);
    }
    if (rc == 0 && n->star != NULL)
        rc = spread_list(e, n->star, &pos);
    for (const struct node *k = n->kwargs; k != NULL; k = k->next)
        n_kwargs++;
    if (rc == 0 && n_kwargs > 0) {
        struct kwarg *kw = eval_alloc(e, n_kwargs, sizeof *kw);
        if (kw == NULL)
            return eval_nomem(e);
        for (const struct node *k = n->kwargs; k != NULL && rc == 0;
             k = k->next) {
            kw[out->n_kw].name = k->name;
            rc = eval_expr(e, k->a, &kw[out->n_kw++].value);
        }
        out->kw = kw;
    }
    if (rc == 0 && n->star2 != NULL)
        rc = spread_map(e, n->star2, out, n_kwargs);
    out->pos = pos.items;
    out->n_pos = pos.n;
    return rc;
}

static int eval_call(struct eval *e, const struct node *n, struct value *out)
{
    struct value of, f;
    struct args args;
    const struct builtin *method = NULL;
    int rc;
    if (n->a->kind == NODE_ATTR) { /* without making a bound method */
        rc = eval_expr(e, n->a->a, &of);
        e->at = n->a;
        if (rc == 0) {
            method = builtin_method(of, n->a->value.u.str);
            if (method == NULL)
                rc = eval_attr(e, of, n->a->value.u.str, &f);
        }
    } else {
        rc = eval_expr(e, n->a, &f);
    }
    if (rc == 0)
        rc = eval_call_args(e, n, &args);
    e->at = n;
    if (rc != 0)
        return rc;
    return method != NULL ? builtin_call(e, method, of, &args, out)
                          : eval_call_value(e, f, &args, out);
}

static int eval_filter(struct eval *e, const struct node *n, struct value *out)
{
    struct value self;
    struct args args;
    int rc = eval_expr(e, n->a, &self);
    if (rc == 0)
        rc = eval_call_args(e, n, &args);
    e->at = n;
    if (rc != 0)
        return rc;
    if (n->builtin == NULL)
        return eval_fail(e, ERR_INVALID, "unknown %s '%.80s'",
                         n->kind == NODE_FILTER ? "filter" : "test",
                         n->name->s);
    rc = builtin_call(e, n->builtin, self, &args, out);
    if (rc == 0 && n->kind == NODE_TEST)
        *out = value_bool(value_truth(*out));
    return rc;
}

/* Logic. */

static int compare(struct eval *e, enum op op, struct value a, struct value b,
                   bool *out)
{
    int order, rc;
    if (op == OP_EQ || op == OP_NE) {
        rc = value_equal(e, a, b, out);
        *out = *out == (op == OP_EQ);
        return rc;
    }
    if (op == OP_IN || op == OP_NOT_IN) {
        rc = value_contains(e, a, b, out);
        *out = *out == (op == OP_IN);
        return rc;
    }
    rc = value_order(e, a, b, &order);
    if (rc != 0)
        return rc;
    *out = order != 2 && (op == OP_LT   ? order < 0
                          : op == OP_LE ? order <= 0
                          : op == OP_GT ? order > 0
                                        : order >= 0);
    return 0;
}

static int eval_compare(struct eval *e, const struct node *n, struct value *out)
{
    struct value left, right;
    bool holds = true;
    int rc = eval_expr(e, n->a, &left);
    for (const struct node *o = n->list; o != NULL && rc == 0 && holds;
         o = o->next) {
        rc = eval_expr(e, o->a, &right);
        e->at = n;
        if (rc == 0)
            rc = compare(e, (enum op)o->op, left, right, &holds);
        left = right;
    }
    *out = value_bool(holds);
    return rc;
}

static int eval_logic(struct eval *e, const struct node *n, struct value *out)
{
    int rc = eval_expr(e, n->a, out);
    if (rc != 0)
        return rc;
    switch (n->kind) {
    case NODE_NOT:
        *out = value_bool(!value_truth(*out));
        return 0;
    case NODE_AND:
        return value_truth(*out) ? eval_expr(e, n->b, out) : 0;
    case NODE_OR:
        return value_truth(*out) ? 0 : eval_expr(e, n->b, out);
    default:
        if (value_truth(*out))
            return eval_expr(e, n->b, out);
        *out = value_undefined(NULL);
        return n->c != NULL ? eval_expr(e, n->c, out) : 0;
    }
}

static int eval_sign(struct eval *e, const struct node *n, struct value *out)
{
    int64_t i;
    struct value v;
    int rc = eval_expr(e, n->a, &v);
    e->at = n;
    if (rc != 0)
        return rc;
    bool negative = n->kind == NODE_NEG;
    if (value_as_int(v, &i)) {
        if (negative && __builtin_sub_overflow(0, i, &i))
            return eval_fail(e, ERR_INVALID, "an integer overflows 64 bits");
        *out = value_int(i);
        return 0;
    }
    if (v.kind == VALUE_FLOAT) {
        *out = value_float(negative ? -v.u.f : v.u.f);
        return 0;
    }
    if (v.kind == VALUE_UNDEFINED)
        return eval_undefined(e, v);
    return eval_fail(e, ERR_INVALID, "a %s has no sign", value_type_name(v));
}

static int eval_operator(struct eval *e, const struct node *n,
                         struct value *out)
{
    struct value a, b;
    int rc = eval_expr(e, n->a, &a);
    if (rc == 0)
        rc = eval_expr(e, n->b, &b);
    e->at = n;
    return rc != 0 ? rc : eval_binary(e, (enum op)n->op, a, b, out);
}

static int eval_node(struct eval *e, const struct node *n, struct value *out)
{
    struct value of;
    int rc;
    switch (n->kind) {
    case NODE_NAME:
        *out = lookup(e, n->id);
        return 0;
    case NODE_ATTR:
        rc = eval_expr(e, n->a, &of);
        e->at = n;
        return rc != 0 ? rc : eval_attr(e, of, n->value.u.str, out);
    case NODE_ITEM:
        return item_node(e, n, out);
    case NODE_TUPLE:
        return eval_list(e, n, SEQ_TUPLE, out);
    case NODE_LIST:
        return eval_list(e, n, SEQ_LIST, out);
    case NODE_DICT:
        return eval_dict(e, n, out);
    case NODE_CONCAT:
        return eval_concat(e, n, out);
    case NODE_CALL:
        return eval_call(e, n, out);
    case NODE_FILTER:
    case NODE_TEST:
        return eval_filter(e, n, out);
    case NODE_COMPARE:
        return eval_compare(e, n, out);
    case NODE_BINARY:
        return eval_operator(e, n, out);
    case NODE_NEG:
    case NODE_POS:
        return eval_sign(e, n, out);
    case NODE_HOLE:
        *out = e->hole;
        return 0;
    case NODE_SLICE:
        return eval_fail(e, ERR_INVALID, "a slice stands among other indices");
    default:
        return eval_logic(e, n, out);
    }
}

int eval_expr(struct eval *e, const struct node *n, struct value *out)
{
    if (n->kind == NODE_CONST) {
        *out = n->value;
        return 0;
    }
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    e->at = n;
    rc = eval_node(e, n, out);
    eval_leave(e);
    return rc;
}
