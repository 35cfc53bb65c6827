/* filters_seq.c -- filters over many items: map, select, sort, group.
 *
 * Where jinja2 gives a generator, so does this (SEQ_ITER): it is true even when
 * empty, has no length, and passes once; only its items are made at once. */
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

#define FN(name)                                                             \
    static int name(struct eval *e, struct value self, const struct call *c, \
                    struct value *out)

static int lower(struct eval *e, struct value *v)
{
    struct args none = {0};
    struct str name = {.s = "lower", .n = 5};
    if (v->kind != VALUE_STR)
        return 0;
    return builtin_call(e, builtin_method(*v, &name), *v, &none, v);
}

/* item.a.0.b by jinja2's attribute getter; `fallback` may be absent. */
static int get_path(struct eval *e, struct value item, struct value path,
                    struct value fallback, struct value *out)
{
    *out = item;
    if (path.kind <= VALUE_NONE)
        return 0;
    if (path.kind != VALUE_STR)
        return eval_item(e, item, path, out);
    const struct str *p = path.u.str;
    for (size_t at = 0; at <= p->n;) {
        size_t end = text_find(p->s, p->n, ".", 1, at);
        struct value key;
        int64_t index = 0;
        end = end == SIZE_MAX ? p->n : end;
        bool digits = end > at && end - at < 18;
        for (size_t i = at; i < end && digits; i++) {
            digits = p->s[i] >= '0' && p->s[i] <= '9';
            index = index * 10 + (p->s[i] - '0');
        }
        int rc = make_str_borrowed(e, p->s + at, end - at, &key);
        if (rc == 0)
            rc = eval_item(e, *out, digits ? value_int(index) : key, out);
        if (rc != 0)
            return rc;
        if (out->kind == VALUE_UNDEFINED && fallback.kind > VALUE_NONE)
            *out = fallback;
        at = end + 1;
    }
    return 0;
}

FN(filter_map)
{
    static const struct str name_attribute = {.s = "attribute", .n = 9};
    static const struct str name_default = {.s = "default", .n = 7};
    const struct args *a = c->args;
    const struct builtin *filter = NULL;
    struct value path = {0}, fallback = {0};
    struct args rest = {a->n_pos > 0 ? a->pos + 1 : NULL,
                        a->n_pos > 0 ? a->n_pos - 1 : 0, a->kw, a->n_kw};
    const struct value *items = NULL;
    size_t n = 0;
    struct list l = {0};
    int rc = value_truth(self) ? value_items(e, self, &items, &n) : 0;
    for (size_t i = 0; i < a->n_kw && a->n_pos == 0; i++) {
        if (str_same(a->kw[i].name, &name_attribute))
            path = a->kw[i].value;
        else if (str_same(a->kw[i].name, &name_default))
            fallback = a->kw[i].value;
        else
            return eval_fail(e, ERR_INVALID, "map does not take '%.80s'",
                             a->kw[i].name->s);
    }
    if (rc == 0 && a->n_pos > 0) {
        if (a->pos[0].kind == VALUE_STR)
            filter = builtin_filter(a->pos[0].u.str);
        if (filter == NULL && n > 0)
            return eval_fail(e, ERR_INVALID, "map: no such filter");
    } else if (rc == 0 && path.kind == VALUE_ABSENT && n > 0) {
        return eval_fail(e, ERR_INVALID, "map needs a filter or attribute");
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value v;
        rc = filter != NULL ? builtin_call(e, filter, items[i], &rest, &v)
                            : get_path(e, items[i], path, fallback, &v);
        if (rc == 0)
            rc = list_add(e, &l, v);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_ITER, out);
}

