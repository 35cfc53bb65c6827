/* schema.c -- see schema.h: entry, references, types, and what all share. */
#include "model/grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/grammar/expr.h"
#include "model/grammar/schema_private.h"

bool schema_failed(const struct schema *s)
{
    return grammar_failed(s->b);
}

void schema_refuse(struct schema *s, enum err_class class_, const char *keyword,
                   const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    grammar_fail(s->b, class_, "the schema's %s at #%s %s", keyword, s->path,
                 text);
}

size_t schema_enter(struct schema *s, const char *key, long index)
{
    size_t mark = strlen(s->path), left = sizeof s->path - mark;
    if (index >= 0)
        snprintf(s->path + mark, left, "/%s/%ld", key, index);
    else
        snprintf(s->path + mark, left, "/%s", key);
    /* Keys are foreign: what would break a line of text is shown as a dot. */
    for (char *p = s->path + mark; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
            *p = '.';
    return mark;
}

void schema_leave(struct schema *s, size_t mark)
{
    s->path[mark] = '\0';
}

const json_t *schema_keep(struct schema *s, json_t *node)
{
    if (s->kept == NULL)
        json_decref(node);
    if (node == NULL || s->kept == NULL ||
        json_array_append_new(s->kept, node) != 0) {
        grammar_fail(s->b, ERR_NOMEM, "out of memory for a schema");
        return NULL;
    }
    return node;
}

uint32_t schema_count(struct schema *s, const json_t *node, const char *key,
                      uint32_t none)
{
    const json_t *v = json_object_get(node, key);
    if (v == NULL)
        return none;
    double n = json_number_value(v);
    (void)s; /* schema_check_keywords has looked at it */
    return n >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)n;
}

/* --- what all share ----------------------------------------------------------
 */

static gexpr call_or_make(struct schema *s, uint32_t *rule, const char *name,
                          gexpr (*make)(struct schema *s))
{
    if (*rule == GRAMMAR_NO_RULE) {
        *rule = grammar_rule(s->b, name);
        grammar_keep(s->b, *rule);
        gexpr x = make(s);
        grammar_define(s->b, *rule, x);
    }
    return grammar_call(s->b, *rule);
}

static gexpr make_blank(struct schema *s)
{
    struct grammar_builder *b = s->b;
    gexpr newline = grammar_repeat(b, grammar_text(b, "\n"), 1, 2);
    gexpr blanks = grammar_repeat(
        b, grammar_alt2(b, grammar_text(b, " "), grammar_text(b, "\t")), 0, 20);
    return grammar_alt2(b, grammar_text(b, " "),
                        grammar_seq2(b, newline, blanks));
}

gexpr schema_blank(struct schema *s)
{
    if (s->compact)
        return grammar_empty(s->b);
    return grammar_optional(
        s->b, call_or_make(s, &s->blank, "white space", make_blank));
}

gexpr schema_comma(struct schema *s)
{
    return grammar_seq2(s->b, grammar_text(s->b, ","), schema_blank(s));
}

static gexpr hex_digits(struct grammar_builder *b, uint32_t n)
{
    gexpr hex = grammar_alt(b,
                            (gexpr[]){grammar_range(b, '0', '9'),
                                      grammar_range(b, 'a', 'f'),
                                      grammar_range(b, 'A', 'F')},
                            3);
    return grammar_repeat(b, hex, n, n);
}

/* Any character of a string, every escape of JSON that names one. */
static gexpr string_char(struct grammar_builder *b)
{
    struct charset plain = {0};
    charset_add(b, &plain, 0x20, 0x21);
    charset_add(b, &plain, 0x23, 0x5B);
    charset_add(b, &plain, 0x5D, CHAR_MAX_VALUE);
    gexpr raw = charset_expr(b, &plain, CHAR_UTF8);
    charset_deinit(b, &plain);
    uint64_t simple[4] = {0};
    for (const char *c = "\"\\/bfnrt"; *c; c++)
        simple[*c / 64] |= (uint64_t)1 << (*c % 64);
    uint64_t first[4] = {0}, second[4] = {0}, high[4] = {0}, low[4] = {0};
    for (const char *c = "0123456789abcefABCEF"; *c; c++)
        first[*c / 64] |= (uint64_t)1 << (*c % 64);
    for (const char *c = "01234567"; *c; c++)
        second[*c / 64] |= (uint64_t)1 << (*c % 64);
    for (const char *c = "89abAB"; *c; c++)
        high[*c / 64] |= (uint64_t)1 << (*c % 64);
    for (const char *c = "cdefCDEF"; *c; c++)
        low[*c / 64] |= (uint64_t)1 << (*c % 64);
    gexpr d = grammar_alt2(b, grammar_text(b, "d"), grammar_text(b, "D"));
    gexpr pair[] = {
        d, grammar_set(b, high), hex_digits(b, 2), grammar_text(b, "\\u"),
        d, grammar_set(b, low),  hex_digits(b, 2)};
    gexpr unicode[] = {
        grammar_seq2(b, grammar_set(b, first), hex_digits(b, 3)),
        grammar_seq3(b, d, grammar_set(b, second), hex_digits(b, 2)),
        grammar_seq(b, pair, 7)};
    gexpr escape = grammar_alt2(
        b, grammar_set(b, simple),
        grammar_seq2(b, grammar_text(b, "u"), grammar_alt(b, unicode, 3)));
    return grammar_alt2(b, raw, grammar_seq2(b, grammar_text(b, "\\"), escape));
}

