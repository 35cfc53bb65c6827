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
    const struct sched_limits limits = {4, 64, 8, 4, 0};
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
    const struct sched_limits limits = {4, 64, 8, 4, 0};
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
    const struct sched_limits limits = {4, 128, 8, 4, 0};
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

/* ---- tenants ---- */

#define CROWD 40u
#define PLACES 4u

struct request {
    struct sched_entry sched;
    uint32_t n_final;
};

static uint32_t much_room = 1000000;

static void ask(struct scheduler *s, struct request *r, uint64_t number,
                uint64_t tenant, uint32_t n_prompt, uint32_t n_reply)
{
    *r = (struct request){.n_final = n_prompt + n_reply};
    r->sched.number = number;
    r->sched.tenant = tenant;
    r->sched.n_tokens = n_prompt;
    r->sched.first_row = n_prompt - 1;
    r->sched.room = &much_room;
    r->sched.keeps = true;
    scheduler_add(s, &r->sched);
}

/* What the engine does after a forward; true when that was its last token. */
static bool heard(struct request *r)
{
    r->sched.n_computed += r->sched.n_planned;
    if (r->sched.n_computed < r->sched.n_tokens)
        return false;
    r->sched.first_row = r->sched.n_tokens++;
    return r->sched.n_tokens > r->n_final;
}

static uint64_t served(const struct scheduler *s, uint32_t tenant)
{
    return s->queue.tenants[tenant].served;
}

TEST(two_that_always_wait_are_served_alike)
{
    UNUSED_STATE;
    static struct request requests[CROWD];
    const uint32_t bound = PLACES * 200; /* longest prompt and reply */
    const struct sched_limits limits = {PLACES, 64, 8, 4, 0};
    struct scheduler s;
    uint64_t number = 0;
    assert_int_equal(scheduler_init(&s, &limits, NULL), 0);
    much_room = 1000000;
    for (uint32_t i = 0; i < CROWD; i++)
        ask(&s, &requests[i], number++, 1 + i % 2, 10, 10);
    for (uint32_t step = 0; step < 20000; step++) {
        const struct plan *plan = plan_with(&s, 10000);
        for (uint32_t i = 0; i < plan->n_items; i++) {
            struct request *r =
                list_owner(plan->items[i], struct request, sched);
            if (!heard(r))
                continue;
            uint64_t tenant = r->sched.tenant;
            scheduler_remove(&s, &r->sched);
            /* One asks for long prompts, the other for long replies. */
            uint32_t n = 1 + (uint32_t)(rng_bits(step, 1, i) % 180);
            ask(&s, r, number++, tenant, tenant == 1 ? n : 20,
                tenant == 1 ? 20 : n);
        }
        assert_true(served(&s, 1) < served(&s, 2) + bound);
        assert_true(served(&s, 2) < served(&s, 1) + bound);
        much_room = 1000000;
    }
    assert_true(served(&s, 1) > 20 * bound);
    scheduler_deinit(&s);
}

/* All places are one tenant's; then another asks. */
static const struct plan *ask_a_full_house(struct scheduler *s,
                                           struct request *requests, bool keeps)
{
    const struct sched_limits limits = {PLACES, 64, 8, 4, 0};
    assert_int_equal(scheduler_init(s, &limits, NULL), 0);
    much_room = 1000000;
    for (uint32_t i = 0; i < 10; i++) {
        ask(s, &requests[i], i, 1, 4, 1000);
        requests[i].sched.keeps = keeps;
    }
    for (uint32_t step = 0; step < 2; step++) {
        const struct plan *plan = plan_with(s, 10000);
        assert_int_equal(plan->n_admitted, step == 0 ? PLACES : 0);
        for (uint32_t i = 0; i < PLACES; i++)
            assert_false(heard(&requests[i]));
        /* From here on served as much as the first, who goes on. */
        if (step == 0) {
            ask(s, &requests[10], 10, 2, 4, 1000);
            ask(s, &requests[11], 11, 2, 4, 1000);
        }
    }
    return plan_with(s, 9000);
}

TEST(who_has_nothing_running_takes_one_place_over)
{
    UNUSED_STATE;
    static struct request requests[12];
    struct scheduler s;
    const struct plan *plan = ask_a_full_house(&s, requests, true);
    assert_int_equal(plan->n_evicted, 1);
    assert_ptr_equal(plan->evicted[0], &requests[3].sched);
    assert_int_equal(plan->n_admitted, 1);
    assert_ptr_equal(plan->admitted[0], &requests[10].sched);
    for (uint32_t i = 0; i < 100; i++) {
        for (uint32_t j = 0; j < plan->n_items; j++)
            assert_false(
                heard(list_owner(plan->items[j], struct request, sched)));
        much_room = 1000000;
        plan = plan_with(&s, 9000);
        assert_int_equal(plan->n_evicted + plan->n_admitted, 0);
        assert_int_equal(plan->n_items, PLACES);
    }
    scheduler_deinit(&s);
}

TEST(nothing_is_taken_over_that_would_be_computed_again)
{
    UNUSED_STATE;
    static struct request requests[12];
    struct scheduler s;
    const struct plan *plan = ask_a_full_house(&s, requests, false);
    assert_int_equal(plan->n_evicted + plan->n_admitted, 0);
    /* But the next place is the newcomer's. */
    scheduler_remove(&s, &requests[0].sched);
    plan = plan_with(&s, 9000);
    assert_int_equal(plan->n_admitted, 1);
    assert_ptr_equal(plan->admitted[0], &requests[10].sched);
    scheduler_deinit(&s);
}

TEST(a_short_prompt_goes_before_the_rest_of_a_long_one)
{
    UNUSED_STATE;
    static struct request requests[3];
    const struct sched_limits limits = {PLACES, 64, 8, 4, 0};
    struct scheduler s;
    assert_int_equal(scheduler_init(&s, &limits, NULL), 0);
    much_room = 1000000;
    ask(&s, &requests[0], 0, 0, 1, 1000);
    (void)plan_with(&s, 10000);
    assert_false(heard(&requests[0]));
    s.mixed_tokens = 16;
    ask(&s, &requests[1], 1, 0, 4000, 1);
    (void)plan_with(&s, 10000);
    assert_int_equal(requests[1].sched.n_planned, 16);
    assert_false(heard(&requests[0]));
    assert_false(heard(&requests[1]));
    ask(&s, &requests[2], 2, 0, 16, 1);
    const struct plan *plan = plan_with(&s, 10000);
    assert_int_equal(plan->n_items, 2);
    assert_int_equal(requests[2].sched.n_planned, 16);
    scheduler_deinit(&s);
}

TEST(refuses_limits_that_could_starve)
{
    UNUSED_STATE;
    struct scheduler s;
    const struct sched_limits few_tokens = {4, 3, 8, 4, 0};
    const struct sched_limits few_rows = {4, 64, 3, 4, 0};
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
        cmocka_unit_test(two_that_always_wait_are_served_alike),
        cmocka_unit_test(who_has_nothing_running_takes_one_place_over),
        cmocka_unit_test(nothing_is_taken_over_that_would_be_computed_again),
        cmocka_unit_test(a_short_prompt_goes_before_the_rest_of_a_long_one),
        cmocka_unit_test(refuses_limits_that_could_starve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
