/* test_tokenizer_load.c -- every refusal is one sentence that names the key,
 * and what is accepted without a golden works as its comment says. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/text/tokenizer.h"

/* The parts of a small tokenizer.json; a test replaces one. */
enum part { MODEL, ADDED, PRE, POST, DECODER, NORMALIZER, N_PARTS };

static const char *const part_names[N_PARTS] = {
    "model",          "added_tokens", "pre_tokenizer",
    "post_processor", "decoder",      "normalizer"};

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<s>\":4,\"\\u0120\":7}"
#define BPE(more) "{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]" more "}"
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define TOKEN(id, text) "{\"id\":" #id ",\"content\":\"" text "\"}"
#define SPECIAL(id, text) \
    "{\"id\":" #id ",\"content\":\"" text "\",\"special\":true}"

static const char *const defaults[N_PARTS] = {
    BPE(""), "[" SPECIAL(4, "<s>") "]",  BYTES,
    "null",  "{\"type\":\"ByteLevel\"}", "null"};

static void document(struct buf *b, enum part replaced, const char *by)
{
    buf_putc(b, '{');
    for (int i = 0; i < N_PARTS; i++)
        buf_printf(b, "%s\"%s\":%s", i > 0 ? "," : "", part_names[i],
                   i == (int)replaced ? by : defaults[i]);
    buf_putc(b, '}');
}

static int parse(struct tokenizer **t, enum part replaced, const char *by,
                 const char *config, struct err *err)
{
    struct buf b = {0};
    document(&b, replaced, by);
    int rc = tokenizer_parse(t, buf_str(&b), b.len, config,
                             config != NULL ? strlen(config) : 0, err);
    buf_deinit(&b);
    return rc;
}