static gexpr make_string_tail(struct schema *s)
{
    gexpr inside = grammar_repeat(s->b, string_char(s->b), 0, GRAMMAR_NO_MAX);
    return grammar_seq2(s->b, inside, grammar_text(s->b, "\""));
}

gexpr schema_string_tail(struct schema *s)
{
    return call_or_make(s, &s->string, "string", make_string_tail);
}

static gexpr make_value(struct schema *s)
{
    struct grammar_builder *b = s->b;
    static const json_t *const nothing = NULL;
    struct grammar_item item = {schema_any_value(s), true, true};
    gexpr list = grammar_list(b, &item, 1, schema_comma(s));
    gexpr array[] = {grammar_text(b, "["), schema_blank(s), list,
                     schema_blank(s), grammar_text(b, "]")};
    gexpr ways[] = {
        grammar_seq2(b, grammar_text(b, "\""), schema_string_tail(s)),
        schema_number(s, nothing, false),
        grammar_text(b, "true"),
        grammar_text(b, "false"),
        grammar_text(b, "null"),
        grammar_seq(b, array, 5),
        schema_any_object(s)};
    return grammar_alt(b, ways, 7);
}

gexpr schema_any_value(struct schema *s)
{
    return call_or_make(s, &s->value, "value", make_value);
}

gexpr schema_any_object(struct schema *s)
{
    struct grammar_builder *b = s->b;
    gexpr member[] = {grammar_text(b, "\""), schema_string_tail(s),
                      grammar_text(b, ":"), schema_blank(s),
                      schema_any_value(s)};
    struct grammar_item item = {grammar_seq(b, member, 5), true, true};
    gexpr object[] = {grammar_text(b, "{"), schema_blank(s),
                      grammar_list(b, &item, 1, schema_comma(s)),
                      schema_blank(s), grammar_text(b, "}")};
    return grammar_seq(b, object, 5);
}

gexpr schema_share(struct schema *s, gexpr x, const char *name)
{
    uint32_t rule = grammar_rule(s->b, name);
    grammar_keep(s->b, rule);
    grammar_define(s->b, rule, x);
    return grammar_call(s->b, rule);
}

/* --- types
 * --------------------------------------------------------------------- */

static unsigned type_of_name(const char *name)
{
    static const char *const names[] = {
        "null", "boolean", "integer", "number", "string", "array", "object"};
    for (unsigned i = 0; i < 7; i++)
        if (strcmp(name, names[i]) == 0)
            return i == 3 ? TYPE_NUMBER | TYPE_INTEGER : 1u << i;
    return 0;
}

static unsigned types_spoken_of(const json_t *node)
{
    static const struct {
        const char *key;
        unsigned types;
    } rows[] = {
        {"properties", TYPE_OBJECT},
        {"required", TYPE_OBJECT},
        {"additionalProperties", TYPE_OBJECT},
        {"patternProperties", TYPE_OBJECT},
        {"propertyNames", TYPE_OBJECT},
        {"minProperties", TYPE_OBJECT},
        {"maxProperties", TYPE_OBJECT},
        {"unevaluatedProperties", TYPE_OBJECT},
        {"items", TYPE_ARRAY},
        {"prefixItems", TYPE_ARRAY},
        {"minItems", TYPE_ARRAY},
        {"maxItems", TYPE_ARRAY},
        {"minLength", TYPE_STRING},
        {"maxLength", TYPE_STRING},
        {"pattern", TYPE_STRING},
        {"format", TYPE_STRING},
        {"minimum", TYPE_NUMBER | TYPE_INTEGER},
        {"maximum", TYPE_NUMBER | TYPE_INTEGER},
        {"exclusiveMinimum", TYPE_NUMBER | TYPE_INTEGER},
        {"exclusiveMaximum", TYPE_NUMBER | TYPE_INTEGER},
        {"multipleOf", TYPE_NUMBER | TYPE_INTEGER},
    };
    unsigned types = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (json_object_get(node, rows[i].key) != NULL)
            types |= rows[i].types;
    return types ? types : TYPE_ALL;
}

