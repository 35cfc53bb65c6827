/* test_loops.c -- against a look at all of the reply after each token. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/sample/rng.h"
#include "server/engine/loops.h"

#define LENGTH 60u

static uint32_t rnd(uint32_t t, uint32_t i, uint32_t below)
{
    return (uint32_t)(rng_bits(t, 9, i) % below);
}

/* Its last `size` tokens stand there `count` times. */
static bool repeats(const token_id *output, uint32_t n, uint32_t size,
                    uint32_t count)
{
    if ((uint64_t)size * count > n)
        return false;
    for (uint32_t i = n - size * (count - 1); i < n; i++)
        if (output[i] != output[i - size])
            return false;
    return true;
}

static bool naive(const token_id *output, uint32_t n, const struct job_loops *a)
{
    for (uint32_t size = a->min_size > 0 ? a->min_size : 1; size <= a->max_size;
         size++)
        if (a->min_count >= 2 && repeats(output, n, size, a->min_count))
            return true;
    return false;
}

TEST(finds_what_a_look_at_the_whole_reply_finds)
{
    UNUSED_STATE;
    uint32_t n_found = 0;
    for (uint32_t t = 0; t < 4000; t++) {
        token_id output[LENGTH];
        const uint32_t period = 1 + rnd(t, 1, 9), letters = 1 + rnd(t, 2, 4);
        const struct job_loops asked = {
            .min_size = rnd(t, 3, 6),
            .max_size = rnd(t, 4, 12),
            .min_count = rnd(t, 5, 5),
        };
        struct loops l;
        assert_int_equal(loops_init(&l, &asked, NULL), 0);
        for (uint32_t n = 1; n <= LENGTH; n++) {
            bool again = n > period && rnd(t, 100 + n, 10) > 0;
            output[n - 1] = again ? output[n - 1 - period]
                                  : (token_id)rnd(t, 200 + n, letters);
            bool found = loops_hear(&l, output, n);
            assert_int_equal(found, naive(output, n, &asked));
            n_found += found;
        }
        loops_deinit(&l);
    }
    assert_true(n_found > 1000);
}

TEST(the_largest_numbers_do_not_overflow)
{
    UNUSED_STATE;
    const struct job_loops asked = {1, 1024, UINT32_MAX};
    token_id output[3000] = {0};
    struct loops l;
    assert_int_equal(loops_init(&l, &asked, NULL), 0);
    for (uint32_t n = 1; n <= 3000; n++)
        assert_false(loops_hear(&l, output, n));
    loops_deinit(&l);
}

TEST(survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    const struct job_loops asked = {1, 8, 2};
    size_t live = mem_live_count();
    struct loops l;
    struct err err;
    fault_alloc_at(0);
    assert_int_equal(loops_init(&l, &asked, &err), -ERR_NOMEM);
    fault_alloc_at(-1);
    loops_deinit(&l);
    assert_int_equal(mem_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_look_at_the_whole_reply_finds),
        cmocka_unit_test(the_largest_numbers_do_not_overflow),
        cmocka_unit_test(survives_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
