/* test_template.c -- every golden of tests/oracle/template, rendered.
 *
 * A golden is what transformers' own environment made of a template and
 * variables, or the fact that it raised. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/json.h"
#include "model/template/template.h"

static const char *text_of(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

/* "" when the case came out as its golden says, else what did. */
static bool check_case(const json_t *one, const json_t *contexts)
{
    struct template *t = NULL;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 0);
    const json_t *src = json_object_get(one, "t");
    const char *want = text_of(one, "out"), *raised = text_of(one, "raise");
    json_t *context = json_array_get(
        contexts, (size_t)json_integer_value(json_object_get(one, "c")));
    int rc = template_compile(&t, json_string_value(src),
                              json_string_length(src), &err);
    if (rc == 0)
        rc = template_render(t, context, NULL, &out, &err);
    bool ok =
        want != NULL ? rc == 0 && strcmp(buf_str(&out), want) == 0 : rc != 0;
    if (raised != NULL)
        ok = ok && strcmp(err.text, raised) == 0 && rc == -ERR_INVALID;
    if (!ok)
        print_error("template: %.300s\n  want: %s\n  got:  %s\n",
                    json_string_value(src),
                    want != NULL     ? want
                    : raised != NULL ? raised
                                     : "an error",
                    rc == 0 ? buf_str(&out) : err.text);
    template_free(t);
    buf_deinit(&out);
    return ok;
}

static void check_file(const char *path)
{
    json_t *doc = NULL;
    struct err err = {0};
    size_t bad = 0, i;
    json_t *one;
    if (json_parse_file(&doc, path, (size_t)8 << 20, 1000000, &err) != 0)
        fail_msg("%s", err.text);
    const json_t *templates = json_object_get(doc, "templates");
    json_array_foreach(json_object_get(doc, "cases"), i, one)
    {
        json_t *t = json_object_get(one, "t");
        if (json_is_integer(t))
            json_object_set(
                one, "t",
                json_array_get(templates, (size_t)json_integer_value(t)));
        bad += !check_case(one, json_object_get(doc, "contexts"));
    }
    print_message("%s: %zu cases, %zu wrong\n", path, i, bad);
    json_decref(doc);
    assert_int_equal(bad, 0);
}

TEST(snippets_render_as_jinja2_renders_them)
{
    UNUSED_STATE;
    check_file("tests/oracle/template/snippets.json");
}

TEST(chat_templates_render_as_transformers_renders_them)
{
    UNUSED_STATE;
    check_file("tests/oracle/template/chats.json");
}

int main(void)
{
    static const uint64_t now_us = 1741064767000000; /* as make.py's Frozen */
    clock_fake(&now_us);
    setenv("TZ", "UTC0", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snippets_render_as_jinja2_renders_them),
        cmocka_unit_test(chat_templates_render_as_transformers_renders_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
