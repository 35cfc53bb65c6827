/* test_shards.c -- which directories are taken: one file, or shards by an index
 * whose every word is checked. */
#define _XOPEN_SOURCE 700
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/weights/shards.h"

#define ORACLE "tests/oracle/checkpoints/"

static char dir[64];

static void path_of(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", dir, name);
}

static void write_bytes(const char *name, const void *bytes, size_t n)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* One U8 tensor of one byte, 42, for each name. */
static void write_shard(const char *name, const char *const *tensors, size_t n)
{
    unsigned char bytes[4096] = {0};
    char *p = (char *)bytes + 8;
    size_t room = sizeof bytes - 8, len = 1;
    p[0] = '{';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(p + len, room - len,
                                "%s\"%s\":{\"dtype\":\"U8\",\"shape\":[1],"
                                "\"data_offsets\":[%zu,%zu]}",
                                i > 0 ? "," : "", tensors[i], i, i + 1);
    p[len++] = '}';
    bytes[0] = (unsigned char)len;
    bytes[1] = (unsigned char)(len >> 8);
    memset(p + len, 42, n);
    write_bytes(name, bytes, 8 + len + n);
}

static int make_dir(void **state)
{
    UNUSED_STATE;
    strcpy(dir, "/tmp/lfmd-shards-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    UNUSED_STATE;
    static const char *const names[] = {
        "model.safetensors",
        "model.safetensors.index.json",
        "a.safetensors",
        "b.safetensors",
    };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(path, names[i]);
        unlink(path);
        rmdir(path);
    }
    return rmdir(dir);
}

static void expect_refusal(const char *says)
{
    struct shards s;
    struct err err = {0};
    size_t live = mem_live_count();
    int rc = shards_open(&s, dir, &err);
    if (rc >= 0 || strstr(err.text, says) == NULL)
        fail_msg("%d \"%s\", wanted \"%s\"", rc, err.text, says);
    assert_int_equal(s.n, 0);
    assert_int_equal(mem_live_count(), live);
}

TEST(an_empty_directory_is_not_found)
{
    UNUSED_STATE;
    expect_refusal("neither model.safetensors nor");
}

TEST(odd_files_are_refused)
{
    UNUSED_STATE;
    char path[256];
    path_of(path, "model.safetensors");
    write_text("model.safetensors", "");
    expect_refusal("too few");
    write_text("model.safetensors", "1234567");
    expect_refusal("too few");
    write_text("model.safetensors", "12345678");
    expect_refusal("model.safetensors: says its header");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refusal("not a regular file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refusal("not a regular file"); /* and does not wait for a writer */
    unlink(path);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    expect_refusal("neither model.safetensors nor");
}

static void two_shards(void)
{
    static const char *const first[] = {"x", "y"}, *const second[] = {"z"};
    write_shard("a.safetensors", first, 2);
    write_shard("b.safetensors", second, 1);
}

TEST(shards_are_found_through_the_index)
{
    UNUSED_STATE;
    struct shards s;
    struct err err = {0};
    const void *data = NULL;
    two_shards();
    write_text("model.safetensors.index.json",
               "{\"metadata\":{\"total_size\":3},\"weight_map\":{"
               "\"x\":\"a.safetensors\",\"z\":\"b.safetensors\","
               "\"y\":\"a.safetensors\"}}");
    if (shards_open(&s, dir, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.tensor_bytes, 3);
    assert_non_null(shards_find(&s, "z", &data));
    assert_int_equal(*(const unsigned char *)data, 42);
    assert_null(shards_find(&s, "w", &data));
    size_t n_unused = 0;
    assert_string_equal(shards_unused(&s, &n_unused)->name, "x");
    assert_int_equal(n_unused, 2);
    assert_non_null(shards_find(&s, "x", &data));
    assert_non_null(shards_find(&s, "y", &data));
    assert_null(shards_unused(&s, &n_unused));
    shards_close(&s);
}

/* As for transformers: what a shard holds counts, not what is said of it. */
TEST(an_index_may_mistake_the_shard_or_forget_a_tensor)
{
    UNUSED_STATE;
    struct shards s;
    struct err err = {0};
    const void *data = NULL;
    two_shards();
    write_text("model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"b.safetensors\","
               "\"z\":\"a.safetensors\"}}");
    if (shards_open(&s, dir, &err) != 0)
        fail_msg("%s", err.text);
    assert_non_null(shards_find(&s, "x", &data));
    assert_non_null(shards_find(&s, "y", &data));
    assert_non_null(shards_find(&s, "z", &data));
    shards_close(&s);
}

TEST(every_lie_of_the_index_is_refused)
{
    UNUSED_STATE;
    static const char *const maps[][2] = {
        {"", "not valid JSON"},
        {"[]", "weight_map must be an object"},
        {"{}", "weight_map must be an object"},
        {"{\"weight_map\":[]}", "weight_map must be an object"},
        {"{\"weight_map\":{\"x\":1}}", "x must be a string, not 1"},
        {"{\"weight_map\":{\"x\":null}}", "x must be a string, not null"},
        {"{\"weight_map\":{\"x\":\"\"}}",
         "is not the name of a .safetensors file"},
        {"{\"weight_map\":{\"x\":\".safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"../a.safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"..a.safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"/etc/a.safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"d/../../a.safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"a\\nb.safetensors\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"a.safetensors\\u0000\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"a.bin\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"config.json\"}}", "not the name"},
        {"{\"weight_map\":{\"x\":\"c.safetensors\"}}", "cannot open"},
        {"{\"weight_map\":{\"x\":\"b.safetensors\"}}", "but is not"},
        {"{\"weight_map\":{\"w\":\"a.safetensors\"}}", "but is not"},
        {"{\"weight_map\":{\"x\":\"a.safetensors\",\"x\":\"b.safetensors\"}}",
         "duplicate"},
    };
    two_shards();
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        write_text("model.safetensors.index.json", maps[i][0]);
        expect_refusal(maps[i][1]);
    }
}

TEST(a_tensor_in_two_shards_is_refused)
{
    UNUSED_STATE;
    static const char *const both[] = {"x", "y"};
    write_shard("a.safetensors", both, 2);
    write_shard("b.safetensors", both, 2);
    write_text("model.safetensors.index.json",
               "{\"weight_map\":{\"x\":\"a.safetensors\","
               "\"y\":\"b.safetensors\"}}");
    expect_refusal("is in a.safetensors and in b.safetensors");
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(an_empty_directory_is_not_found),
        IN_DIR(odd_files_are_refused),
        IN_DIR(shards_are_found_through_the_index),
        IN_DIR(an_index_may_mistake_the_shard_or_forget_a_tensor),
        IN_DIR(every_lie_of_the_index_is_refused),
        IN_DIR(a_tensor_in_two_shards_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
