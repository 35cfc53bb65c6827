/* check_qmatmul.c -- quantize and qmatmul of every instruction set against the
 * reference; with --bench, how quickly they read weights and multiply. */
#include "tests/kernels/check.h"

static const char *const isa_ref = "ref";

/* A matrix of random blocks: every byte may be anything, the scales are finite
 * and of a usual size. */
struct weights {
    void *panels; /* owned */
    float *rows;  /* owned: what it stands for, [n][k] */
    enum dtype dtype;
    uint32_t n, k;
};

/* Where the halves lie that scale a block: offsets, ended by -1. */
static const int *scale_offsets(enum dtype t)
{
    static const int one[] = {0, -1}, two[] = {0, 2, -1}, last[] = {208, -1};

    if (t == DTYPE_Q6_K)
        return last;
    return t == DTYPE_Q4_0 || t == DTYPE_Q5_0 || t == DTYPE_Q8_0 ? one : two;
}

static void random_blocks(uint8_t *p, enum dtype t, size_t n_blocks)
{
    uint32_t bytes = dtype_block_bytes(t);

    for (size_t b = 0; b < n_blocks; b++, p += bytes) {
        for (uint32_t i = 0; i < bytes; i++)
            p[i] = (uint8_t)check_random(256);
        for (const int *at = scale_offsets(t); *at >= 0; at++) {
            uint16_t half = f16_narrow(check_float() * 0.01f);

            memcpy(p + *at, &half, sizeof half);
        }
    }
}

static struct weights random_weights(enum dtype t, uint32_t n, uint32_t k)
{
    struct weights w = {.dtype = t, .n = n, .k = k};
    size_t n_blocks = (size_t)n * k / dtype_block_values(t);
    uint8_t *file = check_alloc(n_blocks * dtype_block_bytes(t));
    size_t bytes = panel_matrix_bytes(t, n, k);

    random_blocks(file, t, n_blocks);
    w.rows = check_alloc((size_t)n * k * sizeof(float));
    blocks_decode(t, w.rows, file, (size_t)n * k);
    w.panels = aligned_alloc(64, bytes > 0 ? (bytes + 63) / 64 * 64 : 64);
    assert_non_null(w.panels);
    panel_pack(w.panels, file, t, n, k, 0, panel_count(n));
    free(file);
    return w;
}

static void free_weights(struct weights *w)
{
    free(w->panels);
    free(w->rows);
}

static struct q8_block *quantized(const struct kernels *k, const float *x,
                                  uint32_t m, uint32_t cols)
{
    size_t n = (size_t)m * cols / PANEL_BLOCK;
    struct q8_block *q = check_alloc(n * sizeof *q);

    k->quantize(q, x, (uint32_t)n);
    return q;
}

/* The multiple of a scale that the sum of one output may be off by: products
 * with the unsigned q, which is where rounding comes from. */
static double bound(const struct weights *w, const struct q8_block *x,
                    uint32_t row, uint32_t n_blocks)
{
    double sum = 0;

    for (uint32_t b = 0; b < n_blocks; b++) {
        const float *at = w->rows + (size_t)row * w->k + b * PANEL_BLOCK;
        double largest = 0;

        for (uint32_t i = 0; i < PANEL_BLOCK; i++)
            largest = fmax(largest, fabs((double)at[i]));
        sum += largest * 32 * 127 * 4 *
               fmax((double)x[b].scale[0], (double)x[b].scale[1]);
    }
    return 1e-6 * sqrt((double)n_blocks) * sum;
}

struct shape {
    uint32_t m, n, n_blocks;
    size_t ldy;
    enum dtype dtype;
    bool indirect;
};

static void compare(const struct kernels *k, const struct shape *s)
{
    uint32_t cols = s->n_blocks * PANEL_BLOCK;
    struct weights w = random_weights(s->dtype, s->n, cols);
    uint32_t n_x = s->indirect ? s->m + 3 : s->m;
    float *x = check_floats((size_t)n_x * cols);
    struct q8_block *q = quantized(check_isa(isa_ref), x, n_x, cols);
    uint32_t *rows = check_alloc(s->m * sizeof *rows);
    size_t n_y = (s->m - 1) * s->ldy + s->n;
    float *want = check_floats(n_y), *got = check_copy(want, n_y);

    for (uint32_t i = 0; i < s->m; i++)
        rows[i] = s->indirect ? check_random(n_x) : i;
    check_isa(isa_ref)->qmatmul[s->dtype](want, s->ldy, q, rows, w.panels, s->m,
                                          s->n, s->n_blocks);
    k->qmatmul[s->dtype](got, s->ldy, q, s->indirect ? rows : NULL, w.panels,
                         s->m, s->n, s->n_blocks);
    for (size_t at = 0; at < n_y; at++) {
        uint32_t i = (uint32_t)(at / s->ldy), j = (uint32_t)(at % s->ldy);
        double tolerance = 0;

        if (j < s->n)
            tolerance =
                bound(&w, q + (size_t)rows[i] * s->n_blocks, j, s->n_blocks);
        check_near(got[at], want[at], tolerance, k->name, dtype_name(s->dtype),
                   at);
    }
    free_weights(&w);
    free(x);
    free(q);
    free(rows);
    free(want);
    free(got);
}

