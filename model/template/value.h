/* value.h -- what a template computes with: Python's values, as far as needed.
 *
 * A value is 16 bytes and owns nothing: what it points to lives in the arena
 * of one render (or in the template, or in the JSON context), and dies with
 * it.  Strings and lists are immutable; appending to one that ends where its
 * room ends grows in place, so that building text piece by piece costs memory
 * linear in the result.
 *
 * Strings are UTF-8 and count code points, as Python does.  It does not know
 * of nodes, scopes or filters.  One thread: that of the render. */
#ifndef LFMD_MODEL_TEMPLATE_VALUE_H
#define LFMD_MODEL_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"

struct eval;
struct builtin;
struct macro;
struct loop;

enum value_kind {
    VALUE_ABSENT, /* no value at all: an argument not given */
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_FLOAT,
    VALUE_STR,
    VALUE_SEQ,
    VALUE_MAP,
    VALUE_SLICE, /* only between brackets */
    VALUE_NAMESPACE,
    VALUE_MACRO,
    VALUE_LOOP,
    VALUE_FUNCTION, /* a global, or a method with its object */
    VALUE_CYCLER,
    VALUE_JOINER
};

enum seq_kind { /* in value.sub */
                SEQ_LIST,
                SEQ_TUPLE,
                SEQ_RANGE,
                SEQ_KEYS,
                SEQ_VALUES,
                SEQ_ITEMS,
                SEQ_GROUP, /* a groupby tuple: also .grouper and .list */
                SEQ_ITER   /* a generator: passes once, has no length */
};

struct str {
    const char *s;
    size_t n;          /* bytes */
    size_t n_chars;    /* code points; == n when ASCII */
    struct room *room; /* where it may grow, or NULL */
};

/* Space behind a string or list that the one ending at `used` may take. */
struct room {
    char *data;
    size_t used, cap; /* in bytes, or in values */
};

enum str_kind { /* in value.sub */
                STR_PLAIN,
                STR_MARKUP /* what |safe and |escape make */
};

struct value {
    uint8_t kind; /* enum value_kind */
    uint8_t sub;  /* enum seq_kind or str_kind; of VALUE_UNDEFINED: kind it was
                     asked of */
    union {
        bool b;
        int64_t i;
        double f;
        const struct str *str; /* of VALUE_UNDEFINED: the name, or NULL */
        struct seq *seq;
        struct map *map; /* also of a namespace */
        const struct slice *slice;
        const struct macro *macro;
        struct loop *loop;
        const struct function *function;
        struct cycler *cycler; /* also of a joiner */
    } u;
};

struct seq {
    const struct value *items; /* [n] */
    size_t n;
    size_t passed;             /* SEQ_ITER: how many were taken */
    struct room *room;         /* or NULL */
    int64_t start, stop, step; /* SEQ_RANGE */
};

/* Insertion order; `slots` is open addressing once there are many keys. */
struct map {
    struct value *keys, *values; /* [cap] */
    uint32_t n, cap;
    uint32_t *slots; /* [n_slots], index + 1, or NULL */
    uint32_t n_slots;
};

struct slice {
    struct value start, stop, step;
};

struct function {
    const struct builtin *builtin;
    struct value self; /* VALUE_ABSENT for a global */
};

struct cycler {
    const struct value *items;
    size_t n, at;
    bool used; /* joiner */
    struct value separator;
};

#define VALUE_NESTING 200u /* deepest list in list that is walked */

static inline struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}

static inline struct value value_bool(bool b)
{
    return (struct value){.kind = VALUE_BOOL, .u.b = b};
}

static inline struct value value_int(int64_t i)
{
    return (struct value){.kind = VALUE_INT, .u.i = i};
}

static inline struct value value_float(double f)
{
    return (struct value){.kind = VALUE_FLOAT, .u.f = f};
}

static inline struct value value_str(const struct str *s)
{
    return (struct value){.kind = VALUE_STR, .u.str = s};
}

static inline struct value value_undefined(const struct str *name)
{
    return (struct value){.kind = VALUE_UNDEFINED, .u.str = name};
}

static inline struct value value_seq(struct seq *seq, enum seq_kind kind)
{
    return (struct value){
        .kind = VALUE_SEQ, .sub = (uint8_t)kind, .u.seq = seq};
}

static inline bool value_is_undefined(struct value v)
{
    return v.kind == VALUE_UNDEFINED;
}

static inline bool value_is_seq(struct value v, enum seq_kind kind)
{
    return v.kind == VALUE_SEQ && v.sub == kind;
}

/* Python's name of the type, for messages. */
const char *value_type_name(struct value v);
bool value_truth(struct value v);
/* bool, int and float as a number; false for the rest. */
bool value_as_int(struct value v, int64_t *out); /* bool and int only */
bool value_as_float(struct value v, double *out);
bool str_is(const struct str *s, const char *text);
bool str_same(const struct str *a, const struct str *b);
int str_order(const struct str *a, const struct str *b); /* -1, 0, 1 */

/* In an arena, for the template's own constants; NULL when short. */
struct str *str_new(struct arena *a, const char *s, size_t n);

/* What follows allocates in the render's arena, counts steps for long work,
 * and returns 0 or the negative class with e's error set. */
int make_str(struct eval *e, const char *s, size_t n, struct value *out);
int make_str_borrowed(struct eval *e, const char *s, size_t n,
                      struct value *out);
/* Takes what `b` holds (which may have failed) and frees it. */
int make_str_buf(struct eval *e, struct buf *b, struct value *out);
int make_seq(struct eval *e, const struct value *items, size_t n,
             enum seq_kind kind, struct value *out); /* items in the arena */
int make_pair(struct eval *e, struct value a, struct value b,
              struct value *out);
int make_map(struct eval *e, size_t n_expected, struct value *out);
int map_set(struct eval *e, struct map *m, struct value key, struct value v);
/* 1 found, 0 not, negative error (an unhashable key). */
int map_get(struct eval *e, const struct map *m, struct value key,
            struct value *out);
const struct value *map_find_str(const struct map *m, const struct str *key);
const struct value *map_find_text(const struct map *m, const char *key);
int value_from_json(struct eval *e, const json_t *j, uint32_t depth,
                    struct value *out);

int value_equal(struct eval *e, struct value a, struct value b, bool *out);
/* Python's order of comparable values: *out is -1, 0, 1; 2 beside a NaN. */
int value_order(struct eval *e, struct value a, struct value b, int *out);
int value_contains(struct eval *e, struct value item, struct value in,
                   bool *out);
int value_concat(struct eval *e, const struct str *a, const struct str *b,
                 struct value *out);
/* The five characters of HTML spelled out; the result is markup. */
int value_escape(struct eval *e, const struct str *s, struct value *out);
/* a + b of two strings: beside markup the other is escaped, as markupsafe
 * does. */
int value_join(struct eval *e, struct value a, struct value b,
               struct value *out);
int seq_concat(struct eval *e, const struct seq *a, const struct seq *b,
               enum seq_kind kind, struct value *out);

/* Everything that iterates, as an array: a string's characters, a map's keys.
 * A generator is used up by it. */
int value_items(struct eval *e, struct value v, const struct value **items,
                size_t *n);
int value_length(struct eval *e, struct value v, int64_t *out);
bool value_has_length(struct value v);

/* A growable array of values in the render's arena. */
struct list {
    struct value *items;
    size_t n, cap;
};
int list_add(struct eval *e, struct list *l, struct value v);

#endif
