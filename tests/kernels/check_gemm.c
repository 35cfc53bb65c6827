/* check_gemm.c -- gemm on both sides of the crossover against sums in double,
 * from one thread and from two; with --bench, where the crossover lies. */
#include "model/kernels/gemm_blas.h"
#include "tests/kernels/check.h"

struct product {
    struct matrix w;
    uint32_t m;
    size_t ldx, ldy;
    float *x, *y;
};

static void product_init(struct product *p, enum dtype dtype, uint32_t m,
                         uint32_t n, uint32_t k)
{
    p->m = m;
    p->ldx = k + check_random(3);
    p->ldy = n + check_random(3);
    p->x = check_floats(m * p->ldx);
    p->y = check_floats(m * p->ldy);
    p->w = (struct matrix){check_weights(dtype, (size_t)n * k), dtype, n, k};
}

static void product_deinit(struct product *p)
{
    free(p->x);
    free(p->y);
    free((void *)(uintptr_t)p->w.data);
}

static void check_product(const struct product *p, const char *isa)
{
    for (uint32_t i = 0; i < p->m; i++) {
        for (uint32_t j = 0; j < p->w.rows; j++) {
            double sum = 0, size = 0;

            for (uint32_t q = 0; q < p->w.cols; q++) {
                size_t at = (size_t)j * p->w.cols + q;
                double term = (double)p->x[i * p->ldx + q] *
                              (double)check_weight(p->w.data, p->w.dtype, at);

                sum += term;
                size += fabs(term);
            }
            check_near(p->y[i * p->ldy + j], (float)sum,
                       1e-6 * sqrt((double)p->w.cols) * size + 1e-30, isa,
                       "gemm", j);
        }
    }
}

/* All rows in two slices, `cut` apart. */
static void multiply(const struct kernels *k, struct product *p, uint32_t cut,
                     float *panel)
{
    gemm(k, p->y, p->ldy, p->x, p->ldx, p->w, 0, cut, p->m, panel);
    gemm(k, p->y, p->ldy, p->x, p->ldx, p->w, cut, p->w.rows, p->m, panel);
}

/* Where there is no crossover, chunks and tails of matmul's are as far. */
static uint32_t crossover(const struct kernels *k, enum dtype dtype)
{
    uint32_t m = gemm_crossover(k, dtype);

    return m < 160 ? m : 160;
}

TEST(gemm_agrees_on_both_sides_of_the_crossover)
{
    float *panel = check_floats(GEMM_PANEL_FLOATS);
    struct product p;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (uint32_t round = 0; round < 60; round++) {
            enum dtype dtype = round % N_FLOAT_DTYPES;
            uint32_t around = crossover(k, dtype) + 4;

            product_init(&p, dtype, 1 + check_random(2 * around),
                         1 + check_random(60), 1 + check_random(140));
            multiply(k, &p, check_random(p.w.rows + 1), panel);
            check_product(&p, kernels_isa(i));
            product_deinit(&p);
        }
    }
    free(panel);
}

TEST(gemm_widens_more_rows_than_one_panel_holds)
{
    float *panel = check_floats(GEMM_PANEL_FLOATS);
    struct product p;

    UNUSED_STATE;
    for (uint32_t d = DTYPE_F16; d < N_FLOAT_DTYPES; d++) {
        for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
            product_init(&p, d, 20, 40, 7171);
            gemm_wide(check_isa(kernels_isa(i)), p.y, p.ldy, p.x, p.ldx, p.w, 0,
                      p.w.rows, p.m, panel);
            check_product(&p, kernels_isa(i));
            product_deinit(&p);
        }
    }
    free(panel);
}

TEST(nothing_to_do_is_done)
{
    float x[4] = {1, 1, 1, 1}, y[4] = {5, 5, 5, 5}, w[4] = {1, 1, 1, 1};
    struct matrix matrix = {w, DTYPE_F32, 2, 2};

    UNUSED_STATE;
    gemm(check_isa(NULL), y, 2, x, 2, matrix, 0, 2, 0, NULL);
    gemm(check_isa(NULL), y, 2, x, 2, matrix, 1, 1, 2, NULL);
    assert_true(y[0] == 5 && y[1] == 5 && y[2] == 5 && y[3] == 5);
}

TEST(openblas_passes_the_self_test_and_names_itself)
{
    struct err err = {0};

    UNUSED_STATE;
    gemm_init();
    assert_int_equal(gemm_self_test(&err), 0);
    assert_true(strlen(gemm_core_name()) > 0);
    assert_non_null(strstr(gemm_config(), "OpenBLAS"));
}

static size_t address_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    fclose(f);
    return (size_t)pages * 4096;
}

