/* call_grammar.c -- see call_grammar.h. */
#include "model/dialect/call_grammar.h"

#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/dialect/call_text.h"
#include "model/dialect/dialect.h"
#include "model/dialect/pycall.h"
#include "model/grammar/builder.h"
#include "model/grammar/schema.h"

/* Both forms of calls, as they are collected. */
struct calls {
    struct grammar_builder *b;
    struct schema *keywords, *objects;
    gexpr *python, *json; /* owned: a way for each tool */
    size_t n_python, n_json;
    bool free;       /* nothing but strict tools' schemas is followed */
    bool all_strict; /* nothing would be gained by that */
    char param[64];  /* of the tool that is at fault */
};

static const json_t *function_of(const json_t *tool)
{
    return json_object_get(tool, "function");
}

bool call_grammar_is_strict(const json_t *tool)
{
    return json_is_true(json_object_get(function_of(tool), "strict"));
}

static gexpr python_call(struct calls *c, const char *name, gexpr arguments)
{
    gexpr parts[] = {grammar_text(c->b, name), grammar_text(c->b, "("),
                     arguments, grammar_text(c->b, ")")};
    return grammar_seq(c->b, parts, 4);
}

static gexpr json_call(struct calls *c, const char *name, gexpr arguments)
{
    struct buf text = {0};
    buf_puts(&text, "{\"name\": ");
    json_quote(&text, name, strlen(name));
    buf_puts(&text, ", \"arguments\": ");
    if (!buf_ok(&text))
        grammar_fail(c->b, ERR_NOMEM, "out of memory for a tool's name");
    gexpr x =
        grammar_seq3(c->b, grammar_bytes_of(c->b, buf_str(&text), text.len),
                     arguments, grammar_text(c->b, "}"));
    buf_deinit(&text);
    return x;
}

/* Adds the tool with `schema` for its arguments in the first form that has
 * room for it.  -ERR_*: it has none, or the builder has failed. */
static int add_with(struct calls *c, const char *name, const json_t *schema,
                    bool lenient, struct err *why)
{
    gexpr arguments;
    int rc = -ERR_UNSUPPORTED;
    if (call_text_is_name(name, true))
        rc = schema_call_arguments(&arguments, c->keywords, schema, lenient,
                                   why);
    if (rc == 0) {
        c->python[c->n_python++] = python_call(c, name, arguments);
        return 0;
    }
    if (grammar_failed(c->b))
        return rc;
    rc = schema_call_arguments(&arguments, c->objects, schema, lenient, why);
    if (rc == 0)
        c->json[c->n_json++] = json_call(c, name, arguments);
    return rc;
}

/* A function without parameters takes none. */
static void add_tool(struct calls *c, const json_t *tool, size_t i)
{
    const json_t *f = function_of(tool);
    const char *name = json_string_value(json_object_get(f, "name"));
    const json_t *schema = json_object_get(f, "parameters");
    const bool strict = call_grammar_is_strict(tool);
    json_t *none = NULL;
    struct err why = {0};
    int rc = 0;
    if (!json_is_object(schema))
        schema = none = json_pack("{s:s,s:{}}", "type", "object", "properties");
    if (schema == NULL)
        grammar_fail(c->b, ERR_NOMEM, "out of memory for a tool");
    else if (!c->free || strict)
        rc = add_with(c, name, schema, !strict, &why);
    if (!grammar_failed(c->b) && !strict && (c->free || rc != 0))
        rc = add_with(c, name, json_true(), true, &why);
    json_decref(none);
    if (rc == 0)
        return;
    snprintf(c->param, sizeof c->param, "tools[%zu].function.parameters", i);
    grammar_fail(c->b, why.class_, "%s", why.text);
}

