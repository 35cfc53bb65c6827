/* test_pace.c -- prompt tokens between two tokens of others, on machines whose
 * steps cost what the test says. */
#include "tests/lib/test.h"

#include "model/sample/rng.h"
#include "server/engine/pace.h"

#define LEAST 8u
#define MOST 512u
#define PROMPT 4000u

/* A step costs `decode` us; prompt tokens beside it `experts` more, if there
 * are enough to touch them all, and `token` each, which grows by a half of that
 * over a prompt. */
struct machine {
    double decode, experts, token, noise;
};

static uint64_t run(const struct machine *m, uint32_t n, uint32_t position,
                    uint32_t number)
{
    double far = 1 + 0.5 * position / PROMPT;
    double us =
        m->decode + m->experts * (n < 8 ? n / 8.0 : 1) + m->token * n * far;
    double chance = (double)(rng_bits(1, 1, number) >> 11) / 0x1p53;
    return (uint64_t)(us * (1 + m->noise * (2 * chance - 1)));
}

/* The tokens that take just the time allowed. */
static double fitting(const struct machine *m, uint32_t position)
{
    double far = 1 + 0.5 * position / PROMPT;
    double n =
        ((PACE_AUTO_FACTOR - 1) * m->decode - m->experts) / (m->token * far);
    return n < LEAST ? LEAST : n > MOST ? MOST : n;
}

struct arrival {
    double largest; /* gap, in decode steps */
    double total;   /* us */
    double ideal;   /* were the costs known */
};

/* A long prompt comes while others decode. */
static struct arrival arrive(struct pace *p, const struct machine *m,
                             uint32_t number)
{
    struct arrival a = {0};
    for (uint32_t i = 0; i < 10; i++)
        pace_learn(p, run(m, 0, 0, number++), 4, 0);
    for (uint32_t at = 0; at < PROMPT;) {
        uint32_t n = pace_prompt_tokens(p, LEAST, MOST);
        if (n > PROMPT - at)
            n = PROMPT - at;
        uint64_t us = run(m, n, at, number++);
        double fits = fitting(m, at);
        a.ideal += (double)run(m, (uint32_t)fits, at, 0) * n / fits;
        a.total += (double)us;
        if ((double)us / m->decode > a.largest)
            a.largest = (double)us / m->decode;
        pace_learn(p, us, 4, n);
        at += n;
    }
    return a;
}

TEST(a_prompt_neither_stops_the_others_nor_is_starved)
{
    UNUSED_STATE;
    static const double experts[] = {0, 0.5, 1, 1.4};
    static const double tokens[] = {500, 1500, 2500};
    static const double noises[] = {0, 0.1, 0.2};
    for (uint32_t i = 0; i < 36; i++) {
        const struct machine m = {60000, 60000 * experts[i % 4],
                                  tokens[i / 4 % 3], noises[i / 12]};
        struct pace p;
        pace_init(&p, 0);
        for (uint32_t round = 0; round < 3; round++) {
            struct arrival a = arrive(&p, &m, 1000 * round);
            /* The noise itself makes 2.5 to 3; the budget errs by little. */
            double bound = PACE_AUTO_FACTOR * (1 + m.noise) + 0.6;
            if (a.largest > bound || a.total > 1.4 * a.ideal)
                fail_msg("machine %u: a gap of %.2f, %.2f of the ideal time", i,
                         a.largest, a.total / a.ideal);
        }
    }
}

TEST(before_anything_is_learnt_little_is_risked)
{
    UNUSED_STATE;
    struct pace p;
    pace_init(&p, 0);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 16);
    assert_int_equal(pace_prompt_tokens(&p, 16, 8), 8);
    pace_learn(&p, 1000000, 0, 512); /* nobody waited for that one */
    pace_learn(&p, 50000, 4, 0);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 16);
    pace_learn(&p, 51000, 4, 16);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 32);
    pace_learn(&p, 52000, 4, 32);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 64);
}

static uint32_t settle(struct pace *p, const struct machine *m,
                       uint32_t n_steps)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_steps; i++) {
        pace_learn(p, run(m, 0, 0, i), 4, 0);
        n = pace_prompt_tokens(p, 16, MOST);
        pace_learn(p, run(m, n, 0, i), 4, n);
    }
    return n;
}

TEST(a_prompt_that_comes_before_all_answers_does_not_crawl)
{
    UNUSED_STATE;
    struct pace p;
    uint32_t n = 0;
    pace_init(&p, 0);
    for (uint32_t i = 0; i < 20; i++) {
        n = pace_prompt_tokens(&p, 8, 512);
        pace_learn(&p, 50000 + 1000 * (uint64_t)n, 4, n);
    }
    assert_in_range(n, 64, 150);
}

