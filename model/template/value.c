/* value.c -- making, comparing and walking values; see value.h. */
#include "model/template/value.h"

#include <math.h>
#include <string.h>

#include "model/base/hash.h"
#include "model/template/eval.h"
#include "model/template/text.h"

const char *value_type_name(struct value v)
{
    static const char *const seqs[] = {"list",      "tuple",       "range",
                                       "dict_keys", "dict_values", "dict_items",
                                       "tuple",     "generator"};
    static const char *const names[] = {
        "nothing",     "Undefined", "NoneType", "bool",  "int",       "float",
        "str",         "list",      "dict",     "slice", "Namespace", "Macro",
        "LoopContext", "function",  "Cycler",   "Joiner"};
    return v.kind == VALUE_SEQ ? seqs[v.sub] : names[v.kind];
}

bool value_truth(struct value v)
{
    switch (v.kind) {
    case VALUE_ABSENT:
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return v.u.b;
    case VALUE_INT:
        return v.u.i != 0;
    case VALUE_FLOAT:
        return v.u.f != 0;
    case VALUE_STR:
        return v.u.str->n > 0;
    case VALUE_SEQ:
        return v.sub == SEQ_ITER || v.u.seq->n > 0;
    case VALUE_MAP:
        return v.u.map->n > 0;
    default:
        return true;
    }
}

bool value_as_int(struct value v, int64_t *out)
{
    if (v.kind == VALUE_BOOL)
        *out = v.u.b;
    else if (v.kind == VALUE_INT)
        *out = v.u.i;
    else
        return false;
    return true;
}

bool value_as_float(struct value v, double *out)
{
    int64_t i;
    if (v.kind == VALUE_FLOAT)
        *out = v.u.f;
    else if (value_as_int(v, &i))
        *out = (double)i;
    else
        return false;
    return true;
}

bool str_is(const struct str *s, const char *text)
{
    return strlen(text) == s->n && memcmp(s->s, text, s->n) == 0;
}

bool str_same(const struct str *a, const struct str *b)
{
    return a == b || (a->n == b->n && memcmp(a->s, b->s, a->n) == 0);
}

int str_order(const struct str *a, const struct str *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int c = n > 0 ? memcmp(a->s, b->s, n) : 0;
    return c != 0 ? (c > 0) - (c < 0) : (a->n > b->n) - (a->n < b->n);
}

struct str *str_new(struct arena *a, const char *s, size_t n)
{
    struct str *str = arena_alloc(a, sizeof *str);
    char *bytes = arena_strndup(a, s, n);
    if (str == NULL || bytes == NULL)
        return NULL;
    str->s = bytes;
    str->n = n;
    str->n_chars = text_count(bytes, n);
    return str;
}

int make_str_borrowed(struct eval *e, const char *s, size_t n,
                      struct value *out)
{
    struct str *str = eval_alloc(e, 1, sizeof *str);
    if (str == NULL)
        return eval_nomem(e);
    str->s = s;
    str->n = n;
    str->n_chars = text_count(s, n);
    *out = value_str(str);
    return eval_steps(e, n);
}

int make_str(struct eval *e, const char *s, size_t n, struct value *out)
{
    char *bytes = eval_alloc(e, n + 1, 1);
    if (bytes == NULL)
        return eval_nomem(e);
    if (n > 0)
        memcpy(bytes, s, n);
    return make_str_borrowed(e, bytes, n, out);
}

int make_str_buf(struct eval *e, struct buf *b, struct value *out)
{
    int rc = buf_ok(b) ? make_str(e, buf_str(b), b->len, out) : eval_nomem(e);
    buf_deinit(b);
    return rc;
}

int make_seq(struct eval *e, const struct value *items, size_t n,
             enum seq_kind kind, struct value *out)
{
    struct seq *seq = eval_alloc(e, 1, sizeof *seq);
    if (seq == NULL)
        return eval_nomem(e);
    seq->items = items;
    seq->n = n;
    *out = value_seq(seq, kind);
    return 0;
}

