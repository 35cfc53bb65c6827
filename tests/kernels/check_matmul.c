/* check_matmul.c -- matmul and widen of every instruction set against the
 * reference; with --bench, how quickly they read weights. */
#include "tests/kernels/check.h"

struct product {
    uint32_t m, n, k;
    size_t ldx, ldy;
    enum dtype dtype;
};

/* sum |x * w| of one output: the scale of its tolerance. */
static double magnitude(const struct product *p, const float *x, const void *w,
                        uint32_t i, uint32_t j)
{
    double sum = 0;

    for (uint32_t q = 0; q < p->k; q++)
        sum += fabs((double)x[i * p->ldx + q] *
                    (double)check_weight(w, p->dtype, (size_t)j * p->k + q));
    return sum;
}

/* Floats from the first row's start to the last row's end. */
static size_t extent(uint32_t m, size_t ld, uint32_t n)
{
    return (m - 1) * ld + n;
}

static void compare_product(const struct kernels *k, const struct product *p)
{
    size_t n_y = extent(p->m, p->ldy, p->n);
    float *x = check_floats(extent(p->m, p->ldx, p->k));
    void *w = check_weights(p->dtype, (size_t)p->n * p->k);
    float *want = check_floats(n_y);
    float *got = check_copy(want, n_y);

    check_isa("ref")->matmul[p->dtype](want, p->ldy, x, p->ldx, w, p->m, p->n,
                                       p->k);
    k->matmul[p->dtype](got, p->ldy, x, p->ldx, w, p->m, p->n, p->k);
    for (size_t at = 0; at < n_y; at++) {
        uint32_t i = (uint32_t)(at / p->ldy), j = (uint32_t)(at % p->ldy);
        double tolerance = 0; /* between rows nothing is written */

        if (j < p->n)
            tolerance = 1e-6 * sqrt((double)p->k) * magnitude(p, x, w, i, j);
        check_near(got[at], want[at], tolerance, k->name,
                   check_dtype_name(p->dtype), at);
    }
    free(x);
    free(w);
    free(want);
    free(got);
}

TEST(matmul_agrees_with_the_reference_on_every_shape)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 600; round++) {
            struct product p = {.m = 1 + check_random(19),
                                .n = 1 + check_random(21),
                                .k = check_random(150),
                                .dtype = round % N_FLOAT_DTYPES};

            p.ldx = p.k + check_random(5);
            p.ldy = p.n + check_random(5);
            compare_product(check_isa(kernels_isa(i)), &p);
        }
    }
}

TEST(matmul_agrees_with_the_reference_on_many_tokens)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 30; round++) {
            struct product p = {.m = 20 + check_random(120),
                                .n = 1 + check_random(14),
                                .k = check_random(round % 2 ? 100 : 2200),
                                .dtype = round % N_FLOAT_DTYPES};

            p.ldx = p.k + check_random(5);
            p.ldy = p.n + check_random(5);
            compare_product(check_isa(kernels_isa(i)), &p);
        }
    }
}

TEST(matmul_agrees_with_the_reference_on_long_rows)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 24; round++) {
            struct product p = {.m = 1 + round % 8,
                                .n = 9,
                                .k = 1792 + round * 11,
                                .dtype = round % N_FLOAT_DTYPES};

            p.ldx = p.k;
            p.ldy = p.n;
            compare_product(check_isa(kernels_isa(i)), &p);
        }
    }
}

/* m rows at once, into y[m][n], the weight rows cut at `cut`. */
static void multiply_cut(const struct kernels *k, const struct product *p,
                         float *y, const float *x, const void *w, uint32_t cut)
{
    struct matrix matrix = {w, p->dtype, p->n, p->k};

    k->matmul[p->dtype](y, p->n, x, p->k, w, p->m, cut, p->k);
    k->matmul[p->dtype](y + cut, p->n, x, p->k, matrix_row(matrix, cut), p->m,
                        p->n - cut, p->k);
}

static void compare_bits(const struct kernels *k, const struct product *p)
{
    float *x = check_floats((size_t)p->m * p->k);
    void *w = check_weights(p->dtype, (size_t)p->n * p->k);
    float *together = check_floats((size_t)p->m * p->n);
    float *alone = check_floats((size_t)p->m * p->n);
    struct product one = *p;

    one.m = 1;
    for (uint32_t i = 0; i < p->m; i++)
        multiply_cut(k, &one, alone + i * p->n, x + i * p->k, w, 0);
    for (uint32_t m = 1; m <= p->m; m += m < 18 ? 1 : 7) {
        struct product some = *p;

        some.m = m;
        multiply_cut(k, &some, together, x, w, check_random(p->n + 1));
        assert_memory_equal(together, alone, (size_t)m * p->n * sizeof(float));
    }
    free(x);
    free(w);
    free(together);
    free(alone);
}

