/* test_tokenizer_source.c -- the tokenizer and the templates in a GGUF file are
 * those of the tokenizer.json it was made from.
 *
 * The file: tests/oracle/tokenizer/make_gguf.py; the ids: golden.json, by
 * Hugging Face `tokenizers`.  Run from the root of the tree. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/json.h"
#include "model/chat_source.h"
#include "model/tokenizer_source.h"

#define ORACLE "tests/oracle/tokenizer/"

static struct gguf *open_file(void)
{
    struct gguf *g;
    struct err err = {0};
    if (gguf_open(&g, ORACLE "lfm2.gguf", &err) != 0)
        fail_msg("%s", err.text);
    return g;
}

static struct tokenizer *open_tokenizer(void)
{
    struct gguf *g = open_file();
    struct tokenizer *t;
    struct err err = {0};
    if (tokenizer_from_gguf(&t, g, &err) != 0)
        fail_msg("%s", err.text);
    gguf_close(g); /* nothing of it is kept */
    return t;
}

static bool same_ids(const struct tokenizer *t, const json_t *text,
                     unsigned flags, const json_t *expected)
{
    token_id *ids;
    size_t n;
    struct err err;
    if (tokenizer_encode(t, json_string_value(text), json_string_length(text),
                         flags, &ids, &n, &err) != 0)
        fail_msg("%s", err.text);
    bool same = n == json_array_size(expected);
    for (size_t i = 0; same && i < n; i++)
        same = json_integer_value(json_array_get(expected, i)) == ids[i];
    mem_free(ids);
    return same;
}

TEST(ids_are_those_of_hugging_face)
{
    UNUSED_STATE;
    struct tokenizer *t = open_tokenizer();
    json_t *golden, *c;
    struct err err;
    size_t i, n_wrong = 0;
    if (json_parse_file(&golden, ORACLE "golden.json", 8u << 20, 8u << 20,
                        &err) != 0)
        fail_msg("%s", err.text);
    const json_t *set = json_array_get(json_object_get(golden, "sets"), 0);
    assert_string_equal(json_string_value(json_object_get(set, "tokenizer")),
                        "lfm2");
    json_array_foreach(json_object_get(set, "cases"), i, c)
    {
        const json_t *text = json_array_get(c, 0);
        size_t last = json_array_size(c) - 1;
        n_wrong += !same_ids(t, text, TOKENIZE_SPECIAL, json_array_get(c, 1));
        n_wrong += !same_ids(t, text, 0, json_array_get(c, last));
    }
    assert_true(i > 2000);
    assert_int_equal(n_wrong, 0);
    json_decref(golden);
    tokenizer_free(t);
}

/* The same file twice: what one tokenizer knows of a token the other does. */
TEST(every_token_is_that_of_the_json_file)
{
    UNUSED_STATE;
    struct tokenizer *t = open_tokenizer(), *u;
    json_t *v;
    struct err err = {0};
    if (json_parse_file(&v, ORACLE "lfm2.json", 8u << 20, 8u << 20, &err) != 0)
        fail_msg("%s", err.text);
    char *text = json_dumps(v, 0);
    assert_int_equal(tokenizer_parse(&u, text, strlen(text), NULL, 0, &err), 0);
    free(text);
    json_decref(v);
    assert_int_equal(tokenizer_n_vocab(t), tokenizer_n_vocab(u) + 3);
    for (token_id i = 0; (uint32_t)i < tokenizer_n_vocab(t); i++) {
        size_t n, m;
        const char *a = tokenizer_token_bytes(t, i, &n);
        const char *b = tokenizer_token_bytes(u, i, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        assert_int_equal(tokenizer_is_special(t, i),
                         tokenizer_is_special(u, i));
    }
    assert_string_equal(tokenizer_bos_text(t), "<|startoftext|>");
    assert_string_equal(tokenizer_eos_text(t), "<|im_end|>");
    assert_int_equal(tokenizer_find(t, "<think>"),
                     tokenizer_find(u, "<think>"));
    tokenizer_free(t);
    tokenizer_free(u);
}

TEST(the_templates_are_read_unless_the_operator_names_one)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    struct gguf *g = open_file();
    struct chat_source src;
    struct err err = {0};
    assert_int_equal(chat_source_from_gguf(&src, g, NULL, &err), 0);
    assert_string_equal(src.text, "{{ bos_token }}plain");
    assert_string_equal(src.tool_use, "{{ tools }}");
    assert_string_equal(src.from, "tokenizer.chat_template");
    chat_source_deinit(&src);
    assert_int_equal(
        chat_source_from_gguf(&src, g, "model/demo/chat_template.jinja", &err),
        0);
    assert_non_null(src.text);
    assert_null(src.tool_use);
    chat_source_deinit(&src);
    assert_true(chat_source_from_gguf(&src, g, "no/such.jinja", &err) < 0);
    assert_null(src.text);
    gguf_close(g);
    assert_int_equal(mem_live_count(), live);
}

TEST(reading_survives_the_failure_of_allocations)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    struct gguf *g = open_file();
    for (long nth = 0;; nth++) {
        struct tokenizer *t;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = tokenizer_from_gguf(&t, g, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(rc, hit ? -ERR_NOMEM : 0);
        tokenizer_free(t);
        if (!hit)
            break;
    }
    gguf_close(g);
    assert_int_equal(mem_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_hugging_face),
        cmocka_unit_test(every_token_is_that_of_the_json_file),
        cmocka_unit_test(the_templates_are_read_unless_the_operator_names_one),
        cmocka_unit_test(reading_survives_the_failure_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
