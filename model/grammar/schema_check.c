/* schema_check.c -- whether a schema is well formed, and what can be known of
 * values without compiling: which constants it admits, which schemas exclude
 * each other. */
#include <math.h>
#include <string.h>

#include "model/base/buf.h"
#include "model/base/utf8.h"
#include "model/grammar/expr.h"
#include "model/grammar/schema_private.h"

enum shape {
    SHAPE_SCHEMA,
    SHAPE_SCHEMAS, /* a list of them, not empty */
    SHAPE_MEMBERS, /* an object of them */
    SHAPE_ITEMS,   /* a schema or a list */
    SHAPE_COUNT,
    SHAPE_NUMBER,
    SHAPE_STRING,
    SHAPE_TEXT, /* a string, or a list of them after merging */
    SHAPE_STRINGS,
    SHAPE_LIST,
    SHAPE_BOOL,
    SHAPE_TYPE,
    SHAPE_ANY,
    SHAPE_NEVER /* refused, unless it says nothing */
};

static const struct {
    const char *key;
    enum shape shape;
} keywords[] = {
    {"type", SHAPE_TYPE},
    {"properties", SHAPE_MEMBERS},
    {"required", SHAPE_STRINGS},
    {"additionalProperties", SHAPE_SCHEMA},
    {"unevaluatedProperties", SHAPE_SCHEMA},
    {"patternProperties", SHAPE_MEMBERS},
    {"propertyNames", SHAPE_SCHEMA},
    {"minProperties", SHAPE_COUNT},
    {"maxProperties", SHAPE_COUNT},
    {"items", SHAPE_ITEMS},
    {"prefixItems", SHAPE_SCHEMAS},
    {"additionalItems", SHAPE_SCHEMA},
    {"unevaluatedItems", SHAPE_SCHEMA},
    {"minItems", SHAPE_COUNT},
    {"maxItems", SHAPE_COUNT},
    {"uniqueItems", SHAPE_BOOL},
    {"minLength", SHAPE_COUNT},
    {"maxLength", SHAPE_COUNT},
    {"pattern", SHAPE_TEXT},
    {"format", SHAPE_TEXT},
    {"minimum", SHAPE_NUMBER},
    {"maximum", SHAPE_NUMBER},
    {"exclusiveMinimum", SHAPE_NUMBER},
    {"exclusiveMaximum", SHAPE_NUMBER},
    {"multipleOf", SHAPE_NUMBER},
    {"enum", SHAPE_LIST},
    {"const", SHAPE_ANY},
    {"anyOf", SHAPE_SCHEMAS},
    {"oneOf", SHAPE_SCHEMAS},
    {"allOf", SHAPE_SCHEMAS},
    {"$ref", SHAPE_STRING},
    {"nullable", SHAPE_BOOL},
    {"not", SHAPE_NEVER},
    {"if", SHAPE_NEVER},
    {"then", SHAPE_NEVER},
    {"else", SHAPE_NEVER},
    {"dependentRequired", SHAPE_NEVER},
    {"dependentSchemas", SHAPE_NEVER},
    {"dependencies", SHAPE_NEVER},
    {"contains", SHAPE_NEVER},
    {"minContains", SHAPE_NEVER},
    {"maxContains", SHAPE_NEVER},
    {"contentEncoding", SHAPE_ANY},
    {"contentMediaType", SHAPE_ANY},
    {"$dynamicRef", SHAPE_NEVER},
    {"$recursiveRef", SHAPE_NEVER},
};

static bool is_schema(const json_t *v)
{
    return json_is_object(v) || json_is_boolean(v);
}

static bool all_schemas(const json_t *v, bool list)
{
    const char *key;
    json_t *item;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!is_schema(json_array_get(v, i)))
            return false;
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        if (!is_schema(item))
            return false;
    }
    return list ? json_array_size(v) > 0 : json_is_object(v);
}

static bool all_strings(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return false;
    return json_is_array(v);
}

