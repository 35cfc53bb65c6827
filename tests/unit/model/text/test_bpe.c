/* test_bpe.c -- order of merges, stale candidates, and the cost of long words
 * in counted heap steps. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/text/bpe.h"

/* Tokens 0..255 are the bytes; merges are added by the tests. */
static void setup(struct bpe *b, uint32_t n_merges)
{
    struct err err;
    memset(b, 0, sizeof *b);
    assert_int_equal(bpe_init(b, n_merges, &err), 0);
    for (int i = 0; i < 256; i++)
        b->of_byte[i] = i;
}

static void check(const struct bpe *b, const char *piece, const char *expected)
{
    struct bpe_scratch s = {0};
    token_id ids[64];
    char got[512] = "";
    long n = bpe_encode(b, &s, piece, strlen(piece), ids);
    for (long i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d",
                 i > 0 ? " " : "", ids[i]);
    assert_string_equal(got, expected);
    bpe_scratch_deinit(&s);
}

TEST(the_lowest_rank_merges_first_and_ties_go_left)
{
    UNUSED_STATE;
    struct bpe b;
    setup(&b, 3);
    bpe_add(&b, 'b', 'c', 0, 300);
    bpe_add(&b, 'a', 'b', 1, 301);
    bpe_add(&b, 'a', 'a', 2, 302);
    check(&b, "abc", "97 300");
    check(&b, "ab", "301");
    check(&b, "aaa", "302 97");
    check(&b, "", "");
    bpe_deinit(&b);
}

TEST(a_stale_candidate_counts_when_it_makes_the_same_token)
{
    UNUSED_STATE;
    struct bpe b;
    setup(&b, 5);
    bpe_add(&b, 'b', 'c', 0, 300); /* bc */
    bpe_add(&b, 'a', 'b', 1, 301); /* ab */
    bpe_add(&b, 301, 'c', 2, 302); /* ab c  -> abc */
    bpe_add(&b, 'a', 300, 3, 302); /* a bc  -> abc */
    bpe_add(&b, 302, 'd', 4, 303);
    check(&b, "abcd", "303");
    check(&b, "abcabd", "302 301 100");
    bpe_deinit(&b);
}

TEST(a_pair_given_twice_keeps_the_last)
{
    UNUSED_STATE;
    struct bpe b;
    setup(&b, 2);
    bpe_add(&b, 'a', 'b', 0, 300);
    bpe_add(&b, 'a', 'b', 1, 301);
    check(&b, "ab", "301");
    bpe_deinit(&b);
}

TEST(a_byte_without_a_token_is_dropped)
{
    UNUSED_STATE;
    struct bpe b;
    setup(&b, 1);
    b.of_byte['x'] = TOKEN_NONE;
    bpe_add(&b, 'a', 'b', 0, 300);
    check(&b, "axb", "300");
    check(&b, "xx", "");
    bpe_deinit(&b);
}

/* Heap steps for a word of n letters of which every one of 16 makes a token
 * with every other, and those again. */
static uint64_t steps_for(const struct bpe *b, size_t n)
{
    char *word = malloc(n);
    token_id *ids = malloc(n * sizeof *ids);
    struct bpe_scratch s = {0};
    assert_non_null(word);
    assert_non_null(ids);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        word[i] = (char)('a' + (x >> 28));
    }
    long n_ids = bpe_encode(b, &s, word, n, ids);
    assert_true(n_ids > 0 && (size_t)n_ids < n / 2);
    uint64_t steps = s.n_steps;
    bpe_scratch_deinit(&s);
    free(ids);
    free(word);
    return steps;
}

TEST(a_word_twice_as_long_costs_little_more_than_twice)
{
    UNUSED_STATE;
    struct bpe b;
    setup(&b, 256 + 65536);
    uint32_t rank = 0;
    for (int i = 0; i < 256; i++)
        bpe_add(&b, 'a' + i / 16, 'a' + i % 16, (rank++ * 37u) % 256u,
                1000 + i);
    for (int i = 0; i < 65536; i++, rank++)
        bpe_add(&b, 1000 + i / 256, 1000 + i % 256, rank, 2000 + i);
    uint64_t half = steps_for(&b, 1u << 19), whole = steps_for(&b, 1u << 20);
    print_message("heap steps: %llu, %llu, ratio %.3f\n",
                  (unsigned long long)half, (unsigned long long)whole,
                  (double)whole / (double)half);
    assert_true((double)whole <= 2.3 * (double)half);
    assert_true(whole < 40ull << 20);
    bpe_deinit(&b);
}

TEST(memory_that_runs_out_is_reported)
{
    UNUSED_STATE;
    struct bpe b;
    struct err err;
    fault_alloc_at(0);
    memset(&b, 0, sizeof b);
    assert_int_equal(bpe_init(&b, 4, &err), -ERR_NOMEM);
    fault_alloc_at(-1);
    setup(&b, 4);
    for (long nth = 0; nth < 2; nth++) {
        struct bpe_scratch s = {0};
        token_id ids[4];
        fault_alloc_at(nth);
        assert_int_equal(bpe_encode(&b, &s, "abcd", 4, ids), -ERR_NOMEM);
        fault_alloc_at(-1);
        bpe_scratch_deinit(&s);
    }
    bpe_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_rank_merges_first_and_ties_go_left),
        cmocka_unit_test(a_stale_candidate_counts_when_it_makes_the_same_token),
        cmocka_unit_test(a_pair_given_twice_keeps_the_last),
        cmocka_unit_test(a_byte_without_a_token_is_dropped),
        cmocka_unit_test(a_word_twice_as_long_costs_little_more_than_twice),
        cmocka_unit_test(memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
