/* check_attend.c -- attention of every instruction set against a softmax
 * written out over all positions, and what is stored against what was given;
 * with --bench, how quickly one token reads and many tokens multiply. */
#include "tests/kernels/check.h"

enum { MAX_TOKENS = 64 };

static const char *const format_names[N_KV_FORMATS] = {"f16", "f32", "q8"};

/* One layer's blocks of one sequence, scattered, and queries. */
struct scene {
    struct kv_view view;
    char *base;
    uint32_t *blocks;
    float *q; /* [MAX_TOKENS][n_heads * head_dim] */
    size_t ldq;
    uint32_t n_positions;
    float scale;
};

struct shape {
    uint32_t n_kv_heads, group, head_dim, n_positions;
    enum kv_format format;
};

/* Where KV head h of position p is stored. */
static char *part_of(const struct scene *s, uint32_t h, uint32_t p)
{
    return s->base +
           (kv_view_head(&s->view, p / KV_BLOCK_TOKENS, h) - s->view.base);
}

/* What no position was written to is NaN. */
static void scene_init(struct scene *s, const struct kernels *k,
                       const struct shape *z)
{
    uint32_t n_blocks =
        (z->n_positions + KV_BLOCK_TOKENS - 1) / KV_BLOCK_TOKENS;
    size_t block = z->n_kv_heads * kv_head_bytes(z->format, z->head_dim);
    size_t gap = 64 * check_random(3); /* other layers lie between */
    float *row = check_alloc(2 * z->head_dim * sizeof(float));

    s->base = check_alloc(n_blocks * (block + gap));
    memset(s->base, 0xff, n_blocks * (block + gap));
    s->blocks = check_alloc(n_blocks * sizeof(uint32_t));
    for (uint32_t b = 0; b < n_blocks; b++)
        s->blocks[b] = n_blocks - 1 - b;
    s->ldq = z->n_kv_heads * z->group * z->head_dim + check_random(3);
    s->q = check_floats(MAX_TOKENS * s->ldq);
    s->n_positions = z->n_positions;
    s->scale = 4.0f / sqrtf((float)z->head_dim);
    s->view = (struct kv_view){.base = s->base,
                               .blocks = s->blocks,
                               .block_bytes = block + gap,
                               .format = z->format,
                               .n_kv_heads = z->n_kv_heads,
                               .head_dim = z->head_dim,
                               .n_heads = z->n_kv_heads * z->group};
    for (uint32_t p = 0; p < z->n_positions; p++) {
        for (uint32_t h = 0; h < z->n_kv_heads; h++) {
            for (uint32_t d = 0; d < 2 * z->head_dim; d++)
                row[d] = check_float();
            k->kv_store(part_of(s, h, p), z->format, z->head_dim,
                        p % KV_BLOCK_TOKENS, row, row + z->head_dim);
        }
    }
    free(row);
}

static void scene_deinit(struct scene *s)
{
    free(s->base);
    free(s->blocks);
    free(s->q);
}

/* The last n_tokens positions, whose queries are the last of MAX_TOKENS. */
static void attend_last(const struct scene *s, const struct kernels *k,
                        float *out, uint32_t n_tokens, uint32_t head0,
                        uint32_t head1)
{
    size_t skip = (MAX_TOKENS - n_tokens) * s->ldq;
    float *scratch =
        check_alloc(kernels_attend_scratch(s->view.head_dim) * sizeof(float));
    struct attend_run run = {
        .out = out + skip,
        .q = s->q + skip,
        .ldo = s->ldq,
        .ldq = s->ldq,
        .kv = &s->view,
        .n_tokens = n_tokens,
        .position = s->n_positions - n_tokens,
        .head0 = head0,
        .head1 = head1,
        .scale = s->scale,
        .scratch = scratch,
    };

    k->attend(&run);
    free(scratch);
}

/* One head of the token at `position` by the formula, in double: three passes
 * over all positions. */