TEST(a_token_gets_the_same_bits_alone_and_in_any_batch_and_slice)
{
    static const uint32_t lengths[] = {1, 7, 8, 33, 64, 250, 1023, 1100};

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
            for (uint32_t d = 0; d < N_FLOAT_DTYPES; d++) {
                struct product p = {
                    .m = 74, .n = 26, .k = lengths[l], .dtype = d};

                compare_bits(check_isa(kernels_isa(i)), &p);
            }
        }
    }
}

/* All 65536 patterns are a number that widening must get exactly right. */
static void compare_widen(const struct kernels *k, enum dtype dtype)
{
    enum { N = 65536 };
    uint16_t *bits = check_alloc(N * sizeof(*bits));
    float *got = check_alloc(N * sizeof(*got));

    for (uint32_t i = 0; i < N; i++)
        bits[i] = (uint16_t)i;
    k->widen[dtype](got, bits, N);
    for (uint32_t i = 0; i < N; i++) {
        float want = check_weight(bits, dtype, i);

        if (isnan(want))
            assert_true(isnan(got[i]));
        else
            assert_memory_equal(&got[i], &want, sizeof(want));
    }
    free(bits);
    free(got);
}

TEST(widening_is_exact_for_every_pattern)
{
    UNUSED_STATE;
    assert_true(f16_widen(0x3c00) == 1.0f && f16_widen(0x0001) == 0x1p-24f);
    assert_true(f16_widen(0xfbff) == -65504.0f && isinf(f16_widen(0x7c00)));
    assert_true(bf16_widen(0x3f80) == 1.0f && bf16_widen(0xc000) == -2.0f);
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        compare_widen(check_isa(kernels_isa(i)), DTYPE_F16);
        compare_widen(check_isa(kernels_isa(i)), DTYPE_BF16);
    }
}

TEST(widening_stops_at_the_last_element)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 120; round++) {
            enum dtype dtype = round % N_FLOAT_DTYPES;
            uint32_t n = round / N_FLOAT_DTYPES;
            void *src = check_weights(dtype, n);
            float *dst = check_floats(n);

            check_isa(kernels_isa(i))->widen[dtype](dst, src, n);
            for (uint32_t j = 0; j < n; j++)
                assert_true(dst[j] == check_weight(src, dtype, j));
            free(src);
            free(dst);
        }
    }
}

TEST(asking_for_kernels_that_do_not_exist_says_so)
{
    struct err err = {0};

    UNUSED_STATE;
    assert_null(kernels_select("sse9", &err));
    assert_int_equal(err.class_, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "sse9"));
    assert_string_equal(check_isa("ref")->name, "ref");
    assert_ptr_equal(check_isa(NULL), check_isa("best"));
}

/* ---- --bench ---- */

struct bench {
    const struct kernels *k;
    struct product p;
    float *x, *y;
    void *w;
};

static void bench_slice(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;
    struct matrix w = {b->w, b->p.dtype, b->p.n, b->p.k};
    uint32_t row0 = b->p.n / n_threads * thread;
    uint32_t rows = b->p.n / n_threads;

    b->k->matmul[b->p.dtype](b->y + row0, b->p.n, b->x, b->p.k,
                             matrix_row(w, row0), b->p.m, rows, b->p.k);
}

static void bench_product(const struct kernels *k, enum dtype dtype, uint32_t m,
                          uint32_t n_threads)
{
    struct bench b = {.k = k, .p = {.m = m, .k = 2048, .dtype = dtype}};
    double bytes, flops, seconds;

    b.p.n = (uint32_t)((256u << 20) / (b.p.k * dtype_bytes(dtype)));
    b.x = check_floats((size_t)m * b.p.k);
    b.y = check_floats((size_t)m * b.p.n);
    b.w = check_weights(dtype, (size_t)b.p.n * b.p.k);
    seconds = check_best(bench_slice, &b, n_threads, 9);
    bytes = (double)b.p.n * b.p.k * (double)dtype_bytes(dtype);
    flops = 2.0 * b.p.n * b.p.k * m;
    printf("%-5s %-4s m %2u  k %u  %u threads: %6.1f GB/s %7.1f GFLOP/s\n",
           k->name, check_dtype_name(dtype), m, b.p.k, n_threads,
           bytes / seconds * 1e-9, flops / seconds * 1e-9);
    free(b.x);
    free(b.y);
    free(b.w);
}

static int bench(void)
{
    static const uint32_t rows[] = {1, 2, 3, 4, 8, 16};

    for (uint32_t d = 0; d < N_FLOAT_DTYPES; d++) {
        for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            bench_product(check_isa(NULL), d, rows[i], 1);
            bench_product(check_isa(NULL), d, rows[i], 2);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_agrees_with_the_reference_on_every_shape),
        cmocka_unit_test(matmul_agrees_with_the_reference_on_many_tokens),
        cmocka_unit_test(matmul_agrees_with_the_reference_on_long_rows),
        cmocka_unit_test(
            a_token_gets_the_same_bits_alone_and_in_any_batch_and_slice),
        cmocka_unit_test(widening_is_exact_for_every_pattern),
        cmocka_unit_test(widening_stops_at_the_last_element),
        cmocka_unit_test(asking_for_kernels_that_do_not_exist_says_so),
    };

    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
