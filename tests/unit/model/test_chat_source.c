/* Where a chat template may lie, and which one wins. */
#include "tests/lib/test.h"

#include <unistd.h>

#include "model/base/alloc.h"
#include "model/chat_source.h"

static char dir[] = "/tmp/lfmd-chat-source-XXXXXX";

static void path_of(char out[128], const char *file)
{
    snprintf(out, 128, "%s/%s", dir, file);
}

static void put(const char *file, const char *text)
{
    char path[128];
    path_of(path, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void drop(const char *file)
{
    char path[128];
    path_of(path, file);
    unlink(path);
}

static void expect(const char *file, const char *text, const char *tool_use)
{
    struct chat_source src;
    struct err err = {0};
    if (chat_source_load(&src, dir, file, &err) != 0)
        fail_msg("%s", err.text);
    if (text == NULL)
        assert_null(src.text);
    else
        assert_string_equal(src.text, text);
    if (tool_use == NULL)
        assert_null(src.tool_use);
    else
        assert_string_equal(src.tool_use, tool_use);
    chat_source_deinit(&src);
}

TEST(a_named_file_wins_over_jinja_over_the_configuration)
{
    UNUSED_STATE;
    char path[128];
    path_of(path, "mine");
    expect(NULL, NULL, NULL);
    put("tokenizer_config.json", "{\"chat_template\": \"config\"}");
    expect(NULL, "config", NULL);
    put("chat_template.jinja", "jinja\n");
    expect(NULL, "jinja\n", NULL);
    put("mine", "mine");
    expect(path, "mine", NULL);
    drop("mine");
    drop("chat_template.jinja");
    drop("tokenizer_config.json");
}

TEST(a_list_gives_the_default_and_the_one_for_tools)
{
    UNUSED_STATE;
    put("tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"},"
        "{\"name\": \"rag\", \"template\": \"r\"},"
        "{\"name\": \"default\", \"template\": \"d\"}]}");
    expect(NULL, "d", "t");
    put("tokenizer_config.json", "{\"chat_template\": null}");
    expect(NULL, NULL, NULL);
    drop("tokenizer_config.json");
}

static void refuse(const char *config, const char *because)
{
    size_t live = mem_live_count();
    struct chat_source src;
    struct err err = {0};
    put("tokenizer_config.json", config);
    assert_int_equal(chat_source_load(&src, dir, NULL, &err), -ERR_FORMAT);
    assert_null(src.text);
    assert_non_null(strstr(err.text, because));
    assert_int_equal(mem_live_count(), live);
    drop("tokenizer_config.json");
}

TEST(what_is_no_template_is_refused)
{
    UNUSED_STATE;
    refuse("{\"chat_template\": 7}", "must be a string or a list");
    refuse("{\"chat_template\": [{\"name\": \"default\", \"template\": \"x\"},"
           "{\"name\": \"y\"}]}",
           "chat_template[1]");
}

int main(void)
{
    if (mkdtemp(dir) == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_file_wins_over_jinja_over_the_configuration),
        cmocka_unit_test(a_list_gives_the_default_and_the_one_for_tools),
        cmocka_unit_test(what_is_no_template_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
