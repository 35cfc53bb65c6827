/* Opening a model: what it offers, what it refuses, what it leaves behind. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/model.h"

#define DEMO "model/demo"

static const struct model_options demo = {
    .path = DEMO "/",
    .n_threads = 2,
    .max_batch_tokens = 64,
    .max_slices = 4,
};

static struct model *open_demo(const struct model_options *options)
{
    struct err err = {0};
    struct model *m = NULL;
    if (model_open(&m, options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return m;
}

TEST(the_demo_opens_with_all_its_parts)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    struct model *m = open_demo(&demo);
    assert_string_equal(m->name, "demo");
    assert_int_equal(m->ctx_tokens, 4096);
    assert_int_equal(m->max_logit_rows, 4);
    assert_non_null(m->template_text);
    assert_non_null(m->chat_template);
    assert_int_equal(tokenizer_n_vocab(m->tokenizer), m->hp.n_vocab);
    assert_int_equal(forward_n_threads(m->forward), 2);
    assert_true(cache_total_blocks(m->cache) >= 4096 / KV_BLOCK_TOKENS);
    assert_int_equal(cache_total_slots(m->cache), 4);
    model_close(m);
    assert_int_equal(mem_live_count(), live);
}

static token_id best(const float *row, uint32_t n)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < n; i++)
        if (row[i] > row[at])
            at = i;
    return (token_id)at;
}

TEST(a_text_goes_in_and_a_text_comes_out)
{
    UNUSED_STATE;
    static const char prompt[] = "<|startoftext|><|im_start|>user\nHello!"
                                 "<|im_end|>\n<|im_start|>assistant\n";
    struct model *m = open_demo(&demo);
    token_id *tokens = NULL;
    size_t n = 0;
    assert_int_equal(tokenizer_encode(m->tokenizer, prompt, sizeof prompt - 1,
                                      TOKENIZE_SPECIAL, &tokens, &n, NULL),
                     0);
    struct batch *b = NULL;
    assert_int_equal(batch_new(&b, 64, 1, 1, m->hp.n_vocab, NULL), 0);
    struct cache_seq seq;
    assert_int_equal(cache_seq_init(&seq, 128, NULL), 0);
    assert_int_equal(cache_open(m->cache, &seq), CACHE_OK);
    assert_int_equal(cache_reserve(m->cache, &seq, 128), CACHE_OK);
    char said[256] = "";
    uint32_t position = 0, n_new = (uint32_t)n;
    const token_id *next = tokens;
    token_id last;
    for (int i = 0; i < 5; i++) {
        batch_clear(b);
        assert_true(batch_add(b, &seq, next, n_new, position, 1));
        model_forward(m, b);
        position += n_new;
        last = best(b->logits, m->hp.n_vocab);
        size_t len;
        const char *text = tokenizer_token_bytes(m->tokenizer, last, &len);
        strncat(said, text, len);
        next = &last;
        n_new = 1;
    }
    assert_string_equal(said, "Hello! I am");
    cache_close(m->cache, &seq);
    cache_seq_deinit(&seq);
    batch_free(b);
    mem_free(tokens);
    model_close(m);
}

TEST(a_directory_that_is_not_there_is_named)
{
    UNUSED_STATE;
    const struct model_options nowhere = {.path = "no/such/place"};
    struct model *m = NULL;
    struct err err = {0};
    assert_true(model_open(&m, &nowhere, NULL, NULL, &err) < 0);
    assert_null(m);
    static const char start[] = "cannot load the model in no/such/place: ";
    assert_memory_equal(err.text, start, sizeof start - 1);
}

static void check_refused(const struct model_options *options,
                          const char *because)
{
    size_t live = mem_live_count();
    struct model *m = NULL;
    struct err err = {0};
    assert_true(model_open(&m, options, NULL, NULL, &err) < 0);
    assert_null(m);
    if (strstr(err.text, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
    assert_int_equal(mem_live_count(), live);
}

TEST(options_that_cannot_be_met_are_refused_in_words)
{
    UNUSED_STATE;
    struct model_options o = demo;
    o.isa = "abacus";
    check_refused(&o, "abacus");
    o = demo;
    o.cache_bytes = 1;
    check_refused(&o, "too small");
    o = demo;
    o.chat_template_file = "no/such/template.jinja";
    check_refused(&o, "no/such/template.jinja");
}

TEST(a_file_that_is_no_model_is_refused_in_words)
{
    UNUSED_STATE;
    struct model_options o = demo;
    o.path = "README.md";
    check_refused(&o, "cannot load the model in README.md: the file does not "
                      "begin with \"GGUF\"");
    o.path = "tests/oracle/tokenizer/lfm2.gguf"; /* a tokenizer alone */
    check_refused(&o, "cannot load the model in tests/oracle/tokenizer/"
                      "lfm2.gguf: ");
    o = demo;
    o.quantize = "q3_k";
    check_refused(&o, "quantize is q3_k, expected q4_0 or q8_0");
}

TEST(a_model_is_called_something_that_can_be_shown)
{
    UNUSED_STATE;
    char dir[] = "/tmp/lfmd-model-XXXXXX", path[64], cwd[4096], source[4200];
    struct model_options o = demo;
    log_set_level(LOG_ERROR);
    assert_non_null(mkdtemp(dir));
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(source, sizeof source, "%s/tests/oracle/gguf/mixed.gguf", cwd);
    snprintf(path, sizeof path,
             "%s/a\n\xC3\xA9\xFF\x1B"
             "b.gguf",
             dir);
    assert_int_equal(symlink(source, path), 0);
    o.path = path;
    struct model *m = open_demo(&o);
    assert_string_equal(m->name, "a?\xC3\xA9??b");
    model_close(m);
    unlink(path);
    rmdir(dir);
    log_set_level(LOG_INFO);
}

TEST(a_small_cache_shortens_the_context)
{
    UNUSED_STATE;
    log_set_level(LOG_ERROR);
    struct model *m = open_demo(&demo);
    struct model_options o = demo;
    o.cache_bytes = 10 * cache_block_bytes(&m->hp, KV_F16);
    model_close(m);
    m = open_demo(&o);
    assert_int_equal(m->ctx_tokens, 10 * KV_BLOCK_TOKENS);
    assert_int_equal(cache_total_blocks(m->cache), 10);
    model_close(m);
    o.cache_bytes = 0;
    o.ctx_tokens = 100;
    m = open_demo(&o);
    assert_int_equal(m->ctx_tokens, 100);
    model_close(m);
    log_set_level(LOG_INFO);
}

/* The tokenizer alone allocates thousands of times, so later faults are tried
 * in growing steps. */
TEST(opening_survives_the_failure_of_allocations)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth += 1 + nth / 8) {
        struct model *m = NULL;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = model_open(&m, &demo, NULL, NULL, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        if (hit)
            assert_int_equal(rc, -ERR_NOMEM);
        else
            assert_int_equal(rc, 0);
        model_close(m);
        assert_int_equal(mem_live_count(), live);
        if (!hit)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_opens_with_all_its_parts),
        cmocka_unit_test(a_text_goes_in_and_a_text_comes_out),
        cmocka_unit_test(a_directory_that_is_not_there_is_named),
        cmocka_unit_test(options_that_cannot_be_met_are_refused_in_words),
        cmocka_unit_test(a_file_that_is_no_model_is_refused_in_words),
        cmocka_unit_test(a_model_is_called_something_that_can_be_shown),
        cmocka_unit_test(a_small_cache_shortens_the_context),
        cmocka_unit_test(opening_survives_the_failure_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
