/* test_tokenizer.c -- the same ids as Hugging Face `tokenizers`, and a refusal
 * in one sentence for files that ask for something else.
 *
 * Goldens: tests/oracle/tokenizer/make.py and model/demo/golden.json.  Run from
 * the root of the tree. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/base/utf8.h"
#include "model/text/tokenizer.h"

#define ORACLE "tests/oracle/tokenizer/"

static json_t *read_json(const char *path)
{
    json_t *v;
    struct err err;
    if (json_parse_file(&v, path, 8u << 20, 8u << 20, &err) != 0)
        fail_msg("%s", err.text);
    return v;
}

static struct tokenizer *parse_file(const char *path)
{
    json_t *v = read_json(path);
    char *text = json_dumps(v, 0);
    struct tokenizer *t;
    struct err err;
    if (tokenizer_parse(&t, text, strlen(text), NULL, 0, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    free(text);
    json_decref(v);
    return t;
}

/* The ids of `text` as JSON, to compare and to print. */
static void ids_text(const struct tokenizer *t, const char *text, size_t n,
                     unsigned flags, struct buf *out)
{
    token_id *ids;
    size_t n_ids;
    struct err err;
    if (tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err) != 0)
        fail_msg("%s", err.text);
    buf_clear(out);
    buf_putc(out, '[');
    for (size_t i = 0; i < n_ids; i++)
        buf_printf(out, "%s%d", i > 0 ? "," : "", ids[i]);
    buf_putc(out, ']');
    mem_free(ids);
}

static int check_ids(const struct tokenizer *t, const json_t *text,
                     unsigned flags, const json_t *expected)
{
    struct buf got = {0}, want = {0}, quoted = {0};
    size_t n = json_string_length(text);
    ids_text(t, json_string_value(text), n, flags, &got);
    json_write(&want, expected, false);
    int wrong = strcmp(buf_str(&got), buf_str(&want)) != 0;
    if (wrong) {
        json_quote(&quoted, json_string_value(text), n);
        print_error("%s flags %u\n  got  %s\n  want %s\n", buf_str(&quoted),
                    flags, buf_str(&got), buf_str(&want));
    }
    buf_deinit(&got);
    buf_deinit(&want);
    buf_deinit(&quoted);
    return wrong;
}

static void check_round_trip(const struct tokenizer *t, const char *text,
                             size_t n, unsigned flags)
{
    token_id *ids;
    size_t n_ids, len;
    struct buf back = {0};
    struct err err;
    if (tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n_ids; i++) {
        const char *bytes = tokenizer_token_bytes(t, ids[i], &len);
        buf_put(&back, bytes, len);
    }
    assert_int_equal(back.len, n);
    if (n > 0)
        assert_memory_equal(back.data, text, n);
    buf_deinit(&back);
    mem_free(ids);
}

static void check_set(const json_t *set)
{
    char path[256];
    snprintf(path, sizeof path, ORACLE "%s.json",
             json_string_value(json_object_get(set, "tokenizer")));
    struct tokenizer *t = parse_file(path);
    bool round_trip = json_is_true(json_object_get(set, "round_trip"));
    unsigned bos = json_is_true(json_object_get(set, "bos")) ? TOKENIZE_BOS : 0;
    int n_wrong = 0;
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(set, "cases"), i, c)
    {
        const json_t *text = json_array_get(c, 0);
        size_t last = json_array_size(c) - 1;
        n_wrong +=
            check_ids(t, text, bos | TOKENIZE_SPECIAL, json_array_get(c, 1));
        n_wrong += check_ids(t, text, bos, json_array_get(c, last));
        if (round_trip)
            check_round_trip(t, json_string_value(text),
                             json_string_length(text), 0);
    }
    tokenizer_free(t);
    if (n_wrong > 0)
        fail_msg("%s: %d of %zu strings differ", path, n_wrong, i);
}

TEST(ids_are_those_of_hugging_face)
{
    UNUSED_STATE;
    json_t *golden = read_json(ORACLE "golden.json"), *set;
    size_t i;
    json_array_foreach(json_object_get(golden, "sets"), i, set) check_set(set);
    assert_int_equal(i, 4);
    json_decref(golden);
}

TEST(the_demo_model_encodes_its_golden_chats)
{
    UNUSED_STATE;
    struct tokenizer *t;
    struct err err;
    if (tokenizer_load(&t, "model/demo", &err) != 0)
        fail_msg("%s", err.text);
    json_t *golden = read_json("model/demo/golden.json"), *c;
    size_t i;
    int n_wrong = 0;
    json_array_foreach(json_object_get(golden, "cases"), i, c) n_wrong +=
        check_ids(t, json_object_get(c, "text"), TOKENIZE_SPECIAL,
                  json_object_get(c, "ids"));
    assert_true(i > 0);
    assert_int_equal(n_wrong, 0);
    assert_string_equal(tokenizer_bos_text(t), "<|startoftext|>");
    assert_string_equal(tokenizer_eos_text(t), "<|im_end|>");
    assert_int_equal(tokenizer_find(t, "<|im_end|>"), 7);
    assert_int_equal(tokenizer_find(t, "hello"), TOKEN_NONE);
    assert_true(tokenizer_is_special(t, 7));
    assert_false(tokenizer_is_special(t, tokenizer_find(t, "<think>")));
    assert_false(tokenizer_is_special(t, -1));
    assert_int_equal(tokenizer_n_vocab(t), 2048);
    json_decref(golden);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_hugging_face),
        cmocka_unit_test(the_demo_model_encodes_its_golden_chats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