static uint32_t random_blocks_along_k(enum dtype t)
{
    uint32_t unit = dtype_block_values(t) / PANEL_BLOCK;

    return unit * (1 + check_random(unit > 1 ? 3 : 9));
}

TEST(qmatmul_agrees_with_the_reference_on_every_shape)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 240; round++) {
            enum dtype t = N_FLOAT_DTYPES + round % (N_DTYPES - N_FLOAT_DTYPES);
            struct shape s = {.m = 1 + check_random(round % 3 == 0 ? 40 : 9),
                              .n = 1 + check_random(50),
                              .n_blocks = random_blocks_along_k(t),
                              .dtype = t,
                              .indirect = check_random(2) != 0};

            s.ldy = s.n + check_random(5);
            compare(check_isa(kernels_isa(i)), &s);
        }
    }
}

/* The reference itself: its numbers are those of the decoded weights times the
 * activations that q8 stands for. */
TEST(the_reference_is_the_decoded_weights_times_the_activations)
{
    UNUSED_STATE;
    for (uint32_t round = 0; round < 80; round++) {
        enum dtype t = N_FLOAT_DTYPES + round % (N_DTYPES - N_FLOAT_DTYPES);
        uint32_t n_blocks = random_blocks_along_k(t), n = 1 + check_random(20);
        uint32_t cols = n_blocks * PANEL_BLOCK;
        struct weights w = random_weights(t, n, cols);
        float *x = check_floats(cols), *y = check_floats(n);
        struct q8_block *q = quantized(check_isa(isa_ref), x, 1, cols);

        check_isa(isa_ref)->qmatmul[t](y, n, q, NULL, w.panels, 1, n, n_blocks);
        for (uint32_t j = 0; j < n; j++) {
            double sum = 0;

            for (uint32_t k = 0; k < cols; k++)
                sum += (double)w.rows[(size_t)j * cols + k] *
                       (double)q[k / PANEL_BLOCK].scale[k % PANEL_BLOCK / 16] *
                       q[k / PANEL_BLOCK].q[k % PANEL_BLOCK];
            check_near(y[j], (float)sum, bound(&w, q, j, n_blocks), isa_ref,
                       dtype_name(t), j);
        }
        free_weights(&w);
        free(x);
        free(y);
        free(q);
    }
}

TEST(quantize_is_the_same_bits_on_every_instruction_set)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (uint32_t round = 0; round < 200; round++) {
            uint32_t n = 1 + check_random(5);
            float *x = check_floats((size_t)n * PANEL_BLOCK);
            struct q8_block *want, *got;

            for (uint32_t j = 0; j < n * PANEL_BLOCK; j++) {
                if (round % 4 == 0) /* ties */
                    x[j] = (float)check_random(255) / 2.0f - 63.5f;
                if (round % 5 == 0)
                    x[j] = j < 40 ? 0 : x[j] * 1e-25f;
                if (round % 7 == 0)
                    x[j] *= 1e-37f; /* below Q8_TINY */
            }
            want = quantized(check_isa(isa_ref), x, n, PANEL_BLOCK);
            got = quantized(k, x, n, PANEL_BLOCK);
            for (uint32_t b = 0; b < n; b++) {
                for (uint32_t j = 0; j < PANEL_BLOCK; j++) {
                    float scale = want[b].scale[j / 16];
                    float back = scale * (float)want[b].q[j];

                    check_near(back, x[b * PANEL_BLOCK + j],
                               0.5001 * (double)scale + 1e-30, isa_ref,
                               "quantize", j);
                }
            }
            assert_memory_equal(got, want, n * sizeof *got);
            free(x);
            free(want);
            free(got);
        }
    }
}

TEST(what_is_not_finite_stays_in_range)
{
    UNUSED_STATE;
    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};

    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 8; round++) {
            float *x = check_floats(PANEL_BLOCK);
            struct q8_block *got;

            for (uint32_t j = 0; j < PANEL_BLOCK; j++)
                if (round < 4 || j == 5)
                    x[j] = odd[round % 4];
            got = quantized(check_isa(kernels_isa(i)), x, 1, PANEL_BLOCK);
            for (uint32_t h = 0; h < 2; h++) {
                int32_t sum = 0;

                for (uint32_t j = 16 * h; j < 16 * h + 16; j++) {
                    assert_true(got->q[j] >= -127);
                    sum += got->q[j];
                }
                assert_int_equal(got->neg8sum[h], -8 * sum);
            }
            free(x);
            free(got);
        }
    }
}

