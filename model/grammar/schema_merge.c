/* schema_merge.c -- $ref and allOf: several schemas that must all hold become
 * one, keyword by keyword.
 *
 * What is merged is made anew and kept by the compilation; a schema as it came
 * is never changed.  Merging goes one level deep: members that both speak of
 * get an allOf of their own, so recursion is met again as the same text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/grammar/expr.h"
#include "model/grammar/schema_private.h"

const json_t *schema_all_of(struct schema *s, const json_t *x, const json_t *y)
{
    if (json_is_true(x) || json_is_false(y))
        return y;
    if (json_is_true(y) || json_is_false(x) || json_equal(x, y))
        return x;
    return schema_keep(s, json_pack("{s:[O,O]}", "allOf", x, y));
}

/* --- references
 * ------------------------------------------------------------------ */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One step of a JSON pointer in a URI: %xx, then ~1 and ~0.  Returns where it
 * ends in `p`. */
static const char *pointer_step(const char *p, char *out, size_t size)
{
    size_t n = 0;
    for (; *p && *p != '/'; p++) {
        char c = *p;
        if (c == '%' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
            c = (char)(hex_value(p[1]) * 16 + hex_value(p[2]));
            p += 2;
        } else if (c == '~' && (p[1] == '0' || p[1] == '1')) {
            c = p[1] == '0' ? '~' : '/';
            p++;
        }
        if (n + 1 < size)
            out[n++] = c;
    }
    out[n] = '\0';
    return p;
}

static const json_t *find_target(struct schema *s, const char *ref)
{
    const json_t *at = s->root;
    if (ref[0] != '#')
        return NULL;
    const char *p = ref + 1;
    while (*p == '/' && at != NULL) {
        char key[256];
        p = pointer_step(p + 1, key, sizeof key);
        if (json_is_array(at)) {
            char *end;
            unsigned long i = strtoul(key, &end, 10);
            at = *end == '\0' && key[0] ? json_array_get(at, i) : NULL;
        } else {
            at = json_object_get(at, key);
        }
        budget_spend(&s->b->budget, 1);
    }
    return *p == '\0' && (json_is_object(at) || json_is_boolean(at)) ? at
                                                                     : NULL;
}

static const json_t *follow(struct schema *s, const json_t *node)
{
    const char *ref = json_string_value(json_object_get(node, "$ref"));
    const json_t *target = find_target(s, ref);
    if (target == NULL) {
        schema_refuse(s, ERR_INVALID, "$ref",
                      "must lead to a schema in this document (#, "
                      "#/$defs/...), and %s does not",
                      strlen(ref) < 100 ? ref : "it");
        return NULL;
    }
    schema_check_keywords(s, target);
    return schema_failed(s) ? NULL : target;
}

/* The members that bound nothing and would only hinder the same text being the
 * same rule. */
static bool is_note(const char *key)
{
    static const char *const notes[] = {
        "$schema", "$id",      "$comment",    "$defs",    "definitions",
        "title",   "default",  "deprecated",  "readOnly", "writeOnly",
        "id",      "examples", "description", "$anchor"};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (strcmp(key, notes[i]) == 0)
            return true;
    return false;
}

static const json_t *without(struct schema *s, const json_t *node,
                             const char *key1, const char *key2)
{
    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        if (!is_note(key) && strcmp(key, key1) != 0 && strcmp(key, key2) != 0 &&
            json_object_set(copy, key, value) != 0) {
            json_decref(copy);
            return schema_keep(s, NULL);
        }
    }
    return schema_keep(s, copy);
}

const json_t *schema_bare(struct schema *s, const json_t *node)
{
    return without(s, node, "", "");
}

