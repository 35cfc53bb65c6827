/* test_pycall.c -- calls and literals as LFM2 checkpoints write them.
 *
 * The good ones are what vLLM's lfm2 parser and llama.cpp's LFM2 tests accept,
 * and what users reported. */
#include "tests/lib/test.h"

#include "model/dialect/pycall.h"

/* What was told, as a line: name{args}; for a call, name{args for one without
 * an END. */
struct line {
    struct buf text;
    size_t args; /* of the call at hand: where they begin */
};

static void on_call(void *user, enum pycall_kind kind, const char *bytes,
                    size_t n)
{
    struct line *l = user;
    buf_put(&l->text, bytes, n);
    if (kind == PYCALL_BEGIN)
        l->args = l->text.len;
    if (kind != PYCALL_END)
        return;
    json_t *v = NULL;
    struct err err = {0};
    if (json_parse(&v, l->text.data + l->args, l->text.len - l->args,
                   JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, &err) != 0)
        fail_msg("%s: %s", err.text, l->text.data);
    assert_true(json_is_object(v));
    json_decref(v);
    buf_putc(&l->text, ';');
}

/* Reads the block in pieces of `step` bytes.  The rest follows behind a ~,
 * if it is not the whole block. */
static void read_block(const char *block, size_t n, size_t step, bool cut,
                       const char *expected)
{
    struct pycall r;
    struct line l = {0};
    size_t n_rest, i = 0;
    pycall_init(&r, on_call, &l);
    pycall_start(&r);
    bool open = true;
    for (; open && i < n; i += step)
        open = pycall_feed(&r, block + i, i + step < n ? step : n - i);
    if (open)
        pycall_finish(&r, cut);
    i = i < n ? i : n; /* what was fed */
    assert_true(pycall_ok(&r));
    const char *rest = pycall_rest(&r, &n_rest);
    assert_memory_equal(rest, block + i - n_rest, n_rest);
    if (pycall_told(&r) && n - i + n_rest > 0)
        buf_printf(&l.text, "~%s", block + i - n_rest);
    if (!pycall_told(&r))
        assert_int_equal(n_rest, i);
    assert_string_equal(buf_str(&l.text), expected);
    buf_deinit(&l.text);
    pycall_deinit(&r);
}

static void check(const char *block, const char *expected)
{
    size_t n = strlen(block);
    read_block(block, n, n > 0 ? n : 1, false, expected);
    read_block(block, n, 1, false, expected);
    read_block(block, n, 7, false, expected);
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
    check("[f (a=1, b=\"x\"), g(c='y')]",
          "f{\"a\": 1, \"b\": \"x\"};g{\"c\": \"y\"};");
    check("[f(a=1,),]", "f{\"a\": 1};");
    check("[f(from=1, class='x')]", "f{\"from\": 1, \"class\": \"x\"};");
    check("[f(\n  a = 1,\n  b = 2\n)\n]", "f{\"a\": 1, \"b\": 2};");
    check("[get-weather(a=1)]", "get-weather{\"a\": 1};");
    check("[f(a=1)", "f{\"a\": 1};");
    check("f(a=1)]", "f{\"a\": 1};");
    check("[\xc3\xa9t\xc3\xa9(\xc3\xa0=1)]",
          "\xc3\xa9t\xc3\xa9{\"\xc3\xa0\": 1};");
}

TEST(what_does_not_begin_as_a_call_is_none)
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
        "[,]",
        "[f(,)]",
        "[f(a=b)]",
        "(f())",
        "[f(**{})]",
        "[[f()]]",
        "[f(a==1)]",
        "[f(a=[)]",
        "[f('x')]",
        "[f(a=1 b=2)]",
        "[f(a=2024-01-01)]",
        "[see (above)]",
        "[f(a=nan)]",
        "[f(a=float('inf'))]",
        "[f(a={**b})]",
        "[\xff(a=1)]",
        "[f(\xff=1)]",
        "[f(a={'k': 1 2})]",
        "[f(a=(1 2))]",
        "[f(a={'x' 1})]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(bad[i], "");
}

TEST(of_a_name_given_twice_the_first_value_counts)
{
    UNUSED_STATE;
    check("[f(a=1, a=2)]", "f{\"a\": 1};");
    check("[f(a=1, a={'a': [1, {'a': 2, 'a': 3}]}, b='x', a='y', c=2), g()]",
          "f{\"a\": 1, \"b\": \"x\", \"c\": 2};g{};");
    value("{'k': [1], 'k': (2), 'j': {'k': 3, 'k': 4}, 'k': {5}}",
          "{\"k\": [1], \"j\": {\"k\": 3}}");
    check("[{\"name\": \"f\", \"x\": {\"y\": 1, \"y\": 2}, "
          "\"arguments\": {\"a\": 1, \"a\": [2], \"b\": 3}}]",
          "f{\"a\": 1, \"b\": 3};");
    check("[f(a=1, a=)]", "f{\"a\": 1};~ a=)]");
}