unsigned schema_types(struct schema *s, const json_t *node)
{
    const json_t *type = json_object_get(node, "type");
    unsigned types = 0;
    (void)s; /* schema_check_keywords has looked at the names */
    if (type == NULL)
        types = types_spoken_of(node);
    else if (json_is_string(type))
        types = type_of_name(json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        types |= type_of_name(json_string_value(json_array_get(type, i)));
    if (json_is_true(json_object_get(node, "nullable")))
        types |= TYPE_NULL;
    return types;
}

static gexpr compile_types(struct schema *s, const json_t *node)
{
    struct grammar_builder *b = s->b;
    unsigned types = schema_types(s, node);
    gexpr ways[8];
    size_t n = 0;
    if (types & TYPE_OBJECT)
        ways[n++] = schema_object(s, node);
    if (types & TYPE_ARRAY)
        ways[n++] = schema_array(s, node);
    if (types & TYPE_STRING)
        ways[n++] = schema_string(s, node);
    if (types & (TYPE_NUMBER | TYPE_INTEGER))
        ways[n++] = schema_number(s, node, !(types & TYPE_NUMBER));
    if (types & TYPE_BOOLEAN) {
        ways[n++] = grammar_text(b, "true");
        ways[n++] = grammar_text(b, "false");
    }
    if (types & TYPE_NULL)
        ways[n++] = grammar_text(b, "null");
    return grammar_alt(b, ways, n);
}

static gexpr compile_values(struct schema *s, const json_t *values)
{
    gexpr *ways = mem_alloc(json_array_size(values) * sizeof *ways);
    size_t n = 0;
    if (ways == NULL)
        grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
    for (; n < json_array_size(values) && !schema_failed(s); n++) {
        struct buf text = {0};
        json_write(&text, json_array_get(values, n), !s->compact);
        if (!buf_ok(&text))
            grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
        ways[n] = grammar_bytes_of(s->b, buf_str(&text), text.len);
        buf_deinit(&text);
    }
    gexpr x = schema_failed(s) ? GEXPR_NONE : grammar_alt(s->b, ways, n);
    mem_free(ways);
    return x;
}

/* --- references, ways
 * ------------------------------------------------------------ */

static void refuse_overlap(struct schema *s, const json_t *ways)
{
    for (size_t i = 0; i < json_array_size(ways) && !schema_failed(s); i++)
        for (size_t j = 0; j < i && !schema_failed(s); j++)
            if (!schema_disjoint(s, json_array_get(ways, i),
                                 json_array_get(ways, j), 0))
                schema_refuse(s, ERR_UNSUPPORTED, "oneOf",
                              "has ways %zu and %zu that a value may both "
                              "satisfy: use anyOf, or a required property "
                              "with a const in each",
                              j, i);
}

static gexpr compile_ways(struct schema *s, const json_t *node,
                          const json_t *ways)
{
    size_t n = json_array_size(ways);
    const char *key = json_object_get(node, "oneOf") ? "oneOf" : "anyOf";
    if (json_object_get(node, "oneOf"))
        refuse_overlap(s, ways);
    gexpr *list = mem_alloc((n + 1) * sizeof *list);
    if (list == NULL)
        grammar_fail(s->b, ERR_NOMEM, "out of memory for %s", key);
    for (size_t i = 0; i < n && !schema_failed(s); i++)
        list[i] = schema_at(s, json_array_get(ways, i), key, (long)i);
    gexpr x = schema_failed(s) ? GEXPR_NONE : grammar_alt(s->b, list, n);
    mem_free(list);
    return x;
}

/* A node without $ref and allOf. */
static gexpr compile_resolved(struct schema *s, const json_t *node)
{
    if (node == NULL || schema_failed(s))
        return GEXPR_NONE;
    if (json_is_false(node))
        return grammar_never(s->b);
    if (json_is_true(node))
        return schema_any_value(s);
    const json_t *ways = schema_ways(s, node);
    if (ways != NULL)
        return compile_ways(s, node, ways);
    const json_t *values = schema_values(s, node);
    if (values != NULL)
        return compile_values(s, values);
    if (schema_failed(s))
        return GEXPR_NONE;
    if (json_object_get(node, "type") == NULL &&
        types_spoken_of(node) == TYPE_ALL)
        return schema_any_value(s);
    return compile_types(s, node);
}

/* References and merges may come back to themselves: what has the same text is
 * the same rule. */
static gexpr compile_shared(struct schema *s, const json_t *node)
{
    struct buf text = {0};
    size_t length;
    node = schema_bare(s, node);
    if (node == NULL)
        return GEXPR_NONE;
    json_write(&text, node, false);
    char *key = buf_take(&text, &length);
    if (key == NULL) {
        grammar_fail(s->b, ERR_NOMEM, "out of memory for a schema");
        return GEXPR_NONE;
    }
    for (uint32_t i = 0; i < s->n_rules; i++)
        if (strcmp(s->rules[i].text, key) == 0) {
            mem_free(key);
            return grammar_call(s->b, s->rules[i].rule);
        }
    s->rules = budget_grow(&s->b->budget, s->rules, &s->cap_rules,
                           s->n_rules + 1ull, sizeof *s->rules);
    budget_spend(&s->b->budget, length + s->n_rules);
    uint32_t rule = grammar_rule(s->b, s->path[0] ? s->path : "#");
    if (schema_failed(s)) {
        mem_free(key);
        return GEXPR_NONE;
    }
    s->rules[s->n_rules++] = (struct schema_rule){key, rule};
    gexpr x = compile_resolved(s, schema_resolve(s, node));
    grammar_define(s->b, rule, x);
    return grammar_call(s->b, rule);
}

gexpr schema_at(struct schema *s, const json_t *node, const char *key,
                long index)
{
    if (schema_failed(s))
        return GEXPR_NONE;
    size_t mark = schema_enter(s, key, index);
    gexpr x = GEXPR_NONE;
    if (++s->level > SCHEMA_MAX_LEVELS)
        schema_refuse(s, ERR_LIMIT, "nesting", "is deeper than %u schemas",
                      SCHEMA_MAX_LEVELS);
    schema_check_keywords(s, node);
    if (!schema_failed(s)) {
        if (json_object_get(node, "$ref") || json_object_get(node, "allOf"))
            x = compile_shared(s, node);
        else
            x = compile_resolved(s, node);
    }
    s->level--;
    schema_leave(s, mark);
    return x;
}

/* --- entry
 * ------------------------------------------------------------------------ */

/* Bytes of all texts and a few for each value: what the text had at least. */
static size_t weight(const json_t *v)
{
    size_t sum = 2 + json_string_length(v);
    const char *key;
    json_t *item;
    for (size_t i = 0; i < json_array_size(v); i++)
        sum += weight(json_array_get(v, i));
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        sum += strlen(key) + 3 + weight(item);
    }
    return sum;
}