/* x, or x, x and so on. */
static gexpr block_of(struct calls *c, const gexpr *ways, size_t n, bool single)
{
    struct grammar_builder *b = c->b;
    uint32_t rule = grammar_rule(b, "call");
    grammar_keep(b, rule);
    grammar_define(b, rule, grammar_alt(b, ways, n));
    gexpr one = grammar_call(b, rule), more = grammar_empty(b);
    if (!single) {
        gexpr comma = grammar_seq2(b, grammar_text(b, ","),
                                   grammar_optional(b, grammar_text(b, " ")));
        more =
            grammar_repeat(b, grammar_seq2(b, comma, one), 0, PYCALL_MAX - 1);
    }
    gexpr parts[] = {grammar_text(b, "["), one, more, grammar_text(b, "]")};
    return grammar_seq(b, parts, 4);
}

static uint32_t root_of(struct calls *c, const struct call_options *o)
{
    struct grammar_builder *b = c->b;
    gexpr ways[2];
    size_t n = 0;
    if (c->n_python > 0)
        ways[n++] = block_of(c, c->python, c->n_python, o->single);
    if (c->n_json > 0)
        ways[n++] = block_of(c, c->json, c->n_json, o->single);
    gexpr x = grammar_alt(b, ways, n);
    if (o->markers)
        x = grammar_seq3(b, grammar_text(b, DIALECT_CALL_START), x,
                         grammar_text(b, DIALECT_CALL_END));
    uint32_t root = grammar_rule(b, "calls");
    grammar_define(b, root, x);
    return root;
}

/* Where the client wrote it. */
static size_t place_of(const json_t *listed, const json_t *tool, size_t i)
{
    for (size_t j = 0; j < json_array_size(listed); j++)
        if (json_array_get(listed, j) == tool)
            return j;
    return i;
}

static void add_tools(struct calls *c, const json_t *tools,
                      const struct call_options *o)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        const char *name =
            json_string_value(json_object_get(function_of(tool), "name"));
        if (o->only != NULL && strcmp(o->only, name) != 0)
            continue;
        c->all_strict &= call_grammar_is_strict(tool);
        if (!grammar_failed(c->b))
            add_tool(c, tool, place_of(o->listed, tool, i));
    }
}

/* With `free`, the schemas of tools that are not strict count for nothing. */
static int compile(struct grammar **out, struct calls *c, const json_t *tools,
                   const struct call_options *o, struct err *err)
{
    size_t n = json_array_size(tools);
    int rc = grammar_builder_new(&c->b, err);
    if (rc != 0)
        return rc;
    c->all_strict = true;
    c->python = mem_calloc(n + 1, sizeof *c->python);
    c->json = mem_calloc(n + 1, sizeof *c->json);
    c->keywords = schema_call_new(c->b, SCHEMA_KEYWORDS);
    c->objects = schema_call_new(c->b, SCHEMA_OBJECT);
    if (c->python == NULL || c->json == NULL)
        grammar_fail(c->b, ERR_NOMEM, "out of memory for the tools");
    if (!grammar_failed(c->b))
        add_tools(c, tools, o);
    schema_call_free(c->keywords);
    schema_call_free(c->objects);
    uint32_t root = grammar_failed(c->b) ? GRAMMAR_NO_RULE : root_of(c, o);
    rc = grammar_finish(c->b, root, out, err);
    mem_free(c->python);
    mem_free(c->json);
    grammar_builder_free(c->b);
    return rc;
}

int call_grammar_new(struct grammar **out, const json_t *tools,
                     const struct call_options *options, struct err *err)
{
    struct calls c = {0};
    struct err why = {0};
    *out = NULL;
    int rc = compile(out, &c, tools, options, &why);
    if (rc != 0 && rc != -ERR_NOMEM && !c.all_strict) {
        c = (struct calls){.free = true};
        rc = compile(out, &c, tools, options, &why);
    }
    if (rc == 0)
        return 0;
    if (rc == -ERR_NOMEM)
        return err_nomem(err, "the grammar of the tools");
    const char *param = c.param[0] != '\0' ? c.param : "tools";
    return err_field(err, param, "%s: %s", param, why.text);
}