TEST(a_step_with_a_prompt_takes_so_many_times_one_without)
{
    UNUSED_STATE;
    static const struct machine plain = {50000, 0, 2500, 0};
    static const struct machine experts = {50000, 40000, 1500, 0};
    struct pace p;
    pace_init(&p, 0);
    assert_in_range(settle(&p, &plain, 50), 29, 30);
    pace_init(&p, 0);
    assert_in_range(settle(&p, &experts, 50), 22, 24);
}

TEST(a_target_in_milliseconds_is_kept)
{
    UNUSED_STATE;
    static const struct machine m = {50000, 0, 2500, 0};
    struct pace p;
    pace_init(&p, 200);
    assert_in_range(settle(&p, &m, 50), 59, 60);
    pace_init(&p, 10); /* less than a step takes */
    assert_int_equal(settle(&p, &m, 50), 16);
}

TEST(a_change_of_speed_is_followed_and_one_slow_step_is_not)
{
    UNUSED_STATE;
    static const struct machine fast = {20000, 0, 1000, 0};
    static const struct machine slow = {80000, 0, 6000, 0};
    struct pace p;
    pace_init(&p, 0);
    assert_in_range(settle(&p, &fast, 50), 29, 30);
    pace_learn(&p, 200000, 4, 30);
    assert_in_range(pace_prompt_tokens(&p, 16, MOST), 16, 30);
    assert_in_range(settle(&p, &slow, 100), 19, 20);
    assert_in_range(settle(&p, &fast, 100), 28, 30);
}

TEST(last_pieces_of_prompts_do_not_mislead)
{
    UNUSED_STATE;
    static const struct machine m = {60000, 60000, 1000, 0};
    struct pace p;
    pace_init(&p, 0);
    uint32_t n = settle(&p, &m, 60);
    for (uint32_t i = 0; i < 3; i++)
        pace_learn(&p, run(&m, 3, 0, i), 4, 3);
    assert_in_range(pace_prompt_tokens(&p, 16, MOST), n / 2, n + n / 4);
}

TEST(a_clock_that_stands_still_is_survived)
{
    UNUSED_STATE;
    struct pace p;
    pace_init(&p, 100);
    for (uint32_t i = 0; i < 20; i++) {
        pace_learn(&p, 0, 2, 0);
        pace_learn(&p, 0, 2, 5);
    }
    assert_in_range(pace_prompt_tokens(&p, 16, MOST), 16, MOST);
    pace_learn(&p, UINT64_MAX, 2, UINT32_MAX);
    pace_learn(&p, UINT64_MAX, 2, 0);
    assert_in_range(pace_prompt_tokens(&p, 16, MOST), 16, MOST);
}

TEST(drafts_pay_while_what_is_right_outweighs_their_time)
{
    UNUSED_STATE;
    struct pace p;
    pace_init(&p, 0);
    assert_true(pace_draft_pays(&p, 1, 0.1f));
    pace_learn_draft(&p, 50000, 4); /* says nothing: more than what? */
    assert_true(pace_draft_pays(&p, 1, 0.1f));
    pace_learn(&p, 20000, 1, 0);
    assert_true(pace_draft_pays(&p, 1, 0.1f));
    pace_learn_draft(&p, 20000 + 4 * 10000, 4);
    assert_true(pace_draft_pays(&p, 1, 0.6f)); /* 6 tokens for the time of 5 */
    assert_false(pace_draft_pays(&p, 1, 0.4f));
    /* The same step, with two sequences in it: it gave twice as much anyway. */
    assert_false(pace_draft_pays(&p, 2, 0.9f));
    for (uint32_t i = 0; i < 60; i++)
        pace_learn_draft(&p, 19000, 4); /* as good as nothing, by chance less */
    assert_true(pace_draft_pays(&p, 8, 0.5f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_neither_stops_the_others_nor_is_starved),
        cmocka_unit_test(before_anything_is_learnt_little_is_risked),
        cmocka_unit_test(a_prompt_that_comes_before_all_answers_does_not_crawl),
        cmocka_unit_test(a_step_with_a_prompt_takes_so_many_times_one_without),
        cmocka_unit_test(a_target_in_milliseconds_is_kept),
        cmocka_unit_test(
            a_change_of_speed_is_followed_and_one_slow_step_is_not),
        cmocka_unit_test(last_pieces_of_prompts_do_not_mislead),
        cmocka_unit_test(a_clock_that_stands_still_is_survived),
        cmocka_unit_test(drafts_pay_while_what_is_right_outweighs_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