const json_t *schema_resolve(struct schema *s, const json_t *node)
{
    if (schema_failed(s) || !json_is_object(node))
        return node;
    const json_t *all = json_object_get(node, "allOf");
    const json_t *ref = json_object_get(node, "$ref");
    if (all == NULL && ref == NULL)
        return node;
    if (++s->level > SCHEMA_MAX_LEVELS)
        schema_refuse(s, ERR_LIMIT, ref ? "$ref" : "allOf",
                      "leads through more than %u schemas, or to itself",
                      SCHEMA_MAX_LEVELS);
    /* It speaks of what all parts together leave over: the last to be met. */
    json_t *rest = json_object_get(node, "unevaluatedProperties");
    const json_t *sum = without(s, node, "allOf", "$ref");
    if (rest != NULL && sum != NULL)
        json_object_del((json_t *)(uintptr_t)sum, "unevaluatedProperties");
    if (ref != NULL && !schema_failed(s))
        sum = schema_merge(s, sum, schema_resolve(s, follow(s, node)));
    for (size_t i = 0; i < json_array_size(all) && !schema_failed(s); i++) {
        const json_t *part = json_array_get(all, i);
        size_t mark = schema_enter(s, "allOf", (long)i);
        schema_check_keywords(s, part);
        sum = schema_merge(s, sum, schema_resolve(s, part));
        schema_leave(s, mark);
    }
    s->level--;
    if (rest == NULL || schema_failed(s) || !json_is_object(sum))
        return schema_failed(s) ? NULL : sum;
    json_t *copy = json_copy((json_t *)(uintptr_t)sum);
    json_object_set(copy, "unevaluatedProperties", rest);
    return schema_keep(s, copy);
}

/* --- merging
 * ----------------------------------------------------------------------- */

struct merging {
    struct schema *s;
    const json_t *x, *y; /* both are objects, resolved */
    json_t *out;
};

static void set(struct merging *m, const char *key, const json_t *value)
{
    json_t *v = (json_t *)(uintptr_t)value;
    if (v == NULL || json_object_set(m->out, key, v) != 0)
        grammar_fail(m->s->b, ERR_NOMEM, "out of memory for a schema");
}

static void refuse_merge(struct merging *m, const char *key)
{
    schema_refuse(m->s, ERR_UNSUPPORTED, "allOf",
                  "(or $ref beside other keywords) meets two %s that cannot "
                  "be merged",
                  key);
}

static void merge_types(struct merging *m)
{
    unsigned types =
        schema_types(m->s, m->x) & schema_types(m->s, m->y) & TYPE_ALL;
    static const char *const names[] = {
        "null", "boolean", "integer", "number", "string", "array", "object"};
    if (!json_object_get(m->x, "type") || !json_object_get(m->y, "type")) {
        const json_t *who = json_object_get(m->x, "type") ? m->x : m->y;
        types = json_object_get(who, "type") ? schema_types(m->s, who) : 0;
        if (types == 0)
            return;
    }
    json_t *list = json_array();
    for (unsigned i = 0; i < 7; i++)
        if ((types >> i & 1) && !(i == 2 && (types & TYPE_NUMBER)))
            json_array_append_new(list, json_string(names[i]));
    set(m, "type", schema_keep(m->s, list));
    json_object_del(m->out, "nullable");
}

/* enum and const of both: the values in both. */
static void merge_values(struct merging *m)
{
    const json_t *sides[2] = {m->x, m->y};
    json_t *lists[2] = {NULL, NULL};
    for (unsigned i = 0; i < 2; i++) {
        json_t *one = json_object_get(sides[i], "const");
        json_t *many = json_object_get(sides[i], "enum");
        if (one != NULL)
            lists[i] =
                (json_t *)(uintptr_t)schema_keep(m->s, json_pack("[O]", one));
        else
            lists[i] = many;
    }
    if (lists[0] == NULL || lists[1] == NULL || schema_failed(m->s))
        return;
    json_t *both = json_array();
    for (size_t i = 0; i < json_array_size(lists[0]); i++)
        for (size_t j = 0; j < json_array_size(lists[1]); j++) {
            json_t *v = json_array_get(lists[0], i);
            if (!budget_spend(&m->s->b->budget, 1) ||
                !json_equal(v, json_array_get(lists[1], j)))
                continue;
            json_array_append(both, v);
            break;
        }
    set(m, "enum", schema_keep(m->s, both));
    json_object_del(m->out, "const");
}

/* The tighter of two bounds. */
static void merge_bound(struct merging *m, const char *key, bool greater)
{
    const json_t *x = json_object_get(m->x, key),
                 *y = json_object_get(m->y, key);
    bool x_wins = json_number_value(x) > json_number_value(y);
    set(m, key, x_wins == greater ? x : y);
}

