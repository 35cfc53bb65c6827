/* Prompt tokens between two tokens of others. */
#include "tests/lib/test.h"

#include "server/engine/pace.h"

/* A machine on which a step costs `decode` us and each prompt token `token`. */
struct machine {
    double decode, token;
};

static uint64_t run(const struct machine *m, uint32_t n_decodes,
                    uint32_t n_prompt)
{
    return (uint64_t)((n_decodes > 0 ? m->decode : 0) + m->token * n_prompt);
}

static uint32_t settle(struct pace *p, const struct machine *m,
                       uint32_t n_steps)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_steps; i++) {
        pace_learn(p, run(m, 4, 0), 4, 0);
        n = pace_prompt_tokens(p, 16, 512);
        pace_learn(p, run(m, 4, n), 4, n);
    }
    return n;
}

TEST(before_anything_is_learnt_prompts_go_at_full_width)
{
    UNUSED_STATE;
    struct pace p;
    pace_init(&p, 0);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 512);
    pace_learn(&p, 50000, 4, 0);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 512);
}

TEST(a_step_with_a_prompt_takes_three_times_one_without)
{
    UNUSED_STATE;
    static const struct machine m = {50000, 2500};
    struct pace p;
    pace_init(&p, 0);
    assert_in_range(settle(&p, &m, 50), 39, 40);
}

TEST(a_target_in_milliseconds_is_kept)
{
    UNUSED_STATE;
    static const struct machine m = {50000, 2500};
    struct pace p;
    pace_init(&p, 200);
    assert_in_range(settle(&p, &m, 50), 59, 60);
    pace_init(&p, 10); /* less than a step takes */
    assert_int_equal(settle(&p, &m, 50), 16);
}

TEST(a_change_of_speed_is_followed_and_one_slow_step_is_not)
{
    UNUSED_STATE;
    static const struct machine fast = {20000, 1000}, slow = {80000, 8000};
    struct pace p;
    pace_init(&p, 0);
    assert_in_range(settle(&p, &fast, 50), 39, 40);
    pace_learn(&p, 200000, 4, 0);
    assert_in_range(pace_prompt_tokens(&p, 16, 512), 40, 100);
    assert_in_range(settle(&p, &slow, 100), 19, 20);
}

TEST(prompts_alone_teach_the_cost_of_a_token)
{
    UNUSED_STATE;
    struct pace p;
    pace_init(&p, 100);
    pace_learn(&p, 512 * 1000, 0, 512);
    pace_learn(&p, 40000, 2, 0);
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 60);
    pace_learn(&p, 0, 2, 5); /* a clock that stood still */
    assert_int_equal(pace_prompt_tokens(&p, 16, 512), 60);
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
        cmocka_unit_test(before_anything_is_learnt_prompts_go_at_full_width),
        cmocka_unit_test(a_step_with_a_prompt_takes_three_times_one_without),
        cmocka_unit_test(a_target_in_milliseconds_is_kept),
        cmocka_unit_test(
            a_change_of_speed_is_followed_and_one_slow_step_is_not),
        cmocka_unit_test(prompts_alone_teach_the_cost_of_a_token),
        cmocka_unit_test(drafts_pay_while_what_is_right_outweighs_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
