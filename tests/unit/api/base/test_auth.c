/* test_auth.c -- keys from both sources, and nothing else, open the door. */
#include "tests/lib/test.h"

#include <unistd.h>

#include "api/base/auth.h"

static void write_file(char path[64], const char *text)
{
    strcpy(path, "/tmp/lfmd-test-auth-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
}

TEST(without_keys_everybody_may)
{
    UNUSED_STATE;
    struct auth *a;
    assert_int_equal(auth_new(&a, NULL, NULL, NULL), 0);
    assert_false(auth_required(a));
    assert_int_equal(auth_check(a, NULL, NULL, NULL), 0);
    assert_int_equal(auth_check(a, "Bearer x", NULL, NULL), 0);
    auth_free(a);
}

TEST(a_known_key_in_either_header_is_enough)
{
    UNUSED_STATE;
    struct auth *a;
    struct err err;
    char path[64];
    write_file(path, "# ours\n\n  key-three \r\nkey-four");
    assert_int_equal(auth_new(&a, "key-one, key-two", path, NULL), 0);
    unlink(path);
    assert_true(auth_required(a));
    assert_int_equal(auth_check(a, "Bearer key-one", NULL, NULL), 0);
    assert_int_equal(auth_check(a, "bearer  key-two", NULL, NULL), 0);
    assert_int_equal(auth_check(a, "Bearer key-three", NULL, NULL), 0);
    assert_int_equal(auth_check(a, NULL, "key-four", NULL), 0);
    assert_int_equal(auth_check(a, "Basic x", "key-four", NULL), 0);
    assert_string_equal(auth_presented("bearer  key-two", "x"), "key-two");
    assert_string_equal(auth_presented("Basic x", "key-four"), "key-four");
    assert_string_equal(auth_presented(NULL, "x"), "x");
    assert_null(auth_presented("Basic x", NULL));
    static const char *const wrong[] = {
        "Bearer ", "Bearer",        "Bearer key-on", "Bearer key-one2",
        "key-one", "Bearer # ours", "Basic key-one", "Bearer key-one ",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(auth_check(a, wrong[i], NULL, &err), -ERR_AUTH);
        assert_null(strstr(err.text, "key-one"));
    }
    char longer[400] = "Bearer ";
    memset(longer + 7, 'x', 300);
    longer[307] = '\0';
    assert_int_equal(auth_check(a, longer, NULL, &err), -ERR_AUTH);
    assert_int_equal(auth_check(a, NULL, NULL, &err), -ERR_AUTH);
    auth_free(a);
}

TEST(a_useless_key_file_is_an_error)
{
    UNUSED_STATE;
    struct auth *a;
    struct err err;
    char path[64];
    assert_int_equal(auth_new(&a, NULL, "/nonexistent/keys", &err), -ERR_IO);
    write_file(path, "# nothing\n\n");
    assert_int_equal(auth_new(&a, NULL, path, &err), -ERR_FORMAT);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_everybody_may),
        cmocka_unit_test(a_known_key_in_either_header_is_enough),
        cmocka_unit_test(a_useless_key_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
