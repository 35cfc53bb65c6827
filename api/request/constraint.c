/* constraint.c -- see constraint.h. */
#include "api/request/constraint.h"

#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/gbnf.h"
#include "model/grammar/grammar.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema.h"

#define CHOICES_MAX 4096u

enum kind {
    KIND_OBJECT, /* true: any JSON object */
    KIND_SCHEMA, /* a schema, or one as a string */
    KIND_REGEX,
    KIND_CHOICE, /* array of strings */
    KIND_GBNF
};

/* The one constraint of a request. */
struct found {
    char path[64]; /* empty: none so far */
    enum kind kind;
    const json_t *value; /* borrowed from the body */
    bool compact;
};

static int take(struct found *f, const char *path, enum kind kind,
                const json_t *value, struct err *err)
{
    if (value == NULL || json_is_null(value))
        return 0;
    if (f->path[0] != '\0')
        return err_field(err, path,
                         "%s and %s both bind the answer; only one may",
                         f->path, path);
    snprintf(f->path, sizeof f->path, "%s", path);
    f->kind = kind;
    f->value = value;
    return 0;
}

/* {"type": "json_schema", "json_schema": {"name", "schema", "strict"}}, and
 * llama-server's {"type": "json_object", "schema"}. */
static int read_format(struct found *f, const json_t *body, struct err *err)
{
    json_t *format, *named;
    const char *type = NULL;
    int rc = json_get_object(body, "response_format", &format, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_string(format, "type", &type, "response_format", err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, "response_format.type",
                         "response_format.type is missing");
    if (strcmp(type, "text") == 0)
        return 0;
    if (strcmp(type, "json_object") == 0) {
        const json_t *schema = json_object_get(format, "schema");
        if (schema != NULL && !json_is_null(schema))
            return take(f, "response_format.schema", KIND_SCHEMA, schema, err);
        return take(f, "response_format", KIND_OBJECT, format, err);
    }
    if (strcmp(type, "json_schema") != 0)
        return err_field(err, "response_format.type",
                         "response_format.type must be text, json_object or "
                         "json_schema");
    rc = json_get_object(format, "json_schema", &named, "response_format", err);
    if (rc < 0)
        return rc;
    const json_t *schema = rc > 0 ? json_object_get(named, "schema") : NULL;
    if (schema == NULL || json_is_null(schema))
        return err_field(err, "response_format.json_schema.schema",
                         "response_format.json_schema.schema is missing");
    return take(f, "response_format.json_schema.schema", KIND_SCHEMA, schema,
                err);
}

static int read_structured(struct found *f, const json_t *body, struct err *err)
{
    static const struct {
        const char *key;
        enum kind kind;
    } keys[] = {
        {"json", KIND_SCHEMA},
        {"regex", KIND_REGEX},
        {"choice", KIND_CHOICE},
        {"grammar", KIND_GBNF},
    };
    static const char outer[] = "structured_outputs";
    json_t *so;
    bool object = false;
    int rc = json_get_object(body, outer, &so, "", err);
    if (rc <= 0)
        return rc;
    const json_t *tag = json_object_get(so, "structural_tag");
    if (tag != NULL && !json_is_null(tag))
        return err_field(err, "structured_outputs.structural_tag",
                         "structured_outputs.structural_tag is not supported");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s.%s", outer, keys[i].key);
        rc = take(f, path, keys[i].kind, json_object_get(so, keys[i].key), err);
        if (rc < 0)
            return rc;
    }
    rc = json_get_bool(so, "json_object", &object, outer, err);
    if (rc >= 0 && object)
        rc = take(f, "structured_outputs.json_object", KIND_OBJECT, so, err);
    if (rc >= 0)
        rc = json_get_bool(so, "disable_any_whitespace", &f->compact, outer,
                           err);
    return rc < 0 ? rc : 0;
}

