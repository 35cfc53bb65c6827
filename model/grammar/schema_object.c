/* schema_object.c -- objects: declared members in their order, then others.
 *
 * A key is spelt in one way, and a member that is not declared may not spell a
 * declared one: else a second "a" would escape what is said of "a". */
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/expr.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema_private.h"

#define MAX_PATTERNS 16u
#define MAX_FIRST_MEMBERS 64u

struct member {
    const char *key;
    const json_t *schema;
    bool required;
};

struct object {
    struct schema *s;
    const json_t *node;
    enum schema_place place;
    struct member *members; /* owned */
    uint32_t n_members, n_required;
    const char *patterns[MAX_PATTERNS]; /* keys that must match one */
    const json_t *pattern_schemas[MAX_PATTERNS];
    gexpr pattern_keys[MAX_PATTERNS];
    uint32_t n_patterns;
    const json_t *rest; /* of members that are neither; false for none */
    gexpr names;        /* what propertyNames allows, or GEXPR_NONE */
};

static bool in_list(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), key) == 0)
            return true;
    return false;
}

static gexpr spell_key(struct object *o, const char *key)
{
    return charset_text(o->s->b, key, strlen(key), o->s->form);
}

static bool key_matches(struct object *o, gexpr keys, const char *key)
{
    struct grammar_builder *b = o->s->b;
    gexpr both = grammar_both(b, spell_key(o, key), keys);
    return !schema_failed(o->s) && !grammar_is_never(b, both);
}

static void find_patterns(struct object *o)
{
    struct schema *s = o->s;
    const json_t *patterns = json_object_get(o->node, "patternProperties");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, value)
    {
        if (o->n_patterns == MAX_PATTERNS) {
            schema_refuse(s, ERR_LIMIT, "patternProperties",
                          "has more than the %u patterns allowed",
                          MAX_PATTERNS);
            return;
        }
        uint32_t i = o->n_patterns++;
        size_t mark = schema_enter(s, "patternProperties", -1);
        o->patterns[i] = key;
        o->pattern_schemas[i] = value;
        o->pattern_keys[i] = regex_expr(s->b, key, strlen(key), true, s->form);
        struct err *err = grammar_failure(s->b);
        if (err != NULL)
            err_wrap(err, "the schema's pattern at #%s", s->path);
        schema_leave(s, mark);
        for (uint32_t j = 0; j < i && !schema_failed(s); j++) {
            gexpr both =
                grammar_both(s->b, o->pattern_keys[i], o->pattern_keys[j]);
            if (!schema_failed(s) && !grammar_is_never(s->b, both))
                schema_refuse(s, ERR_UNSUPPORTED, "patternProperties",
                              "has two patterns that one key may match");
        }
    }
}

/* What is said of a key that `properties` does not list. */
static const json_t *said_of(struct object *o, const char *key)
{
    for (uint32_t i = 0; i < o->n_patterns; i++)
        if (key_matches(o, o->pattern_keys[i], key))
            return o->pattern_schemas[i];
    const json_t *rest = json_object_get(o->node, "additionalProperties");
    if (rest == NULL)
        rest = json_object_get(o->node, "unevaluatedProperties");
    return rest ? rest : json_true();
}

/* What pycall.h takes before an equals sign. */
static bool is_keyword(const char *key)
{
    for (const char *p = key; *p; p++)
        if (!(*p & 0x80) && strchr("_-", *p) == NULL &&
            !(*p >= '0' && *p <= '9') && !(*p >= 'A' && *p <= 'Z') &&
            !(*p >= 'a' && *p <= 'z'))
            return false;
    return *key != '\0';
}

static void add_member(struct object *o, const char *key, const json_t *schema,
                       bool required)
{
    if (o->place == PLACE_KEYWORDS && !is_keyword(key)) {
        schema_refuse(o->s, ERR_UNSUPPORTED, "properties",
                      "has a name that is none of an argument");
        return;
    }
    if (o->names != GEXPR_NONE && !key_matches(o, o->names, key))
        schema = json_false();
    if (json_is_false(schema) && !required)
        return;
    o->members[o->n_members++] = (struct member){key, schema, required};
    o->n_required += required;
}

