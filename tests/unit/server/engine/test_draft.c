/* test_draft.c -- guesses and how many of them. */
#include "tests/lib/test.h"

#include "model/base/clock.h"
#include "model/sample/rng.h"
#include "server/engine/draft.h"

#define MAX 24u

/* tokens[0, n) as a string of letters; what is drafted, as one too. */
static const char *drafted(const char *text, uint32_t n_draft, uint32_t most,
                           uint32_t least)
{
    static char out[MAX + 1];
    token_id tokens[64], draft[MAX];
    uint32_t n = (uint32_t)strlen(text);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = text[i];
    uint32_t got = draft_find(draft, n_draft, tokens, n, most, least);
    for (uint32_t i = 0; i < got; i++)
        out[i] = (char)draft[i];
    out[got] = '\0';
    return out;
}

TEST(what_followed_before_is_drafted)
{
    UNUSED_STATE;
    assert_string_equal(drafted("abcdefgh..cd", 3, 4, 2), "efg");
    assert_string_equal(drafted("abcdefgh..cd", 20, 4, 2),
                        "efgh..cdefgh..cdefgh");
    assert_string_equal(drafted("abcdefgh..cd", 0, 4, 2), "");
}

TEST(nothing_is_drafted_of_what_is_new_or_too_short)
{
    UNUSED_STATE;
    assert_string_equal(drafted("", 4, 4, 2), "");
    assert_string_equal(drafted("a", 4, 4, 2), "");
    assert_string_equal(drafted("aa", 4, 4, 2), "");
    assert_string_equal(drafted("abcdefgh", 4, 4, 2), "");
    assert_string_equal(drafted("xcd..yd", 4, 4, 2), "");
    assert_string_equal(drafted("xcd..yd", 4, 4, 1), "..yd");
    assert_string_equal(drafted("ab", 4, 1, 1), "");
}

TEST(the_place_with_most_alike_wins_then_the_latest)
{
    UNUSED_STATE;
    assert_string_equal(drafted("abcX..bcY..abc", 1, 4, 2), "X");
    assert_string_equal(drafted("abcX..bcY..abc", 1, 2, 2), "Y");
    assert_string_equal(drafted("bcX..bcY..abc", 1, 4, 2), "Y");
    assert_string_equal(drafted("abc1zabc2abc", 1, 4, 2), "2");
}

TEST(a_loop_is_drafted_as_a_loop)
{
    UNUSED_STATE;
    assert_string_equal(drafted("aaa", 5, 4, 2), "aaaaa");
    assert_string_equal(drafted("xyxyx", 7, 3, 2), "yxyxyxy");
    assert_string_equal(drafted("01201201", 6, 8, 2), "201201");
}

/* Against the plainest way to say it. */
TEST(random_sequences_are_searched_to_the_last_token)
{
    UNUSED_STATE;
    token_id t[40 + 8];
    for (uint32_t c = 0; c < 20000; c++) {
        uint32_t n = (uint32_t)(rng_bits(c, 1, 0) % 40), back = 0;
        for (uint32_t i = 0; i < n; i++)
            t[i] = (token_id)(rng_bits(c, 2, i) % 3);
        for (uint32_t m = 4; m >= 2 && back == 0; m--)
            for (uint32_t at = n; at-- > m && back == 0;)
                if (memcmp(t + at - m, t + n - m, m * sizeof *t) == 0)
                    back = n - at;
        uint32_t got = draft_find(t + n, 8, t, n, 4, 2);
        assert_int_equal(got, back > 0 ? 8 : 0);
        for (uint32_t i = 0; i < got; i++)
            assert_int_equal(t[n + i], t[n + i - back]);
    }
}

TEST(only_the_end_of_a_long_sequence_is_searched)
{
    UNUSED_STATE;
    enum { N = DRAFT_WINDOW + 100 };
    static token_id t[N];
    token_id draft[2];
    for (uint32_t i = 0; i < N; i++)
        t[i] = (token_id)i;
    t[20] = t[N - 2] = 1 << 30;
    t[21] = t[N - 1] = 1 << 29;
    assert_int_equal(draft_find(draft, 2, t, N, 4, 2), 0);
    t[220] = 1 << 30;
    t[221] = 1 << 29;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t start = clock_now_us();
        assert_int_equal(draft_find(draft, 2, t, N, 4, 2), 2);
        uint64_t took = clock_now_us() - start;
        best = took < best ? took : best;
    }
    print_message("%u us\n", (unsigned)best);
    assert_int_equal(draft[0], 222);
    assert_int_equal(draft[1], 223);
}

/* Of a loop of 5 tokens. */
static uint32_t draft_of(struct drafter *d, uint32_t most)
{
    token_id t[100 + 64];
    for (uint32_t i = 0; i < 100; i++)
        t[i] = (token_id)(i % 5);
    return drafter_draft(d, t + 100, most, t, 100);
}

TEST(drafts_grow_while_they_are_right)
{
    UNUSED_STATE;
    struct drafter d;
    drafter_init(&d, 12);
    uint32_t n = draft_of(&d, 64), first = n;
    assert_true(n > 0 && n < 12);
    for (uint32_t i = 0; i < 8; i++) {
        drafter_learn(&d, n, n);
        drafter_judge(&d, true);
        n = draft_of(&d, 64);
    }
    assert_int_equal(n, 12);
    assert_int_equal(draft_of(&d, 7), 7);
    drafter_learn(&d, 12, 2);
    drafter_judge(&d, true);
    assert_int_equal(draft_of(&d, 64), 3);
    assert_true(first <= 12);
    drafter_init(&d, 0);
    assert_int_equal(draft_of(&d, 64), 0);
}

TEST(wrong_drafts_and_those_that_do_not_pay_rest_longer_each_time)
{
    UNUSED_STATE;
    struct drafter d;
    for (int why = 0; why < 2; why++) {
        uint32_t before = 0;
        drafter_init(&d, 16);
        for (uint32_t i = 0; i < 12; i++) {
            uint32_t rest = 0;
            while (draft_of(&d, 64) == 0)
                rest++;
            assert_true(rest >= before && rest <= 256);
            before = rest;
            for (uint32_t k = 0; d.rest == 0; k++) {
                drafter_learn(&d, 4, why ? 4 : 0);
                drafter_judge(&d, !why);
                assert_true(k < 20);
            }
        }
        assert_int_equal(before, 256);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_followed_before_is_drafted),
        cmocka_unit_test(nothing_is_drafted_of_what_is_new_or_too_short),
        cmocka_unit_test(the_place_with_most_alike_wins_then_the_latest),
        cmocka_unit_test(a_loop_is_drafted_as_a_loop),
        cmocka_unit_test(random_sequences_are_searched_to_the_last_token),
        cmocka_unit_test(only_the_end_of_a_long_sequence_is_searched),
        cmocka_unit_test(drafts_grow_while_they_are_right),
        cmocka_unit_test(
            wrong_drafts_and_those_that_do_not_pay_rest_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
