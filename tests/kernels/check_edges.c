/* check_edges.c -- inputs that random numbers do not hit, on every instruction
 * set: ties of rounding, scales near the smallest float, numbers that are none,
 * products of nothing. */
#include <float.h>

#include "tests/kernels/check.h"

/* The largest is 127, so that the scale is 1 and x.5 is a tie. */
TEST(quantize_rounds_ties_to_even)
{
    float x[PANEL_BLOCK];
    struct q8_block got;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t j = 0; j < PANEL_BLOCK; j++)
            x[j] = (float)j - 16.5f;
        x[0] = x[31] = 127;
        check_isa(kernels_isa(i))->quantize(&got, x, 1);
        assert_true(got.scale[0] == 1.0f && got.scale[1] == 1.0f);
        for (uint32_t j = 1; j < PANEL_BLOCK - 1; j++) {
            int down = (int)j - 17; /* the two neighbours: down and down + 1 */

            assert_int_equal(got.q[j], down % 2 == 0 ? down : down + 1);
        }
    }
}

TEST(quantize_gives_the_same_bits_at_both_ends_of_the_range)
{
    static const float largest[] = {0, -0.0f, 1e-36f, 1e30f, FLT_MAX};
    float x[PANEL_BLOCK];
    struct q8_block want, got;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t l = 0; l < sizeof(largest) / sizeof(largest[0]); l++) {
            for (uint32_t j = 0; j < PANEL_BLOCK; j++)
                x[j] = largest[l] * (j % 4 == 0 ? 0 : check_float());
            x[5] = -largest[l];
            check_isa("ref")->quantize(&want, x, 1);
            check_isa(kernels_isa(i))->quantize(&got, x, 1);
            assert_memory_equal(&got, &want, sizeof(got));
        }
    }
}

/* The bounds of the integer products rest on it; the sum of a block as well. */
TEST(what_is_not_finite_is_quantised_within_127)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, -NAN};
    float x[PANEL_BLOCK];
    struct q8_block got;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 200; round++) {
            int32_t sum[2] = {0, 0};
            bool finite[2] = {true, true};

            for (uint32_t j = 0; j < PANEL_BLOCK; j++) {
                x[j] = check_random(1 + round % 7) == 0 ? odd[check_random(4)]
                                                        : check_float();
                finite[j / 16] = finite[j / 16] && isfinite(x[j]);
            }
            check_isa(kernels_isa(i))->quantize(&got, x, 1);
            for (uint32_t j = 0; j < PANEL_BLOCK; j++) {
                assert_true(got.q[j] >= -127);
                sum[j / 16] += got.q[j];
            }
            assert_true(got.neg8sum[0] == -8 * sum[0] &&
                        got.neg8sum[1] == -8 * sum[1]);
            for (uint32_t h = 0; h < 2; h++)
                assert_true(finite[h] == (isfinite(got.scale[h]) != 0));
            if (!finite[0] || !finite[1]) /* nor does a format with a minimum */
                assert_true(isfinite(got.sum) == 0);
        }
    }
}

/* Q8 with a scale of 1 and halves between; F16 past its largest and halfway
 * between two of its numbers. */
TEST(keys_are_stored_as_the_same_bits_at_ties_and_past_the_largest)
{
    enum { DIM = 20 };
    float x[DIM] = {127,   0.5f,    1.5f,     -2.5f,    65504,  65519, 65520,
                    -7e4f, 1e30f,   -1e30f,   0x1p-25f, 2049,   2051,  -2049,
                    -0.0f, 0x1p-8f, 0x1p-24f, 3.5f,     -65519, 4.5f};
    char want[8192], got[8192];

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t f = 0; f < N_KV_FORMATS; f++) {
            size_t bytes = kv_head_bytes(f, DIM);
            float key[DIM];

            assert_true(bytes <= sizeof(want));
            for (uint32_t j = 0; j < DIM; j++)
                key[j] = f == KV_Q8 ? fminf(127, fmaxf(-127, x[j])) : x[j];
            memset(want, 0, sizeof(want));
            memset(got, 0, sizeof(got));
            check_isa("ref")->kv_store(want, f, DIM, 3, key, key);
            check_isa(kernels_isa(i))->kv_store(got, f, DIM, 3, key, key);
            assert_memory_equal(got, want, bytes);
        }
    }
}

TEST(products_of_nothing_are_zero)
{
    float y[2][20], x[1] = {0};
    struct q8_block q = {.scale = {1, 1}};

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (uint32_t t = 0; t < N_DTYPES; t++) {
            memset(y, 1, sizeof(y));
            if (dtype_is_quantised(t))
                k->qmatmul[t](y[0], 20, &q, NULL, x, 2, 19, 0);
            else
                k->matmul[t](y[0], 20, x, 0, x, 2, 19, 0);
            for (uint32_t j = 0; j < 19; j++)
                assert_true(y[0][j] == 0 && y[1][j] == 0);
            assert_true(y[0][19] != 0 && y[1][19] != 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantize_rounds_ties_to_even),
        cmocka_unit_test(
            quantize_gives_the_same_bits_at_both_ends_of_the_range),
        cmocka_unit_test(what_is_not_finite_is_quantised_within_127),
        cmocka_unit_test(
            keys_are_stored_as_the_same_bits_at_ties_and_past_the_largest),
        cmocka_unit_test(products_of_nothing_are_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