static void check_ids(const struct tokenizer *t, const char *text,
                      unsigned flags, const char *expected)
{
    token_id *ids;
    size_t n;
    struct err err;
    char got[256] = "";
    if (tokenizer_encode(t, text, strlen(text), flags, &ids, &n, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d",
                 i > 0 ? " " : "", ids[i]);
    mem_free(ids);
    assert_string_equal(got, expected);
}

static void check_part(enum part part, const char *by, const char *text,
                       unsigned flags, const char *expected)
{
    struct tokenizer *t;
    struct err err;
    if (parse(&t, part, by, NULL, &err) != 0)
        fail_msg("%s", err.text);
    check_ids(t, text, flags, expected);
    tokenizer_free(t);
}

TEST(what_cannot_be_done_exactly_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        enum part part;
        const char *by, *message;
    } cases[] = {
        {MODEL, "null", "model.vocab is missing or empty"},
        {MODEL, "7", "model must be an object, not 7"},
        {MODEL, "{\"type\":\"Unigram\"}",
         "model.type is Unigram, expected BPE"},
        {MODEL, "{\"vocab\":{\"a\":-1}}", "model.vocab gives a no id from 0"},
        {MODEL, "{\"vocab\":{\"a\":1048576}}", "model.vocab gives a no id"},
        {MODEL, "{\"vocab\":{\"a\":\"x\"}}", "model.vocab gives a no id"},
        {MODEL, "{\"vocab\":{\"a\":1,\"b\":1}}", "id 1 to two tokens"},
        {MODEL, "{" VOCAB ",\"merges\":[\"a c\"]}",
         "model.merges[0] joins a and c, but model.vocab lacks the second"},
        {MODEL, "{" VOCAB ",\"merges\":[\"b a\"]}", "lacks what they make"},
        {MODEL, "{" VOCAB ",\"merges\":[\"a b c\"]}", "merges[0] is no pair"},
        {MODEL, "{" VOCAB ",\"merges\":[[\"a\"]]}", "merges[0] is no pair"},
        {MODEL, "{" VOCAB ",\"merges\":[[\"a\",1]]}", "merges[0] is no pair"},
        {MODEL, BPE(",\"byte_fallback\":true"), "model.byte_fallback is true"},
        {MODEL, BPE(",\"dropout\":0.1"), "model.dropout is 0.1"},
        {MODEL, BPE(",\"unk_token\":\"<s>\""), "model.unk_token is <s>"},
        {MODEL, BPE(",\"end_of_word_suffix\":\"</w>\""),
         "model.end_of_word_suffix is </w>, expected null"},
        {MODEL, BPE(",\"continuing_subword_prefix\":\"##\""),
         "model.continuing_subword_prefix is ##, expected null"},
        {ADDED, "[" TOKEN(5, "<s>") "]", "added_tokens gives <s> the id 5"},
        {ADDED, "[" TOKEN(0, "new") "]", "added_tokens gives new the id 0"},
        {ADDED, "[" TOKEN(9, "x") "," TOKEN(9, "y") "]", "gives y the id 9"},
        {ADDED, "[" TOKEN(9, "x") "," TOKEN(10, "x") "]", "the id 10 twice"},
        {ADDED, "[{\"content\":\"x\"}]", "added_tokens gives x no id"},
        {ADDED, "[{\"id\":9,\"content\":\"x\",\"special\":1}]",
         "added_tokens.special must be true or false, not 1"},
        {PRE, "null", "pre_tokenizer is missing"},
        {PRE, "{\"type\":\"Whitespace\"}", "pre_tokenizer is Whitespace"},
        {PRE, "{\"type\":\"Digits\"}", "expected one that ends in ByteLevel"},
        {PRE, "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTES "," BYTES "]}",
         "pretokenizers[1] is ByteLevel, expected nothing behind ByteLevel"},
        {PRE, "{\"type\":\"Split\",\"behavior\":\"Removed\"}",
         "pre_tokenizer.behavior is Removed, expected Isolated"},
        {PRE, "{\"type\":\"Split\",\"behavior\":\"Isolated\"}",
         "pre_tokenizer.pattern holds neither Regex nor String"},
        {PRE,
         "{\"type\":\"Split\",\"behavior\":\"Isolated\","
         "\"pattern\":{\"Regex\":\"(a\"}}",
         "pre_tokenizer: the pattern does not compile: missing closing"},
        {POST, "{\"type\":\"BertProcessing\"}",
         "post_processor is BertProcessing"},
        {POST, "{\"type\":\"TemplateProcessing\",\"single\":[]}",
         "the sequence A 0 times"},
        {POST,
         "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
         "{\"id\":\"<s>\"}}]}",
         "post_processor.special_tokens has no ids for <s>"},
        {DECODER, "null", "decoder is missing, expected ByteLevel"},
        {DECODER, "{\"type\":\"WordPiece\"}", "decoder is WordPiece"},
        {NORMALIZER, "{\"type\":\"NFC\"}", "normalizer is NFC, expected null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *t;
        struct err err;
        int rc = parse(&t, cases[i].part, cases[i].by, NULL, &err);
        assert_true(rc == -ERR_FORMAT || rc == -ERR_UNSUPPORTED);
        assert_null(t);
        if (strncmp(err.text, "tokenizer.json: ", 16) != 0 ||
            strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: '%s' instead of '%s'", i, err.text,
                     cases[i].message);
    }
}

TEST(a_file_that_is_missing_or_no_json_is_named)
{
    UNUSED_STATE;
    struct tokenizer *t;
    struct err err;
    assert_int_equal(tokenizer_load(&t, "tests/lib", &err), -ERR_IO);
    assert_non_null(strstr(err.text, "tests/lib/tokenizer.json"));
    assert_int_equal(tokenizer_parse(&t, "{", 1, NULL, 0, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "tokenizer.json: not valid JSON"));
    assert_int_equal(tokenizer_parse(&t, "{", 1, NULL, 0, NULL), -ERR_FORMAT);
    assert_int_equal(parse(&t, N_PARTS, "", "{\"bos_token\":1}", &err),
                     -ERR_FORMAT);
    assert_string_equal(err.text, "tokenizer_config.json: bos_token must be a "
                                  "string, not 1");
}

