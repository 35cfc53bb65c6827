/* test_matcher.c -- a reply on its way, its masks checked by brute force. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/grammar/builder.h"
#include "model/grammar/matcher.h"
#include "model/grammar/regex.h"
#include "tests/lib/grammar_rig.h"

static struct grammar *regex(const char *pattern)
{
    struct grammar *g;
    struct err err = {0};
    if (grammar_from_regex(&g, pattern, strlen(pattern), &err) != 0)
        fail_msg("%s: %s", pattern, err.text);
    return g;
}

/* value ::= "[" (value ("," value)*)? "]" | "0"; as JSON nests. */
static struct grammar *nested(void)
{
    struct grammar_builder *b;
    struct grammar *g;
    struct err err = {0};
    assert_int_equal(grammar_builder_new(&b, &err), 0);
    uint32_t value = grammar_rule(b, "value");
    struct grammar_item item = {grammar_call(b, value), true, true};
    gexpr list = grammar_list(b, &item, 1, grammar_text(b, ","));
    grammar_define(b, value,
                   grammar_alt2(b, grammar_text(b, "0"),
                                grammar_seq3(b, grammar_text(b, "["), list,
                                             grammar_text(b, "]"))));
    if (grammar_finish(b, value, &g, &err) != 0)
        fail_msg("%s", err.text);
    grammar_builder_free(b);
    return g;
}

static struct matcher *matcher(struct grammar *g, uint32_t rollback)
{
    struct matcher *m;
    assert_int_equal(matcher_new(&m, g, rollback, NULL), 0);
    grammar_unref(g);
    return m;
}

static struct masker *masker(struct mask_vocab **v)
{
    struct masker *k;
    assert_int_equal(mask_vocab_new(v, rig_n_tokens(), rig_token, NULL, NULL),
                     0);
    assert_int_equal(masker_new(&k, *v, 8, NULL), 0);
    return k;
}

TEST(a_token_is_taken_whole_or_not_at_all)
{
    UNUSED_STATE;
    struct matcher *m = matcher(regex("foobar+"), 4);
    assert_false(matcher_accept(m, "fox", 3));
    assert_false(matcher_accept(m, "", 0));
    assert_true(matcher_accept(m, "foob", 4));
    assert_false(matcher_may_end(m));
    assert_true(matcher_allows(m, "arr", 3));
    assert_true(matcher_accept(m, "ar", 2));
    assert_true(matcher_may_end(m));
    assert_false(matcher_must_end(m));
    matcher_free(m);
}

TEST(tokens_can_be_taken_back)
{
    UNUSED_STATE;
    struct matcher *m = matcher(nested(), 3);
    const char *tokens[] = {"[", "[", "[0", ",", "[]", "]", "]", ",0", "]"};
    for (size_t i = 0; i < 9; i++) {
        assert_true(matcher_accept(m, tokens[i], strlen(tokens[i])));
        if (i % 3 != 2)
            continue;
        assert_true(matcher_rollback(m, 2));
        assert_true(matcher_accept(m, tokens[i - 1], strlen(tokens[i - 1])));
        assert_true(matcher_accept(m, tokens[i], strlen(tokens[i])));
    }
    assert_true(matcher_must_end(m));
    assert_false(matcher_rollback(m, 4));
    assert_true(matcher_rollback(m, 3));
    assert_false(matcher_may_end(m));
    struct matcher *twin;
    assert_int_equal(matcher_clone(&twin, m, NULL), 0);
    assert_true(matcher_accept(twin, "],0]", 4));
    assert_true(matcher_may_end(twin));
    assert_false(matcher_may_end(m));
    matcher_copy(m, twin);
    assert_true(matcher_must_end(m));
    matcher_reset(m);
    assert_true(matcher_accept(m, "0", 1));
    matcher_free(twin);
    matcher_free(m);
}

TEST(nesting_ends_before_it_is_too_deep)
{
    UNUSED_STATE;
    struct matcher *m = matcher(nested(), 0);
    unsigned depth = 0;
    while (matcher_accept(m, "[", 1))
        depth++;
    assert_in_range(depth, 60, 70);
    while (depth-- > 0)
        assert_true(matcher_accept(m, "]", 1));
    assert_true(matcher_must_end(m));
    matcher_free(m);
}

