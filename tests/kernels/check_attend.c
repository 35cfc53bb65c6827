/* check_attend.c -- attention of every instruction set against a softmax
 * written out over all positions; with --bench, how quickly it reads. */
#include "tests/kernels/check.h"

/* A pool of one layer, the blocks of one sequence scattered in it. */
struct scene {
    struct kv_view view;
    float *keys, *values;
    uint32_t *blocks;
    float *q;
    uint32_t n_past;
    float scale;
};

static void scene_init(struct scene *s, uint32_t n_kv_heads, uint32_t group,
                       uint32_t head_dim, uint32_t block_tokens,
                       uint32_t n_past)
{
    uint32_t n_blocks = (n_past + block_tokens - 1) / block_tokens;
    size_t block = (size_t)n_kv_heads * block_tokens * head_dim;
    size_t gap = check_random(3); /* other layers lie between */
    size_t n_floats = n_blocks * (block + gap);

    s->keys = check_floats(n_floats);
    s->values = check_floats(n_floats);
    s->blocks = check_alloc(n_blocks * sizeof(uint32_t));
    for (uint32_t b = 0; b < n_blocks; b++)
        s->blocks[b] = n_blocks - 1 - b;
    s->q = check_floats((size_t)n_kv_heads * group * head_dim);
    s->n_past = n_past;
    s->scale = 4.0f / sqrtf((float)head_dim);
    s->view = (struct kv_view){.keys = s->keys,
                               .values = s->values,
                               .blocks = s->blocks,
                               .block_tokens = block_tokens,
                               .block_stride = block + gap,
                               .n_kv_heads = n_kv_heads,
                               .head_dim = head_dim,
                               .n_heads = n_kv_heads * group};
}

static void scene_deinit(struct scene *s)
{
    free(s->keys);
    free(s->values);
    free(s->blocks);
    free(s->q);
}

static size_t position_at(const struct kv_view *v, uint32_t kv_head, uint32_t p)
{
    return v->blocks[p / v->block_tokens] * v->block_stride +
           ((size_t)kv_head * v->block_tokens + p % v->block_tokens) *
               v->head_dim;
}

/* One head by the formula, in double: three passes over all positions. */
static void attend_plainly(double *out, const struct scene *s, uint32_t head)
{
    const struct kv_view *v = &s->view;
    uint32_t kv_head = head / (v->n_heads / v->n_kv_heads);
    double *scores = check_alloc(s->n_past * sizeof(double));
    double max = -HUGE_VAL, sum = 0;

    for (uint32_t p = 0; p < s->n_past; p++) {
        const float *key = v->keys + position_at(v, kv_head, p);

        scores[p] = 0;
        for (uint32_t d = 0; d < v->head_dim; d++)
            scores[p] += (double)s->q[head * v->head_dim + d] * (double)key[d];
        scores[p] *= (double)s->scale;
        max = fmax(max, scores[p]);
    }
    for (uint32_t d = 0; d < v->head_dim; d++)
        out[d] = 0;
    for (uint32_t p = 0; p < s->n_past; p++) {
        const float *value = v->values + position_at(v, kv_head, p);
        double e = exp(scores[p] - max);

        sum += e;
        for (uint32_t d = 0; d < v->head_dim; d++)
            out[d] += e * (double)value[d];
    }
    for (uint32_t d = 0; d < v->head_dim; d++)
        out[d] /= sum;
    free(scores);
}

static void compare_scene(const struct kernels *k, const struct scene *s)
{
    const struct kv_view *v = &s->view;
    float *out = check_floats((size_t)v->n_heads * v->head_dim);
    float *scratch = check_floats(kernels_attend_scratch(v));
    double *want = check_alloc(v->head_dim * sizeof(double));

    k->attend(out, s->q, v, s->n_past, 0, v->n_heads, s->scale, scratch);
    for (uint32_t h = 0; h < v->n_heads; h++) {
        attend_plainly(want, s, h);
        for (uint32_t d = 0; d < v->head_dim; d++)
            check_near(out[h * v->head_dim + d], (float)want[d], 2e-5, k->name,
                       "attend", d);
    }
    free(out);
    free(scratch);
    free(want);
}

