/* test_config.c -- one table, four sources: default < file < environment <
 * flag, and every mistake named by where it was made. */
#define _GNU_SOURCE
#include "tests/lib/test.h"

#include <unistd.h>

#include "config/config.h"
#include "config/parse.h"
#include "config/rows.h"

static int load(struct settings *s, char **args, char **env, struct err *err)
{
    char *argv[16] = {"lfmd"};
    int argc = 1;
    for (; args != NULL && args[argc - 1] != NULL; argc++)
        argv[argc] = args[argc - 1];
    return config_load(s, argc, argv, env, err);
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})

static char *temp_file(const char *text)
{
    static char path[64];
    strcpy(path, "/tmp/lfmd-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    return path;
}

TEST(defaults_are_those_of_the_table)
{
    UNUSED_STATE;
    struct settings s;
    struct err err = {0};
    assert_int_equal(load(&s, NULL, NULL, &err), 0);
    assert_int_equal(s.http.port, 8080);
    assert_string_equal(s.http.host, "127.0.0.1");
    assert_int_equal(s.engine.max_sequences, 32);
    assert_int_equal(s.http.max_body_bytes, 4 << 20);
    assert_int_equal(s.drain_timeout_ms, 30000);
    assert_null(s.model.path);
    assert_int_equal(s.action, CONFIG_SERVE);
    config_deinit(&s);
}

TEST(a_flag_beats_the_environment_beats_the_file)
{
    UNUSED_STATE;
    struct settings s;
    struct err err = {0};
    char with[96], *file = temp_file("; a comment\n[serving]\nport = 1\n"
                                     "parallel = 3\nmax-queue = 9\n");
    snprintf(with, sizeof with, "--config=%s", file);
    assert_int_equal(load(&s, ARGS(with, "--port", "3"),
                          ARGS("LFMD_PORT=2", "LFMD_PARALLEL=4"), &err),
                     0);
    assert_int_equal(s.http.port, 3);
    assert_int_equal(s.engine.max_sequences, 4);
    assert_int_equal(s.engine.max_queue, 9);
    config_deinit(&s);
    unlink(file);
}

TEST(a_mistake_is_named_by_where_it_was_made)
{
    UNUSED_STATE;
    struct settings s;
    struct err err = {0};
    assert_int_not_equal(load(&s, ARGS("--port", "70000"), NULL, &err), 0);
    assert_non_null(strstr(err.text, "--port"));
    assert_non_null(strstr(err.text, "65535"));
    config_deinit(&s);
    assert_int_not_equal(load(&s, NULL, ARGS("LFMD_PORT=x"), &err), 0);
    assert_non_null(strstr(err.text, "LFMD_PORT"));
    config_deinit(&s);
    assert_int_not_equal(load(&s, ARGS("--prot", "1"), NULL, &err), 0);
    assert_non_null(strstr(err.text, "--prot"));
    config_deinit(&s);
    assert_int_not_equal(load(&s, ARGS("--port"), NULL, &err), 0);
    assert_non_null(strstr(err.text, "needs a value"));
    config_deinit(&s);
    assert_int_not_equal(load(&s, ARGS("a", "b"), NULL, &err), 0);
    config_deinit(&s);

    char with[96], *file = temp_file("port = 1\nprot = 2\n");
    snprintf(with, sizeof with, "--config=%s", file);
    assert_int_not_equal(load(&s, ARGS(with), NULL, &err), 0);
    assert_non_null(strstr(err.text, "prot"));
    config_deinit(&s);
    unlink(file);
    assert_int_not_equal(load(&s, ARGS("--config=/nonexistent"), NULL, &err),
                         0);
    config_deinit(&s);
}

TEST(words_say_what_to_do)
{
    UNUSED_STATE;
    struct settings s;
    struct err err = {0};
    assert_int_equal(load(&s, ARGS("serve", "/models/x"), NULL, &err), 0);
    assert_string_equal(s.model.path, "/models/x");
    config_deinit(&s);
    assert_int_equal(load(&s, ARGS("-m", "/y", "-p", "0"), NULL, &err), 0);
    assert_string_equal(s.model.path, "/y");
    assert_int_equal(s.http.port, 0);
    config_deinit(&s);
    assert_int_equal(load(&s, ARGS("healthcheck", "--port=9"), NULL, &err), 0);
    assert_int_equal(s.action, CONFIG_HEALTHCHECK);
    config_deinit(&s);
    assert_int_equal(load(&s, ARGS("--keepalive"), NULL, &err), 0);
    assert_true(s.http.keepalive);
    config_deinit(&s);
}

TEST(sizes_and_times_have_units)
{
    UNUSED_STATE;
    int64_t v;
    assert_int_equal(parse_bytes("4M", &v), 0);
    assert_int_equal(v, 4 << 20);
    assert_int_equal(parse_bytes("2GiB", &v), 0);
    assert_int_equal(v, 2LL << 30);
    assert_int_equal(parse_bytes("1.5G", &v), -1);
    assert_int_equal(parse_bytes("9999999999999G", &v), -1);
    assert_int_equal(parse_bytes("-1", &v), -1);
    assert_int_equal(parse_time_ms("250ms", &v), 0);
    assert_int_equal(v, 250);
    assert_int_equal(parse_time_ms("5m", &v), 0);
    assert_int_equal(v, 300000);
    assert_int_equal(parse_time_ms("5 m", &v), -1);
    assert_int_equal(parse_uint("", &v), -1);
    assert_int_equal(parse_uint("99999999999999999999", &v), -1);
}

TEST(every_row_has_help_and_a_default_that_it_accepts)
{
    UNUSED_STATE;
    for (size_t i = 0; i < config_n_rows; i++) {
        assert_true(strlen(config_rows[i].help) > 5);
        assert_true(strlen(config_rows[i].flag) < 24);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(config_rows[i].flag, config_rows[j].flag);
    }
}

TEST(the_ini_file_that_is_shipped_names_every_setting_at_its_default)
{
    UNUSED_STATE;
    struct settings plain, shipped;
    struct err err = {0};
    assert_int_equal(load(&plain, NULL, NULL, &err), 0);
    assert_int_equal(
        load(&shipped, ARGS("--config=config/lfmd.ini"), NULL, &err), 0);
    for (size_t i = 0; i < config_n_rows; i++) {
        const struct row *r = &config_rows[i];
        if (shipped.origin[i] != ORIGIN_FILE)
            fail_msg("config/lfmd.ini does not name %s", r->flag);
        if (r->type != ROW_TEXT && r->type != ROW_FLAG)
            assert_memory_equal((char *)&plain + r->offset,
                                (char *)&shipped + r->offset,
                                r->type == ROW_PORT ? 2 : 4);
    }
    config_deinit(&plain);
    config_deinit(&shipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(a_flag_beats_the_environment_beats_the_file),
        cmocka_unit_test(a_mistake_is_named_by_where_it_was_made),
        cmocka_unit_test(words_say_what_to_do),
        cmocka_unit_test(sizes_and_times_have_units),
        cmocka_unit_test(every_row_has_help_and_a_default_that_it_accepts),
        cmocka_unit_test(
            the_ini_file_that_is_shipped_names_every_setting_at_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