int make_pair(struct eval *e, struct value a, struct value b, struct value *out)
{
    struct value *items = eval_alloc(e, 2, sizeof *items);
    if (items == NULL)
        return eval_nomem(e);
    items[0] = a;
    items[1] = b;
    return make_seq(e, items, 2, SEQ_TUPLE, out);
}

int list_add(struct eval *e, struct list *l, struct value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 8 : l->cap * 2;
        struct value *items = eval_alloc(e, cap, sizeof *items);
        if (items == NULL)
            return eval_nomem(e);
        if (l->n > 0)
            memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return 0;
}

/* Maps. */

int make_map(struct eval *e, size_t n_expected, struct value *out)
{
    struct map *m = eval_alloc(e, 1, sizeof *m);
    if (m == NULL || n_expected > UINT32_MAX / 4)
        return eval_nomem(e);
    if (n_expected > 0) {
        m->cap = (uint32_t)n_expected;
        m->keys = eval_alloc(e, n_expected, sizeof *m->keys);
        m->values = eval_alloc(e, n_expected, sizeof *m->values);
        if (m->keys == NULL || m->values == NULL)
            return eval_nomem(e);
    }
    *out = (struct value){.kind = VALUE_MAP, .u.map = m};
    return 0;
}

/* Equal keys hash equally: 1, 1.0 and True are one key, as in Python. */
static uint64_t hash_key(struct value k)
{
    int64_t i;
    double f;
    if (k.kind == VALUE_STR)
        return hash_bytes(k.u.str->s, k.u.str->n, 0);
    if (value_as_int(k, &i)) {
        f = (double)i;
        return hash_bytes(&f, sizeof f, 1);
    }
    if (k.kind == VALUE_FLOAT) {
        f = k.u.f == 0 ? 0 : k.u.f;
        return hash_bytes(&f, sizeof f, 1);
    }
    if (k.kind == VALUE_SEQ) {
        uint64_t h = k.u.seq->n;
        for (size_t n = 0; n < k.u.seq->n && n < 16; n++) {
            struct value item = k.u.seq->items[n];
            h = h * 31 + (item.kind == VALUE_SEQ ? 7 : hash_key(item));
        }
        return h;
    }
    return k.kind;
}

static bool hashable(struct value k, uint32_t depth)
{
    if (k.kind == VALUE_MAP || depth > 32)
        return false;
    if (k.kind != VALUE_SEQ)
        return true;
    if (k.sub != SEQ_TUPLE && k.sub != SEQ_GROUP)
        return false;
    for (size_t i = 0; i < k.u.seq->n; i++)
        if (!hashable(k.u.seq->items[i], depth + 1))
            return false;
    return true;
}

static int check_key(struct eval *e, struct value k)
{
    if (k.kind == VALUE_STR || hashable(k, 0))
        return 0;
    return eval_fail(e, ERR_INVALID, "a %s cannot be a key",
                     value_type_name(k));
}

static int same_key(struct eval *e, struct value a, struct value b, bool *same)
{
    if (a.kind == VALUE_STR && b.kind == VALUE_STR) {
        *same = str_same(a.u.str, b.u.str);
        return 0;
    }
    return value_equal(e, a, b, same);
}

/* The index of `key`, or m->n. */
static int find_key(struct eval *e, const struct map *m, struct value key,
                    uint32_t *out)
{
    bool same = false;
    *out = m->n;
    if (m->slots == NULL) {
        for (uint32_t i = 0; i < m->n; i++) {
            int rc = same_key(e, m->keys[i], key, &same);
            if (rc != 0)
                return rc;
            if (same) {
                *out = i;
                return 0;
            }
        }
        return 0;
    }
    uint32_t mask = m->n_slots - 1;
    for (uint32_t at = (uint32_t)hash_key(key) & mask; m->slots[at] != 0;
         at = (at + 1) & mask) {
        int rc = same_key(e, m->keys[m->slots[at] - 1], key, &same);
        if (rc != 0)
            return rc;
        if (same) {
            *out = m->slots[at] - 1;
            return 0;
        }
    }
    return 0;
}

