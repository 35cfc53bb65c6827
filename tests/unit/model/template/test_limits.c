/* test_limits.c -- hostile templates end soon and say where; good ones fit. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/json.h"
#include "model/template/template.h"

static int render(const char *src, json_t *context, struct buf *out,
                  struct err *err)
{
    struct template *t;
    memset(err, 0, sizeof *err);
    int rc = template_compile(&t, src, strlen(src), err);
    if (rc != 0)
        return rc;
    rc = template_render(t, context, NULL, out, err);
    template_free(t);
    return rc;
}

static void expect(const char *src, int want, const char *text)
{
    struct buf out;
    struct err err;
    json_t *context = json_pack("{s:i}", "n", 1);
    buf_init(&out, 0);
    buf_puts(&out, "kept");
    uint64_t start = clock_now_ms();
    int rc = render(src, context, &out, &err);
    uint64_t ms = clock_now_ms() - start;
    if (rc != want || (text != NULL && strstr(err.text, text) == NULL) ||
        ms > 30000 || strcmp(buf_str(&out), "kept") != 0)
        fail_msg("%.60s: %d (want %d), %llu ms: %s", src, rc, want,
                 (unsigned long long)ms, err.text);
    buf_deinit(&out);
    json_decref(context);
}

TEST(hostile_templates_end_with_a_limit)
{
    UNUSED_STATE;
    static const char *const hostile[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}"
        "{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{% for b in range(100000) %}x"
        "{% endfor %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99999) %}"
        "{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99999) %}"
        "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}"
        "{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s=[]) %}{% for i in range(99999) %}"
        "{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[]) %}{% for i in range(99999) %}"
        "{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s | tojson }}",
        "{% set ns = namespace(s=[], t=[]) %}{% for i in range(99999) %}"
        "{% set ns.s = [ns.s] %}{% set ns.t = [ns.t] %}{% endfor %}"
        "{{ ns.s == ns.t }}",
        "{% set ns = namespace(s=[]) %}{% for i in range(60) %}"
        "{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(x) %}{% for i in [1] recursive %}{{ loop([1]) }}"
        "{% endfor %}{% endmacro %}{{ f() }}",
        "{{ 'x' * 1000000000000 }}",
        "{{ 'x' * 10000000 }}",
        "{{ [0] * 1000000000 }}",
        "{{ ('x' * 1000000) | replace('x', 'y' * 1000000) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ ('a ' * 1000000).split() | join('b' * 1000) }}",
        "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% for i in range(100000) %}{% set x %}{{ 'x' * 1000 }}{% endset %}"
        "{% endfor %}",
        "{% for i in range(100000) %}{% if 'y' in 'x' * 100000 %}{% endif %}"
        "{% endfor %}",
        "{{ range(1000) | batch(1, 'x') | map('string') | join | length * n"
        " * 9223372036854775807 }}{{ range(0, 100000) | slice(100000) | list "
        "| map('list') | map('join', ',' * 100000) | list }}",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct buf out;
        struct err err;
        json_t *context = json_pack("{s:i}", "n", 1);
        buf_init(&out, 0);
        uint64_t start = clock_now_ms();
        int rc = render(hostile[i], context, &out, &err);
        uint64_t ms = clock_now_ms() - start;
        if ((rc != -ERR_LIMIT && rc != -ERR_INVALID) || ms > 30000 ||
            strstr(err.text, "template line 1") == NULL)
            fail_msg("%.80s: %d, %llu ms: %s", hostile[i], rc,
                     (unsigned long long)ms, err.text);
        buf_deinit(&out);
        json_decref(context);
    }
}

TEST(a_range_too_long_is_refused_as_the_sandbox_does)
{
    UNUSED_STATE;
    expect("{{ range(10 ** 9) }}", -ERR_INVALID, "range");
    expect("{{ range(-9223372036854775807, 9223372036854775807) }}",
           -ERR_INVALID, "range");
}

static void repeated(const char *a, size_t n, const char *b, size_t m)
{
    struct buf src;
    struct buf out;
    struct err err;
    json_t *context = json_object();
    buf_init(&src, 0);
    buf_init(&out, 0);
    for (size_t i = 0; i < n; i++)
        buf_puts(&src, a);
    for (size_t i = 0; i < m; i++)
        buf_puts(&src, b);
    int rc = render(buf_str(&src), context, &out, &err);
    if (rc == 0)
        fail_msg("%zu times '%s' was accepted", n, a);
    buf_deinit(&src);
    buf_deinit(&out);
    json_decref(context);
}

TEST(deep_nesting_fails_in_the_parser)
{
    UNUSED_STATE;
    repeated("{{ ", 1, "(", 100000);
    repeated("{{ (((", 1, "[", 100000);
    repeated("{{ ", 1, "not ", 100000);
    repeated("{{ ", 1, "-", 100000);
    repeated("{{ ", 1, "{1:", 100000);
    repeated("{{ ", 1, "a[", 100000);
    repeated("{{ ", 1, "a(", 100000);
    repeated("{{ ", 1, "a if b else ", 50000);
    repeated("{% if a %}", 20000, "", 0);
    repeated("{% for a in b %}", 20000, "", 0);
    repeated("{% macro a() %}", 20000, "", 0);
    repeated("{{ a is b(", 1, "a is b(", 20000);
    repeated("{% set ", 1, "(", 20000);
    repeated("{{ 1", 1, " + 1", 100000);
    repeated("{{ x", 1, " | trim", 50000);
}

TEST(errors_name_the_line)
{
    UNUSED_STATE;
    expect("a\n\n{{ n | foo }}", -ERR_FORMAT,
           "template line 3, column 8: unknown filter 'foo'");
    expect("{% if n is foo(1) %}\n{% endif %}\n{{ nope.x }}", -ERR_INVALID,
           "line 1");
    expect("\n{{ nope.x }}", -ERR_INVALID, "line 2");
    expect("{% include 'x' %}", -ERR_FORMAT, "not supported");
    expect("{{ raise_exception('Just this: 100%') }}", -ERR_INVALID,
           "Just this: 100%");
    expect("\xff", -ERR_FORMAT, "UTF-8");
    expect("{% for x in [1] %}{% generation %}{% break %}{% endgeneration %}"
           "{% endfor %}",
           -ERR_FORMAT, "loop");
}

TEST(limits_of_the_caller_hold)
{
    UNUSED_STATE;
    struct template_limits few = template_default_limits;
    struct template *t;
    struct err err = {0};
    struct buf out;
    json_t *context = json_object();
    const char *src = "{% for x in range(50) %}{{ x }},{% endfor %}";
    buf_init(&out, 0);
    assert_int_equal(template_compile(&t, src, strlen(src), &err), 0);
    assert_int_equal(template_render(t, context, &few, &out, &err), 0);
    assert_int_equal(out.len, 140);
    few.output_bytes = 100;
    assert_int_equal(template_render(t, context, &few, &out, &err), -ERR_LIMIT);
    few = template_default_limits;
    few.steps = 100;
    assert_int_equal(template_render(t, context, &few, &out, &err), -ERR_LIMIT);
    few = template_default_limits;
    few.memory_bytes = 500;
    assert_int_equal(template_render(t, context, &few, &out, &err), -ERR_LIMIT);
    assert_int_equal(out.len, 140);
    template_free(t);
    buf_deinit(&out);
    json_decref(context);
}

TEST(a_long_chat_renders_within_the_defaults)
{
    UNUSED_STATE;
    static char src[20000];
    struct err err;
    struct buf out;
    FILE *f = fopen("model/demo/chat_template.jinja", "r");
    assert_non_null(f);
    src[fread(src, 1, sizeof src - 1, f)] = '\0';
    fclose(f);
    static char text[1024];
    memset(text, 'x', sizeof text - 1);
    json_t *messages = json_array();
    for (int i = 0; i < 2000; i++)
        json_array_append_new(messages,
                              json_pack("{s:s,s:s}", "role",
                                        i % 2 == 0 ? "user" : "assistant",
                                        "content", text));
    json_t *context = json_pack("{s:o,s:b}", "messages", messages,
                                "add_generation_prompt", 1);
    buf_init(&out, 0);
    uint64_t start = clock_now_ms();
    int rc = render(src, context, &out, &err);
    print_message("2000 messages: %llu ms, %zu bytes\n",
                  (unsigned long long)(clock_now_ms() - start), out.len);
    assert_string_equal(err.text, "");
    assert_int_equal(rc, 0);
    assert_true(out.len > 2000000);
    buf_deinit(&out);
    json_decref(context);
}

TEST(text_built_in_a_namespace_costs_memory_linear_in_it)
{
    UNUSED_STATE;
    struct err err;
    struct buf out;
    json_t *context = json_object();
    buf_init(&out, 0);
    int rc = render("{% set ns = namespace(s='') %}{% for i in range(20000) %}"
                    "{% set ns.s = ns.s + 'a piece of text that is long' "
                    "+ '\\n' %}{% endfor %}{{ ns.s | length }}",
                    context, &out, &err);
    assert_int_equal(rc, 0);
    assert_string_equal(buf_str(&out), "580000");
    buf_deinit(&out);
    json_decref(context);
}

TEST(mentions_are_variables_attributes_and_subscripts)
{
    UNUSED_STATE;
    const char *src = "{{ enable_thinking }}{{ m.thinking }}{{ m['tools'] }}"
                      "{{ m.get('name') }}{% if 'tool_calls' in m %}{% endif %}"
                      "text {# comment #}{{ 'literal' }}";
    struct template *t;
    struct err err;
    assert_int_equal(template_compile(&t, src, strlen(src), &err), 0);
    assert_true(template_mentions(t, "enable_thinking"));
    assert_true(template_mentions(t, "thinking"));
    assert_true(template_mentions(t, "tools"));
    assert_true(template_mentions(t, "name"));
    assert_true(template_mentions(t, "tool_calls"));
    assert_false(template_mentions(t, "text"));
    assert_false(template_mentions(t, "comment"));
    assert_false(template_mentions(t, "literal"));
    template_free(t);
}

TEST(memory_that_runs_out_leaks_nothing)
{
    UNUSED_STATE;
    const char *src = "{% macro m(a, b=[1]) %}{{ a }}{{ b | tojson }}"
                      "{% endmacro %}{% set x %}{{ m({'k': n}) }}{% endset %}"
                      "{{ x | upper | replace('K', 'long ' * 100) }}";
    json_t *context = json_pack("{s:i}", "n", 1);
    size_t before = mem_live_count();
    for (long nth = 0; nth < 200; nth++) {
        struct buf out;
        struct err err;
        buf_init(&out, 0);
        fault_alloc_at(nth);
        int rc = render(src, context, &out, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_true(!hit || rc != 0);
        buf_deinit(&out);
        assert_int_equal(mem_live_count(), before);
        if (!hit)
            break;
    }
    json_decref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_templates_end_with_a_limit),
        cmocka_unit_test(a_range_too_long_is_refused_as_the_sandbox_does),
        cmocka_unit_test(deep_nesting_fails_in_the_parser),
        cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(limits_of_the_caller_hold),
        cmocka_unit_test(a_long_chat_renders_within_the_defaults),
        cmocka_unit_test(text_built_in_a_namespace_costs_memory_linear_in_it),
        cmocka_unit_test(mentions_are_variables_attributes_and_subscripts),
        cmocka_unit_test(memory_that_runs_out_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