TEST(a_token_is_the_same_bits_whatever_the_batch_and_the_slice)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (enum dtype t = N_FLOAT_DTYPES; t < N_DTYPES; t++) {
            uint32_t m = 27, n = 40, n_blocks = 8, cols = n_blocks * 32;
            struct weights w = random_weights(t, n, cols);
            float *x = check_floats((size_t)m * cols);
            float *all = check_floats((size_t)m * n), *one = check_floats(n);
            struct q8_block *q = quantized(k, x, m, cols);

            k->qmatmul[t](all, n, q, NULL, w.panels, m, n, n_blocks);
            for (uint32_t r = 0; r < m; r++) {
                struct matrix all_rows = {w.panels, t, n, cols};

                k->qmatmul[t](one, n, q, &r, w.panels, 1, 16, n_blocks);
                k->qmatmul[t](one + 16, n, q, &r, panel_at(all_rows, 16), 1,
                              n - 16, n_blocks);
                assert_memory_equal(one, all + (size_t)r * n, n * sizeof *one);
            }
            free_weights(&w);
            free(x);
            free(all);
            free(one);
            free(q);
        }
    }
}

/* ---- --bench ---- */

struct load {
    const struct kernels *k;
    struct weights w;
    struct q8_block *q;
    float *y[8];
    uint32_t m, passes;
};

static void multiply(void *user, uint32_t thread, uint32_t n_threads)
{
    struct load *l = user;
    uint32_t panels = panel_count(l->w.n);
    uint32_t r0 = panels * thread / n_threads * 16;
    uint32_t r1 = panels * (thread + 1) / n_threads * 16;
    struct matrix w = {l->w.panels, l->w.dtype, l->w.n, l->w.k};

    for (uint32_t i = 0; i < l->passes; i++)
        l->k->qmatmul[l->w.dtype](l->y[thread], l->w.n, l->q, NULL,
                                  panel_at(w, r0), l->m, r1 - r0,
                                  l->w.k / PANEL_BLOCK);
}

static void bench(const char *isa, enum dtype t, uint32_t m, uint32_t n,
                  uint32_t n_threads)
{
    uint32_t k = 2048;
    struct load l = {.k = check_isa(isa), .w = random_weights(t, n, k), .m = m};
    float *x = check_floats((size_t)m * k);
    double seconds, ops = 2.0 * m * n * k;
    double bytes = (double)panel_matrix_bytes(t, n, k);

    l.q = quantized(l.k, x, m, k);
    for (uint32_t i = 0; i < n_threads; i++)
        l.y[i] = check_floats((size_t)m * n);
    l.passes = 1 + (uint32_t)(2e9 / (ops + 20 * bytes));
    seconds = check_best(multiply, &l, n_threads, 5) / l.passes;
    printf("%-11s %-5s m %4u  threads %u  %7.1f GFLOP/s  %6.2f GB/s\n", isa,
           dtype_name(t), (unsigned)m, (unsigned)n_threads,
           ops / seconds * 1e-9, bytes / seconds * 1e-9);
    for (uint32_t i = 0; i < n_threads; i++)
        free(l.y[i]);
    free_weights(&l.w);
    free(l.q);
    free(x);
}

static int run_bench(void)
{
    static const uint32_t ms[] = {1, 2, 4, 8, 64, 512};
    static const enum dtype types[] = {DTYPE_Q4_0, DTYPE_Q4_K, DTYPE_Q6_K,
                                       DTYPE_Q8_0};

    for (uint32_t i = 1; kernels_isa(i) != NULL; i++) {
        for (uint32_t t = 0; t < 4; t++) {
            for (uint32_t j = 0; j < 6; j++)
                bench(kernels_isa(i), types[t], ms[j],
                      ms[j] <= 8 ? 65536 : 1792, ms[j] <= 8 ? 2 : 1);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qmatmul_agrees_with_the_reference_on_every_shape),
        cmocka_unit_test(
            the_reference_is_the_decoded_weights_times_the_activations),
        cmocka_unit_test(quantize_is_the_same_bits_on_every_instruction_set),
        cmocka_unit_test(what_is_not_finite_stays_in_range),
        cmocka_unit_test(
            a_token_is_the_same_bits_whatever_the_batch_and_the_slice),
    };

    if (check_wants_bench(argc, argv))
        return run_bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