FN(filter_select) /* select, reject, selectattr, rejectattr */
{
    const char *name = c->builtin->name;
    bool reject = name[0] == 'r', attr = name[6] == 'a';
    const struct args *a = c->args;
    const struct builtin *test = NULL;
    const struct value *items = NULL;
    size_t n = 0, off = attr ? 1 : 0;
    struct list l = {0};
    int rc = value_truth(self) ? value_items(e, self, &items, &n) : 0;
    if (rc == 0 && n > 0 && a->n_pos < off)
        return eval_fail(e, ERR_INVALID, "%s needs an attribute", name);
    if (rc == 0 && n > 0 && a->n_pos > off) {
        if (a->pos[off].kind == VALUE_STR)
            test = builtin_test(a->pos[off].u.str);
        if (test == NULL)
            return eval_fail(e, ERR_INVALID, "%s: no such test", name);
    }
    struct args rest = {0};
    if (test != NULL)
        rest =
            (struct args){a->pos + off + 1, a->n_pos - off - 1, a->kw, a->n_kw};
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value v = items[i], absent = {0};
        if (attr)
            rc = get_path(e, items[i], a->pos[0], absent, &v);
        if (rc == 0 && test != NULL)
            rc = builtin_call(e, test, v, &rest, &v);
        if (rc == 0 && value_truth(v) != reject)
            rc = list_add(e, &l, items[i]);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_ITER, out);
}

FN(filter_list)
{
    const struct value *items;
    size_t n;
    (void)c;
    int rc = value_items(e, self, &items, &n);
    return rc != 0 ? rc : make_seq(e, items, n, SEQ_LIST, out);
}

static bool reversible(struct value v)
{
    return v.kind == VALUE_STR || v.kind == VALUE_MAP ||
           v.kind == VALUE_UNDEFINED ||
           (v.kind == VALUE_SEQ && v.sub != SEQ_ITER);
}

FN(filter_first) /* first, last */
{
    const struct value *items;
    size_t n;
    bool last = c->builtin->name[0] == 'l';
    if (last && !reversible(self))
        return eval_fail(e, ERR_INVALID, "a %s has no last item",
                         value_type_name(self));
    if (!last && value_is_seq(self, SEQ_ITER)) { /* takes only that one */
        struct seq *s = self.u.seq;
        *out = s->passed < s->n ? s->items[s->passed++] : value_undefined(NULL);
        return 0;
    }
    int rc = value_items(e, self, &items, &n);
    *out = rc == 0 && n > 0 ? items[last ? n - 1 : 0] : value_undefined(NULL);
    return rc;
}

FN(filter_reverse)
{
    const struct value *items;
    size_t n;
    (void)c;
    if (self.kind == VALUE_STR) {
        struct slice s = {.step = value_int(-1)};
        return eval_slice(e, self, &s, out);
    }
    bool iter = value_is_seq(self, SEQ_ITER);
    int rc = value_items(e, self, &items, &n);
    if (rc != 0)
        return rc;
    struct value *back = eval_alloc(e, n, sizeof *back);
    if (back == NULL)
        return eval_nomem(e);
    for (size_t i = 0; i < n; i++)
        back[i] = items[n - 1 - i];
    return make_seq(e, back, n, iter ? SEQ_LIST : SEQ_ITER, out);
}

FN(filter_items)
{
    struct list l = {0};
    (void)c;
    if (self.kind != VALUE_UNDEFINED && self.kind != VALUE_MAP)
        return eval_fail(e, ERR_INVALID, "items needs a dict, not %s",
                         value_type_name(self));
    for (uint32_t i = 0; self.kind == VALUE_MAP && i < self.u.map->n; i++) {
        struct value pair;
        int rc =
            make_pair(e, self.u.map->keys[i], self.u.map->values[i], &pair);
        if (rc == 0)
            rc = list_add(e, &l, pair);
        if (rc != 0)
            return rc;
    }
    return make_seq(e, l.items, l.n, SEQ_ITER, out);
}

FN(filter_join)
{
    const struct value *items;
    const struct str *d = NULL;
    size_t n;
    struct buf b;
    struct value absent = {0};
    int rc = value_items(e, self, &items, &n);
    if (rc == 0 && c->arg[0].kind != VALUE_ABSENT)
        rc = print_to_str(e, c->arg[0], &d);
    if (rc != 0)
        return rc;
    buf_init(&b, e->limits.memory_bytes);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value v;
        if (i > 0 && d != NULL)
            buf_put(&b, d->s, d->n);
        rc = get_path(e, items[i], c->arg[1], absent, &v);
        if (rc == 0)
            rc = print_str(e, v, &b);
    }
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