static bool is_type(const json_t *v)
{
    static const char names[] =
        " null boolean integer number string array object ";
    const char *name = json_string_value(v);
    char padded[12];
    size_t n = json_string_length(v);
    if (name == NULL || n == 0 || n > 7 || strchr(name, ' ') != NULL)
        return false;
    padded[0] = ' ';
    memcpy(padded + 1, name, n);
    memcpy(padded + 1 + n, " ", 2);
    return strstr(names, padded) != NULL;
}

static bool is_type_or_list(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!is_type(json_array_get(v, i)))
            return false;
    return json_array_size(v) > 0 || is_type(v);
}

static bool is_count(const json_t *v)
{
    double n = json_number_value(v);
    return json_is_number(v) && n >= 0 && n == floor(n);
}

static const char *shape_lacks(const json_t *v, enum shape shape)
{
    switch (shape) {
    case SHAPE_SCHEMA:
        return is_schema(v) ? NULL : "must be a schema";
    case SHAPE_SCHEMAS:
        return json_is_array(v) && all_schemas(v, true)
                   ? NULL
                   : "must be a list of schemas, not empty";
    case SHAPE_MEMBERS:
        return all_schemas(v, false) ? NULL : "must be an object of schemas";
    case SHAPE_ITEMS:
        return is_schema(v) || (json_is_array(v) && all_schemas(v, true))
                   ? NULL
                   : "must be a schema or a list of schemas";
    case SHAPE_COUNT:
        return is_count(v) ? NULL : "must be a non-negative integer";
    case SHAPE_NUMBER:
        return json_is_number(v) ? NULL : "must be a number";
    case SHAPE_STRING:
        return json_is_string(v) ? NULL : "must be a string";
    case SHAPE_TEXT:
        return json_is_string(v) || all_strings(v) ? NULL : "must be a string";
    case SHAPE_STRINGS:
        return all_strings(v) ? NULL : "must be a list of strings";
    case SHAPE_LIST:
        return json_is_array(v) ? NULL : "must be a list";
    case SHAPE_BOOL:
        return json_is_boolean(v) ? NULL : "must be true or false";
    case SHAPE_TYPE:
        return is_type_or_list(v)
                   ? NULL
                   : "must be null, boolean, integer, number, string, array "
                     "or object, or a list of these";
    case SHAPE_ANY:
    case SHAPE_NEVER:
        break;
    }
    return NULL;
}

void schema_check_keywords(struct schema *s, const json_t *node)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        const json_t *v = json_object_get(node, keywords[i].key);
        if (v == NULL || schema_failed(s))
            continue;
        const char *lack = shape_lacks(v, keywords[i].shape);
        if (lack != NULL)
            schema_refuse(s, ERR_INVALID, keywords[i].key, "%s", lack);
        else if (keywords[i].shape == SHAPE_NEVER)
            schema_refuse(s, ERR_UNSUPPORTED, keywords[i].key,
                          "is not supported");
    }
    if (json_is_false(json_object_get(node, "unevaluatedItems")) &&
        json_object_get(node, "items") == NULL)
        schema_refuse(s, ERR_UNSUPPORTED, "unevaluatedItems",
                      "is not supported");
    budget_spend(&s->b->budget, 8);
}

/* --- constants
 * ---------------------------------------------------------------------- */

static unsigned type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_INTEGER:
        return TYPE_INTEGER;
    case JSON_REAL:
        return json_real_value(v) == floor(json_real_value(v)) ? TYPE_INTEGER
                                                               : TYPE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return TYPE_NULL;
}

struct schema_range schema_range_of(const json_t *node)
{
    struct schema_range r = {.lo = -HUGE_VAL, .hi = HUGE_VAL};
    const json_t *v = json_object_get(node, "minimum");
    if (v != NULL)
        r.lo = json_number_value(v);
    v = json_object_get(node, "exclusiveMinimum");
    if (v != NULL && json_number_value(v) >= r.lo) {
        r.lo = json_number_value(v);
        r.above_lo = true;
    }
    v = json_object_get(node, "maximum");
    if (v != NULL)
        r.hi = json_number_value(v);
    v = json_object_get(node, "exclusiveMaximum");
    if (v != NULL && json_number_value(v) <= r.hi) {
        r.hi = json_number_value(v);
        r.below_hi = true;
    }
    return r;
}

