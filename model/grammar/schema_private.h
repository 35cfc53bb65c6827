/* schema_private.h -- between the files that compile JSON Schema.
 *
 * Private to model/grammar. */
#ifndef LFMD_MODEL_GRAMMAR_SCHEMA_PRIVATE_H
#define LFMD_MODEL_GRAMMAR_SCHEMA_PRIVATE_H

#include "model/grammar/charset.h"
#include "model/grammar/schema.h"

#define SCHEMA_MAX_LEVELS 100u /* schemas inside schemas, refs followed */
#define SCHEMA_MAX_LENGTHS 64u
#define SCHEMA_MAX_WAYS 512u /* of anyOf and oneOf, after allOf */

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8, /* all numbers; with TYPE_INTEGER alone only whole ones */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ALL = 127
};

/* A schema that others refer to, by its text. */
struct schema_rule {
    char *text; /* owned */
    uint32_t rule;
};

/* min..max characters of a string, as a rule. */
struct schema_length {
    uint32_t min, max, rule;
    enum char_form form;
};

/* What the object that is compiled next is: a value, or the arguments of a
 * call, which no others than `properties` declares unless it says so. */
enum schema_place {
    PLACE_VALUE,
    PLACE_OBJECT,  /* {"a": 1} */
    PLACE_KEYWORDS /* a=1 */
};

struct schema {
    struct grammar_builder *b;
    const json_t *root;
    bool compact;
    bool python;         /* as literals of Python, JSON's among them */
    bool lenient;        /* an argument that cannot be honoured is free */
    enum char_form form; /* of strings: CHAR_JSON, or of a call's */
    enum schema_place place;
    unsigned level;
    /* Rules, made when used. */
    uint32_t blank, string, single, value, number, integer;
    struct schema_rule *rules;
    uint32_t n_rules, cap_rules;
    struct schema_length lengths[SCHEMA_MAX_LENGTHS];
    uint32_t n_lengths;
    json_t *kept; /* array: what was merged and must live on */
    char path[256];
};

/* --- schema.c --- */

/* Any schema.  `key` (and index, unless negative) is where it lies. */
gexpr schema_at(struct schema *s, const json_t *node, const char *key,
                long index);
bool schema_failed(const struct schema *s);
/* "maxItems at #/properties/x: ..." */
void schema_refuse(struct schema *s, enum err_class class_, const char *keyword,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What the path gains while something inside is compiled. */
size_t schema_enter(struct schema *s, const char *key, long index);
void schema_leave(struct schema *s, size_t mark);
/* Hands a new reference over to `s`; NULL means memory was short. */
const json_t *schema_keep(struct schema *s, json_t *node);
unsigned schema_types(struct schema *s, const json_t *node);
/* A non-negative integer, or `none` when absent. */
uint32_t schema_count(struct schema *s, const json_t *node, const char *key,
                      uint32_t none);
gexpr schema_blank(struct schema *s);
gexpr schema_any_value(struct schema *s);
/* The separator of members and items: a comma and what may follow. */
gexpr schema_comma(struct schema *s);
/* The rule, made if it is not yet, as a call. */
gexpr schema_once(struct schema *s, uint32_t *rule, const char *name,
                  gexpr (*make)(struct schema *s));
/* What is known so far, to come back to when something was refused.  False
 * where that cannot be: the compilation itself has come to its end. */
struct schema_mark {
    uint32_t n_rules;
    unsigned level;
};
struct schema_mark schema_mark(const struct schema *s);
bool schema_forgive(struct schema *s, struct schema_mark mark);
/* x as a call, so that it costs little where it is used often. */
gexpr schema_share(struct schema *s, gexpr x, const char *name);

/* An array or an object, which in a call is a rule: so calls nest no deeper
 * than a grammar's, which its reader follows. */
gexpr schema_container(struct schema *s, gexpr x);

/* --- schema_spell.c --- */

gexpr schema_quote(struct schema *s);
/* After the opening quotation mark: any string, and the closing one. */
gexpr schema_string_tail(struct schema *s);
/* `part` once for each kind of quotation marks. */
typedef gexpr schema_part_fn(struct schema *s, const json_t *node);
gexpr schema_either_quote(struct schema *s, schema_part_fn *part,
                          const json_t *node);
/* Of TYPE_BOOLEAN and TYPE_NULL. */
gexpr schema_constants(struct schema *s, unsigned types);
/* One of these, each spelt in one way, or one for each language. */
gexpr schema_spell_values(struct schema *s, const json_t *values);

/* --- schema_merge.c --- */

/* `node` without annotations. */
const json_t *schema_bare(struct schema *s, const json_t *node);
/* `node` without $ref and allOf: itself, or what s keeps.  NULL on failure. */
const json_t *schema_resolve(struct schema *s, const json_t *node);
/* What both say. */
const json_t *schema_merge(struct schema *s, const json_t *x, const json_t *y);
/* The ways of anyOf or oneOf, each merged with what stands beside it; NULL when
 * the node (resolved) has neither. */
const json_t *schema_ways(struct schema *s, const json_t *node);
/* `node` and more: {"allOf": [x, y]}. */
const json_t *schema_all_of(struct schema *s, const json_t *x, const json_t *y);

/* --- schema_check.c --- */

/* Types of all keywords, and those that are refused. */
void schema_check_keywords(struct schema *s, const json_t *node);
/* Does the scalar `value` satisfy the node (resolved, without its enum)?  For
 * arrays and objects only the type is asked. */
bool schema_admits(struct schema *s, const json_t *value, const json_t *node);
/* No value satisfies both.  "False" may also mean that it was not found out. */
bool schema_disjoint(struct schema *s, const json_t *x, const json_t *y,
                     unsigned level);
/* The values of enum or const that the rest of the node admits; NULL when it
 * has neither. */
const json_t *schema_values(struct schema *s, const json_t *node);

/* --- schema_string.c, _number.c, _object.c, _array.c: one type each --- */

gexpr schema_string(struct schema *s, const json_t *node);
/* What may stand between the quotation marks, each character spelt in one way,
 * without calls; GEXPR_NONE when nothing bounds it.  Without `lengths`, what
 * pattern and format say. */
gexpr schema_string_inside(struct schema *s, const json_t *node, bool lengths);
gexpr schema_number(struct schema *s, const json_t *node, bool integer);
gexpr schema_object(struct schema *s, const json_t *node);
gexpr schema_array(struct schema *s, const json_t *node);
gexpr schema_any_object(struct schema *s);

/* Ends of the range a node allows numbers, as doubles; open ends infinite. */
struct schema_range {
    double lo, hi;
    bool above_lo, below_hi; /* the end itself is outside */
};
struct schema_range schema_range_of(const json_t *node);

#endif
