/* test_pycall.c -- calls and literals as LFM2 checkpoints write them.
 *
 * The good ones are what vLLM's lfm2 parser and llama.cpp's LFM2 tests accept,
 * and what users reported. */
#include "tests/lib/test.h"

#include "model/dialect/pycall.h"

/* "name{args};..." or "" when the block is no list of calls. */
static void check(const char *block, const char *expected)
{
    struct pycall calls[PYCALL_MAX];
    struct buf store = {0}, line = {0};
    size_t n = pycall_parse(block, strlen(block), calls, &store);
    for (size_t i = 0; i < n; i++) {
        buf_put(&line, store.data + calls[i].name, calls[i].n_name);
        buf_put(&line, store.data + calls[i].args, calls[i].n_args);
        buf_putc(&line, ';');
    }
    assert_string_equal(buf_str(&line), expected);
    buf_deinit(&line);
    buf_deinit(&store);
}

static void value(const char *python, const char *json)
{
    char block[512], expected[512];
    snprintf(block, sizeof block, "[f(v=%s)]", python);
    snprintf(expected, sizeof expected, "f{\"v\": %s};", json);
    check(block, json[0] != '\0' ? expected : "");
}

TEST(calls_have_names_and_arguments)
{
    UNUSED_STATE;
    check("[f()]", "f{};");
    check("f()", "f{};");
    check(" [ a . b ( ) ] ", "");
    check("[a.b(x=1)]", "a.b{\"x\": 1};");
    check("[f(a=1, b=\"x\"), g(c='y')]",
          "f{\"a\": 1, \"b\": \"x\"};g{\"c\": \"y\"};");
    check("[f(a=1,),]", "f{\"a\": 1};");
    check("[f(from=1, class='x')]", "f{\"from\": 1, \"class\": \"x\"};");
    check("[f(\n  a = 1,\n  b = 2\n)\n]", "f{\"a\": 1, \"b\": 2};");
    check("[get-weather(a=1)]", "get-weather{\"a\": 1};");
    check("[f(a=1)", "f{\"a\": 1};");
}