static bool number_admitted(const json_t *value, const json_t *node)
{
    struct schema_range r = schema_range_of(node);
    double x = json_number_value(value);
    if (x < r.lo || x > r.hi || (x == r.lo && r.above_lo) ||
        (x == r.hi && r.below_hi))
        return false;
    const json_t *multiple = json_object_get(node, "multipleOf");
    return multiple == NULL || fmod(x, json_number_value(multiple)) == 0;
}

static bool string_admitted(struct schema *s, const json_t *value,
                            const json_t *node)
{
    uint32_t length = 0;
    for (const char *p = json_string_value(value); *p; p++)
        length += ((uint8_t)*p & 0xC0) != 0x80;
    if (length < schema_count(s, node, "minLength", 0) ||
        length > schema_count(s, node, "maxLength", GRAMMAR_NO_MAX))
        return false;
    gexpr inside = schema_string_inside(s, node, false);
    if (inside == GEXPR_NONE)
        return !schema_failed(s);
    struct buf text = {0};
    json_quote(&text, json_string_value(value), json_string_length(value));
    /* json_quote escapes DEL, which spellings here leave as it is. */
    char *del = buf_ok(&text) ? strstr(buf_str(&text), "\\u007f") : NULL;
    if (!buf_ok(&text))
        grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
    bool yes = !schema_failed(s) && del == NULL &&
               grammar_matches(s->b, grammar_whole(s->b, inside), text.data + 1,
                               text.len - 2);
    buf_deinit(&text);
    return yes;
}

bool schema_admits(struct schema *s, const json_t *value, const json_t *node)
{
    unsigned type = type_of(value), types = schema_types(s, node);
    if (json_object_get(node, "type") == NULL)
        types = TYPE_ALL; /* here the letter counts: nothing is left out */
    if (types & TYPE_NUMBER)
        types |= TYPE_INTEGER;
    if (!(types & type))
        return false;
    if (type & (TYPE_INTEGER | TYPE_NUMBER))
        return number_admitted(value, node);
    return type != TYPE_STRING || string_admitted(s, value, node);
}

const json_t *schema_values(struct schema *s, const json_t *node)
{
    static const char *const about_containers[] = {
        "properties",           "required",          "items",
        "prefixItems",          "minItems",          "maxItems",
        "additionalProperties", "patternProperties", "propertyNames",
        "minProperties",        "maxProperties"};
    json_t *one = json_object_get(node, "const");
    const json_t *many = json_object_get(node, "enum");
    if (one == NULL && many == NULL)
        return NULL;
    json_t *list = json_array();
    const json_t *kept = schema_keep(s, list);
    size_t n = one ? 1 : json_array_size(many);
    for (size_t i = 0; i < n && !schema_failed(s); i++) {
        json_t *value = one ? one : json_array_get(many, i);
        bool in_many = many == NULL || one == NULL;
        for (size_t j = 0; j < json_array_size(many) && !in_many; j++)
            in_many = json_equal(one, json_array_get(many, j));
        if (!in_many || !schema_admits(s, value, node))
            continue;
        for (size_t j = 0; j < sizeof about_containers / sizeof(char *) &&
                           (json_is_object(value) || json_is_array(value));
             j++)
            if (json_object_get(node, about_containers[j]) != NULL)
                schema_refuse(s, ERR_UNSUPPORTED, about_containers[j],
                              "stands beside an enum or const of objects or "
                              "lists");
        if (json_array_append(list, value) != 0)
            grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
    }
    return schema_failed(s) ? NULL : kept;
}

/* --- schemas that exclude each other
 * -------------------------------------------------- */

static bool ranges_apart(const json_t *x, const json_t *y)
{
    struct schema_range a = schema_range_of(x), b = schema_range_of(y);
    return a.hi < b.lo || b.hi < a.lo ||
           (a.hi == b.lo && (a.below_hi || b.above_lo)) ||
           (b.hi == a.lo && (b.below_hi || a.above_lo));
}