static void find_members(struct object *o)
{
    const json_t *listed = json_object_get(o->node, "properties");
    const json_t *required = json_object_get(o->node, "required");
    size_t n = json_object_size(listed) + json_array_size(required);
    o->members = mem_calloc(n, sizeof *o->members);
    if (o->members == NULL) {
        grammar_fail(o->s->b, ERR_NOMEM, "out of memory for a schema");
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)listed, key, value)
    {
        const json_t *schema = value;
        for (uint32_t i = 0; i < o->n_patterns; i++)
            if (key_matches(o, o->pattern_keys[i], key))
                schema = schema_all_of(o->s, schema, o->pattern_schemas[i]);
        budget_spend(&o->s->b->budget, json_array_size(required));
        if (schema_failed(o->s))
            return;
        add_member(o, key, schema, in_list(required, key));
    }
    for (size_t i = 0; i < json_array_size(required); i++) {
        key = json_string_value(json_array_get(required, i));
        bool twice = json_object_get(listed, key) != NULL;
        if (!budget_spend(&o->s->b->budget, i + 1))
            return;
        for (size_t j = 0; j < i && !twice; j++)
            twice = strcmp(json_string_value(json_array_get(required, j)),
                           key) == 0;
        if (!twice)
            add_member(o, key, said_of(o, key), true);
    }
}

static void find_rest(struct object *o)
{
    const json_t *rest = json_object_get(o->node, "additionalProperties");
    if (rest == NULL)
        rest = json_object_get(o->node, "unevaluatedProperties");
    const json_t *listed = json_object_get(o->node, "properties");
    bool declared = json_object_size(listed) > 0 ||
                    (o->place != PLACE_VALUE && listed != NULL);
    if (rest == NULL)
        rest = declared || o->n_patterns > 0 ? json_false() : json_true();
    o->rest = rest;
}

/* A member whose key is one of `keys`. */
static gexpr member_expr(struct object *o, gexpr keys, gexpr value)
{
    struct grammar_builder *b = o->s->b;
    if (o->place == PLACE_KEYWORDS)
        return grammar_seq3(b, keys, grammar_text(b, "="), value);
    gexpr parts[] = {grammar_text(b, "\""), keys, grammar_text(b, "\":"),
                     schema_blank(o->s), value};
    return grammar_seq(b, parts, 5);
}

static gexpr declared_member(struct object *o, const char *key, gexpr value)
{
    struct grammar_builder *b = o->s->b;
    if (o->place == PLACE_KEYWORDS || !o->s->python)
        return member_expr(o, spell_key(o, key), value);
    gexpr other[] = {grammar_text(b, "'"),
                     charset_text(b, key, strlen(key), CHAR_SINGLE),
                     grammar_text(b, "'")};
    gexpr name =
        grammar_alt2(b,
                     grammar_seq3(b, grammar_text(b, "\""), spell_key(o, key),
                                  grammar_text(b, "\"")),
                     grammar_seq(b, other, 3));
    gexpr parts[] = {name, grammar_text(b, ":"), schema_blank(o->s), value};
    return grammar_seq(b, parts, 4);
}

static gexpr any_keyword(struct grammar_builder *b)
{
    gexpr first =
        grammar_alt(b,
                    (gexpr[]){grammar_range(b, 'a', 'z'),
                              grammar_range(b, 'A', 'Z'), grammar_text(b, "_")},
                    3);
    gexpr more = grammar_alt2(b, first, grammar_range(b, '0', '9'));
    return grammar_seq2(b, first, grammar_repeat(b, more, 0, 63));
}

/* Keys of `keys` that are no declared member's. */
static gexpr without_members(struct object *o, gexpr keys)
{
    struct grammar_builder *b = o->s->b;
    const json_t *listed = json_object_get(o->node, "properties");
    const json_t *required = json_object_get(o->node, "required");
    size_t n = json_object_size(listed) + json_array_size(required), i = 0;
    gexpr *texts = mem_alloc((n + 1) * sizeof *texts);
    if (texts == NULL) {
        grammar_fail(b, ERR_NOMEM, "out of memory for a schema");
        return GEXPR_NONE;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)listed, key, value)
    {
        texts[i++] = spell_key(o, key);
    }
    for (size_t j = 0; j < json_array_size(required); j++)
        texts[i++] =
            spell_key(o, json_string_value(json_array_get(required, j)));
    gexpr x = keys;
    if (i > 0 && !schema_failed(o->s))
        x = grammar_except(b, keys, grammar_alt(b, texts, i));
    mem_free(texts);
    if (o->names != GEXPR_NONE && !schema_failed(o->s))
        x = grammar_both(b, x, o->names);
    return x;
}