TEST(what_was_told_is_closed_and_the_rest_is_none)
{
    UNUSED_STATE;
    check("[f()] and more", "f{};~ and more");
    check("[f()g()]", "f{};~g()]");
    check("[f(a=1))]", "f{\"a\": 1};~)]");
    check("[f(a='x', b=1 c=2)]", "f{\"a\": \"x\"};~ b=1 c=2)]");
    check("[f(a=[{'k': 'x', 3 4}])]", "f{\"a\": [{\"k\": \"x\"}]};~ 3 4}])]");
    check("[f(a=[1, (2, (3 4))])]", "f{\"a\": [1, [2]]};~ (3 4))])]");
    check("[f(a=1, **{'b': 2})]", "f{\"a\": 1};~ **{'b': 2})]");
    check("[f(a=1), g('x'), h(b=2)]", "f{\"a\": 1};~ g('x'), h(b=2)]");
    check("[f(a='x", "f{\"a\": \"x\"};");
    check("[f(a='x\\", "f{\"a\": \"x\\\\\"};");
    check("[f(a='x\\u12", "f{\"a\": \"x\\\\u12\"};");
    check("[f(a=['x', {'k': 'y", "f{\"a\": [\"x\", {\"k\": \"y\"}]};");
    check("[f(a='x', b={'k': tru", "f{\"a\": \"x\"};~ b={'k': tru");
    check("[f(a='x', b=1", "f{\"a\": \"x\"};~ b=1");
}

