/* test_json.c -- bounds before building, and errors that name the path. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/json.h"

static int parse(json_t **out, const char *text, struct err *err)
{
    return json_parse(out, text, strlen(text), 8, 20, err);
}

TEST(depth_and_size_are_refused_before_anything_is_built)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    assert_int_equal(parse(&v, "[[[[[[[[1]]]]]]]]", &err), 0);
    json_decref(v);
    assert_int_equal(parse(&v, "[[[[[[[[[1]]]]]]]]]", &err), -ERR_INVALID);
    assert_non_null(strstr(err.text, "8 levels"));
    assert_int_equal(
        parse(&v, "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", &err),
        -ERR_INVALID);
    char *deep = mem_alloc(1000001);
    memset(deep, '[', 1000000);
    deep[1000000] = '\0';
    assert_int_equal(json_parse(&v, deep, 1000000, 64, 1000000, &err),
                     -ERR_INVALID);
    mem_free(deep);
}

TEST(brackets_inside_strings_do_not_count)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    assert_int_equal(parse(&v, "\"[[[[[[[[[[[[\\\"[[[[[,,,,,,,,,,,,\"", &err),
                     0);
    json_decref(v);
}

TEST(what_is_not_json_is_told_with_its_place_and_not_quoted)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    assert_int_equal(parse(&v, "{\"a\": secret}", &err), -ERR_INVALID);
    assert_non_null(strstr(err.text, "line 1"));
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(parse(&v, "{\"a\":1,\"a\":2}", &err), -ERR_INVALID);
    assert_int_equal(parse(&v, "", &err), -ERR_INVALID);
    assert_int_equal(parse(&v, "\"\xC3\"", &err), -ERR_INVALID);
}

TEST(a_refusal_names_the_member_it_lies_in)
{
    UNUSED_STATE;
    static const struct {
        const char *text, *param;
    } rows[] = {
        {"{\"a\":1,\"b.c_2\":[[[[[[[[[1]]]]]]]]]}", "b.c_2"},
        {"{\"a\":{\"x\":1},\"b\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}", "b"},
        {"{\"a\":{\"x\":1},\"b\":1e999}", "b"},
        {"{\"a\":1}{\"b\":1}", ""},
        {"{\"a b\":tru}", ""},
        {"[[[[[[[[[1]]]]]]]]]", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        json_t *v;
        assert_int_equal(
            json_parse(&v, rows[i].text, strlen(rows[i].text), 8, 16, &err),
            -ERR_INVALID);
        assert_string_equal(err.param, rows[i].param);
    }
}

TEST(a_word_has_no_nul_and_a_text_may)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    const char *s = NULL;
    size_t n = 0;
    assert_int_equal(
        parse(&v, "{\"s\":\"a\\u0000b\",\"n\":null,\"i\":7}", &err), 0);
    assert_int_equal(json_get_string(v, "s", &s, "m", &err), -ERR_INVALID);
    assert_string_equal(err.param, "m.s");
    assert_null(s);
    assert_int_equal(json_get_text(v, "s", &s, &n, "", &err), 1);
    assert_int_equal(n, 3);
    assert_memory_equal(s, "a\0b", 4);
    assert_int_equal(json_get_text(v, "n", &s, &n, "", &err), 0);
    assert_int_equal(json_get_text(v, "i", &s, &n, "", &err), -ERR_INVALID);
    assert_string_equal(err.param, "i");
    json_decref(v);
}

TEST(getters_tell_absent_from_wrong)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    int64_t i = -1;
    bool b = false;
    double d = 0;
    const char *s = NULL;
    assert_int_equal(
        parse(&v, "{\"i\":7,\"n\":null,\"b\":true,\"d\":1.5,\"s\":\"x\"}",
              &err),
        0);
    assert_int_equal(json_get_int(v, "i", &i, "", &err), 1);
    assert_int_equal(i, 7);
    assert_int_equal(json_get_int(v, "n", &i, "", &err), 0);
    assert_int_equal(json_get_int(v, "none", &i, "", &err), 0);
    assert_int_equal(json_get_int(v, "d", &i, "m[1]", &err), -ERR_INVALID);
    assert_string_equal(err.param, "m[1].d");
    assert_string_equal(err.text, "m[1].d must be an integer, not 1.5");
    assert_int_equal(json_get_range(v, "i", &i, 1, 6, "", &err), -ERR_INVALID);
    assert_string_equal(err.text, "i must be an integer from 1 to 6, not 7");
    assert_int_equal(json_get_bool(v, "b", &b, "", &err), 1);
    assert_true(b);
    assert_int_equal(json_get_number(v, "i", &d, "", &err), 1);
    assert_int_equal(json_get_string(v, "b", &s, "", &err), -ERR_INVALID);
    assert_int_equal(json_get_string(v, "s", &s, "", &err), 1);
    json_decref(v);
}

TEST(writing_and_parsing_agree)
{
    UNUSED_STATE;
    static const char text[] = "{\"b\":[1,-2,0.1,1e+300,true,null],"
                               "\"a\":\"q\\\"\\\\\\n\\u0001\xC3\xA9\"}";
    struct err err = {0};
    struct buf out = {0};
    json_t *v;
    assert_int_equal(parse(&v, text, &err), 0);
    json_write(&out, v, false);
    assert_string_equal(buf_str(&out), text);
    buf_clear(&out);
    json_write(&out, v, true);
    assert_non_null(strstr(buf_str(&out), "\"b\": [1, -2, 0.1, 1e+300, "));
    json_decref(v);
    buf_deinit(&out);
}

TEST(a_file_is_named_in_its_error)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    assert_int_equal(json_parse_file(&v, "/nonexistent/x.json", 100, 100, &err),
                     -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/x.json"));
    assert_int_equal(json_parse_file(&v, "/", 100, 100, &err), -ERR_FORMAT);
}

/* jansson 2.14 by itself takes a token it could not store for a wrong one. */
TEST(short_memory_is_told_as_such_and_leaks_nothing)
{
    UNUSED_STATE;
    static const char text[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a text that is longer "
        "than the first buffer "
        "\\u00e9\"},[1,2.5,[],{}]],\"a\":1,\"b\":2,\"c\":3,"
        "\"d\":4,\"e\":5,\"f\":6,\"g\":\"\"}";
    const size_t before = mem_live_count();
    long nth = 0;
    for (int rc = -ERR_NOMEM; rc != 0; nth++) {
        struct err err = {0};
        json_t *v;
        fault_alloc_at(nth);
        rc = parse(&v, text, &err);
        fault_alloc_at(-1);
        if (rc != 0) {
            assert_int_equal(rc, -ERR_NOMEM);
            assert_null(v);
        }
        json_decref(v);
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(nth > 40);
}

TEST(a_copy_has_every_member_or_is_none)
{
    UNUSED_STATE;
    struct err err = {0};
    json_t *v;
    assert_int_equal(parse(&v, "{\"a\":1,\"b\":[2],\"c\":{}}", &err), 0);
    const size_t before = mem_live_count();
    bool made = false;
    for (long nth = 0; !made; nth++) {
        fault_alloc_at(nth);
        json_t *copy = json_copy_object(v);
        fault_alloc_at(-1);
        made = copy != NULL;
        if (made)
            assert_int_equal(json_object_size(copy), 3);
        json_decref(copy);
        assert_int_equal(mem_live_count(), before);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_and_size_are_refused_before_anything_is_built),
        cmocka_unit_test(brackets_inside_strings_do_not_count),
        cmocka_unit_test(
            what_is_not_json_is_told_with_its_place_and_not_quoted),
        cmocka_unit_test(a_refusal_names_the_member_it_lies_in),
        cmocka_unit_test(a_word_has_no_nul_and_a_text_may),
        cmocka_unit_test(getters_tell_absent_from_wrong),
        cmocka_unit_test(writing_and_parsing_agree),
        cmocka_unit_test(a_file_is_named_in_its_error),
        cmocka_unit_test(short_memory_is_told_as_such_and_leaks_nothing),
        cmocka_unit_test(a_copy_has_every_member_or_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
