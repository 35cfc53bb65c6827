/* test_call_grammar.c -- what calls of given tools may look like, and that the
 * parser reads them back.  Random tools: tests/server/test_grammar.py. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/dialect/call_grammar.h"
#include "model/dialect/pycall.h"
#include "tests/lib/grammar_rig.h"

/* Tools are written with single quotes, to be read. */
static const char weather[] =
    "[{'function': {'name': 'get_weather', 'parameters': {'type': 'object', "
    "'properties': {'city': {'type': 'string'}, "
    "'days': {'type': 'integer', 'minimum': 1, 'maximum': 12}, "
    "'unit': {'enum': ['C', 'it\\u0027s', null, true, ['x']]}}, "
    "'required': ['city']}}}, {'function': {'name': 'now'}}]";

static json_t *list_of(const char *tools)
{
    char text[1024];
    json_t *list;
    snprintf(text, sizeof text, "%s", tools);
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(json_parse(&list, text, strlen(text), 64, 10000, NULL), 0);
    return list;
}

static int compile(struct grammar **g, const char *tools,
                   const struct call_options *o, struct err *err)
{
    json_t *list = list_of(tools);
    int rc = call_grammar_new(g, list, o, err);
    json_decref(list);
    return rc;
}

static struct grammar *grammar_of(const char *tools,
                                  const struct call_options *o)
{
    struct grammar *g;
    struct err err = {0};
    if (compile(&g, tools, o, &err) != 0)
        fail_msg("%s", err.text);
    return g;
}

static void on_call(void *user, enum pycall_kind kind, const char *bytes,
                    size_t n)
{
    struct buf *line = user;
    if (kind == PYCALL_END)
        buf_putc(line, ';');
    else
        buf_put(line, bytes, n);
}

/* "name{args};..." and what of the text is no call. */
static void read_back(struct buf *line, const char *text)
{
    struct pycall reader;
    size_t n;
    pycall_init(&reader, on_call, line);
    pycall_start(&reader);
    if (pycall_feed(&reader, text, strlen(text)))
        pycall_finish(&reader, false);
    const char *rest = pycall_rest(&reader, &n);
    buf_put(line, rest, n);
    pycall_deinit(&reader);
}

/* The grammar takes it, and it is read as `expected`. */
static void takes(struct grammar *g, const char *text, const char *expected)
{
    struct buf line = {0};
    if (!rig_takes(g, text))
        fail_msg("does not take %s", text);
    read_back(&line, text);
    assert_string_equal(buf_str(&line), expected);
    buf_deinit(&line);
}

TEST(calls_are_written_as_the_models_write_them)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(weather, &(struct call_options){0});
    takes(g, "[get_weather(city='Paris')]",
          "get_weather{\"city\": \"Paris\"};");
    takes(g, "[get_weather(city=\"Paris\", days=12), now()]",
          "get_weather{\"city\": \"Paris\", \"days\": 12};now{};");
    takes(g, "[now(),get_weather(city='',unit=None)]",
          "now{};get_weather{\"city\": \"\", \"unit\": null};");
    takes(g, "[get_weather(city=\"it's here, he said\", unit=True)]",
          "get_weather{\"city\": \"it's here, he said\", \"unit\": true};");
    takes(g, "[get_weather(city='x', unit='it\\'s')]",
          "get_weather{\"city\": \"x\", \"unit\": \"it's\"};");
    takes(g, "[get_weather(city='two\nlines', unit=['x'])]",
          "get_weather{\"city\": \"two\\nlines\", \"unit\": [\"x\"]};");
    grammar_unref(g);
}

TEST(what_the_tools_do_not_have_is_not_said)
{
    UNUSED_STATE;
    static const char *const bad[] = {
        "[]",
        "[get_weather()]",
        "[get_weather(days=1)]",
        "[get_weather(city='x', days=0)]",
        "[get_weather(city='x', days=13)]",
        "[get_weather(city='x', days='1')]",
        "[get_weather(city=1)]",
        "[get_weather(days=1, city='x')]",
        "[get_weather(city='x', city='y')]",
        "[get_weather(city='x', more=1)]",
        "[get_weather(city='x', unit='D')]",
        "[get_weather(city='it's here')]",
        "[get_weather(city=\"a \"b\" c\")]",
        "[get_weather(city='x' )]",
        "[now(x=1)]",
        "[other()]",
        "now()",
        "[now()",
        "[now()]]",
        "{\"name\": \"now\", \"arguments\": {}}",
    };
    struct grammar *g = grammar_of(weather, &(struct call_options){0});
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rig_takes(g, bad[i]))
            fail_msg("takes %s", bad[i]);
    grammar_unref(g);
}

