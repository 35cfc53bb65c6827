/* check_rows.c -- the ops on single rows, every instruction set against the
 * reference at every length; with --bench, how quickly they go. */
#include "tests/kernels/check.h"

#define LONGEST 70u

/* Calls `compare` for every instruction set and length. */
static void for_each_length(void (*compare)(const struct kernels *, uint32_t),
                            uint32_t first)
{
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t n = first; n <= LONGEST; n++)
            compare(check_isa(kernels_isa(i)), n);
        compare(check_isa(kernels_isa(i)), 2048);
        compare(check_isa(kernels_isa(i)), 7167);
    }
}

static void compare_rmsnorm(const struct kernels *k, uint32_t n)
{
    float *x = check_floats(n), *w = check_floats(n);
    float *want = check_floats(n), *got = check_floats(n);

    check_isa("ref")->rmsnorm(want, x, w, n, 1e-5f);
    k->rmsnorm(got, x, w, n, 1e-5f);
    for (uint32_t i = 0; i < n; i++)
        check_near(got[i], want[i], 2e-6 * fabs((double)want[i]), k->name,
                   "rmsnorm", i);
    k->rmsnorm(x, x, w, n, 1e-5f);
    assert_memory_equal(x, got, n * sizeof(float));
    free(x);
    free(w);
    free(want);
    free(got);
}

TEST(rmsnorm_agrees_also_in_place)
{
    UNUSED_STATE;
    for_each_length(compare_rmsnorm, 1);
}

TEST(rmsnorm_of_zeros_is_zeros)
{
    float x[11] = {0}, w[11];

    UNUSED_STATE;
    for (uint32_t i = 0; i < 11; i++)
        w[i] = 3;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        check_isa(kernels_isa(i))->rmsnorm(x, x, w, 11, 1e-5f);
        for (uint32_t j = 0; j < 11; j++)
            assert_true(x[j] == 0.0f);
    }
}

static void compare_silu(const struct kernels *k, uint32_t n)
{
    static const float odd[] = {0.0f,   -0.0f,   87.0f, -87.0f, 88.5f,  -88.5f,
                                104.0f, -104.0f, 1e4f,  -1e4f,  1e-20f, -1e30f};
    float *gate = check_floats(n), *up = check_floats(n);
    float *want = check_floats(n), *got = check_floats(n);

    for (uint32_t i = 0; i < n; i++)
        gate[i] = i % 3 == 0 ? odd[i / 3 % 12] : gate[i] * 20.0f;
    check_isa("ref")->silu_mul(want, gate, up, n);
    k->silu_mul(got, gate, up, n);
    for (uint32_t i = 0; i < n; i++)
        check_near(got[i], want[i],
                   2e-6 * fabs((double)want[i]) + 1e-30 * fabs((double)up[i]),
                   k->name, "silu_mul", i);
    k->silu_mul(gate, gate, up, n);
    assert_memory_equal(gate, got, n * sizeof(float));
    free(gate);
    free(up);
    free(want);
    free(got);
}

TEST(silu_agrees_where_exp_overflows_too)
{
    UNUSED_STATE;
    for_each_length(compare_silu, 0);
}

TEST(nan_stays_nan)
{
    float x[9] = {0}, up[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        x[3] = NAN;
        x[8] = NAN;
        check_isa(kernels_isa(i))->silu_mul(x, x, up, 9);
        assert_true(isnan(x[3]) && isnan(x[8]) && x[4] == 0.0f);
    }
}

static void compare_elementwise(const struct kernels *k, uint32_t n)
{
    float *a = check_floats(n), *b = check_floats(n), *got = check_floats(n);
    float *sum = check_copy(a, n), *line = check_copy(a, n);

    k->mul(got, a, b, n);
    k->add(sum, b, n);
    k->axpy(line, 0.7f, b, n);
    for (uint32_t i = 0; i < n; i++) {
        float scaled = 0.7f * b[i];

        assert_true(got[i] == a[i] * b[i]);
        assert_true(sum[i] == a[i] + b[i]);
        check_near(line[i], a[i] + scaled,
                   2e-7 * (fabs((double)a[i]) + fabs((double)scaled)), k->name,
                   "axpy", i);
    }
    k->mul(a, a, b, n);
    assert_memory_equal(a, got, n * sizeof(float));
    free(a);
    free(b);
    free(got);
    free(sum);
    free(line);
}

TEST(add_mul_and_axpy_agree)
{
    UNUSED_STATE;
    for_each_length(compare_elementwise, 0);
}

static void compare_rope(const struct kernels *k, uint32_t half)
{
    float *got = check_floats(2 * half), *want = check_copy(got, 2 * half);
    float *before = check_copy(got, 2 * half);
    float *cosines = check_floats(half), *sines = check_floats(half);

    check_isa("ref")->rope(want, cosines, sines, 2 * half);
    k->rope(got, cosines, sines, 2 * half);
    for (uint32_t i = 0; i < 2 * half; i++) {
        double size = fabs((double)before[i % half]) +
                      fabs((double)before[i % half + half]);

        check_near(got[i], want[i], 3e-7 * size, k->name, "rope", i);
    }
    free(got);
    free(want);
    free(before);
    free(cosines);
    free(sines);
}

TEST(rope_agrees)
{
    UNUSED_STATE;
    for_each_length(compare_rope, 1);
}

TEST(rope_turns_the_first_half_towards_the_second)
{
    const float cosines[2] = {0, 1}, sines[2] = {1, 0};

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        float x[4] = {1, 2, 3, 4};

        check_isa(kernels_isa(i))->rope(x, cosines, sines, 4);
        assert_true(x[0] == -3 && x[1] == 2 && x[2] == 1 && x[3] == 4);
    }
}

/* ---- --bench ---- */

#define BENCH_N 2048u
#define BENCH_REPEATS 20000u

struct bench {
    const struct kernels *k;
    uint32_t op;
    float *x, *y, *w;
};

static const char *const ops[] = {"rmsnorm", "silu_mul"};

static void bench_op(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;

    (void)thread;
    (void)n_threads;
    for (uint32_t i = 0; i < BENCH_REPEATS; i++) {
        if (b->op == 0)
            b->k->rmsnorm(b->y, b->x, b->w, BENCH_N, 1e-5f);
        else
            b->k->silu_mul(b->y, b->x, b->w, BENCH_N);
    }
}

static int bench(void)
{
    struct bench b = {.k = check_isa(NULL),
                      .x = check_floats(BENCH_N),
                      .y = check_floats(BENCH_N),
                      .w = check_floats(BENCH_N)};

    for (b.op = 0; b.op < sizeof(ops) / sizeof(ops[0]); b.op++)
        printf("%-5s %-8s n %u: %6.2f Gelements/s\n", b.k->name, ops[b.op],
               BENCH_N,
               (double)BENCH_N * BENCH_REPEATS * 1e-9 /
                   check_best(bench_op, &b, 1, 5));
    free(b.x);
    free(b.y);
    free(b.w);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_agrees_also_in_place),
        cmocka_unit_test(rmsnorm_of_zeros_is_zeros),
        cmocka_unit_test(silu_agrees_where_exp_overflows_too),
        cmocka_unit_test(nan_stays_nan),
        cmocka_unit_test(add_mul_and_axpy_agree),
        cmocka_unit_test(rope_agrees),
        cmocka_unit_test(rope_turns_the_first_half_towards_the_second),
    };

    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