/* A member that is not declared: one of the patterns, or any other key. */
static gexpr other_member(struct object *o)
{
    struct grammar_builder *b = o->s->b;
    struct schema *s = o->s;
    gexpr ways[MAX_PATTERNS + 1];
    size_t n = 0;
    for (uint32_t i = 0; i < o->n_patterns; i++) {
        if (json_is_false(o->pattern_schemas[i]))
            continue;
        gexpr value =
            schema_at(s, o->pattern_schemas[i], "patternProperties", (long)i);
        ways[n++] =
            member_expr(o, without_members(o, o->pattern_keys[i]), value);
    }
    if (json_is_false(o->rest))
        return n ? grammar_alt(b, ways, n) : GEXPR_NONE;
    gexpr value = schema_at(s, o->rest, "additionalProperties", -1);
    if (o->place == PLACE_KEYWORDS)
        return schema_failed(s)
                   ? GEXPR_NONE
                   : member_expr(o, without_members(o, any_keyword(b)), value);
    if (o->n_patterns == 0 && o->names == GEXPR_NONE &&
        json_object_size(json_object_get(o->node, "properties")) == 0 &&
        json_array_size(json_object_get(o->node, "required")) == 0) {
        gexpr parts[] = {schema_string(s, NULL), grammar_text(b, ":"),
                         schema_blank(s), value};
        return grammar_seq(b, parts, 4);
    }
    gexpr keys = grammar_repeat(b, charset_any(b, s->form), 0, GRAMMAR_NO_MAX);
    keys = without_members(o, keys);
    for (uint32_t i = 0; i < o->n_patterns && !schema_failed(s); i++)
        keys = grammar_except(b, keys, o->pattern_keys[i]);
    ways[n++] = member_expr(o, keys, value);
    return grammar_alt(b, ways, n);
}

/* A list of members of which at least one is there, though none must be: the
 * first of them is one or another. */
static gexpr at_least_one(struct object *o, struct grammar_item *items,
                          size_t n)
{
    struct grammar_builder *b = o->s->b;
    gexpr ways[MAX_FIRST_MEMBERS];
    if (n > MAX_FIRST_MEMBERS) {
        schema_refuse(o->s, ERR_LIMIT, "minProperties",
                      "stands beside more than %u optional members",
                      MAX_FIRST_MEMBERS);
        return GEXPR_NONE;
    }
    for (size_t i = 0; i < n; i++)
        items[i].expr = schema_share(o->s, items[i].expr, "member");
    for (size_t i = 0; i < n; i++) {
        items[i].optional = false;
        ways[i] = grammar_list(b, items + i, n - i, schema_comma(o->s));
        items[i].optional = true;
    }
    return grammar_alt(b, ways, n);
}

/* How many others there may be, given how many members in all. */
static bool bound_others(struct object *o, bool others, uint32_t *min,
                         uint32_t *max, bool *some)
{
    struct schema *s = o->s;
    uint32_t lo = schema_count(s, o->node, "minProperties", 0);
    uint32_t hi = schema_count(s, o->node, "maxProperties", GRAMMAR_NO_MAX);
    uint32_t optional = o->n_members - o->n_required;
    *min = 0;
    *max = GRAMMAR_NO_MAX;
    *some = false;
    if (hi < o->n_required || hi < lo || (!others && lo > o->n_members))
        return false;
    if (hi != GRAMMAR_NO_MAX && (hi < o->n_members || others)) {
        if (optional > 0)
            schema_refuse(s, ERR_UNSUPPORTED, "maxProperties",
                          "stands beside optional members");
        *max = hi - o->n_required;
    }
    if (lo <= o->n_required)
        return true;
    if (lo == 1 && optional > 0) {
        *some = true;
        return true;
    }
    /* One other member is enough, or all the members there are; two others
     * might have the same key. */
    if (optional > 0 || lo > o->n_required + 1)
        schema_refuse(s, ERR_UNSUPPORTED, "minProperties",
                      "of %u is not supported here", lo);
    *min = 1;
    return true;
}

/* The value of a member.  An argument that is said more of than can be
 * honoured may be anything, if that is wanted. */
static gexpr member_value(struct object *o, const struct member *m)
{
    struct schema *s = o->s;
    struct schema_mark mark = schema_mark(s);
    size_t at = schema_enter(s, "properties", -1);
    gexpr value = schema_at(s, m->schema, m->key, -1);
    schema_leave(s, at);
    if (s->lenient && o->place != PLACE_VALUE && schema_failed(s) &&
        schema_forgive(s, mark))
        value = schema_any_value(s);
    return value;
}

