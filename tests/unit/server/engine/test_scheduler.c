/* test_scheduler.c -- random strings of operations against the promises. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/sample/rng.h"
#include "server/engine/scheduler.h"
#include "tests/lib/scheduler_sim.h"

static const struct plan *plan_with(struct scheduler *s, uint32_t n_blocks)
{
    scheduler_choose(s);
    return scheduler_plan(s, n_blocks);
}

TEST(keeps_its_promises_under_random_operations)
{
    UNUSED_STATE;
    uint8_t bytes[600];
    for (uint32_t seed = 0; seed < 1500; seed++) {
        for (uint32_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(rng_bits(seed, 0, i) >> 56);
        const char *broken = scheduler_sim_run(bytes, sizeof bytes);
        if (broken != NULL)
            fail_msg("seed %u: the scheduler %s", seed, broken);
    }
}

TEST(evicts_the_youngest_and_lets_it_start_again)
{
    UNUSED_STATE;
    struct scheduler s;
    const struct sched_limits limits = {4, 64, 8, 4};
    assert_int_equal(scheduler_init(&s, &limits, NULL), 0);
    uint32_t room = 100;
    struct sched_entry e[2];
    memset(e, 0, sizeof e);
    for (uint32_t i = 0; i < 2; i++) {
        e[i].number = i;
        e[i].n_tokens = 4;
        e[i].first_row = 3;
        e[i].room = &room;
        scheduler_add(&s, &e[i]);
    }
    const struct plan *plan = plan_with(&s, 4);
    assert_int_equal(plan->n_admitted, 2);
    for (uint32_t i = 0; i < 2; i++) {
        e[i].n_computed = 4;
        e[i].n_tokens = 5;
        e[i].first_row = 4;
    }
    plan = plan_with(&s, 0);
    assert_int_equal(plan->n_evicted, 1);
    assert_ptr_equal(plan->evicted[0], &e[1]);
    assert_int_equal(plan->n_items, 1);
    assert_ptr_equal(plan->items[0], &e[0]);
    assert_int_equal(e[1].n_computed, 0);
    scheduler_remove(&s, &e[0]);
    plan = plan_with(&s, 4);
    assert_int_equal(plan->n_admitted, 1);
    assert_int_equal(e[1].n_planned, 5);
    assert_int_equal(e[1].n_rows, 1);
    scheduler_deinit(&s);
}

TEST(what_is_shared_is_neither_taken_nor_given_back)
{
    UNUSED_STATE;
    struct scheduler s;
    const struct sched_limits limits = {4, 64, 8, 4};
    assert_int_equal(scheduler_init(&s, &limits, NULL), 0);
    uint32_t room = 100;
    struct sched_entry e[3];
    memset(e, 0, sizeof e);
    for (uint32_t i = 0; i < 3; i++) {
        e[i].number = i;
        e[i].n_tokens = 12;
        e[i].first_row = 11;
        e[i].room = &room;
        scheduler_add(&s, &e[i]);
        e[i].n_shared = i == 1 ? 0 : 2;
        e[i].n_computed = i == 1 ? 0 : 6;
    }
    /* 1 + 3 + 1 blocks and a spare one for each before. */
    const struct plan *plan = plan_with(&s, 6);
    assert_int_equal(plan->n_admitted, 2);
    assert_int_equal(e[0].n_planned, 6);
    assert_int_equal(e[0].n_blocks, 3);
    assert_int_equal(e[1].n_planned, 12);
    for (uint32_t i = 0; i < 2; i++) {
        e[i].n_computed = 12;
        e[i].n_tokens = 13;
        e[i].first_row = 12;
    }
    e[1].n_shared = 3; /* it has nothing to give */
    plan = plan_with(&s, 0);
    assert_int_equal(plan->n_evicted, 2);
    assert_int_equal(plan->n_items, 0);
    plan = plan_with(&s, 4);
    assert_int_equal(plan->n_admitted, 1);
    assert_int_equal(e[0].n_planned, 13);
    scheduler_deinit(&s);
}

TEST(a_short_prompt_passes_through_beside_a_long_one)
{
    UNUSED_STATE;
    struct scheduler s;
    const struct sched_limits limits = {4, 128, 8, 4};
    assert_int_equal(scheduler_init(&s, &limits, NULL), 0);
    uint32_t room = 100;
    struct sched_entry e[2];
    memset(e, 0, sizeof e);
    for (uint32_t i = 0; i < 2; i++) {
        e[i].number = i;
        e[i].n_tokens = i == 0 ? 100000 : 40;
        e[i].first_row = e[i].n_tokens - 1;
        e[i].room = &room;
        scheduler_add(&s, &e[i]);
    }
    const struct plan *plan = plan_with(&s, 100000);
    assert_int_equal(plan->n_items, 2);
    assert_int_equal(e[0].n_planned, 128 - 40);
    assert_int_equal(e[1].n_planned, 40);
    assert_int_equal(e[1].n_rows, 1);
    e[0].n_computed = e[0].n_planned;
    scheduler_remove(&s, &e[1]);
    plan = plan_with(&s, 90000);
    assert_int_equal(plan->n_items, 1);
    assert_int_equal(e[0].n_planned, 128);
    scheduler_deinit(&s);
}

TEST(refuses_limits_that_could_starve)
{
    UNUSED_STATE;
    struct scheduler s;
    const struct sched_limits few_tokens = {4, 3, 8, 4};
    const struct sched_limits few_rows = {4, 64, 3, 4};
    assert_int_not_equal(scheduler_init(&s, &few_tokens, NULL), 0);
    assert_int_not_equal(scheduler_init(&s, &few_rows, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_its_promises_under_random_operations),
        cmocka_unit_test(evicts_the_youngest_and_lets_it_start_again),
        cmocka_unit_test(what_is_shared_is_neither_taken_nor_given_back),
        cmocka_unit_test(a_short_prompt_passes_through_beside_a_long_one),
        cmocka_unit_test(refuses_limits_that_could_starve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
