/* test_oracle.c -- the same tokens as llguidance allows.
 *
 * tests/oracle/grammar/golden.json has walks through schemas and patterns, and
 * how many tokens of the demo model's vocabulary may follow at each step, with
 * a hash of which. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/json.h"
#include "model/grammar/mask.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema.h"

struct oracle {
    struct tokenizer *tokenizer;
    struct mask_vocab *vocab;
    struct masker *masker;
    uint32_t *words;
    token_id end;
    unsigned n_steps;
};

static bool skipped(const struct oracle *o, token_id id)
{
    size_t n;
    const char *bytes = tokenizer_token_bytes(o->tokenizer, id, &n);
    return memchr(bytes, '\\', n) != NULL || memchr(bytes, 0x7F, n) != NULL;
}

static void check_step(struct oracle *o, const struct matcher *m,
                       const json_t *golden, const char *name, size_t step)
{
    uint64_t h = 0xCBF29CE484222325u;
    int n = 0;
    char hash[20];
    mask_fill(o->masker, m, &o->end, 1, o->words);
    for (token_id id = 0; id <= o->end; id++) {
        if (!(o->words[id / 32] >> (id % 32) & 1) || skipped(o, id))
            continue;
        n++;
        for (unsigned shift = 0; shift < 32; shift += 8)
            h = (h ^ ((uint32_t)id >> shift & 0xFF)) * 0x100000001B3u;
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)h);
    o->n_steps++;
    if (n != json_integer_value(json_array_get(golden, 0)) ||
        strcmp(hash, json_string_value(json_array_get(golden, 1))) != 0)
        fail_msg("%s: %d tokens before token %zu, not the %d expected", name, n,
                 step, (int)json_integer_value(json_array_get(golden, 0)));
}

static void check_walk(struct oracle *o, struct grammar *g, const json_t *walk,
                       const char *name)
{
    const json_t *tokens = json_object_get(walk, "tokens");
    const json_t *allowed = json_object_get(walk, "allowed");
    struct matcher *m;
    assert_int_equal(matcher_new(&m, g, 0, NULL), 0);
    for (size_t i = 0; i < json_array_size(allowed); i++) {
        if (!json_is_null(json_array_get(allowed, i)))
            check_step(o, m, json_array_get(allowed, i), name, i);
        if (i == json_array_size(tokens))
            break;
        token_id id = (token_id)json_integer_value(json_array_get(tokens, i));
        size_t n;
        const char *bytes = tokenizer_token_bytes(o->tokenizer, id, &n);
        assert_true(matcher_accept(m, bytes, n));
    }
    matcher_free(m);
}

static void check_row(struct oracle *o, const json_t *row)
{
    struct grammar *g;
    struct err err = {0};
    const json_t *schema = json_object_get(row, "schema");
    const json_t *regex = json_object_get(row, "regex");
    const json_t *walks = json_object_get(row, "walks");
    struct buf name = {0};
    json_write(&name, schema ? schema : regex, false);
    struct schema_options options = {.compact = true};
    int rc = schema ? grammar_from_schema(&g, schema, &options, &err)
                    : grammar_from_regex(&g, json_string_value(regex),
                                         json_string_length(regex), &err);
    if (rc != 0)
        fail_msg("%s: %s", buf_str(&name), err.text);
    for (size_t i = 0; i < json_array_size(walks); i++)
        check_walk(o, g, json_array_get(walks, i), buf_str(&name));
    grammar_unref(g);
    buf_deinit(&name);
}

TEST(the_tokens_allowed_are_those_llguidance_allows)
{
    UNUSED_STATE;
    struct oracle o = {0};
    struct err err = {0};
    json_t *golden;
    if (json_parse_file(&golden, "tests/oracle/grammar/golden.json", 1 << 20,
                        1000000, &err) != 0 ||
        tokenizer_load(&o.tokenizer, "model/demo", &err) != 0)
        fail_msg("%s", err.text);
    o.end = (token_id)tokenizer_n_vocab(o.tokenizer);
    uint32_t n_ids = (uint32_t)o.end + 1;
    assert_int_equal(
        mask_vocab_of_tokenizer(&o.vocab, o.tokenizer, n_ids, &err), 0);
    assert_int_equal(masker_new(&o.masker, o.vocab, 64, &err), 0);
    o.words = mem_calloc(mask_vocab_n_words(o.vocab), sizeof *o.words);
    for (size_t i = 0; i < json_array_size(golden); i++)
        check_row(&o, json_array_get(golden, i));
    assert_true(o.n_steps > 1000);
    mem_free(o.words);
    masker_free(o.masker);
    mask_vocab_free(o.vocab);
    tokenizer_free(o.tokenizer);
    json_decref(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tokens_allowed_are_those_llguidance_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