static gexpr members_expr(struct object *o)
{
    struct schema *s = o->s;
    struct grammar_builder *b = s->b;
    gexpr other = other_member(o);
    uint32_t min, max;
    bool some;
    if (schema_failed(s))
        return GEXPR_NONE;
    if (!bound_others(o, other != GEXPR_NONE, &min, &max, &some))
        return grammar_never(b);
    struct grammar_item *items = mem_calloc(o->n_members + 1u, sizeof *items);
    size_t n = 0;
    if (items == NULL)
        grammar_fail(b, ERR_NOMEM, "out of memory for a schema");
    for (; n < o->n_members && !schema_failed(s); n++) {
        const struct member *m = &o->members[n];
        gexpr value = member_value(o, m);
        items[n] =
            (struct grammar_item){.expr = declared_member(o, m->key, value),
                                  .optional = !m->required};
    }
    if (other != GEXPR_NONE && max > 0 && !schema_failed(s)) {
        items[n] = (struct grammar_item){
            .expr = other, .optional = min == 0, .many = true};
        if (max != GRAMMAR_NO_MAX) {
            gexpr one = schema_share(s, other, "member");
            gexpr more = grammar_seq2(b, schema_comma(s), one);
            items[n].expr =
                grammar_seq2(b, one, grammar_repeat(b, more, 0, max - 1));
            items[n].many = false;
        }
        n++;
    }
    gexpr all = GEXPR_NONE;
    if (!schema_failed(s))
        all = some ? at_least_one(o, items, n)
                   : grammar_list(b, items, n, schema_comma(s));
    mem_free(items);
    return all;
}

/* What propertyNames allows, as an expression of keys. */
static gexpr names_of(struct schema *s, const json_t *names)
{
    struct grammar_builder *b = s->b;
    if (json_is_boolean(names) || schema_failed(s))
        return json_is_false(names) ? grammar_whole(b, grammar_never(b))
                                    : GEXPR_NONE;
    if (schema_ways(s, names) != NULL) {
        schema_refuse(s, ERR_UNSUPPORTED, "propertyNames",
                      "has ways (anyOf, oneOf)");
        return GEXPR_NONE;
    }
    if (!(schema_types(s, names) & TYPE_STRING))
        return grammar_whole(b, grammar_never(b));
    const json_t *values = schema_values(s, names);
    if (values == NULL)
        return schema_string_inside(s, names, true);
    gexpr *texts = mem_alloc((json_array_size(values) + 1) * sizeof *texts);
    size_t n = 0;
    if (texts == NULL)
        grammar_fail(b, ERR_NOMEM, "out of memory for a schema");
    for (size_t i = 0; i < json_array_size(values) && !schema_failed(s); i++) {
        const json_t *v = json_array_get(values, i);
        if (json_is_string(v))
            texts[n++] = charset_text(b, json_string_value(v),
                                      json_string_length(v), s->form);
    }
    gexpr all = schema_failed(s) ? GEXPR_NONE : grammar_alt(b, texts, n);
    mem_free(texts);
    return schema_failed(s) ? GEXPR_NONE : grammar_whole(b, all);
}

gexpr schema_object(struct schema *s, const json_t *node)
{
    struct object o = {.s = s, .node = node, .place = s->place};
    s->place = PLACE_VALUE;
    const json_t *names = json_object_get(node, "propertyNames");
    if (names != NULL) {
        size_t mark = schema_enter(s, "propertyNames", -1);
        names = schema_resolve(s, names);
        schema_check_keywords(s, names);
        o.names = names_of(s, names);
        schema_leave(s, mark);
    }
    find_patterns(&o);
    if (o.place == PLACE_KEYWORDS && (o.n_patterns > 0 || names != NULL))
        schema_refuse(s, ERR_UNSUPPORTED,
                      names ? "propertyNames" : "patternProperties",
                      "is not supported for keyword arguments");
    if (!schema_failed(s))
        find_members(&o);
    find_rest(&o);
    gexpr inside = schema_failed(s) ? GEXPR_NONE : members_expr(&o);
    mem_free(o.members);
    s->place = o.place;
    if (schema_failed(s) || o.place == PLACE_KEYWORDS)
        return schema_failed(s) ? GEXPR_NONE : inside;
    struct grammar_builder *b = s->b;
    gexpr object[] = {grammar_text(b, "{"), schema_blank(s), inside,
                      schema_blank(s), grammar_text(b, "}")};
    return schema_container(s, grammar_seq(b, object, 5));
}
