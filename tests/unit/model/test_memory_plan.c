/* test_memory_plan.c -- the sum, the choice of a cache, the refusal. */
#include "tests/lib/test.h"

#include "model/memory_plan.h"

#define GB 1000000000ull

static struct memory_need a_need(void)
{
    return (struct memory_need){
        .packed_bytes = 5 * GB,
        .work_bytes = GB,
        .block_bytes = 1000000, /* 16 tokens */
        .context_blocks = 2000,
        .block_tokens = 16,
        .n_sequences = 8,
    };
}

TEST(with_room_every_sequence_gets_its_whole_context)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    assert_int_equal(memory_plan_make(&p, &need, UINT64_MAX, NULL), 0);
    assert_int_equal(p.n_blocks, 16000);
    assert_false(p.crowded);
    assert_int_equal(memory_plan_make(&p, &need, 100 * GB, NULL), 0);
    assert_int_equal(p.n_blocks, 16000);
    assert_true(p.own_bytes == 22 * GB);
}

TEST(a_chosen_cache_never_passes_what_is_left)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    for (uint64_t memory = 7 * GB; memory < 60 * GB; memory += GB / 2)
        for (need.mapped_bytes = 0; need.mapped_bytes < 20 * GB;
             need.mapped_bytes += 5 * GB) {
            struct memory_plan p;
            assert_int_equal(memory_plan_make(&p, &need, memory, NULL), 0);
            assert_true(p.own_bytes <= memory && p.n_blocks >= 32);
            assert_int_equal(p.crowded,
                             p.own_bytes + need.mapped_bytes > memory);
        }
}

TEST(a_refusal_is_the_sum_and_the_way_out)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    struct err err = {0};
    need.context_asked = true;
    assert_int_equal(memory_plan_make(&p, &need, 7 * GB, &err), -ERR_LIMIT);
    assert_string_equal(
        err.text,
        "it needs 8.00 GB (5.00 packed weights, 2.00 cache for 32000 tokens, "
        "1.00 activations), but only 7.00 GB are free: use a smaller "
        "--ctx-size, --parallel, --cache-size or --max-step-tokens, or weights "
        "of a smaller quantisation");
    assert_int_equal(memory_plan_make(&p, &need, 8 * GB, &err), 0);
    assert_int_equal(p.n_blocks, 2000);
    need.context_asked = false; /* then it shrinks */
    assert_int_equal(memory_plan_make(&p, &need, 7 * GB, &err), 0);
    assert_int_equal(memory_plan_make(&p, &need, 6 * GB, &err), -ERR_LIMIT);
}

TEST(a_cache_that_was_asked_for_is_taken_or_refused)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    struct err err = {0};
    need.asked_cache_bytes = 3 * GB;
    assert_int_equal(memory_plan_make(&p, &need, 9 * GB, &err), 0);
    assert_int_equal(p.n_blocks, 3000);
    assert_int_equal(memory_plan_make(&p, &need, 9 * GB - 1, &err), -ERR_LIMIT);
    need.asked_cache_bytes = 999999;
    assert_int_equal(memory_plan_make(&p, &need, 9 * GB, &err), -ERR_LIMIT);
    assert_non_null(strstr(err.text, "too small: 16 tokens take 1000000"));
}

TEST(mapped_weights_crowd_but_do_not_refuse)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    need.mapped_bytes = need.packed_bytes;
    need.packed_bytes = 0;
    assert_int_equal(memory_plan_make(&p, &need, 3 * GB, NULL), 0);
    assert_true(p.crowded && p.own_bytes <= 3 * GB);
}

TEST(sums_that_overflow_are_refused)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    struct err err = {0};
    need.work_bytes = UINT64_MAX;
    assert_int_equal(memory_plan_make(&p, &need, 9 * GB, &err), -ERR_LIMIT);
    need = a_need();
    need.packed_bytes = UINT64_MAX - 5;
    assert_int_equal(memory_plan_make(&p, &need, 9 * GB, &err), -ERR_LIMIT);
}

TEST(what_there_is_none_of_is_not_told)
{
    UNUSED_STATE;
    struct memory_need need = a_need();
    struct memory_plan p;
    char text[192], cut[20];
    need.n_sequences = 1;
    need.context_blocks = 512;
    assert_int_equal(memory_plan_make(&p, &need, UINT64_MAX, NULL), 0);
    memory_plan_describe(text, sizeof text, &p, &need, UINT64_MAX);
    assert_string_equal(text, "packed weights 5.00 GB, cache up to 512 MB, "
                              "activations 1.00 GB");
    memory_plan_describe(cut, sizeof cut, &p, &need, 7 * GB);
    assert_string_equal(cut, "packed weights 5.00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_room_every_sequence_gets_its_whole_context),
        cmocka_unit_test(a_chosen_cache_never_passes_what_is_left),
        cmocka_unit_test(a_refusal_is_the_sum_and_the_way_out),
        cmocka_unit_test(a_cache_that_was_asked_for_is_taken_or_refused),
        cmocka_unit_test(mapped_weights_crowd_but_do_not_refuse),
        cmocka_unit_test(sums_that_overflow_are_refused),
        cmocka_unit_test(what_there_is_none_of_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