/* Sorting: items with keys, stable merge. */

struct keyed {
    struct value key, item;
};

static int merge(struct eval *e, struct keyed *to, const struct keyed *a,
                 size_t n_a, const struct keyed *b, size_t n_b, bool reverse)
{
    while (n_a > 0 && n_b > 0) {
        int c;
        int rc = reverse ? value_order(e, a->key, b->key, &c)
                         : value_order(e, b->key, a->key, &c);
        if (rc != 0)
            return rc;
        if (c < 0) {
            *to++ = *b++;
            n_b--;
        } else {
            *to++ = *a++;
            n_a--;
        }
    }
    memcpy(to, n_a > 0 ? a : b, (n_a + n_b) * sizeof *to);
    return 0;
}

static int sort_keyed(struct eval *e, struct keyed **items, size_t n,
                      bool reverse)
{
    struct keyed *from = *items, *to = eval_alloc(e, n, sizeof *to);
    if (to == NULL)
        return eval_nomem(e);
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            size_t n_a = n - at < width ? n - at : width;
            size_t left = n - at - n_a;
            size_t n_b = left < width ? left : width;
            int rc = merge(e, to + at, from + at, n_a, from + at + n_a, n_b,
                           reverse);
            if (rc != 0)
                return rc;
        }
        struct keyed *t = from;
        from = to;
        to = t;
    }
    *items = from;
    return 0;
}

static int path_key(struct eval *e, struct value item, struct value path,
                    struct value fallback, bool lowered, struct value *out)
{
    int rc = get_path(e, item, path, fallback, out);
    return rc == 0 && lowered ? lower(e, out) : rc;
}

/* sort's key is a list, one value for each path between commas: in a list,
 * equal values need no order, so that None beside None is fine. */
static int list_key(struct eval *e, struct value item, struct value path,
                    bool lowered, struct value *out)
{
    struct list l = {0};
    struct value absent = {0}, part = path, v;
    const struct str *p = path.kind == VALUE_STR ? path.u.str : NULL;
    size_t at = 0;
    do {
        int rc = 0;
        if (p != NULL) {
            size_t end = text_find(p->s, p->n, ",", 1, at);
            end = end == SIZE_MAX ? p->n : end;
            rc = make_str_borrowed(e, p->s + at, end - at, &part);
            at = end + 1;
        }
        if (rc == 0)
            rc = path_key(e, item, part, absent, lowered, &v);
        if (rc == 0)
            rc = list_add(e, &l, v);
        if (rc != 0)
            return rc;
    } while (p != NULL && at <= p->n);
    return make_seq(e, l.items, l.n, SEQ_LIST, out);
}

static int keyed_items(struct eval *e, struct value v, struct value path,
                       struct value fallback, bool lowered, struct keyed **out,
                       size_t *n)
{
    const struct value *items;
    int rc = value_items(e, v, &items, n);
    if (rc != 0)
        return rc;
    *out = eval_alloc(e, *n, sizeof **out);
    if (*out == NULL)
        return eval_nomem(e);
    for (size_t i = 0; i < *n && rc == 0; i++) {
        (*out)[i].item = items[i];
        rc = path_key(e, items[i], path, fallback, lowered, &(*out)[i].key);
    }
    return rc;
}

static int unkeyed(struct eval *e, const struct keyed *items, size_t n,
                   enum seq_kind kind, struct value *out)
{
    struct value *plain = eval_alloc(e, n, sizeof *plain);
    if (plain == NULL)
        return eval_nomem(e);
    for (size_t i = 0; i < n; i++)
        plain[i] = items[i].item;
    return make_seq(e, plain, n, kind, out);
}

FN(filter_sort) /* reverse, case_sensitive, attribute */
{
    struct keyed *items;
    struct value absent = {0};
    size_t n;
    int rc = keyed_items(e, self, absent, absent, false, &items, &n);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = list_key(e, items[i].item, c->arg[2], !arg_truth(c, 1),
                      &items[i].key);
    if (rc == 0)
        rc = sort_keyed(e, &items, n, arg_truth(c, 0));
    return rc != 0 ? rc : unkeyed(e, items, n, SEQ_LIST, out);
}