static void fill_slot(struct map *m, uint32_t index)
{
    uint32_t mask = m->n_slots - 1;
    uint32_t at = (uint32_t)hash_key(m->keys[index]) & mask;
    while (m->slots[at] != 0)
        at = (at + 1) & mask;
    m->slots[at] = index + 1;
}

static int grow_map(struct eval *e, struct map *m)
{
    if (m->n == m->cap) {
        uint32_t cap = m->cap < 4 ? 4 : m->cap * 2;
        struct value *keys = eval_alloc(e, cap, sizeof *keys);
        struct value *values = eval_alloc(e, cap, sizeof *values);
        if (keys == NULL || values == NULL || cap > UINT32_MAX / 8)
            return eval_nomem(e);
        if (m->n > 0) {
            memcpy(keys, m->keys, m->n * sizeof *keys);
            memcpy(values, m->values, m->n * sizeof *values);
        }
        m->keys = keys;
        m->values = values;
        m->cap = cap;
    }
    if (m->n >= 8 && (m->n + 1) * 2 > m->n_slots) {
        uint32_t n_slots = 32;
        while (n_slots < m->cap * 2)
            n_slots *= 2;
        m->slots = eval_alloc(e, n_slots, sizeof *m->slots);
        if (m->slots == NULL)
            return eval_nomem(e);
        m->n_slots = n_slots;
        for (uint32_t i = 0; i < m->n; i++)
            fill_slot(m, i);
    }
    return 0;
}

int map_set(struct eval *e, struct map *m, struct value key, struct value v)
{
    uint32_t at;
    int rc = check_key(e, key);
    if (rc == 0)
        rc = find_key(e, m, key, &at);
    if (rc != 0)
        return rc;
    if (at < m->n) {
        m->values[at] = v;
        return 0;
    }
    rc = grow_map(e, m);
    if (rc != 0)
        return rc;
    m->keys[m->n] = key;
    m->values[m->n] = v;
    m->n++;
    if (m->slots != NULL)
        fill_slot(m, m->n - 1);
    return 0;
}

int map_get(struct eval *e, const struct map *m, struct value key,
            struct value *out)
{
    uint32_t at;
    int rc = check_key(e, key);
    if (rc == 0)
        rc = find_key(e, m, key, &at);
    if (rc != 0 || at == m->n)
        return rc;
    *out = m->values[at];
    return 1;
}

const struct value *map_find_str(const struct map *m, const struct str *key)
{
    if (m->slots == NULL) {
        for (uint32_t i = 0; i < m->n; i++)
            if (m->keys[i].kind == VALUE_STR && str_same(m->keys[i].u.str, key))
                return &m->values[i];
        return NULL;
    }
    uint32_t mask = m->n_slots - 1;
    uint32_t at = (uint32_t)hash_bytes(key->s, key->n, 0) & mask;
    for (; m->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t i = m->slots[at] - 1;
        if (m->keys[i].kind == VALUE_STR && str_same(m->keys[i].u.str, key))
            return &m->values[i];
    }
    return NULL;
}

const struct value *map_find_text(const struct map *m, const char *key)
{
    struct str s = {.s = key, .n = strlen(key)};
    return map_find_str(m, &s);
}

/* JSON. */

static int array_from_json(struct eval *e, const json_t *j, uint32_t depth,
                           struct value *out)
{
    size_t n = json_array_size(j);
    struct value *items = eval_alloc(e, n, sizeof *items);
    if (items == NULL)
        return eval_nomem(e);
    for (size_t i = 0; i < n; i++) {
        int rc = value_from_json(e, json_array_get(j, i), depth + 1, &items[i]);
        if (rc != 0)
            return rc;
    }
    return make_seq(e, items, n, SEQ_LIST, out);
}