static void attend_plainly(double *out, const struct scene *s, uint32_t head,
                           uint32_t position)
{
    const struct kv_view *v = &s->view;
    uint32_t kv_head = head / (v->n_heads / v->n_kv_heads), dim = v->head_dim;
    const float *q =
        s->q + (MAX_TOKENS - s->n_positions + position) * s->ldq + head * dim;
    double *scores = check_alloc((position + 1) * sizeof(double));
    double max = -HUGE_VAL, sum = 0;

    for (uint32_t p = 0; p <= position; p++) {
        scores[p] = 0;
        for (uint32_t d = 0; d < dim; d++)
            scores[p] +=
                (double)q[d] * (double)kv_key(part_of(s, kv_head, p), v->format,
                                              dim, p % KV_BLOCK_TOKENS, d);
        scores[p] *= (double)s->scale;
        max = fmax(max, scores[p]);
    }
    for (uint32_t d = 0; d < dim; d++)
        out[d] = 0;
    for (uint32_t p = 0; p <= position; p++) {
        double e = exp(scores[p] - max);

        sum += e;
        for (uint32_t d = 0; d < dim; d++)
            out[d] += e * (double)kv_value(part_of(s, kv_head, p), v->format,
                                           dim, p % KV_BLOCK_TOKENS, d);
    }
    for (uint32_t d = 0; d < dim; d++)
        out[d] /= sum;
    free(scores);
}

static void compare_scene(const struct kernels *k, const struct scene *s,
                          uint32_t n_tokens, uint32_t kv_head)
{
    uint32_t dim = s->view.head_dim,
             group = s->view.n_heads / s->view.n_kv_heads;
    float *out = check_floats(MAX_TOKENS * s->ldq);
    double *want = check_alloc(dim * sizeof(double));

    attend_last(s, k, out, n_tokens, kv_head * group, (kv_head + 1) * group);
    for (uint32_t i = 0; i < n_tokens; i++) {
        for (uint32_t h = kv_head * group; h < (kv_head + 1) * group; h++) {
            const float *row =
                out + (MAX_TOKENS - n_tokens + i) * s->ldq + h * dim;

            attend_plainly(want, s, h, s->n_positions - n_tokens + i);
            for (uint32_t d = 0; d < dim; d++)
                check_near(row[d], (float)want[d], 4e-5, k->name,
                           format_names[s->view.format], d);
        }
    }
    free(out);
    free(want);
}

static struct shape random_shape(uint32_t most)
{
    static const uint32_t dims[] = {1, 4, 8, 16, 20, 63, 64, 72, 128};

    return (struct shape){
        .n_kv_heads = 1 + check_random(3),
        .group = 1 + check_random(5),
        .head_dim = dims[check_random(9)],
        .n_positions = 1 + check_random(most),
        .format = (enum kv_format)check_random(N_KV_FORMATS),
    };
}

/* 1 .. as many as fit the shape and one run. */
static uint32_t random_tokens(const struct shape *z)
{
    uint32_t most = KERNELS_ATTEND_ROWS / z->group;

    if (check_random(3) == 0)
        return 1;
    return 1 + check_random(most < z->n_positions ? most : z->n_positions);
}

TEST(attention_agrees_with_the_formula)
{
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 150; round++) {
            struct shape z = random_shape(100);

            scene_init(&s, check_isa(kernels_isa(i)), &z);
            compare_scene(check_isa(kernels_isa(i)), &s, random_tokens(&z),
                          check_random(z.n_kv_heads));
            scene_deinit(&s);
        }
    }
}

TEST(attention_agrees_with_the_formula_over_thousands_of_positions)
{
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t f = 0; f < N_KV_FORMATS; f++) {
            struct shape z = {1, 4, 64, 8000 + check_random(999),
                              (enum kv_format)f};

            scene_init(&s, check_isa("best"), &z);
            compare_scene(check_isa(kernels_isa(i)), &s, 1, 0);
            compare_scene(check_isa(kernels_isa(i)), &s, 3, 0);
            scene_deinit(&s);
        }
    }
}