/* pattern and format: a list, all of which hold. */
static void merge_list(struct merging *m, const char *key)
{
    const json_t *sides[2] = {json_object_get(m->x, key),
                              json_object_get(m->y, key)};
    json_t *list = json_array();
    for (unsigned i = 0; i < 2; i++) {
        if (json_is_array(sides[i]))
            json_array_extend(list, (json_t *)(uintptr_t)sides[i]);
        else
            json_array_append(list, (json_t *)(uintptr_t)sides[i]);
    }
    set(m, key, schema_keep(m->s, list));
}

static void merge_required(struct merging *m)
{
    json_t *list = json_deep_copy(json_object_get(m->x, "required"));
    const json_t *more = json_object_get(m->y, "required");
    for (size_t i = 0; i < json_array_size(more); i++)
        json_array_append(list, json_array_get(more, i));
    set(m, "required", schema_keep(m->s, list));
}

/* What `side` says of a member that only the other one declares. */
static const json_t *said_of_others(struct merging *m, const json_t *side)
{
    const json_t *rest = json_object_get(side, "additionalProperties");
    const json_t *patterns = json_object_get(side, "patternProperties");
    if (json_object_size(patterns) > 0)
        refuse_merge(m, "objects, one with patternProperties,");
    return rest != NULL ? rest : json_true();
}

static void merge_properties(struct merging *m)
{
    const json_t *x = json_object_get(m->x, "properties");
    const json_t *y = json_object_get(m->y, "properties");
    json_t *all = json_object();
    const json_t *kept = schema_keep(m->s, all);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)x, key, value)
    {
        const json_t *other = json_object_get(y, key);
        if (other == NULL)
            other = said_of_others(m, m->y);
        const json_t *both = schema_all_of(m->s, value, other);
        json_object_set(all, key, (json_t *)(uintptr_t)both);
    }
    json_object_foreach((json_t *)(uintptr_t)y, key, value)
    {
        if (json_object_get(x, key) != NULL)
            continue;
        const json_t *both =
            schema_all_of(m->s, said_of_others(m, m->x), value);
        json_object_set(all, key, (json_t *)(uintptr_t)both);
    }
    if (kept != NULL && json_object_size(all) > 0)
        set(m, "properties", kept);
}

/* Ways of both: each of x with each of y. */
static void merge_ways(struct merging *m, const char *key)
{
    const json_t *x = json_object_get(m->x, key),
                 *y = json_object_get(m->y, key);
    if (json_array_size(x) * json_array_size(y) > SCHEMA_MAX_WAYS) {
        refuse_merge(m, key);
        return;
    }
    json_t *list = json_array();
    const json_t *kept = schema_keep(m->s, list);
    for (size_t i = 0; i < json_array_size(x) && !schema_failed(m->s); i++)
        for (size_t j = 0; j < json_array_size(y); j++) {
            const json_t *both =
                schema_all_of(m->s, json_array_get(x, i), json_array_get(y, j));
            json_array_append(list, (json_t *)(uintptr_t)both);
        }
    set(m, key, kept);
}

static void merge_multiples(struct merging *m)
{
    double x = json_number_value(json_object_get(m->x, "multipleOf"));
    double y = json_number_value(json_object_get(m->y, "multipleOf"));
    if (x < 1 || y < 1 || x > 1e6 || y > 1e6 || x != (double)(long)x ||
        y != (double)(long)y) {
        refuse_merge(m, "multipleOf");
        return;
    }
    long a = (long)x, b = (long)y;
    while (b != 0) {
        long rest = a % b;
        a = b;
        b = rest;
    }
    set(m, "multipleOf",
        schema_keep(m->s, json_integer((long)x / a * (long)y)));
}

