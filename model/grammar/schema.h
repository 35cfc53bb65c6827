/* schema.h -- JSON Schema as a grammar: every text of it is valid.
 *
 * Not every valid text is of it.  Left out on purpose: members in another
 * order than `properties` has them; members nobody declared, where properties
 * are declared and additionalProperties is not; integers and fractions of more
 * than 16 digits; escapes that are not needed, where a string is bound by
 * anything.  A schema without `type` takes the types that its keywords speak
 * of, or all if there are none.
 *
 * White space: none, or (unless `compact`) one space, or one or two newlines
 * and at most 20 blanks, after { [ , : and before ] }.  It is bounded, since
 * models get lost in it.
 *
 * Honoured: type (also lists), nullable, enum, const, properties, required,
 * additionalProperties, patternProperties, propertyNames, minProperties,
 * maxProperties, items, prefixItems, additionalItems, minItems, maxItems,
 * minLength, maxLength, pattern, format (date, time, date-time, duration, uuid,
 * email, hostname, ipv4, ipv6, uri; int32 and others that say nothing of the
 * text), minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf (an
 * integer), anyOf, oneOf where the ways exclude each other, allOf where it can
 * be merged, $ref within the document, $defs, recursion, true and false.
 * Annotations are passed over.  Everything else is refused by -ERR_INVALID,
 * -ERR_UNSUPPORTED or -ERR_LIMIT naming the keyword and its JSON pointer.
 *
 * One thread at a time; the schema is not changed. */
#ifndef LFMD_MODEL_GRAMMAR_SCHEMA_H
#define LFMD_MODEL_GRAMMAR_SCHEMA_H

#include <stdbool.h>

#include "model/base/err.h"
#include "model/base/json.h"
#include "model/grammar/builder.h"

struct schema_options {
    bool compact; /* no white space between tokens of JSON */
};

/* `schema` is an object or a boolean, as json_parse made it.  NULL options are
 * the defaults. */
int grammar_from_schema(struct grammar **out, const json_t *schema,
                        const struct schema_options *options, struct err *err);

/* Any JSON object. */
int grammar_from_json_object(struct grammar **out,
                             const struct schema_options *options,
                             struct err *err);

/* The same as a piece of another grammar, `schema` may be NULL for any value.
 * Failures stay in the builder. */
gexpr schema_expr(struct grammar_builder *b, const json_t *schema,
                  const struct schema_options *options);

/* The arguments of a call, each held to its schema.  Strings may stand in
 * either kind of quotes, and constants be Python's; all is in one line. */
struct schema;
enum schema_call_form {
    SCHEMA_KEYWORDS, /* a=1, b='x': what pycall.h takes between parentheses */
    SCHEMA_OBJECT    /* {"a": 1, "b": "x"}: JSON alone */
};

/* For the calls of one grammar, which then share what is the same in all.
 * NULL: memory is short, and the builder has failed. */
struct schema *schema_call_new(struct grammar_builder *b,
                               enum schema_call_form form);
void schema_call_free(struct schema *s); /* NULL is fine */

/* `schema` is that of the object of all arguments; of others than `properties`
 * lists there are none unless it speaks of them.  `lenient`: the value of an
 * argument whose schema cannot be honoured may be anything.
 * On failure `why` says what cannot be honoured and the builder is as it was;
 * or it has failed itself (grammar_failed), which is the end. */
int schema_call_arguments(gexpr *out, struct schema *s, const json_t *schema,
                          bool lenient, struct err *why);

#endif