static int find(struct found *f, const json_t *body, struct err *err)
{
    static const struct {
        const char *key;
        enum kind kind;
    } keys[] = {
        {"guided_json", KIND_SCHEMA},   {"guided_regex", KIND_REGEX},
        {"guided_choice", KIND_CHOICE}, {"guided_grammar", KIND_GBNF},
        {"json_schema", KIND_SCHEMA},   {"grammar", KIND_GBNF},
        {"regex", KIND_REGEX},          {"ebnf", KIND_GBNF},
    };
    int rc = read_format(f, body, err);
    if (rc == 0)
        rc = read_structured(f, body, err);
    for (size_t i = 0; rc == 0 && i < sizeof keys / sizeof *keys; i++)
        rc = take(f, keys[i].key, keys[i].kind,
                  json_object_get(body, keys[i].key), err);
    return rc;
}

static int compile_schema(struct grammar **out, const struct found *f,
                          struct err *err)
{
    const struct schema_options options = {.compact = f->compact};
    json_t *parsed = NULL;
    const json_t *schema = f->value;
    int rc = 0;
    if (json_is_string(schema)) {
        rc = json_parse(&parsed, json_string_value(schema),
                        json_string_length(schema), JSON_DEPTH_DEFAULT,
                        JSON_NODES_DEFAULT, err);
        schema = parsed;
    }
    if (rc == 0 && !json_is_object(schema) && !json_is_boolean(schema)) {
        char text[64];
        rc = err_set(err, ERR_INVALID, "it must be a JSON Schema, not %s",
                     json_describe(schema, text));
    }
    if (rc == 0)
        rc = grammar_from_schema(out, schema, &options, err);
    json_decref(parsed);
    return rc;
}

static int compile_choice(struct grammar **out, const json_t *choices,
                          struct err *err)
{
    size_t n = json_array_size(choices);
    if (!json_is_array(choices) || n == 0 || n > CHOICES_MAX)
        return err_set(err, ERR_INVALID,
                       "it must be an array of 1 to %u strings", CHOICES_MAX);
    const char **texts = mem_calloc(n, sizeof *texts);
    size_t *lengths = mem_calloc(n, sizeof *lengths);
    int rc = texts != NULL && lengths != NULL ? 0 : err_nomem(err, "choices");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *v = json_array_get(choices, i);
        char text[64];
        if (!json_is_string(v))
            rc = err_set(err, ERR_INVALID, "[%zu] must be a string, not %s", i,
                         json_describe(v, text));
        texts[i] = json_string_value(v);
        lengths[i] = json_string_length(v);
    }
    if (rc == 0)
        rc = grammar_from_choice(out, texts, lengths, n, err);
    mem_free(texts);
    mem_free(lengths);
    return rc;
}

static int compile(struct grammar **out, const struct found *f, struct err *err)
{
    const struct schema_options options = {.compact = f->compact};
    char text[64];
    if (f->kind == KIND_OBJECT)
        return grammar_from_json_object(out, &options, err);
    if (f->kind == KIND_SCHEMA)
        return compile_schema(out, f, err);
    if (f->kind == KIND_CHOICE)
        return compile_choice(out, f->value, err);
    if (!json_is_string(f->value))
        return err_set(err, ERR_INVALID, "it must be a string, not %s",
                       json_describe(f->value, text));
    const char *s = json_string_value(f->value);
    size_t n = json_string_length(f->value);
    return f->kind == KIND_REGEX ? grammar_from_regex(out, s, n, err)
                                 : grammar_from_gbnf(out, s, n, err);
}

int constraint_parse(struct grammar **out, const json_t *body, struct err *err)
{
    struct found f = {.kind = KIND_OBJECT};
    struct err why = {0};
    *out = NULL;
    int rc = find(&f, body, err);
    if (rc != 0 || f.path[0] == '\0')
        return rc;
    if (f.kind == KIND_GBNF && json_is_string(f.value) &&
        json_string_length(f.value) == 0)
        return 0; /* llama-server's clients send "" for none */
    rc = compile(out, &f, &why);
    if (rc == -ERR_NOMEM)
        return err_nomem(err, "a grammar");
    return rc == 0 ? 0 : err_field(err, f.path, "%s: %s", f.path, why.text);
}