/* A keyword that both have. */
static void merge_keyword(struct merging *m, const char *key)
{
    static const char *const lower[] = {"minimum", "exclusiveMinimum",
                                        "minLength", "minItems",
                                        "minProperties"};
    static const char *const upper[] = {"maximum", "exclusiveMaximum",
                                        "maxLength", "maxItems",
                                        "maxProperties"};
    static const char *const schemas[] = {"additionalProperties", "items",
                                          "propertyNames"};
    for (size_t i = 0; i < 5; i++) {
        if (strcmp(key, lower[i]) == 0 || strcmp(key, upper[i]) == 0) {
            merge_bound(m, key, strcmp(key, lower[i]) == 0);
            return;
        }
        if (i < 3 && strcmp(key, schemas[i]) == 0) {
            set(m, key,
                schema_all_of(m->s, json_object_get(m->x, key),
                              json_object_get(m->y, key)));
            return;
        }
    }
    if (strcmp(key, "pattern") == 0 || strcmp(key, "format") == 0)
        merge_list(m, key);
    else if (strcmp(key, "required") == 0)
        merge_required(m);
    else if (strcmp(key, "anyOf") == 0)
        merge_ways(m, key);
    else if (strcmp(key, "multipleOf") == 0)
        merge_multiples(m);
    else if (strcmp(key, "type") != 0 && strcmp(key, "enum") != 0 &&
             strcmp(key, "const") != 0 && strcmp(key, "properties") != 0 &&
             strcmp(key, "nullable") != 0 && strcmp(key, "uniqueItems") != 0 &&
             !json_equal(json_object_get(m->x, key),
                         json_object_get(m->y, key)))
        refuse_merge(m, key);
}

/* In arrays and in objects with patterns a keyword's meaning hangs on its
 * neighbours. */
static void refuse_entangled(struct merging *m)
{
    static const char *const rows[][2] = {
        {"prefixItems", "items"},
        {"prefixItems", "prefixItems"},
        {"patternProperties", "additionalProperties"},
        {"unevaluatedProperties", "properties"},
        {"unevaluatedProperties", "anyOf"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((json_object_get(m->x, rows[i][0]) &&
             json_object_get(m->y, rows[i][1])) ||
            (json_object_get(m->y, rows[i][0]) &&
             json_object_get(m->x, rows[i][1])))
            if (!json_equal(m->x, m->y))
                refuse_merge(m, rows[i][0]);
}

static bool bounds_nothing(const json_t *node)
{
    const char *key;
    json_t *value;
    if (json_is_true(node))
        return true;
    if (!json_is_object(node))
        return false;
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        if (!is_note(key))
            return false;
    }
    return true;
}

const json_t *schema_merge(struct schema *s, const json_t *x, const json_t *y)
{
    if (schema_failed(s) || x == NULL || y == NULL)
        return NULL;
    if (json_is_false(x) || bounds_nothing(y))
        return x;
    if (json_is_false(y) || bounds_nothing(x))
        return y;
    struct merging m = {s, x, y, json_copy((json_t *)(uintptr_t)x)};
    const json_t *out = schema_keep(s, m.out);
    if (out == NULL)
        return NULL;
    refuse_entangled(&m);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)y, key, value)
    {
        if (is_note(key))
            continue;
        if (json_object_get(x, key) != NULL)
            merge_keyword(&m, key);
        else
            set(&m, key, value);
        budget_spend(&s->b->budget, 1);
    }
    merge_types(&m);
    merge_values(&m);
    merge_properties(&m);
    return schema_failed(s) ? NULL : out;
}

const json_t *schema_ways(struct schema *s, const json_t *node)
{
    const json_t *any = json_object_get(node, "anyOf");
    const json_t *one = json_object_get(node, "oneOf");
    if (any == NULL && one == NULL)
        return NULL;
    const char *key = one ? "oneOf" : "anyOf";
    const json_t *ways = one ? one : any;
    json_t *left = json_object_get(node, "unevaluatedProperties");
    const json_t *rest = without(s, node, key, "unevaluatedProperties");
    json_t *list = json_array();
    const json_t *kept = schema_keep(s, list);
    for (size_t i = 0; i < json_array_size(ways) && !schema_failed(s); i++) {
        const json_t *way = json_array_get(ways, i);
        schema_check_keywords(s, way);
        if (left != NULL)
            way = schema_keep(s, json_pack("{s:[O,O],s:O}", "allOf", rest, way,
                                           "unevaluatedProperties", left));
        else if (!bounds_nothing(rest))
            way = schema_keep(s, json_pack("{s:[O,O]}", "allOf", rest, way));
        if (!schema_failed(s))
            json_array_append(list, (json_t *)(uintptr_t)way);
    }
    return kept;
}
