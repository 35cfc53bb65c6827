/* check_isa.c -- that the table holds what the machine has.
 *
 * The other checks loop over kernels_isa and so would pass on a machine that
 * offers the reference alone: LFMD_EXPECT_ISA names the set that must be the
 * best one where this runs. */
#include "model/kernels/cpu.h"
#include "tests/kernels/check.h"

TEST(the_reference_comes_first_and_the_best_last)
{
    const char *last = NULL;

    UNUSED_STATE;
    assert_string_equal(kernels_isa(0), "ref");
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        last = kernels_isa(i);
        assert_string_equal(check_isa(last)->name, last);
    }
    assert_string_equal(check_isa(NULL)->name, last);
    assert_string_equal(check_isa("best")->name, last);
}

TEST(the_best_is_the_one_that_was_expected)
{
    const char *expected = getenv("LFMD_EXPECT_ISA");

    UNUSED_STATE;
    if (expected != NULL)
        assert_string_equal(check_isa(NULL)->name, expected);
}

TEST(a_cpu_is_of_one_kind)
{
    struct cpu cpu;

    UNUSED_STATE;
    cpu_detect(&cpu);
    assert_false(cpu.neon && cpu.avx2);
    assert_true(cpu.neon || !cpu.dotprod);
}

TEST(every_slot_of_every_set_is_filled)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (uint32_t t = 0; t < N_FLOAT_DTYPES; t++)
            assert_true(k->matmul[t] != NULL && k->widen[t] != NULL);
        for (uint32_t t = N_FLOAT_DTYPES; t < N_DTYPES; t++)
            assert_true(k->qmatmul[t] != NULL);
        assert_true(k->quantize != NULL && k->attend != NULL);
        assert_true(k->conv != NULL && k->rope != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_comes_first_and_the_best_last),
        cmocka_unit_test(the_best_is_the_one_that_was_expected),
        cmocka_unit_test(a_cpu_is_of_one_kind),
        cmocka_unit_test(every_slot_of_every_set_is_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