TEST(a_long_reply_needs_no_more_memory_than_a_short_one)
{
    UNUSED_STATE;
    struct matcher *m = matcher(nested(), 2);
    size_t live = mem_live_count();
    alloc_forbid("a long reply");
    assert_true(matcher_accept(m, "[", 1));
    uint32_t seed = 1;
    unsigned depth = 1;
    bool after = false;
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        bool deeper = seed >> 31;
        if (after)
            assert_true(matcher_accept(m, depth > 1 && !deeper ? "]" : ",", 1));
        if (after && depth > 1 && !deeper) {
            depth--;
            continue;
        }
        after = !(deeper && depth < 40);
        depth += after ? 0 : 1;
        assert_true(matcher_accept(m, after ? "0" : "[", 1));
    }
    alloc_permit();
    assert_int_equal(mem_live_count(), live);
    matcher_free(m);
}

TEST(what_must_follow_is_told)
{
    UNUSED_STATE;
    char out[64];
    struct matcher *m = matcher(regex("\\{\"name\": \"(abc|abd)\"\\}"), 0);
    assert_int_equal(matcher_forced(m, out, sizeof out), 12);
    assert_memory_equal(out, "{\"name\": \"ab", 12);
    assert_int_equal(matcher_forced(m, out, 3), 3);
    assert_true(matcher_accept(m, "{\"name\": \"abd", 13));
    assert_int_equal(matcher_forced(m, out, sizeof out), 2);
    assert_true(matcher_accept(m, "\"}", 2));
    assert_int_equal(matcher_forced(m, out, sizeof out), 0);
    matcher_free(m);
}

/* Walks at random from mask to mask. */
static void stroll(struct grammar *g, struct masker *k, uint32_t seed)
{
    struct matcher *m = matcher(grammar_ref(g), 4);
    for (unsigned step = 0; step < 40; step++) {
        uint32_t words[16] = {0};
        token_id end = rig_end();
        uint32_t n = rig_check_mask(k, m);
        assert_true(n > 0);
        mask_fill(k, m, &end, 1, words);
        seed = seed * 1664525 + 1013904223;
        uint32_t pick = (seed >> 8) % n;
        token_id id = 0;
        for (; id < end; id++)
            if ((words[id / 32] >> (id % 32) & 1) && pick-- == 0)
                break;
        if (id == end)
            break;
        size_t length;
        const char *bytes = rig_token(NULL, id, &length);
        assert_true(matcher_accept(m, bytes, length));
        if (step % 7 == 6)
            assert_true(matcher_rollback(m, 1 + step % 3));
    }
    matcher_free(m);
}

TEST(a_mask_is_what_the_matcher_says_of_every_token)
{
    UNUSED_STATE;
    struct mask_vocab *v;
    struct masker *k = masker(&v);
    static const char *const patterns[] = {"[a-z]+@[a-z]+\\.com",
                                           "\"[^\"\\\\\\x00-\\x1f]*\"",
                                           ".*",
                                           ".{3,20}",
                                           "(foo|foobar|bar)+x = [0-9]{1,3}",
                                           "\\d{4}-\\d\\d",
                                           "caf\xC3\xA9|\\w+",
                                           "[^a]{2,5}",
                                           "\\p{Lu}?\\P{L}+"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct grammar *g = regex(patterns[i]);
        for (uint32_t seed = 0; seed < 6; seed++)
            stroll(g, k, seed);
        grammar_unref(g);
    }
    struct grammar *g = nested();
    for (uint32_t seed = 0; seed < 30; seed++)
        stroll(g, k, seed);
    grammar_unref(g);
    uint64_t asked, made;
    masker_counts(k, &asked, &made);
    assert_true(made < asked);
    masker_free(k);
    mask_vocab_free(v);
}