static bool strings_apart(struct schema *s, const json_t *x, const json_t *y)
{
    gexpr a = schema_string_inside(s, x, true);
    gexpr b = schema_string_inside(s, y, true);
    return a != GEXPR_NONE && b != GEXPR_NONE &&
           grammar_is_never(s->b, grammar_both(s->b, a, b));
}

/* x demands a member that y, by its value or altogether, does not have. */
static bool members_apart(struct schema *s, const json_t *x, const json_t *y,
                          unsigned level)
{
    const json_t *mine = json_object_get(x, "properties");
    const json_t *others = json_object_get(y, "properties");
    const json_t *list = json_object_get(x, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *key = json_string_value(json_array_get(list, i));
        const json_t *a = json_object_get(mine, key);
        const json_t *b = json_object_get(others, key);
        if (b == NULL && !json_object_get(y, "patternProperties"))
            b = json_object_get(y, "additionalProperties");
        if (b != NULL && json_is_false(b))
            return true;
        if (a != NULL && b != NULL && schema_disjoint(s, a, b, level + 1))
            return true;
    }
    return false;
}

static bool values_apart(struct schema *s, const json_t *values,
                         const json_t *node)
{
    const json_t *others = schema_values(s, node);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        bool met = others == NULL && schema_admits(s, v, node);
        for (size_t j = 0; j < json_array_size(others) && !met; j++) {
            const json_t *w = json_array_get(others, j);
            met = json_equal(v, w) ||
                  (json_is_number(v) && json_is_number(w) &&
                   json_number_value(v) == json_number_value(w));
        }
        if (met || !budget_spend(&s->b->budget, json_array_size(others) + 1))
            return false;
    }
    return true;
}

static bool types_apart(struct schema *s, const json_t *x, const json_t *y,
                        unsigned level)
{
    /* What is written for one must not be valid for the other, which without
     * a `type` takes all types, though less is written. */
    unsigned a = schema_types(s, x), b = schema_types(s, y);
    unsigned common = (json_object_get(x, "type") ? a : TYPE_ALL) & b;
    common |= (json_object_get(y, "type") ? b : TYPE_ALL) & a;
    if (common & (TYPE_NULL | TYPE_BOOLEAN))
        return false;
    if ((common & TYPE_ARRAY) &&
        schema_count(s, x, "maxItems", UINT32_MAX) >=
            schema_count(s, y, "minItems", 0) &&
        schema_count(s, y, "maxItems", UINT32_MAX) >=
            schema_count(s, x, "minItems", 0))
        return false;
    if ((common & (TYPE_INTEGER | TYPE_NUMBER)) && !ranges_apart(x, y))
        return false;
    if ((common & TYPE_STRING) && !strings_apart(s, x, y))
        return false;
    return !(common & TYPE_OBJECT) || members_apart(s, x, y, level) ||
           members_apart(s, y, x, level);
}

bool schema_disjoint(struct schema *s, const json_t *x, const json_t *y,
                     unsigned level)
{
    if (level > 8 || !budget_spend(&s->b->budget, 16))
        return false;
    x = schema_resolve(s, x);
    y = schema_resolve(s, y);
    if (json_is_false(x) || json_is_false(y))
        return true;
    if (!json_is_object(x) || !json_is_object(y))
        return false;
    for (unsigned side = 0; side < 2; side++) {
        const json_t *ways = schema_ways(s, side ? y : x);
        if (ways == NULL)
            continue;
        for (size_t i = 0; i < json_array_size(ways); i++)
            if (!schema_disjoint(s, json_array_get(ways, i), side ? x : y,
                                 level + 1))
                return false;
        return true;
    }
    const json_t *values = schema_values(s, x);
    if (values != NULL)
        return values_apart(s, values, y);
    values = schema_values(s, y);
    if (values != NULL)
        return values_apart(s, values, x);
    return types_apart(s, x, y, level);
}