TEST(a_call_that_is_cut_stays_open)
{
    UNUSED_STATE;
    static const char block[] =
        "[f(a='x', b=[12, 'it's'], c={'k': 3}), g(d=4)]";
    static const struct {
        size_t n;
        const char *told;
    } cuts[] = {
        {0, ""},
        {5, ""},
        {6, ""}, /* more quotes may follow */
        {7, "f{\"a\": \"x"},
        {8, "f{\"a\": \"x"}, /* the quote may be part of the string */
        {12, "f{\"a\": \"x"},
        {13, "f{\"a\": \"x\""},
        {16, "f{\"a\": \"x\", \"b\": [12"},
        {20, "f{\"a\": \"x\", \"b\": [12, \"it"},
        {21, "f{\"a\": \"x\", \"b\": [12, \"it"},
        {22, "f{\"a\": \"x\", \"b\": [12, \"it's"},
        {37, "f{\"a\": \"x\", \"b\": [12, \"it's\"], \"c\": {\"k\": 3}};"},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        char part[64] = {0};
        memcpy(part, block, cuts[i].n);
        read_block(part, cuts[i].n, 1, true, cuts[i].told);
        read_block(part, cuts[i].n, 64, true, cuts[i].told);
    }
    read_block("[f(a='x')", 9, 1, true, "f{\"a\": \"x\"};");
    read_block("[f(a='x')]\n", 11, 1, true, "f{\"a\": \"x\"};");
    read_block("[f(), g(b=", 10, 1, true, "f{};~ g(b=");
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
    value("-1e400", "");
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
    value("''", "\"\"");
    value("\"\"\"\"\"\"", "\"\"");
    value("'\\101\\18'", "\"A\\u00018\"");
    value("'\\x4'", "\"\\\\x4\"");
    value("'\\ud83d\\u0041'", "\"\xef\xbf\xbd"
                              "A\"");
    value("'\\ud83d\\x41'", "\"\xef\xbf\xbd"
                            "A\"");
    value("'a\\\nb'", "\"ab\"");
    value("'\\\xc3\xa9'", "\"\\\\\xc3\xa9\"");
    value("'\xff\xe2\x82'", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    value("''''a''''", "\"'a'\"");
    value("Rb'\\n'", "\"\\\\n\"");
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
    value("'he said 'no', ok'", "\"he said 'no', ok\"");
    value("['he said 'no', ok', 'b']", "[\"he said 'no', ok\", \"b\"]");
    value("['a', r'b', None]", "[\"a\", \"b\", null]");
    value("{'it's': 'a', 'b': 'say 'b': c'}",
          "{\"it's\": \"a\", \"b\": \"say 'b': c\"}");
    value("{'a: 'b': 1}", "{\"a: 'b\": 1}");
    value("'print(d['k'])'", "\"print(d['k'])\"");
    value("'a[f('b')]'", "\"a[f('b')]\"");
    value("'if x in ('a', y == 'b')'", "\"if x in ('a', y == 'b')\"");
    check("[f(a='x 'y'), g(b='p 'q')]",
          "f{\"a\": \"x 'y\"};g{\"b\": \"p 'q\"};");
    check("[f(a='echo 'hi', b='c')]", "f{\"a\": \"echo 'hi\", \"b\": \"c\"};");
    check("[f(a='x')]\nThat's 'it'.", "f{\"a\": \"x\"};~\nThat's 'it'.");
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
    value("{True, 2}", "[true, 2]");
    value("{(1, 2), (3)}", "[[1, 2], 3]");
    value("((1), ((2,),))", "[1, [[2]]]");
    value("{'a': {1, 2}, 'b': ({},)}", "{\"a\": [1, 2], \"b\": [{}]}");
    value("[1 2]", "");
    check("[f(a=[(1, 2))]", "f{\"a\": [[1, 2]]};~)]");
}

TEST(depth_is_bounded)
{
    UNUSED_STATE;
    char text[512] = {0};
    memset(text, '[', 63);
    memset(text + 63, ']', 63);
    value(text, text);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    value(text, "");
    static char deep[100000];
    static const char brackets[] = "([{";
    for (size_t i = 0; brackets[i] != '\0'; i++) {
        memset(deep, brackets[i], sizeof deep - 1);
        memcpy(deep, "[f(a=", 5);
        check(deep, "");
    }
}

TEST(an_object_has_so_many_members)
{
    UNUSED_STATE;
    struct buf block = {0}, expected = {0};
    buf_puts(&block, "[f(a={'x': 1}");
    buf_puts(&expected, "f{\"a\": {\"x\": 1}");
    for (uint32_t i = 1; i < PYCALL_MEMBERS_MAX; i++) {
        buf_printf(&block, ",k%u={'x': %u}", i, i);
        buf_printf(&expected, ", \"k%u\": {\"x\": %u}", i, i);
    }
    size_t n = block.len;
    buf_puts(&block, ")]");
    buf_puts(&expected, "};");
    check(buf_str(&block), buf_str(&expected));
    block.len = n;
    buf_puts(&block, ",z=1)]");
    buf_puts(&expected, "~z=1)]");
    check(buf_str(&block), buf_str(&expected));
    buf_deinit(&block);
    buf_deinit(&expected);
}

TEST(a_block_has_so_many_calls)
{
    UNUSED_STATE;
    struct buf block = {0}, expected = {0};
    for (uint32_t i = 0; i <= PYCALL_MAX; i++)
        buf_puts(&block, i == 0 ? "[f()" : ",f()");
    for (uint32_t i = 0; i < PYCALL_MAX; i++)
        buf_puts(&expected, "f{};");
    buf_puts(&expected, "~f()");
    check(buf_str(&block), buf_str(&expected));
    buf_deinit(&block);
    buf_deinit(&expected);
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
    check("{\"arguments\": {\"a\": [\"x\"]}, \"id\": [1, {\"a\": (2)}], "
          "\"name\": \"f\", \"type\": \"function\"}",
          "f{\"a\": [\"x\"]};");
    check("[{\"name\": \"f\", \"arguments\": null}, g(a=1)]",
          "f{};g{\"a\": 1};");
    check("[{'name': 'f', 'arguments': {'a': True, \"u\": \"a\\/b\"}}]",
          "f{\"a\": true, \"u\": \"a/b\"};");
    check("[{\"name\": \"f\", \"arguments\": {\"q\": \"say \"hi\", Bob\"}}]",
          "f{\"q\": \"say \\\"hi\\\", Bob\"};");
    check("[{\"name\": \"\"}]", "");
    check("[{\"name\": \"f\", \"arguments\": 1}]", "");
    check("[{\"name\": \"f\", \"arguments\": \"[1]\"}]", "");
    check("[{\"name\": \"f\", \"name\": \"g\"}]", "");
    check("[{\"arguments\": {\"a\": 1}}]", "");
    check("[{\"name\": \"f\"", "");
    check("[{}]", "");
    check("[{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": [true, fals",
          "f{\"a\": 1, \"b\": [true]};~ fals");
    check("[{\"name\": \"f\", \"arguments\": {}, \"parameters\": {}}]",
          "f{};~ \"parameters\": {}}]");
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
        cmocka_unit_test(what_does_not_begin_as_a_call_is_none),
        cmocka_unit_test(of_a_name_given_twice_the_first_value_counts),
        cmocka_unit_test(what_was_told_is_closed_and_the_rest_is_none),
        cmocka_unit_test(a_call_that_is_cut_stays_open),
        cmocka_unit_test(constants_of_python_and_of_json),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(quotes_inside_quotes_are_repaired),
        cmocka_unit_test(containers),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(an_object_has_so_many_members),
        cmocka_unit_test(a_block_has_so_many_calls),
        cmocka_unit_test(json_calls),
        cmocka_unit_test(a_written_call_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