gexpr schema_expr(struct grammar_builder *b, const json_t *schema,
                  const struct schema_options *options)
{
    struct schema s = {.b = b,
                       .root = schema,
                       .compact = options != NULL && options->compact,
                       .blank = GRAMMAR_NO_RULE,
                       .string = GRAMMAR_NO_RULE,
                       .value = GRAMMAR_NO_RULE,
                       .number = GRAMMAR_NO_RULE,
                       .integer = GRAMMAR_NO_RULE,
                       .kept = json_array()};
    gexpr x = GEXPR_NONE;
    if (schema == NULL)
        x = schema_any_value(&s);
    else if (weight(schema) > GRAMMAR_MAX_TEXT_BYTES)
        grammar_fail(b, ERR_LIMIT,
                     "the schema has more than the %u bytes "
                     "allowed",
                     GRAMMAR_MAX_TEXT_BYTES);
    else if (!schema_failed(&s)) {
        schema_check_keywords(&s, schema);
        if (json_object_get(schema, "$ref") || json_object_get(schema, "allOf"))
            x = compile_shared(&s, schema);
        else
            x = compile_resolved(&s, schema);
    }
    for (uint32_t i = 0; i < s.n_rules; i++)
        mem_free(s.rules[i].text);
    budget_drop(&b->budget, s.rules, s.cap_rules, sizeof *s.rules);
    json_decref(s.kept);
    return schema_failed(&s) ? GEXPR_NONE : x;
}

/* NULL stands for any object. */
static int finish(struct grammar **out, const json_t *schema,
                  const struct schema_options *options, struct err *err)
{
    struct grammar_builder *b;
    *out = NULL;
    int rc = grammar_builder_new(&b, err);
    if (rc != 0)
        return rc;
    uint32_t root = grammar_rule(b, "#");
    grammar_define(b, root, schema_expr(b, schema, options));
    rc = grammar_finish(b, root, out, err);
    grammar_builder_free(b);
    return rc;
}

int grammar_from_schema(struct grammar **out, const json_t *schema,
                        const struct schema_options *options, struct err *err)
{
    *out = NULL;
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return err_set(err, ERR_INVALID,
                       "a schema must be an object, true or false");
    return finish(out, schema, options, err);
}

int grammar_from_json_object(struct grammar **out,
                             const struct schema_options *options,
                             struct err *err)
{
    json_t *schema = json_pack("{s:s}", "type", "object");
    *out = NULL;
    if (schema == NULL)
        return err_nomem(err, "a schema");
    int rc = finish(out, schema, options, err);
    json_decref(schema);
    return rc;
}
