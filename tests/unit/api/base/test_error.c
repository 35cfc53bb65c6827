/* test_error.c -- each class has a status, and the body is OpenAI's. */
#include "tests/lib/test.h"

#include "api/base/error.h"
#include "model/base/json.h"

static void check(int class_, int status, const char *type, const char *code)
{
    struct err err = {0};
    struct buf b = {0};
    json_t *v;
    err_set(&err, (enum err_class)class_, "it \"went\" wrong");
    assert_int_equal(error_shape(err.class_)->status, status);
    error_write(&b, &err);
    assert_int_equal(json_parse(&v, buf_str(&b), b.len, 8, 32, NULL), 0);
    const json_t *e = json_object_get(v, "error");
    assert_int_equal(json_object_size(e), 4);
    assert_string_equal(json_string_value(json_object_get(e, "message")),
                        "it \"went\" wrong");
    assert_string_equal(json_string_value(json_object_get(e, "type")), type);
    assert_true(json_is_null(json_object_get(e, "param")));
    const char *got = json_string_value(json_object_get(e, "code"));
    if (code == NULL)
        assert_null(got);
    else
        assert_string_equal(got, code);
    json_decref(v);
    buf_deinit(&b);
}

TEST(classes_become_status_type_and_code)
{
    UNUSED_STATE;
    check(ERR_INVALID, 400, "invalid_request_error", NULL);
    check(ERR_LIMIT, 400, "invalid_request_error", "limit_exceeded");
    check(ERR_CONTEXT, 400, "invalid_request_error", "context_length_exceeded");
    check(ERR_UNSUPPORTED, 400, "invalid_request_error", "not_supported");
    check(ERR_AUTH, 401, "authentication_error", "invalid_api_key");
    check(ERR_NOT_FOUND, 404, "invalid_request_error", "not_found");
    check(ERR_BUSY, 429, "rate_limit_error", "server_busy");
    check(ERR_UNAVAILABLE, 503, "server_error", "unavailable");
    check(ERR_NOMEM, 503, "server_error", "out_of_memory");
    check(ERR_INTERNAL, 500, "server_error", "internal_error");
    check(ERR_IO, 500, "server_error", "internal_error");
    check(99, 500, "server_error", "internal_error");
    assert_string_equal(error_shape(ERR_BUSY)->retry_after, "1");
    assert_string_equal(error_shape(ERR_AUTH)->authenticate, "Bearer");
    assert_null(error_shape(ERR_INVALID)->retry_after);
}

TEST(the_field_and_the_unknown_model_are_named)
{
    UNUSED_STATE;
    struct err err = {0};
    struct buf b = {0};
    err_field(&err, "messages[0].role", "no");
    error_write(&b, &err);
    assert_string_equal(buf_str(&b), "{\"error\":{\"message\":\"no\",\"type\":"
                                     "\"invalid_request_error\",\"param\":"
                                     "\"messages[0].role\",\"code\":null}}");
    buf_clear(&b);
    err_field(&err, "model", "no");
    err.class_ = ERR_NOT_FOUND;
    error_write(&b, &err);
    assert_non_null(strstr(buf_str(&b), "\"code\":\"model_not_found\""));
    buf_clear(&b);
    error_write_status(&b, 405, "no");
    assert_non_null(strstr(buf_str(&b), "\"code\":\"method_not_allowed\""));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_become_status_type_and_code),
        cmocka_unit_test(the_field_and_the_unknown_model_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
