/* test_tokenizer_lists.c -- types mean what llama.cpp means by them, and what
 * cannot be right is refused with the list and the index.
 *
 * That the ids are Hugging Face's is shown by test_tokenizer_source.c. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/text/tokenizer_lists.h"

#define P(text)                \
    {                          \
        text, sizeof(text) - 1 \
    }

static const struct tokenizer_piece tokens[] = {
    P("a"),         P("b"),      P("ab"),         P("\u0120"),
    P("<s>"),       P("<e>"),    P("<|im_end|>"), P("[PAD7]"),
    P("two words"), P("<0x63>"), P("\u00e9"),     P("\u0120ab"),
};
enum { N = sizeof tokens / sizeof *tokens };
static const uint32_t types[N] = {
    TOKEN_TYPE_NORMAL,  TOKEN_TYPE_NORMAL,       TOKEN_TYPE_NORMAL,
    TOKEN_TYPE_NORMAL,  TOKEN_TYPE_CONTROL,      TOKEN_TYPE_CONTROL,
    TOKEN_TYPE_CONTROL, TOKEN_TYPE_UNUSED,       TOKEN_TYPE_USER_DEFINED,
    TOKEN_TYPE_BYTE,    TOKEN_TYPE_USER_DEFINED, TOKEN_TYPE_NORMAL,
};
static const struct tokenizer_piece merges[] = {P("a b"), P("\u0120 ab")};

static const struct tokenizer_lists whole = {
    .pre = P("lfm2"),
    .tokens = tokens,
    .types = types,
    .n_tokens = N,
    .merges = merges,
    .n_merges = 2,
    .bos = 4,
    .eos = 5,
    .add_bos = true,
};

static struct tokenizer *build(const struct tokenizer_lists *lists)
{
    struct tokenizer *t;
    struct err err = {0};
    if (tokenizer_from_lists(&t, lists, &err) != 0)
        fail_msg("%s", err.text);
    return t;
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

TEST(each_type_does_what_it_says)
{
    UNUSED_STATE;
    struct tokenizer *t = build(&whole);
    check_ids(t, "ab ab", TOKENIZE_BOS, "4 2 11");
    check_ids(t, "<|im_end|>c", TOKENIZE_SPECIAL, "6 9");
    check_ids(t, "atwo wordsb\u00e9", 0, "0 8 1 10");
    check_ids(t, "<s>ab", TOKENIZE_SPECIAL, "4 2");
    check_ids(t, "[PAD7]", TOKENIZE_SPECIAL, "");
    assert_true(tokenizer_is_special(t, 6));
    assert_false(tokenizer_is_special(t, 8));
    assert_int_equal(tokenizer_n_vocab(t), N);
    size_t n;
    assert_memory_equal(tokenizer_token_bytes(t, 11, &n), " ab", 3);
    assert_int_equal(n, 3);
    assert_memory_equal(tokenizer_token_bytes(t, 9, &n), "c", 1);
    tokenizer_token_bytes(t, 7, &n);
    assert_int_equal(n, 0);
    assert_string_equal(tokenizer_bos_text(t), "<s>");
    assert_string_equal(tokenizer_eos_text(t), "<e>");
    tokenizer_free(t);
}

TEST(an_end_of_text_may_be_asked_for)
{
    UNUSED_STATE;
    struct tokenizer_lists l = whole;
    l.add_bos = false;
    l.add_eos = true;
    struct tokenizer *t = build(&l);
    check_ids(t, "ab", TOKENIZE_BOS, "2 5");
    check_ids(t, "ab", 0, "2");
    tokenizer_free(t);
}

TEST(markers_and_ends_are_special_whatever_their_type)
{
    UNUSED_STATE;
    struct tokenizer_lists l = whole;
    uint32_t wrong[N];
    memcpy(wrong, types, sizeof wrong);
    wrong[4] = wrong[6] = TOKEN_TYPE_NORMAL;
    l.types = wrong;
    log_set_level(LOG_ERROR);
    struct tokenizer *t = build(&l);
    log_set_level(LOG_INFO);
    assert_true(tokenizer_is_special(t, 4));
    assert_true(tokenizer_is_special(t, 6));
    check_ids(t, "<|im_end|>ab", TOKENIZE_SPECIAL, "6 2");
    tokenizer_free(t);
}

static void refuse(const struct tokenizer_lists *l, const char *because)
{
    size_t live = mem_live_count();
    struct tokenizer *t;
    struct err err = {0};
    assert_true(tokenizer_from_lists(&t, l, &err) < 0);
    assert_null(t);
    if (strstr(err.text, because) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, because);
    assert_int_equal(mem_live_count(), live);
}

TEST(what_cannot_be_right_is_refused)
{
    UNUSED_STATE;
    struct tokenizer_lists l = whole;
    l.pre = (struct tokenizer_piece)P("qwen2");
    refuse(&l, "pre is \"qwen2\"");
    l.pre = (struct tokenizer_piece){NULL, 0};
    refuse(&l, "pre is \"\"");
    l = whole;
    l.n_tokens = 0;
    refuse(&l, "tokens holds 0");
    l = whole;
    l.bos = N;
    refuse(&l, "bos_token_id is 12");
    static const struct tokenizer_piece odd[][1] = {
        {P("ab")},    {P("")},    {P("a ")},  {P(" a")},
        {P("a b c")}, {P("x a")}, {P("a x")}, {P("b a")}};
    static const char *const why[] = {
        "merges[0] is no pair", "merges[0] is no pair",
        "merges[0] is no pair", "merges[0] is no pair",
        "merges[0] is no pair", "lacks the first",
        "lacks the second",     "lacks what the pair makes"};
    for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
        l = whole;
        l.merges = odd[i];
        l.n_merges = 1;
        refuse(&l, why[i]);
    }
}

TEST(types_that_do_not_fit_their_tokens_are_refused)
{
    UNUSED_STATE;
    struct tokenizer_lists l = whole;
    uint32_t wrong[N];
    memcpy(wrong, types, sizeof wrong);
    l.types = wrong;
    wrong[0] = TOKEN_TYPE_BYTE;
    refuse(&l, "tokens[0] is a byte by its type");
    wrong[0] = TOKEN_TYPE_NORMAL;
    struct tokenizer_piece twice[N];
    memcpy(twice, tokens, sizeof twice);
    twice[4] = twice[5];
    l.tokens = twice;
    refuse(&l, "has the text of another added token");
    twice[4].n = 0;
    refuse(&l, "tokens[4] is added to the vocabulary and 0 bytes long");
    twice[4] = (struct tokenizer_piece)P("<\xff>");
    refuse(&l, "bos_token_id is 4, whose text a template cannot show");
    twice[4] = (struct tokenizer_piece)P("<\0>");
    refuse(&l, "bos_token_id is 4, whose text a template cannot show");
}

TEST(building_survives_the_failure_of_allocations)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct tokenizer *t;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = tokenizer_from_lists(&t, &whole, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(rc, hit ? -ERR_NOMEM : 0);
        tokenizer_free(t);
        assert_int_equal(mem_live_count(), live);
        if (!hit)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_does_what_it_says),
        cmocka_unit_test(an_end_of_text_may_be_asked_for),
        cmocka_unit_test(markers_and_ends_are_special_whatever_their_type),
        cmocka_unit_test(what_cannot_be_right_is_refused),
        cmocka_unit_test(types_that_do_not_fit_their_tokens_are_refused),
        cmocka_unit_test(building_survives_the_failure_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
