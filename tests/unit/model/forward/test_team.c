/* The team: everybody works once a round, nobody is left asleep. */
#include "tests/lib/test.h"

#include <time.h>

#include "model/base/alloc.h"
#include "model/forward/machine.h"
#include "model/forward/team.h"

enum { MAX_MEMBERS = 8 };

struct tally {
    uint32_t rounds[MAX_MEMBERS]; /* each written by its member alone */
    uint32_t n_threads;
};

static void count(void *arg, uint32_t thread, uint32_t n_threads)
{
    struct tally *t = arg;
    t->rounds[thread]++;
    if (thread == 0)
        t->n_threads = n_threads;
}

static void nap(long us)
{
    struct timespec ts = {.tv_nsec = us * 1000};
    nanosleep(&ts, NULL);
}

TEST(every_member_runs_every_round_once)
{
    UNUSED_STATE;
    for (uint32_t n = 1; n <= MAX_MEMBERS; n++) {
        struct tally t = {0};
        struct team *team = NULL;
        assert_int_equal(team_new(&team, n, NULL), 0);
        assert_int_equal(team_size(team), n);
        for (uint32_t round = 1; round <= 200; round++) {
            team_run(team, count, &t);
            for (uint32_t i = 0; i < n; i++)
                assert_int_equal(t.rounds[i], round);
        }
        assert_int_equal(t.n_threads, n);
        team_free(team);
    }
}

TEST(a_team_that_fell_asleep_wakes_up)
{
    UNUSED_STATE;
    struct tally t = {0};
    struct team *team = NULL;
    assert_int_equal(team_new(&team, 3, NULL), 0);
    for (uint32_t round = 1; round <= 200; round++) {
        nap(round % 7 * 200);
        team_run(team, count, &t);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(t.rounds[i], round);
    }
    team_free(team);
}

static void slow_member(void *arg, uint32_t thread, uint32_t n_threads)
{
    if (thread == n_threads - 1)
        nap(3000);
    count(arg, thread, n_threads);
}

TEST(the_caller_waits_for_a_slow_member)
{
    UNUSED_STATE;
    struct tally t = {0};
    struct team *team = NULL;
    assert_int_equal(team_new(&team, 3, NULL), 0);
    for (uint32_t round = 1; round <= 20; round++) {
        team_run(team, slow_member, &t);
        assert_int_equal(t.rounds[2], round);
    }
    team_free(team);
}

TEST(parts_cover_everything_once_and_start_on_the_grain)
{
    UNUSED_STATE;
    for (uint32_t n = 0; n < 200; n++)
        for (uint32_t grain = 1; grain <= 16; grain *= 4)
            for (uint32_t members = 1; members < 9; members++) {
                uint32_t at = 0, begin, end;
                for (uint32_t i = 0; i < members; i++) {
                    team_split(n, grain, i, members, &begin, &end);
                    assert_true(begin <= end);
                    if (begin < end) {
                        assert_int_equal(begin, at);
                        assert_int_equal(begin % grain, 0);
                        at = end;
                    }
                }
                assert_int_equal(at, n);
            }
}

TEST(a_team_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0; nth < 2; nth++) {
        struct team *team = NULL;
        fault_alloc_at(nth);
        assert_int_equal(team_new(&team, 2, NULL), -ERR_NOMEM);
        fault_alloc_at(-1);
        assert_null(team);
        assert_int_equal(mem_live_count(), live);
    }
}

TEST(a_cgroup_lends_a_fraction_as_a_whole_core)
{
    UNUSED_STATE;
    assert_int_equal(machine_parse_cpu_max("max 100000"), UINT32_MAX);
    assert_int_equal(machine_parse_cpu_max("100000 100000"), 1);
    assert_int_equal(machine_parse_cpu_max("150000 100000"), 2);
    assert_int_equal(machine_parse_cpu_max("10000 100000"), 1);
    assert_int_equal(machine_parse_cpu_max("5 0"), UINT32_MAX);
    assert_int_equal(machine_parse_cpu_max("nonsense"), UINT32_MAX);
    assert_true(machine_parse_memory_max("max") == UINT64_MAX);
    assert_true(machine_parse_memory_max("1073741824") == 1073741824u);
    assert_true(machine_headroom(100, 60, 20) == 60);
    assert_true(machine_headroom(100, 20, 60) == 100);
    assert_true(machine_headroom(100, 160, 20) == 0);
    assert_true(machine_cores() >= 1);
    assert_true(machine_memory_bytes() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_runs_every_round_once),
        cmocka_unit_test(a_team_that_fell_asleep_wakes_up),
        cmocka_unit_test(the_caller_waits_for_a_slow_member),
        cmocka_unit_test(parts_cover_everything_once_and_start_on_the_grain),
        cmocka_unit_test(a_team_survives_the_failure_of_every_allocation),
        cmocka_unit_test(a_cgroup_lends_a_fraction_as_a_whole_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
