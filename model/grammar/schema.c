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

gexpr schema_once(struct schema *s, uint32_t *rule, const char *name,
                  gexpr (*make)(struct schema *s))
{
    if (*rule == GRAMMAR_NO_RULE) {
        *rule = grammar_rule(s->b, name);
        grammar_keep(s->b, *rule);
        /* A value holds values: without a rule there would be no end. */
        gexpr x = schema_failed(s) ? GEXPR_NONE : make(s);
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
    if (s->form != CHAR_JSON) /* calls are written in one line */
        return grammar_optional(s->b, grammar_text(s->b, " "));
    return grammar_optional(
        s->b, schema_once(s, &s->blank, "white space", make_blank));
}

gexpr schema_comma(struct schema *s)
{
    return grammar_seq2(s->b, grammar_text(s->b, ","), schema_blank(s));
}

static gexpr make_value(struct schema *s)
{
    struct grammar_builder *b = s->b;
    static const json_t *const nothing = NULL;
    struct grammar_item item = {schema_any_value(s), true, true};
    gexpr list = grammar_list(b, &item, 1, schema_comma(s));
    gexpr array[] = {grammar_text(b, "["), schema_blank(s), list,
                     schema_blank(s), grammar_text(b, "]")};
    gexpr ways[] = {schema_string(s, nothing), schema_number(s, nothing, false),
                    schema_constants(s, TYPE_BOOLEAN | TYPE_NULL),
                    grammar_seq(b, array, 5), schema_any_object(s)};
    return grammar_alt(b, ways, 5);
}

gexpr schema_any_value(struct schema *s)
{
    return schema_once(s, &s->value, "value", make_value);
}

gexpr schema_any_object(struct schema *s)
{
    struct grammar_builder *b = s->b;
    gexpr member[] = {schema_string(s, NULL), grammar_text(b, ":"),
                      schema_blank(s), schema_any_value(s)};
    struct grammar_item item = {grammar_seq(b, member, 4), true, true};
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

gexpr schema_container(struct schema *s, gexpr x)
{
    return s->form == CHAR_JSON ? x : schema_share(s, x, "container");
}

struct schema_mark schema_mark(const struct schema *s)
{
    return (struct schema_mark){s->n_rules, s->level};
}

static bool is_defined(const struct schema *s, uint32_t rule)
{
    return rule != GRAMMAR_NO_RULE && s->b->rules[rule].expr != GEXPR_NONE;
}

bool schema_forgive(struct schema *s, struct schema_mark mark)
{
    uint32_t *const shared[] = {&s->blank, &s->string, &s->single,
                                &s->value, &s->number, &s->integer};
    uint32_t n = 0;
    if (!grammar_forgive(s->b))
        return false;
    while (s->n_rules > mark.n_rules)
        mem_free(s->rules[--s->n_rules].text);
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
        if (!is_defined(s, *shared[i]))
            *shared[i] = GRAMMAR_NO_RULE;
    for (uint32_t i = 0; i < s->n_lengths; i++)
        if (is_defined(s, s->lengths[i].rule))
            s->lengths[n++] = s->lengths[i];
    s->n_lengths = n;
    s->level = mark.level;
    if (s->python)
        s->form = CHAR_DOUBLE;
    return true;
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
    if (s->place != PLACE_VALUE)
        types &= TYPE_OBJECT;
    if (types & TYPE_OBJECT)
        ways[n++] = schema_object(s, node);
    if (types & TYPE_ARRAY)
        ways[n++] = schema_array(s, node);
    if (types & TYPE_STRING)
        ways[n++] = schema_string(s, node);
    if (types & (TYPE_NUMBER | TYPE_INTEGER))
        ways[n++] = schema_number(s, node, !(types & TYPE_NUMBER));
    if (types & (TYPE_BOOLEAN | TYPE_NULL))
        ways[n++] = schema_constants(s, types);
    return grammar_alt(b, ways, n);
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

/* All arguments together as one of these: of what is no object, none. */
static gexpr compile_objects(struct schema *s, const json_t *node,
                             const json_t *values)
{
    for (size_t i = 0; i < json_array_size(values); i++)
        if (json_is_object(json_array_get(values, i)))
            schema_refuse(s, ERR_UNSUPPORTED,
                          json_object_get(node, "const") ? "const" : "enum",
                          "is not supported for all arguments together");
    return schema_failed(s) ? GEXPR_NONE : grammar_never(s->b);
}

/* A node without $ref and allOf. */
static gexpr compile_resolved(struct schema *s, const json_t *node)
{
    if (node == NULL || schema_failed(s))
        return GEXPR_NONE;
    if (json_is_false(node))
        return grammar_never(s->b);
    if (json_is_true(node) && s->place == PLACE_VALUE)
        return schema_any_value(s);
    const json_t *ways = schema_ways(s, node);
    if (ways != NULL)
        return compile_ways(s, node, ways);
    const json_t *values = schema_values(s, node);
    if (schema_failed(s))
        return GEXPR_NONE;
    if (values != NULL)
        return s->place == PLACE_VALUE ? schema_spell_values(s, values)
                                       : compile_objects(s, node, values);
    if (json_object_get(node, "type") == NULL &&
        types_spoken_of(node) == TYPE_ALL && s->place == PLACE_VALUE)
        return schema_any_value(s);
    return compile_types(s, node);
}

/* References and merges may come back to themselves: what has the same text is
 * the same rule. */
static gexpr compile_shared(struct schema *s, const json_t *node)
{
    static const char *const place[] = {[PLACE_VALUE] = "",
                                        [PLACE_OBJECT] = "object ",
                                        [PLACE_KEYWORDS] = "keywords "};
    struct buf text = {0};
    size_t length;
    node = schema_bare(s, node);
    if (node == NULL)
        return GEXPR_NONE;
    buf_puts(&text, place[s->place]);
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

static void init(struct schema *s, struct grammar_builder *b)
{
    *s = (struct schema){.b = b,
                         .blank = GRAMMAR_NO_RULE,
                         .string = GRAMMAR_NO_RULE,
                         .single = GRAMMAR_NO_RULE,
                         .value = GRAMMAR_NO_RULE,
                         .number = GRAMMAR_NO_RULE,
                         .integer = GRAMMAR_NO_RULE,
                         .form = CHAR_JSON,
                         .kept = json_array()};
}

/* References lead into another document from now on. */
static void forget_rules(struct schema *s)
{
    for (uint32_t i = 0; i < s->n_rules; i++)
        mem_free(s->rules[i].text);
    s->n_rules = 0;
}

static void deinit(struct schema *s)
{
    forget_rules(s);
    budget_drop(&s->b->budget, s->rules, s->cap_rules, sizeof *s->rules);
    json_decref(s->kept);
}

/* NULL stands for any value. */
static gexpr compile_root(struct schema *s, const json_t *schema)
{
    s->root = schema;
    if (weight(schema) > GRAMMAR_MAX_TEXT_BYTES)
        grammar_fail(s->b, ERR_LIMIT,
                     "the schema has more than the %u bytes "
                     "allowed",
                     GRAMMAR_MAX_TEXT_BYTES);
    if (schema_failed(s))
        return GEXPR_NONE;
    schema_check_keywords(s, schema);
    gexpr x =
        json_object_get(schema, "$ref") || json_object_get(schema, "allOf")
            ? compile_shared(s, schema)
            : compile_resolved(s, schema);
    return schema_failed(s) ? GEXPR_NONE : x;
}

gexpr schema_expr(struct grammar_builder *b, const json_t *schema,
                  const struct schema_options *options)
{
    struct schema s;
    init(&s, b);
    s.compact = options != NULL && options->compact;
    gexpr x = schema == NULL ? schema_any_value(&s) : compile_root(&s, schema);
    deinit(&s);
    return x;
}

struct schema *schema_call_new(struct grammar_builder *b,
                               enum schema_call_form form)
{
    struct schema *s = mem_alloc(sizeof *s);
    if (s == NULL) {
        grammar_fail(b, ERR_NOMEM, "out of memory for a schema");
        return NULL;
    }
    init(s, b);
    s->form = CHAR_DOUBLE;
    s->python = form == SCHEMA_KEYWORDS;
    return s;
}

void schema_call_free(struct schema *s)
{
    if (s == NULL)
        return;
    deinit(s);
    mem_free(s);
}

int schema_call_arguments(gexpr *out, struct schema *s, const json_t *schema,
                          bool lenient, struct err *why)
{
    const struct schema_mark mark = {0};
    s->lenient = lenient;
    s->place = s->python ? PLACE_KEYWORDS : PLACE_OBJECT;
    gexpr x = compile_root(s, schema);
    const struct err *err = grammar_failure(s->b);
    if (err == NULL) {
        forget_rules(s);
        *out = schema_share(s, x, "arguments");
        return 0;
    }
    *why = *err;
    schema_leave(s, 0);
    return schema_forgive(s, mark) ? -(int)why->class_ : -ERR_NOMEM;
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
