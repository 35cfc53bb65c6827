/* test_model_source.c -- every way to name a model, in a tree made for it. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/model_source.h"

static char root[] = "/tmp/lfmd-model-source-XXXXXX";

#define MAGIC "GGUF\3\0\0\0"

/* The path below the root; good for the next three calls as well. */
static const char *at(const char *path)
{
    static char turns[4][256];
    static unsigned turn;
    char *whole = turns[turn++ % 4];
    snprintf(whole, sizeof turns[0], "%s/%s", root, path);
    return whole;
}

/* Makes the folders on the way as well. */
static void put(const char *path, const char *bytes, size_t n)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s", at(path));
    for (char *c = whole + sizeof root; *c != '\0'; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        (void)mkdir(whole, 0777);
        *c = '/';
    }
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void put_gguf(const char *path)
{
    put(path, MAGIC, sizeof MAGIC - 1);
}

static void expect(const char *word, const char *path, bool gguf)
{
    struct model_source src;
    struct err err = {0};
    if (model_source_find(&src, word, &err) != 0)
        fail_msg("%s: %s", word, err.text);
    assert_string_equal(src.path, path);
    assert_int_equal(src.gguf, gguf);
    model_source_deinit(&src);
}

static void refuse(const char *word, const char *because)
{
    size_t live = mem_live_count();
    struct model_source src;
    struct err err = {0};
    assert_true(model_source_find(&src, word, &err) < 0);
    assert_null(src.path);
    if (strstr(err.text, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
    assert_int_equal(mem_live_count(), live);
}

TEST(a_file_is_known_by_its_content)
{
    UNUSED_STATE;
    put_gguf("files/sha256-0123");
    put("files/text.gguf", "hello world", 11);
    put("files/empty.gguf", "", 0);
    put("files/model.safetensors", "x", 1);
    expect(at("files/sha256-0123"), at("files/sha256-0123"), true);
    refuse(at("files/text.gguf"), "does not begin with \"GGUF\"");
    refuse(at("files/empty.gguf"), "the file is empty");
    refuse(at("files/model.safetensors"), "the directory that holds it");
    refuse("/dev/null", "neither a file nor a directory");
}

TEST(a_directory_may_hold_one_model)
{
    UNUSED_STATE;
    put_gguf("one/m.gguf");
    put_gguf("one/mmproj-m.gguf");
    put("one/README.md", "GG", 2);
    expect(at("one"), at("one/m.gguf"), true);
    put_gguf("two/b-Q8_0.gguf");
    put_gguf("two/a-Q4_0.gguf");
    refuse(at("two"), "holds 2 GGUF models, name one of them: a-Q4_0.gguf, "
                      "b-Q8_0.gguf");
    put_gguf("both/m.gguf");
    put("both/model.safetensors", "x", 1);
    expect(at("both"), at("both"), false);
    put("none/README.md", "x", 1);
    refuse(at("none"), "neither a GGUF file nor a config.json");
    put("half/config.json", "{}", 2);
    expect(at("half"), at("half"), false); /* its loader says what is missing */
    put_gguf("half/m.gguf");
    expect(at("half"), at("half/m.gguf"), true);
}

TEST(the_parts_of_a_split_file_are_one_model)
{
    UNUSED_STATE;
    struct model_source src;
    struct err err = {0};
    put_gguf("split/m-00001-of-00002.gguf");
    put_gguf("split/m-00002-of-00002.gguf");
    assert_int_equal(model_source_find(&src, at("split"), &err), 0);
    assert_true(src.gguf);
    assert_non_null(strstr(src.path, "-of-00002.gguf"));
    model_source_deinit(&src);
    put_gguf("split/n-00001-of-00002.gguf");
    refuse(at("split"), "holds 2 GGUF models");
}

TEST(files_that_differ_in_more_than_the_part_are_several)
{
    UNUSED_STATE;
    put_gguf("alike/m.gguf");
    put_gguf("alike/m-00001-of-00002.gguf");
    put_gguf("alike/m-00002-of-00002.gguf");
    refuse(at("alike"), "holds 2 GGUF models");
    unlink(at("alike/m.gguf"));
    put_gguf("alike/m-00001-of-00003.gguf");
    refuse(at("alike"), "holds 2 GGUF models");
}

TEST(links_that_lead_nowhere_are_told)
{
    UNUSED_STATE;
    put("links/README.md", "x", 1);
    assert_int_equal(symlink("../../blobs/gone", at("links/m.gguf")), 0);
    refuse(at("links"), "safetensors in /");
    refuse(at("links"), "/links, and links in it lead nowhere");
}

static void use_cache(const char *variable, const char *below)
{
    static const char *const all[] = {"HF_HUB_CACHE", "HF_HOME",
                                      "XDG_CACHE_HOME", "HOME"};
    for (size_t i = 0; i < 4; i++)
        unsetenv(all[i]);
    setenv(variable, at(below), 1);
}

TEST(a_repository_is_looked_up_where_hugging_face_keeps_it)
{
    UNUSED_STATE;
    put("h/hub/models--Org--Name/refs/main", "abc\n", 4);
    put("h/hub/models--Org--Name/snapshots/abc/model.safetensors", "x", 1);
    put("h/hub/models--Org--Name/snapshots/zzz/model.safetensors", "x", 1);
    put_gguf("x/huggingface/hub/models--O--N/snapshots/1/n.gguf");
    put_gguf("u/.cache/huggingface/hub/models--O--N/snapshots/1/n.gguf");
    use_cache("HF_HUB_CACHE", "h/hub");
    expect("Org/Name", at("h/hub/models--Org--Name/snapshots/abc"), false);
    use_cache("HF_HOME", "h");
    expect("Org/Name", at("h/hub/models--Org--Name/snapshots/abc"), false);
    refuse("Org/Name:Q4_0", "holds no GGUF file of Q4_0");
    refuse("Org/Other", "hf download Org/Other");
    refuse("Org/Other", at("h/hub"));
    use_cache("XDG_CACHE_HOME", "x");
    expect("O/N", at("x/huggingface/hub/models--O--N/snapshots/1/n.gguf"),
           true);
    use_cache("HOME", "u");
    expect("O/N",
           at("u/.cache/huggingface/hub/models--O--N/snapshots/1/n.gguf"),
           true);
    use_cache("HF_HUB_CACHE", "nowhere");
    refuse("O/N", "no repository O/N");
    refuse("a/b/c", "there is no such file or directory");
    refuse("../x", "there is no such file or directory");
    refuse("O/..", "there is no such file or directory");
    refuse("plain", "there is no such file or directory");
}

TEST(of_several_files_the_quantisation_picks_one)
{
    UNUSED_STATE;
    static const char dir[] = "q/models--O--G/snapshots/r";
    static const char *const names[] = {"G-Q8_0.gguf", "G-Q4_K_M.gguf",
                                        "G-Q4_0.gguf", "G-F16.gguf"};
    char path[200];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        put_gguf(path);
    }
    use_cache("HF_HUB_CACHE", "q");
    expect("O/G", at("q/models--O--G/snapshots/r/G-Q4_K_M.gguf"), true);
    expect("O/G:q8_0", at("q/models--O--G/snapshots/r/G-Q8_0.gguf"), true);
    expect("O/G:F16", at("q/models--O--G/snapshots/r/G-F16.gguf"), true);
    refuse("O/G:Q4_K", "holds no GGUF file of Q4_K, but G-F16.gguf");
    unlink(at("q/models--O--G/snapshots/r/G-Q4_K_M.gguf"));
    expect("O/G", at("q/models--O--G/snapshots/r/G-Q4_0.gguf"), true);
}

TEST(finding_survives_the_failure_of_allocations)
{
    UNUSED_STATE;
    put_gguf("f/models--O--F/snapshots/r/F.gguf");
    use_cache("HF_HUB_CACHE", "f");
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct model_source src;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = model_source_find(&src, "O/F", &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(rc, hit ? -ERR_NOMEM : 0);
        model_source_deinit(&src);
        assert_int_equal(mem_live_count(), live);
        if (!hit)
            return;
    }
}

static int remove_tree(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

int main(void)
{
    if (mkdtemp(root) == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_known_by_its_content),
        cmocka_unit_test(a_directory_may_hold_one_model),
        cmocka_unit_test(the_parts_of_a_split_file_are_one_model),
        cmocka_unit_test(files_that_differ_in_more_than_the_part_are_several),
        cmocka_unit_test(links_that_lead_nowhere_are_told),
        cmocka_unit_test(a_repository_is_looked_up_where_hugging_face_keeps_it),
        cmocka_unit_test(of_several_files_the_quantisation_picks_one),
        cmocka_unit_test(finding_survives_the_failure_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, remove_tree);
}