TEST(a_mask_allocates_nothing)
{
    UNUSED_STATE;
    struct mask_vocab *v;
    struct masker *k = masker(&v);
    struct matcher *m = matcher(nested(), 0);
    alloc_forbid("a mask");
    for (unsigned i = 0; i < 20; i++) {
        uint32_t words[16];
        token_id end = rig_end();
        assert_true(mask_fill(k, m, &end, 1, words) > 0);
        assert_true(matcher_accept(m, "[", 1));
    }
    alloc_permit();
    matcher_free(m);
    masker_free(k);
    mask_vocab_free(v);
}

/* S ::= S S | "a" with a byte between, so that it is not left recursive: the
 * number of ways grows without end. */
TEST(too_much_ambiguity_leaves_ways_out_and_can_still_end)
{
    UNUSED_STATE;
    struct grammar_builder *b;
    struct grammar *g;
    struct err err = {0};
    assert_int_equal(grammar_builder_new(&b, &err), 0);
    uint32_t s = grammar_rule(b, "s");
    grammar_keep(b, s);
    gexpr tail = grammar_seq2(b, grammar_call(b, s),
                              grammar_optional(b, grammar_call(b, s)));
    grammar_define(
        b, s, grammar_seq2(b, grammar_text(b, "a"), grammar_optional(b, tail)));
    assert_int_equal(grammar_finish(b, s, &g, &err), 0);
    grammar_builder_free(b);
    struct matcher *m = matcher(g, 0);
    for (unsigned i = 0; i < 500; i++)
        assert_true(matcher_accept(m, "a", 1));
    assert_true(matcher_may_end(m));
    matcher_free(m);
}

TEST(running_out_of_memory_is_an_error_and_leaks_nothing)
{
    UNUSED_STATE;
    struct grammar *g = regex("a+");
    for (long nth = 0;; nth++) {
        struct mask_vocab *v = NULL;
        struct masker *k = NULL;
        struct matcher *m = NULL;
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        if (mask_vocab_new(&v, rig_n_tokens(), rig_token, NULL, NULL) == 0 &&
            masker_new(&k, v, 8, NULL) == 0)
            matcher_new(&m, g, 2, NULL);
        long hits = fault_hits();
        fault_alloc_at(-1);
        matcher_free(m);
        masker_free(k);
        mask_vocab_free(v);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
    }
    grammar_unref(g);
}

TEST(the_longest_token_is_the_longest_one)
{
    UNUSED_STATE;
    static const char text[] =
        "{\"name\": \"true\", \"a\": [1, 23, null]} \xc3\xa9 end.";
    struct mask_vocab *v;
    assert_int_equal(mask_vocab_new(&v, rig_n_tokens(), rig_token, NULL, NULL),
                     0);
    for (size_t at = 0; at <= strlen(text); at++)
        for (size_t n = 0; n <= strlen(text) - at; n++) {
            size_t best = 0, length;
            for (uint32_t id = 0; id < rig_n_tokens(); id++) {
                size_t m;
                const char *p = rig_token(NULL, (token_id)id, &m);
                if (m <= n && m > best && memcmp(p, text + at, m) == 0)
                    best = m;
            }
            token_id id = mask_longest_token(v, text + at, n, &length);
            assert_int_equal(length, best);
            assert_int_equal(id == TOKEN_NONE, best == 0);
            size_t m = 0;
            if (id != TOKEN_NONE)
                assert_memory_equal(rig_token(NULL, id, &m), text + at, best);
            assert_int_equal(m, best);
        }
    mask_vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_taken_whole_or_not_at_all),
        cmocka_unit_test(tokens_can_be_taken_back),
        cmocka_unit_test(nesting_ends_before_it_is_too_deep),
        cmocka_unit_test(a_long_reply_needs_no_more_memory_than_a_short_one),
        cmocka_unit_test(what_must_follow_is_told),
        cmocka_unit_test(a_mask_is_what_the_matcher_says_of_every_token),
        cmocka_unit_test(a_mask_allocates_nothing),
        cmocka_unit_test(too_much_ambiguity_leaves_ways_out_and_can_still_end),
        cmocka_unit_test(running_out_of_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(the_longest_token_is_the_longest_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