TEST(attention_agrees_with_the_formula)
{
    static const uint32_t dims[] = {1, 4, 8, 16, 20, 63, 64, 72, 128};
    static const uint32_t tokens[] = {1, 3, 16, 32};
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 144; round++) {
            scene_init(&s, 1 + check_random(3), 1 + check_random(4),
                       dims[round % 9], tokens[round / 9 % 4],
                       1 + check_random(100));
            compare_scene(check_isa(kernels_isa(i)), &s);
            scene_deinit(&s);
        }
    }
}

TEST(a_slice_of_heads_writes_the_same_bits_and_nothing_else)
{
    enum { HEADS = 8, DIM = 64 };
    float whole[HEADS * DIM], part[HEADS * DIM], scratch[32];
    struct scene s;

    UNUSED_STATE;
    scene_init(&s, 2, HEADS / 2, DIM, 32, 77);
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        k->attend(whole, s.q, &s.view, 77, 0, HEADS, s.scale, scratch);
        for (uint32_t j = 0; j < HEADS * DIM; j++)
            part[j] = 7;
        k->attend(part, s.q, &s.view, 77, 3, 6, s.scale, scratch);
        assert_memory_equal(part + 3 * DIM, whole + 3 * DIM,
                            3 * DIM * sizeof(float));
        assert_true(part[3 * DIM - 1] == 7 && part[6 * DIM] == 7);
    }
    scene_deinit(&s);
}

TEST(what_lies_behind_the_last_position_is_not_looked_at)
{
    float out[8], again[8], scratch[32];
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        const struct kernels *k = check_isa(kernels_isa(i));

        scene_init(&s, 1, 1, 8, 32, 32);
        k->attend(out, s.q, &s.view, 13, 0, 1, s.scale, scratch);
        for (size_t j = position_at(&s.view, 0, 13); j < 32 * 8; j++)
            s.keys[j] = s.values[j] = NAN;
        k->attend(again, s.q, &s.view, 13, 0, 1, s.scale, scratch);
        assert_memory_equal(out, again, sizeof(out));
        scene_deinit(&s);
    }
}

TEST(a_growing_maximum_forgets_what_came_before)
{
    float out[1], scratch[4];
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        scene_init(&s, 1, 1, 1, 4, 12);
        s.q[0] = 1;
        for (uint32_t p = 0; p < 12; p++) {
            s.keys[position_at(&s.view, 0, p)] = 200.0f * (float)p;
            s.values[position_at(&s.view, 0, p)] = (float)p;
        }
        check_isa(kernels_isa(i))
            ->attend(out, s.q, &s.view, 12, 0, 1, 1.0f, scratch);
        assert_true(out[0] == 11.0f);
        scene_deinit(&s);
    }
}

/* ---- --bench ---- */

struct bench {
    const struct kernels *k;
    struct scene s;
    float *out;
};

static void bench_heads(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;
    uint32_t n = b->s.view.n_heads / n_threads;
    float scratch[32];

    b->k->attend(b->out, b->s.q, &b->s.view, b->s.n_past, thread * n,
                 (thread + 1) * n, b->s.scale, scratch);
}

static int bench(void)
{
    static const uint32_t pasts[] = {512, 4096, 32768};

    for (uint32_t i = 0; i < 3; i++) {
        struct bench b = {.k = check_isa(NULL)};
        double bytes = 2.0 * 8 * 64 * 4 * pasts[i];

        scene_init(&b.s, 8, 4, 64, 32, pasts[i]);
        b.out = check_floats(32 * 64);
        for (uint32_t n = 1; n <= 2; n++)
            printf("%-5s attend 32/8 heads of 64, %5u past, %u threads: "
                   "%6.1f GB/s of keys and values\n",
                   b.k->name, pasts[i], n,
                   bytes / check_best(bench_heads, &b, n, 20) * 1e-9);
        free(b.out);
        scene_deinit(&b.s);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_agrees_with_the_formula),
        cmocka_unit_test(
            a_slice_of_heads_writes_the_same_bits_and_nothing_else),
        cmocka_unit_test(what_lies_behind_the_last_position_is_not_looked_at),
        cmocka_unit_test(a_growing_maximum_forgets_what_came_before),
    };

    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