TEST(options_say_who_is_called_how_often_and_between_what)
{
    UNUSED_STATE;
    struct grammar *g =
        grammar_of(weather, &(struct call_options){.only = "now"});
    takes(g, "[now(), now()]", "now{};now{};");
    assert_false(rig_begins(g, "[g"));
    grammar_unref(g);

    g = grammar_of(weather, &(struct call_options){.single = true});
    takes(g, "[now()]", "now{};");
    assert_false(rig_begins(g, "[now(),"));
    grammar_unref(g);

    g = grammar_of(weather, &(struct call_options){.markers = true});
    assert_true(rig_takes(g, "<|tool_call_start|>[now()]<|tool_call_end|>"));
    assert_false(rig_begins(g, "[now"));
    grammar_unref(g);
}

TEST(no_more_calls_than_are_read)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(weather, &(struct call_options){0});
    struct buf text = {0};
    buf_puts(&text, "[now()");
    for (unsigned i = 1; i < PYCALL_MAX; i++)
        buf_puts(&text, ", now()");
    assert_true(rig_begins(g, buf_str(&text)));
    struct buf more = {0};
    buf_printf(&more, "%s,", buf_str(&text));
    assert_false(rig_begins(g, buf_str(&more)));
    buf_deinit(&more);
    buf_puts(&text, "]");
    assert_true(rig_takes(g, buf_str(&text)));
    read_back(&more, buf_str(&text));
    assert_int_equal(more.len, PYCALL_MAX * strlen("now{};"));
    buf_deinit(&more);
    buf_deinit(&text);
    grammar_unref(g);
}

TEST(names_that_python_has_no_room_for_are_called_in_json)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(
        "[{'function': {'name': 'a/b', 'parameters': {'type': 'object', "
        "'properties': {'$x': {'type': 'boolean'}}, 'required': ['$x']}}}, "
        "{'function': {'name': 'Calendar.add-one', 'parameters': "
        "{'properties': {'from': {}, 'max-n': {'type': 'null'}}}}}]",
        &(struct call_options){0});
    takes(g, "[{\"name\": \"a/b\", \"arguments\": {\"$x\": true}}]",
          "a/b{\"$x\": true};");
    takes(g, "[Calendar.add-one(from='x', max-n=None)]",
          "Calendar.add-one{\"from\": \"x\", \"max-n\": null};");
    assert_false(
        rig_begins(g, "[{\"name\": \"a/b\", \"arguments\": {\"$x\": T"));
    assert_false(rig_begins(g, "[{\"name\": \"C"));
    assert_false(rig_begins(g, "[a"));
    grammar_unref(g);
}

TEST(other_arguments_only_where_the_schema_speaks_of_them)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(
        "[{'function': {'name': 'f', 'parameters': {'type': 'object', "
        "'properties': {}, 'additionalProperties': {'type': 'integer'}}}}, "
        "{'function': {'name': 'g', 'parameters': {'type': 'object', "
        "'properties': {}}}}, "
        "{'function': {'name': 'h', 'parameters': {'type': 'object'}}}]",
        &(struct call_options){0});
    takes(g, "[f(a=1, b_2=-2)]", "f{\"a\": 1, \"b_2\": -2};");
    /* A grammar does not count names: of one given twice the first stays. */
    takes(g, "[f(a=1, a=2, b=3)]", "f{\"a\": 1, \"b\": 3};");
    takes(g, "[h(x={'k': [1.5, {\"k\": False}], \"k\": null})]",
          "h{\"x\": {\"k\": [1.5, {\"k\": false}]}};");
    assert_false(rig_begins(g, "[f(a='"));
    assert_false(rig_begins(g, "[g(a"));
    grammar_unref(g);
}

static void refused(const char *tools, const char *param, const char *text)
{
    struct grammar *g;
    struct err err = {0};
    assert_int_equal(compile(&g, tools, &(struct call_options){0}, &err),
                     -ERR_INVALID);
    assert_null(g);
    assert_string_equal(err.param, param);
    if (strstr(err.text, text) == NULL || strstr(err.text, param) == NULL)
        fail_msg("%s", err.text);
}