TEST(add_bos_token_counts_where_no_template_says_otherwise)
{
    UNUSED_STATE;
    const char *config = "{\"bos_token\":{\"content\":\"<s>\"},"
                         "\"eos_token\":null,\"add_bos_token\":true}";
    struct tokenizer *t;
    struct err err;
    assert_int_equal(parse(&t, N_PARTS, "", config, &err), 0);
    assert_string_equal(tokenizer_bos_text(t), "<s>");
    assert_null(tokenizer_eos_text(t));
    check_ids(t, "ab", TOKENIZE_BOS, "4 2");
    check_ids(t, "", TOKENIZE_BOS, "4");
    check_ids(t, "ab", 0, "2");
    tokenizer_free(t);
    config = "{\"bos_token\":\"<t>\",\"add_bos_token\":true}";
    assert_int_equal(parse(&t, N_PARTS, "", config, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "bos_token is no added token"));
}

TEST(special_text_of_a_user_stays_text)
{
    UNUSED_STATE;
    check_part(N_PARTS, "", "a<s>b", TOKENIZE_SPECIAL, "0 4 1");
    check_part(N_PARTS, "", "a<s>b", 0, "0 1");
    /* Nor through ignore_merges, when one piece spells a special token. */
    const char *model = "{" VOCAB ",\"merges\":[],\"ignore_merges\":true}";
    check_part(MODEL, model, "ab", 0, "2");
    struct tokenizer *t;
    struct err err;
    struct buf b = {0};
    buf_printf(&b,
               "{\"model\":%s,\"added_tokens\":[" SPECIAL(
                   2, "ab") "],"
                            "\"pre_tokenizer\":" BYTES ",\"decoder\":%s}",
               model, defaults[DECODER]);
    if (tokenizer_parse(&t, buf_str(&b), b.len, NULL, 0, &err) != 0)
        fail_msg("%s", err.text);
    check_ids(t, "ab", 0, "0 1");
    check_ids(t, "ab", TOKENIZE_SPECIAL, "2");
    tokenizer_free(t);
    buf_deinit(&b);
}

TEST(ids_may_have_gaps_and_unknown_ids_are_empty)
{
    UNUSED_STATE;
    struct tokenizer *t;
    struct err err;
    size_t n;
    assert_int_equal(parse(&t, N_PARTS, "", NULL, &err), 0);
    assert_int_equal(tokenizer_n_vocab(t), 8);
    assert_int_equal(tokenizer_max_token_bytes(t), 3);
    for (token_id id = -1; id < 10; id++) {
        const char *bytes = tokenizer_token_bytes(t, id, &n);
        assert_non_null(bytes);
        bool known = (id >= 0 && id <= 2) || id == 4 || id == 7;
        assert_true(known ? n > 0 : n == 0);
    }
    assert_memory_equal(tokenizer_token_bytes(t, 7, &n), " ", 1);
    tokenizer_free(t);
}

TEST(allocation_failures_leave_nothing_behind)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct tokenizer *t = NULL;
        struct err err;
        token_id *ids = NULL;
        size_t n;
        fault_alloc_at(nth);
        int rc = parse(&t, N_PARTS, "", "{\"bos_token\":\"<s>\"}", &err);
        if (rc == 0)
            rc = tokenizer_encode(t, "ab <s>", 6, 3, &ids, &n, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        mem_free(ids);
        tokenizer_free(t);
        assert_int_equal(mem_live_count(), live);
        if (!hit) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_true(rc != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_done_exactly_is_refused_by_name),
        cmocka_unit_test(a_file_that_is_missing_or_no_json_is_named),
        cmocka_unit_test(add_bos_token_counts_where_no_template_says_otherwise),
        cmocka_unit_test(special_text_of_a_user_stays_text),
        cmocka_unit_test(ids_may_have_gaps_and_unknown_ids_are_empty),
        cmocka_unit_test(allocation_failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