static void multiply_own(void *user, uint32_t thread, uint32_t n_threads)
{
    struct product *p = (struct product *)user + thread;

    (void)n_threads;
    for (uint32_t i = 0; i < 5; i++)
        gemm_wide(check_isa("ref"), p->y, p->ldy, p->x, p->ldx, p->w, 0,
                  p->w.rows, p->m, NULL);
}

/* A buffer is 128 MB, a thread's stack 8. */
TEST(what_was_reserved_is_enough_for_calls_at_once)
{
    struct product products[3];
    size_t before;

    UNUSED_STATE;
    gemm_reserve(check_isa("ref"), 3);
    for (uint32_t i = 0; i < 3; i++)
        product_init(&products[i], DTYPE_F32, 200, 200, 200);
    before = address_bytes();
    check_run(multiply_own, products, 3);
    assert_true(address_bytes() < before + (100u << 20));
    for (uint32_t i = 0; i < 3; i++)
        product_deinit(&products[i]);
}

/* Each thread multiplies its own product and the self test runs beside it. */
struct crowd {
    struct product products[2];
    int status[2];
};

static void work_in_crowd(void *user, uint32_t thread, uint32_t n_threads)
{
    struct crowd *c = user;
    struct err err = {0};
    float *panel = malloc(GEMM_PANEL_FLOATS * sizeof(float));

    (void)n_threads;
    c->status[thread] = panel == NULL ? -1 : 0;
    for (uint32_t i = 0; i < 20 && c->status[thread] == 0; i++) {
        multiply(check_isa(NULL), &c->products[thread], 17, panel);
        c->status[thread] = gemm_self_test(&err);
    }
    free(panel);
}

TEST(two_threads_may_multiply_at_once)
{
    struct crowd crowd;

    UNUSED_STATE;
    product_init(&crowd.products[0], DTYPE_F32, 67, 50, 301);
    product_init(&crowd.products[1], DTYPE_BF16, 130, 70, 257);
    check_run(work_in_crowd, &crowd, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(crowd.status[i], 0);
        check_product(&crowd.products[i], "best");
        product_deinit(&crowd.products[i]);
    }
}

/* ---- --bench ---- */

struct bench {
    const struct kernels *k;
    struct product p;
    float *panel;
    bool wide;
};

static void bench_product(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;
    struct product *p = &b->p;

    (void)thread;
    (void)n_threads;
    if (b->wide)
        gemm_wide(b->k, p->y, p->ldy, p->x, p->ldx, p->w, 0, p->w.rows, p->m,
                  b->panel);
    else
        b->k->matmul[p->w.dtype](p->y, p->ldy, p->x, p->ldx, p->w.data, p->m,
                                 p->w.rows, p->w.cols);
}

/* The two ways in turn, the best of each: the machine may be shared. */
static void bench_rows(struct bench *b, enum dtype dtype, uint32_t m)
{
    double flops, few = HUGE_VAL, wide = HUGE_VAL;

    product_init(&b->p, dtype, m, 1792, 2048);
    flops = 2.0 * m * b->p.w.rows * b->p.w.cols;
    for (uint32_t i = 0; i < 30; i++) {
        b->wide = false;
        few = fmin(few, check_run(bench_product, b, 1));
        b->wide = true;
        wide = fmin(wide, check_run(bench_product, b, 1));
    }
    printf("%-5s %-4s m %3u: matmul %6.1f, OpenBLAS %6.1f GFLOP/s%s\n",
           b->k->name, check_dtype_name(dtype), m, flops / few * 1e-9,
           flops / wide * 1e-9, m >= gemm_crossover(b->k, dtype) ? "  *" : "");
    product_deinit(&b->p);
}

static int bench(void)
{
    static const uint32_t rows[] = {1,  4,  8,  12, 16,  24,
                                    32, 48, 64, 96, 128, 256};
    struct bench b = {.k = check_isa(NULL),
                      .panel = check_floats(GEMM_PANEL_FLOATS)};

    printf("one thread, 1792 x 2048 weights, OpenBLAS core %s; * = gemm takes "
           "OpenBLAS\n",
           gemm_core_name());
    for (uint32_t d = 0; d < N_FLOAT_DTYPES; d++) {
        for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            bench_rows(&b, d, rows[i]);
    }
    free(b.panel);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_agrees_on_both_sides_of_the_crossover),
        cmocka_unit_test(gemm_widens_more_rows_than_one_panel_holds),
        cmocka_unit_test(nothing_to_do_is_done),
        cmocka_unit_test(openblas_passes_the_self_test_and_names_itself),
        cmocka_unit_test(what_was_reserved_is_enough_for_calls_at_once),
        cmocka_unit_test(two_threads_may_multiply_at_once),
    };

    gemm_init(); /* as the daemon does: OpenBLAS starts no thread of its own */
    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