TEST(a_strict_tool_is_honoured_or_refused)
{
    UNUSED_STATE;
    refused("[{'function': {'name': 'a'}}, {'function': {'name': 'b', "
            "'strict': true, 'parameters': {'properties': {'x': {'not': {}}}}}"
            "}]",
            "tools[1].function.parameters", "not at #/properties/x");
    refused("[{'function': {'name': 'b', 'strict': true, 'parameters': "
            "{'properties': {'x': {'type': 'date'}}}}}]",
            "tools[0].function.parameters", "type at #/properties/x");
    refused("[{'function': {'name': 'b', 'strict': true, 'parameters': "
            "{'properties': {'x': {'type': 'string', 'maxLength': 200000}}}}}]",
            "tools[0].function.parameters", "maxLength");
    refused("[{'function': {'name': 'b', 'strict': true, 'parameters': "
            "{'properties': {'x': false}, 'required': ['x']}}}]",
            "tools", "no finite text");
}

TEST(another_tool_is_followed_as_far_as_can_be)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(
        "[{'function': {'name': 'f', 'parameters': {'properties': "
        "{'x': {'not': {}}, 'y': {'type': 'integer'}, 'z': {'$ref': '#/no'}}, "
        "'required': ['x', 'y']}}}, "
        "{'function': {'name': 'g', 'parameters': {'type': 7}}}]",
        &(struct call_options){0});
    takes(g, "[f(x=['a'], y=1, z=None)]",
          "f{\"x\": [\"a\"], \"y\": 1, \"z\": null};");
    takes(g, "[g(anything='x')]", "g{\"anything\": \"x\"};");
    assert_false(rig_begins(g, "[f(x=1, y='"));
    assert_false(rig_begins(g, "[f(y"));
    grammar_unref(g);
    /* What nothing satisfies is no reason to answer nothing. */
    g = grammar_of("[{'function': {'name': 'f', 'parameters': {'properties': "
                   "{'x': false}, 'required': ['x']}}}]",
                   &(struct call_options){0});
    takes(g, "[f(x=1)]", "f{\"x\": 1};");
    grammar_unref(g);
}

TEST(values_nest_no_deeper_than_they_are_read)
{
    UNUSED_STATE;
    struct grammar *g = grammar_of(
        "[{'function': {'name': 'f', 'parameters': {'properties': "
        "{'t': {'$ref': '#/$defs/t'}}, '$defs': {'t': {'type': 'object', "
        "'properties': {'k': {'type': 'array', "
        "'items': {'$ref': '#/$defs/t'}}}}}}}}]",
        &(struct call_options){0});
    struct buf text = {0};
    unsigned depth = 0;
    buf_puts(&text, "[f(t=");
    for (;; depth++) {
        buf_puts(&text, "{'k':[");
        if (!rig_begins(g, buf_str(&text)))
            break;
    }
    text.len -= strlen("{'k':[");
    for (unsigned i = 0; i < depth; i++)
        buf_puts(&text, "]}");
    buf_puts(&text, ")]");
    struct buf line = {0};
    assert_in_range(depth, 10, 32);
    assert_true(rig_takes(g, buf_str(&text)));
    read_back(&line, buf_str(&text));
    assert_true(strncmp(buf_str(&line), "f{\"t\": {\"k\": [", 14) == 0);
    assert_int_equal(line.data[line.len - 1], ';');
    buf_deinit(&line);
    buf_deinit(&text);
    grammar_unref(g);
}

TEST(compiling_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    json_t *list =
        list_of("[{'function': {'name': 'f', 'parameters': {'properties': "
                "{'x': {'not': {}}, 'y': {'enum': ['a', {'b': 'c'}]}}}}}, "
                "{'function': {'name': 'a b', 'strict': true, 'parameters': "
                "{'properties': {'$': {'pattern': '^a+$'}}}}}, "
                "{'function': {'name': 'g'}}]");
    const size_t live = mem_live_count();
    for (int nth = 0;; nth++) {
        struct grammar *g = NULL;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = call_grammar_new(&g, list, &(struct call_options){0}, &err);
        bool failed = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_true(rc == 0 || (failed && rc == -ERR_NOMEM));
        assert_true((rc == 0) == (g != NULL));
        grammar_unref(g);
        assert_int_equal(mem_live_count(), live);
        if (!failed)
            break;
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_written_as_the_models_write_them),
        cmocka_unit_test(what_the_tools_do_not_have_is_not_said),
        cmocka_unit_test(options_say_who_is_called_how_often_and_between_what),
        cmocka_unit_test(no_more_calls_than_are_read),
        cmocka_unit_test(names_that_python_has_no_room_for_are_called_in_json),
        cmocka_unit_test(other_arguments_only_where_the_schema_speaks_of_them),
        cmocka_unit_test(a_strict_tool_is_honoured_or_refused),
        cmocka_unit_test(another_tool_is_followed_as_far_as_can_be),
        cmocka_unit_test(values_nest_no_deeper_than_they_are_read),
        cmocka_unit_test(compiling_survives_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