TEST(a_tokens_bits_do_not_depend_on_how_its_prompt_is_cut)
{
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        for (uint32_t round = 0; round < 30; round++) {
            struct shape z = random_shape(150);
            uint32_t n = random_tokens(&z);
            uint32_t n_last = 1 + check_random(n), head1 = 1 + z.group / 2;
            float *whole, *part;
            size_t at;

            scene_init(&s, k, &z);
            whole = check_floats(MAX_TOKENS * s.ldq);
            part = check_copy(whole, MAX_TOKENS * s.ldq);
            at = (MAX_TOKENS - n_last) * s.ldq;
            attend_last(&s, k, whole, n, 0, z.group);
            attend_last(&s, k, part, n_last, 0, z.group < 2 ? 1 : head1);
            for (uint32_t t = 0; t < n_last; t++, at += s.ldq)
                assert_memory_equal(part + at, whole + at,
                                    (z.group < 2 ? 1 : head1) * z.head_dim *
                                        sizeof(float));
            free(whole);
            free(part);
            scene_deinit(&s);
        }
    }
}

TEST(a_slice_of_heads_writes_nothing_else)
{
    struct shape z = {2, 4, 64, 77, KV_F16};
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));
        float *out, *before;

        scene_init(&s, k, &z);
        out = check_floats(MAX_TOKENS * s.ldq);
        before = check_copy(out, MAX_TOKENS * s.ldq);
        attend_last(&s, k, out, 1, 5, 7);
        for (size_t j = 0; j < MAX_TOKENS * s.ldq; j++) {
            size_t from = (MAX_TOKENS - 1) * s.ldq + (size_t)5 * 64;

            assert_int_equal(out[j] != before[j], j >= from && j < from + 128);
        }
        free(out);
        free(before);
        scene_deinit(&s);
    }
}

TEST(results_may_replace_the_queries)
{
    struct shape z = {1, 4, 20, 70, KV_Q8};
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));
        float *out;

        scene_init(&s, k, &z);
        out = check_copy(s.q, MAX_TOKENS * s.ldq);
        attend_last(&s, k, out, 16, 0, 4);
        attend_last(&s, k, s.q, 16, 0, 4);
        assert_memory_equal(out, s.q, MAX_TOKENS * s.ldq * sizeof(float));
        free(out);
        scene_deinit(&s);
    }
}

TEST(a_growing_maximum_forgets_what_came_before)
{
    struct shape z = {1, 1, 1, 40, KV_F32};
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));
        float *out;

        scene_init(&s, k, &z);
        out = check_floats(MAX_TOKENS * s.ldq);
        s.q[(MAX_TOKENS - 1) * s.ldq] = 1;
        for (uint32_t p = 0; p < 40; p++) {
            float key = 200.0f * (float)p, value = (float)p;

            k->kv_store(part_of(&s, 0, p), KV_F32, 1, p % KV_BLOCK_TOKENS, &key,
                        &value);
        }
        attend_last(&s, k, out, 1, 0, 1);
        assert_true(out[(MAX_TOKENS - 1) * s.ldq] == 39.0f);
        free(out);
        scene_deinit(&s);
    }
}

/* ---- storing ---- */