FN(filter_dictsort) /* case_sensitive, by, reverse */
{
    struct keyed *items;
    struct value pairs, absent = {0}, at = value_int(0);
    struct args none = {0};
    struct str name = {.s = "items", .n = 5};
    size_t n;
    if (self.kind != VALUE_MAP)
        return eval_fail(e, ERR_INVALID, "dictsort needs a dict, not %s",
                         value_type_name(self));
    if (c->arg[1].kind == VALUE_STR && str_is(c->arg[1].u.str, "value"))
        at = value_int(1);
    else if (c->arg[1].kind != VALUE_ABSENT &&
             !(c->arg[1].kind == VALUE_STR && str_is(c->arg[1].u.str, "key")))
        return eval_fail(e, ERR_INVALID, "dictsort sorts by key or value");
    int rc = builtin_call(e, builtin_method(self, &name), self, &none, &pairs);
    if (rc == 0)
        rc = keyed_items(e, pairs, at, absent, !arg_truth(c, 0), &items, &n);
    if (rc == 0)
        rc = sort_keyed(e, &items, n, arg_truth(c, 2));
    return rc != 0 ? rc : unkeyed(e, items, n, SEQ_LIST, out);
}

FN(filter_unique) /* case_sensitive, attribute */
{
    struct keyed *items;
    struct value seen, absent = {0};
    struct list l = {0};
    size_t n;
    int rc =
        keyed_items(e, self, c->arg[1], absent, !arg_truth(c, 0), &items, &n);
    if (rc == 0)
        rc = make_map(e, 0, &seen);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value unused;
        rc = map_get(e, seen.u.map, items[i].key, &unused);
        if (rc == 1) {
            rc = 0;
            continue;
        }
        if (rc == 0)
            rc = map_set(e, seen.u.map, items[i].key, value_none());
        if (rc == 0)
            rc = list_add(e, &l, items[i].item);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_ITER, out);
}

FN(filter_min) /* min, max: case_sensitive, attribute */
{
    struct keyed *items;
    struct value absent = {0};
    size_t n, best = 0;
    bool max = c->builtin->name[1] == 'a';
    int rc =
        keyed_items(e, self, c->arg[1], absent, !arg_truth(c, 0), &items, &n);
    for (size_t i = 1; i < n && rc == 0; i++) {
        int order;
        rc = value_order(e, items[i].key, items[best].key, &order);
        if (rc == 0 && order == (max ? 1 : -1))
            best = i;
    }
    if (rc == 0)
        *out = n > 0 ? items[best].item : value_undefined(NULL);
    return rc;
}

FN(filter_sum) /* attribute, start */
{
    const struct value *items;
    struct value absent = {0};
    size_t n;
    int rc = value_items(e, self, &items, &n);
    *out = c->arg[1].kind == VALUE_ABSENT ? value_int(0) : c->arg[1];
    if (rc == 0 && out->kind == VALUE_STR)
        return eval_fail(e, ERR_INVALID, "sum does not add strings");
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value v;
        rc = get_path(e, items[i], c->arg[0], absent, &v);
        if (rc == 0)
            rc = eval_binary(e, OP_ADD, *out, v, out);
    }
    return rc;
}

FN(filter_batch) /* linecount, fill_with */
{
    const struct value *items;
    size_t n;
    int64_t count = 0;
    struct list l = {0};
    int rc = value_items(e, self, &items, &n);
    if (rc == 0)
        rc = arg_int(e, c, 0, &count);
    if (rc == 0 && count <= 0)
        count = (int64_t)n + 1;
    for (size_t at = 0; at < n && rc == 0; at += (size_t)count) {
        struct list row = {0};
        struct value v;
        for (size_t i = at; i < n && i < at + (size_t)count && rc == 0; i++)
            rc = list_add(e, &row, items[i]);
        while (rc == 0 && arg_given(c, 1) && row.n < (size_t)count)
            rc = list_add(e, &row, c->arg[1]);
        if (rc == 0)
            rc = make_seq(e, row.items, row.n, SEQ_LIST, &v);
        if (rc == 0)
            rc = list_add(e, &l, v);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_ITER, out);
}