TEST(what_python_would_refuse_is_no_call)
{
    UNUSED_STATE;
    static const char *const bad[] = {
        "",
        "[]",
        "f",
        "[f]",
        "[f(]",
        "[f(a)]",
        "[f(1)]",
        "[f(a=)]",
        "[f(a=1 b=2)]",
        "[f(a=1, a=2)]",
        "[f()] and more",
        "[f()g()]",
        "[,]",
        "[f(,)]",
        "[f(a=b)]",
        "[f(a={'k': 1, 'k': 2})]",
        "[f(a=1))]",
        "(f())",
        "[f(a=2024-01-01)]",
        "[f(**{})]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(bad[i], "");
    check("[f(a='\xff')]", "");
}

TEST(constants_of_python_and_of_json)
{
    UNUSED_STATE;
    value("True", "true");
    value("False", "false");
    value("None", "null");
    value("true", "true");
    value("false", "false");
    value("null", "null");
    value("Truely", "");
}

TEST(numbers)
{
    UNUSED_STATE;
    value("0", "0");
    value("-5", "-5");
    value("+5", "5");
    value("07", "7");
    value("00", "0");
    value("1_000", "1000");
    value("1__0", "10");
    value("1_", "");
    value("2.50", "2.50");
    value("1.", "1.0");
    value(".5", "0.5");
    value("-.5", "-0.5");
    value("007.5", "7.5");
    value("1e5", "1e5");
    value("1.5E-3", "1.5e-3");
    value("1e999", "");
    value("0x1F", "31");
    value("9223372036854775807", "9223372036854775807");
    value("9223372036854775808", "9.22337203685477580e18");
    value("-123456789012345678901234567890", "-1.23456789012345678e29");
    value("1j", "");
    value("-", "");
    value(".", "");
}

TEST(strings)
{
    UNUSED_STATE;
    value("'a'", "\"a\"");
    value("\"it's\"", "\"it's\"");
    value("'say \"hi\"'", "\"say \\\"hi\\\"\"");
    value("''", "\"\"");
    value("'a\\n\\t\\\\\\''", "\"a\\n\\t\\\\'\"");
    value("'a\nb\tc'", "\"a\\nb\\tc\"");
    value("'\\x41\\u00e9\\U0001F600'", "\"A\xc3\xa9\xf0\x9f\x98\x80\"");
    value("'\\ud83d\\ude00'", "\"\xf0\x9f\x98\x80\"");
    value("'\\ud83d'", "\"\xef\xbf\xbd\"");
    value("'\\d+'", "\"\\\\d+\"");
    value("'\\0'", "\"\\u0000\"");
    value("'''a 'b' c'''", "\"a 'b' c\"");
    value("\"\"\"\nx = \"y\"\n\"\"\"", "\"\\nx = \\\"y\\\"\\n\"");
    value("b'z'", "\"z\"");
    value("r'\\d\\n'", "\"\\\\d\\\\n\"");
    value("f\"{x}\"", "\"{x}\"");
    value("'open", "");
}

TEST(quotes_inside_quotes_are_repaired)
{
    UNUSED_STATE;
    value("'it's here'", "\"it's here\"");
    value("\"he said \"hi\" twice\"", "\"he said \\\"hi\\\" twice\"");
    value("\"he said \"hi\", then left\"", "\"he said \\\"hi\\\", then left\"");
    value("'sed -n '360,450p' /testbed/common.py'",
          "\"sed -n '360,450p' /testbed/common.py\"");
    value("'cd /t && python3 -c \"from sympy import latex\n"
          "print(latex(3*x, mul_symbol='\\,'))\"'",
          "\"cd /t && python3 -c \\\"from sympy import latex\\n"
          "print(latex(3*x, mul_symbol='\\\\,'))\\\"\"");
    value("'grep -F \"]\" log.txt'", "\"grep -F \\\"]\\\" log.txt\"");
    check("[f(a='x', b='y')]", "f{\"a\": \"x\", \"b\": \"y\"};");
    check("[f(a=['x', True, \"y\", -1, None], b=2)]",
          "f{\"a\": [\"x\", true, \"y\", -1, null], \"b\": 2};");
}

TEST(containers)
{
    UNUSED_STATE;
    value("[1, 'a', [True]]", "[1, \"a\", [true]]");
    value("(1, 2)", "[1, 2]");
    value("(1,)", "[1]");
    value("(1)", "1");
    value("()", "[]");
    value("[]", "[]");
    value("{}", "{}");
    value("{'a': {'b': [None, 2.5]}, \"c\": ()}",
          "{\"a\": {\"b\": [null, 2.5]}, \"c\": []}");
    value("{1: 'x', 2: [None]}", "{\"1\": \"x\", \"2\": [null]}");
    value("{True: 'y'}", "{\"true\": \"y\"}");
    value("{1, 2}", "[1, 2]");
    value("{'urgent', 'bug'}", "[\"urgent\", \"bug\"]");
    value("{'a'}", "[\"a\"]");
    value("{True, 2}", "");
    value("[1 2]", "");
}

TEST(depth_is_bounded)
{
    UNUSED_STATE;
    char text[512] = {0};
    memset(text, '[', 60);
    memset(text + 60, ']', 60);
    value(text, text);
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    value(text, "");
    static char deep[200000];
    memset(deep, '(', sizeof deep - 1);
    check(deep, "");
    memset(deep, '[', sizeof deep - 1);
    check(deep, "");
}

TEST(json_calls)
{
    UNUSED_STATE;
    check("[{\"name\": \"f\", \"arguments\": {\"b\":1,\"a\":[2.5,\"x\"]}}]",
          "f{\"b\": 1, \"a\": [2.5, \"x\"]};");
    check("{\"name\": \"f\"}", "f{};");
    check("[{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"},"
          "{\"name\":\"g\",\"parameters\":{}}]",
          "f{\"a\": 1};g{};");
    check("[{\"name\": \"\"}]", "");
    check("[{\"name\": \"f\", \"arguments\": 1}]", "");
    check("[{\"name\": \"f\"", "");
}

TEST(a_written_call_reads_back)
{
    UNUSED_STATE;
    static const char json[] =
        "{\"a\": \"it's \\\"q\\\"\\n\", \"b\": [true, null, {\"k\": 2.5}], "
        "\"c\": -3}";
    json_t *args;
    struct buf text = {0};
    assert_int_equal(json_parse(&args, json, strlen(json), 64, 100, NULL), 0);
    pycall_write(&text, "f", args);
    json_decref(args);
    assert_string_equal(buf_str(&text),
                        "f(a=\"it's \\\"q\\\"\\n\", b=[True, None, "
                        "{\"k\": 2.5}], c=-3)");
    struct buf expected = {0};
    buf_printf(&expected, "f%s;", json);
    check(buf_str(&text), buf_str(&expected));
    buf_deinit(&expected);
    buf_deinit(&text);
    pycall_write(&text, "g", NULL);
    assert_string_equal(buf_str(&text), "g()");
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_have_names_and_arguments),
        cmocka_unit_test(what_python_would_refuse_is_no_call),
        cmocka_unit_test(constants_of_python_and_of_json),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(quotes_inside_quotes_are_repaired),
        cmocka_unit_test(containers),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(json_calls),
        cmocka_unit_test(a_written_call_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