static int object_from_json(struct eval *e, const json_t *j, uint32_t depth,
                            struct value *out)
{
    int rc = make_map(e, json_object_size(j), out);
    const char *key;
    json_t *item;
    if (rc != 0)
        return rc;
    json_object_foreach((json_t *)(uintptr_t)j, key, item)
    {
        struct value k, v;
        rc = make_str_borrowed(e, key, strlen(key), &k);
        if (rc == 0)
            rc = value_from_json(e, item, depth + 1, &v);
        if (rc == 0)
            rc = map_set(e, out->u.map, k, v);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int value_from_json(struct eval *e, const json_t *j, uint32_t depth,
                    struct value *out)
{
    if (depth > VALUE_NESTING)
        return eval_fail(e, ERR_LIMIT, "a variable is nested too deep");
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return object_from_json(e, j, depth, out);
    case JSON_ARRAY:
        return array_from_json(e, j, depth, out);
    case JSON_STRING:
        return make_str_borrowed(e, json_string_value(j), json_string_length(j),
                                 out);
    case JSON_INTEGER:
        *out = value_int(json_integer_value(j));
        return 0;
    case JSON_REAL:
        *out = value_float(json_real_value(j));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(j));
        return 0;
    default:
        *out = value_none();
        return 0;
    }
}

/* Comparison. */