FN(filter_slice) /* slices, fill_with */
{
    const struct value *items;
    size_t n, offset = 0;
    int64_t slices = 0;
    struct list l = {0};
    int rc = value_items(e, self, &items, &n);
    if (rc == 0)
        rc = arg_int(e, c, 0, &slices);
    if (rc == 0 && slices == 0)
        rc = eval_fail(e, ERR_INVALID, "division by zero");
    for (int64_t k = 0; k < slices && rc == 0; k++) {
        size_t per = n / (size_t)slices, extra = n % (size_t)slices;
        size_t start = offset + (size_t)k * per;
        struct list row = {0};
        struct value v;
        if ((size_t)k < extra)
            offset++;
        size_t end = offset + ((size_t)k + 1) * per;
        for (size_t i = start; i < end && rc == 0; i++)
            rc = list_add(e, &row, items[i]);
        if (rc == 0 && arg_given(c, 1) && (size_t)k >= extra)
            rc = list_add(e, &row, c->arg[1]);
        if (rc == 0)
            rc = make_seq(e, row.items, row.n, SEQ_LIST, &v);
        if (rc == 0)
            rc = list_add(e, &l, v);
        if (rc == 0)
            rc = eval_steps(e, 0);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_ITER, out);
}

/* Appends the group items[from..to) to `l`. */
static int add_group(struct eval *e, const struct keyed *items, size_t n,
                     struct value key, struct list *l)
{
    struct value *pair = eval_alloc(e, 2, sizeof *pair), v;
    if (pair == NULL)
        return eval_nomem(e);
    pair[0] = key;
    int rc = unkeyed(e, items, n, SEQ_LIST, &pair[1]);
    if (rc == 0)
        rc = make_seq(e, pair, 2, SEQ_GROUP, &v);
    return rc != 0 ? rc : list_add(e, l, v);
}

FN(filter_groupby) /* attribute, default, case_sensitive */
{
    struct keyed *items;
    struct list l = {0};
    size_t n;
    int rc = keyed_items(e, self, c->arg[0], c->arg[1], !arg_truth(c, 2),
                         &items, &n);
    if (rc == 0)
        rc = sort_keyed(e, &items, n, false);
    for (size_t from = 0, to; from < n && rc == 0; from = to) {
        struct value key;
        bool same = true;
        for (to = from + 1; to < n && rc == 0; to++) {
            rc = value_equal(e, items[from].key, items[to].key, &same);
            if (!same)
                break;
        }
        if (rc == 0)
            rc = get_path(e, items[from].item, c->arg[0], c->arg[1], &key);
        if (rc == 0)
            rc = add_group(e, items + from, to - from, key, &l);
    }
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_LIST, out);
}

const struct builtin filters_seq[] = {
    {"map", filter_map, {0}, 0, true},
    {"select", filter_select, {0}, 0, true},
    {"reject", filter_select, {0}, 0, true},
    {"selectattr", filter_select, {0}, 0, true},
    {"rejectattr", filter_select, {0}, 0, true},
    {"list", filter_list, {0}, 0, false},
    {"first", filter_first, {0}, 0, false},
    {"last", filter_first, {0}, 0, false},
    {"reverse", filter_reverse, {0}, 0, false},
    {"items", filter_items, {0}, 0, false},
    {"join", filter_join, {"d", "attribute"}, 0, false},
    {"sort", filter_sort, {"reverse", "case_sensitive", "attribute"}, 0, false},
    {"dictsort",
     filter_dictsort,
     {"case_sensitive", "by", "reverse"},
     0,
     false},
    {"unique", filter_unique, {"case_sensitive", "attribute"}, 0, false},
    {"min", filter_min, {"case_sensitive", "attribute"}, 0, false},
    {"max", filter_min, {"case_sensitive", "attribute"}, 0, false},
    {"sum", filter_sum, {"attribute", "start"}, 0, false},
    {"batch", filter_batch, {"linecount", "fill_with"}, 1, false},
    {"slice", filter_slice, {"slices", "fill_with"}, 1, false},
    {"groupby",
     filter_groupby,
     {"attribute", "default", "case_sensitive"},
     1,
     false},
    {0},
};