static double most_of(const float *x, uint32_t n)
{
    double most = 0;

    for (uint32_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* How far a stored number may be from x. */
static double rounding(enum kv_format format, double x, double most)
{
    if (format == KV_F32)
        return 0;
    if (format == KV_F16)
        return fabs(x) * 0x1p-11 + 0x1p-25;
    return most / 127 * 0.501;
}

TEST(what_is_stored_is_what_was_given_rounded)
{
    UNUSED_STATE;
    for (uint32_t round = 0; round < 300; round++) {
        struct shape z = random_shape(1);
        size_t bytes = kv_head_bytes(z.format, z.head_dim);
        uint32_t row = check_random(KV_BLOCK_TOKENS), dim = z.head_dim;
        float *k = check_floats(dim), *v = check_floats(dim);
        char *want = check_alloc(bytes);

        memset(want, 0x55, bytes);
        check_isa("ref")->kv_store(want, z.format, dim, row, k, v);
        for (uint32_t d = 0; d < dim; d++) {
            check_near(kv_key(want, z.format, dim, row, d), k[d],
                       rounding(z.format, (double)k[d], most_of(k, dim)), "ref",
                       "key", d);
            check_near(kv_value(want, z.format, dim, row, d), v[d],
                       rounding(z.format, (double)v[d], most_of(v, dim)), "ref",
                       "value", d);
        }
        for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
            char *got = check_alloc(bytes);

            memset(got, 0x55, bytes);
            check_isa(kernels_isa(i))->kv_store(got, z.format, dim, row, k, v);
            assert_memory_equal(got, want, bytes);
            free(got);
        }
        free(want);
        free(k);
        free(v);
    }
}

TEST(what_is_no_number_stays_none_and_what_is_too_large_stays_finite)
{
    enum { DIM = 9 };
    char head[2 * 4 * KV_BLOCK_TOKENS * KV_PAD];

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t f = 0; f < N_KV_FORMATS; f++) {
            enum kv_format format = (enum kv_format)f;
            float k[DIM] = {1, NAN}, v[DIM] = {-1e6f, 1e-40f};

            check_isa(kernels_isa(i))->kv_store(head, format, DIM, 3, k, v);
            assert_true(isnan(kv_key(head, format, DIM, 3, 1)));
            assert_true(isfinite(kv_value(head, format, DIM, 3, 0)));
            assert_true(kv_value(head, format, DIM, 3, 0) <= -65504.0f);
            memset(v, 0, sizeof(v));
            check_isa(kernels_isa(i))->kv_store(head, format, DIM, 3, v, v);
            assert_true(kv_key(head, format, DIM, 3, 8) == 0.0f);
        }
    }
}

/* ---- --bench ---- */

struct bench {
    const struct kernels *k;
    struct scene s;
    float *out;
    uint32_t n_tokens;
};

static void bench_heads(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;

    for (uint32_t h = thread; h < 8; h += n_threads)
        attend_last(&b->s, b->k, b->out, b->n_tokens, 4 * h, 4 * h + 4);
}

static void bench_one(struct bench *b, const struct shape *z)
{
    double bytes = 8.0 * (double)kv_head_bytes(z->format, 64) / 32 *
                   (double)z->n_positions;
    double ops = 32.0 * 64 * 4 * 16 * (double)z->n_positions;

    scene_init(&b->s, check_isa(NULL), z);
    b->out = check_floats(MAX_TOKENS * b->s.ldq);
    for (uint32_t n = 1; n <= 2; n++) {
        double one, many;

        b->n_tokens = 1;
        one = check_best(bench_heads, b, n, 10);
        b->n_tokens = 16;
        many = check_best(bench_heads, b, n, 3);
        printf("%-10s %s, 32/8 heads of 64, %5u past, %u threads: one token "
               "%6.1f us %5.1f GB/s, 16 tokens %6.1f GFLOP/s\n",
               b->k->name, format_names[z->format], z->n_positions, n,
               one * 1e6, bytes / one * 1e-9, ops / many * 1e-9);
    }
    free(b->out);
    scene_deinit(&b->s);
}

static int bench(void)
{
    static const uint32_t pasts[] = {512, 4096, 32768};
    static const char *const isas[] = {"avx2", "avx512", "neon"};

    for (uint32_t i = 0; i < 9 * N_KV_FORMATS; i++) {
        struct bench b = {.k =
                              kernels_select(isas[i / 3 / N_KV_FORMATS], NULL)};
        struct shape z = {8, 4, 64, pasts[i % 3],
                          (enum kv_format)(i / 3 % N_KV_FORMATS)};

        if (b.k != NULL)
            bench_one(&b, &z);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_with_the_formula),
        cmocka_unit_test(
            attention_agrees_with_the_formula_over_thousands_of_positions),
        cmocka_unit_test(a_tokens_bits_do_not_depend_on_how_its_prompt_is_cut),
        cmocka_unit_test(a_slice_of_heads_writes_nothing_else),
        cmocka_unit_test(results_may_replace_the_queries),
        cmocka_unit_test(a_growing_maximum_forgets_what_came_before),
        cmocka_unit_test(what_is_stored_is_what_was_given_rounded),
        cmocka_unit_test(
            what_is_no_number_stays_none_and_what_is_too_large_stays_finite),
    };

    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