static int seq_equal(struct eval *e, const struct seq *a, const struct seq *b,
                     bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        int rc = value_equal(e, a->items[i], b->items[i], out);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int map_equal(struct eval *e, const struct map *a, const struct map *b,
                     bool *out)
{
    *out = a->n == b->n;
    for (uint32_t i = 0; i < a->n && *out; i++) {
        struct value v;
        int rc = map_get(e, b, a->keys[i], &v);
        if (rc < 0)
            return rc;
        *out = rc == 1;
        rc = *out ? value_equal(e, a->values[i], v, out) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static enum seq_kind plain_kind(struct value v)
{
    return v.sub == SEQ_GROUP ? SEQ_TUPLE : (enum seq_kind)v.sub;
}

static int deep_equal(struct eval *e, struct value a, struct value b, bool *out)
{
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    if (a.kind == VALUE_MAP)
        rc = map_equal(e, a.u.map, b.u.map, out);
    else if (plain_kind(a) != plain_kind(b) || a.sub == SEQ_ITER ||
             a.sub == SEQ_VALUES)
        *out = a.u.seq == b.u.seq;
    else
        rc = seq_equal(e, a.u.seq, b.u.seq, out);
    eval_leave(e);
    return rc;
}

int value_equal(struct eval *e, struct value a, struct value b, bool *out)
{
    int64_t i, j;
    double f, g;
    *out = false;
    if (value_as_int(a, &i) && value_as_int(b, &j)) {
        *out = i == j;
        return eval_steps(e, 0);
    }
    if (value_as_float(a, &f) && value_as_float(b, &g)) {
        *out = f == g;
        return eval_steps(e, 0);
    }
    if (a.kind != b.kind)
        return eval_steps(e, 0);
    switch (a.kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        *out = true;
        break;
    case VALUE_STR:
        *out = str_same(a.u.str, b.u.str);
        return eval_steps(e, a.u.str->n);
    case VALUE_SEQ:
    case VALUE_MAP:
        return deep_equal(e, a, b, out);
    case VALUE_FUNCTION:
        *out = a.u.function == b.u.function;
        break;
    default:
        *out = a.u.map == b.u.map;
    }
    return eval_steps(e, 0);
}

static int seq_order(struct eval *e, const struct seq *a, const struct seq *b,
                     int *out)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        int rc = value_equal(e, a->items[i], b->items[i], &same);
        if (rc != 0)
            return rc;
        if (!same)
            return value_order(e, a->items[i], b->items[i], out);
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return 0;
}

int value_order(struct eval *e, struct value a, struct value b, int *out)
{
    int64_t i, j;
    double f, g;
    if (value_as_int(a, &i) && value_as_int(b, &j)) {
        *out = (i > j) - (i < j);
        return eval_steps(e, 0);
    }
    if (value_as_float(a, &f) && value_as_float(b, &g)) {
        *out = isnan(f) || isnan(g) ? 2 : (f > g) - (f < g);
        return eval_steps(e, 0);
    }
    if (a.kind == VALUE_STR && b.kind == VALUE_STR) {
        *out = str_order(a.u.str, b.u.str);
        return eval_steps(e, a.u.str->n);
    }
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return eval_undefined(e, a.kind == VALUE_UNDEFINED ? a : b);
    if (a.kind == VALUE_SEQ && b.kind == VALUE_SEQ &&
        plain_kind(a) == plain_kind(b) && plain_kind(a) <= SEQ_TUPLE) {
        int rc = eval_enter(e);
        if (rc != 0)
            return rc;
        rc = seq_order(e, a.u.seq, b.u.seq, out);
        eval_leave(e);
        return rc;
    }
    return eval_fail(e, ERR_INVALID, "cannot order %s and %s",
                     value_type_name(a), value_type_name(b));
}

int value_contains(struct eval *e, struct value item, struct value in,
                   bool *out)
{
    struct value unused;
    *out = false;
    if (in.kind == VALUE_STR) {
        if (item.kind != VALUE_STR)
            return eval_fail(e, ERR_INVALID,
                             "'in <string>' needs a string on its left, not %s",
                             value_type_name(item));
        *out = text_find(in.u.str->s, in.u.str->n, item.u.str->s, item.u.str->n,
                         0) != SIZE_MAX;
        return eval_steps(e, in.u.str->n);
    }
    if (in.kind == VALUE_MAP) {
        int rc = map_get(e, in.u.map, item, &unused);
        *out = rc == 1;
        return rc < 0 ? rc : 0;
    }
    const struct value *items;
    size_t n;
    int rc = value_items(e, in, &items, &n);
    for (size_t i = 0; rc == 0 && i < n && !*out; i++)
        rc = value_equal(e, items[i], item, out);
    return rc;
}

/* Joining in place: see struct room. */
int value_concat(struct eval *e, const struct str *a, const struct str *b,
                 struct value *out)
{
    if (a->n == 0 || b->n == 0) {
        *out = value_str(a->n == 0 ? b : a);
        return 0;
    }
    size_t n = a->n + b->n;
    struct room *room = a->room;
    struct str *s = eval_alloc(e, 1, sizeof *s);
    if (s == NULL)
        return eval_nomem(e);
    bool fits = room != NULL && a->s + a->n == room->data + room->used &&
                room->cap - room->used >= b->n;
    if (!fits) {
        size_t cap = n < 256 ? n + 32 : n * 2;
        room = eval_alloc(e, 1, sizeof *room);
        char *data = eval_alloc(e, cap, 1);
        if (room == NULL || data == NULL)
            return eval_nomem(e);
        memcpy(data, a->s, a->n);
        *room = (struct room){.data = data, .used = a->n, .cap = cap};
        s->s = data;
    } else {
        s->s = a->s;
    }
    memcpy(room->data + room->used, b->s, b->n);
    room->used += b->n;
    s->n = n;
    s->n_chars = a->n_chars + b->n_chars;
    s->room = room;
    *out = value_str(s);
    return eval_steps(e, fits ? b->n : n);
}

int seq_concat(struct eval *e, const struct seq *a, const struct seq *b,
               enum seq_kind kind, struct value *out)
{
    size_t n = a->n + b->n, size = sizeof(struct value);
    struct room *room = a->room;
    struct seq *s = eval_alloc(e, 1, sizeof *s);
    if (s == NULL)
        return eval_nomem(e);
    bool fits =
        room != NULL && a->n > 0 &&
        (const char *)(a->items + a->n) == room->data + room->used * size &&
        room->cap - room->used >= b->n;
    if (!fits) {
        size_t cap = n * 2 + 4;
        room = eval_alloc(e, 1, sizeof *room);
        char *data = eval_alloc(e, cap, size);
        if (room == NULL || data == NULL)
            return eval_nomem(e);
        if (a->n > 0)
            memcpy(data, a->items, a->n * size);
        *room = (struct room){.data = data, .used = a->n, .cap = cap};
        s->items = (const void *)data;
    } else {
        s->items = a->items;
    }
    if (b->n > 0)
        memcpy(room->data + room->used * size, b->items, b->n * size);
    room->used += b->n;
    s->n = n;
    s->room = room;
    *out = value_seq(s, kind);
    return eval_steps(e, (fits ? b->n : n) * size);
}

/* Walking. */

static int str_items(struct eval *e, const struct str *s,
                     const struct value **items, size_t *n)
{
    struct value *v = eval_alloc(e, s->n_chars, sizeof *v);
    if (v == NULL)
        return eval_nomem(e);
    size_t at = 0;
    for (size_t i = 0; i < s->n_chars; i++) {
        size_t len = text_offset(s->s + at, s->n - at, 1);
        int rc = make_str_borrowed(e, s->s + at, len, &v[i]);
        if (rc != 0)
            return rc;
        at += len;
    }
    *items = v;
    *n = s->n_chars;
    return 0;
}

int value_items(struct eval *e, struct value v, const struct value **items,
                size_t *n)
{
    *items = NULL;
    *n = 0;
    switch (v.kind) {
    case VALUE_UNDEFINED:
        return 0;
    case VALUE_STR:
        return str_items(e, v.u.str, items, n);
    case VALUE_MAP:
        *items = v.u.map->keys;
        *n = v.u.map->n;
        return 0;
    case VALUE_SEQ:
        *items = v.u.seq->items;
        *n = v.u.seq->n;
        if (v.sub == SEQ_ITER) {
            if (v.u.seq->passed > 0)
                *items += v.u.seq->passed;
            *n -= v.u.seq->passed;
            v.u.seq->passed = v.u.seq->n;
        }
        return 0;
    default:
        return eval_fail(e, ERR_INVALID, "a %s cannot be iterated",
                         value_type_name(v));
    }
}

bool value_has_length(struct value v)
{
    return v.kind == VALUE_STR || v.kind == VALUE_MAP ||
           v.kind == VALUE_UNDEFINED || v.kind == VALUE_LOOP ||
           (v.kind == VALUE_SEQ && v.sub != SEQ_ITER);
}

int value_length(struct eval *e, struct value v, int64_t *out)
{
    *out = 0;
    if (!value_has_length(v))
        return eval_fail(e, ERR_INVALID, "a %s has no length",
                         value_type_name(v));
    if (v.kind == VALUE_LOOP)
        return loop_length(e, v.u.loop, out);
    if (v.kind == VALUE_STR)
        *out = (int64_t)v.u.str->n_chars;
    else if (v.kind == VALUE_MAP)
        *out = v.u.map->n;
    else if (v.kind == VALUE_SEQ)
        *out = (int64_t)v.u.seq->n;
    return 0;
}

int value_escape(struct eval *e, const struct str *s, struct value *out)
{
    static const char plain[] = "&<>\"'";
    static const char *const spelled[] = {"&amp;", "&lt;", "&gt;", "&#34;",
                                          "&#39;"};
    struct buf b;
    buf_init(&b, e->limits.memory_bytes);
    for (size_t i = 0; i < s->n; i++) {
        const char *at = s->s[i] ? strchr(plain, s->s[i]) : NULL;
        if (at != NULL)
            buf_puts(&b, spelled[at - plain]);
        else
            buf_putc(&b, s->s[i]);
    }
    int rc = make_str_buf(e, &b, out);
    out->sub = STR_MARKUP;
    return rc;
}

int value_join(struct eval *e, struct value a, struct value b,
               struct value *out)
{
    int rc = 0;
    uint8_t sub = a.sub | b.sub;
    if (a.sub < sub)
        rc = value_escape(e, a.u.str, &a);
    else if (b.sub < sub)
        rc = value_escape(e, b.u.str, &b);
    if (rc == 0)
        rc = value_concat(e, a.u.str, b.u.str, out);
    out->sub = sub;
    return rc;
}
