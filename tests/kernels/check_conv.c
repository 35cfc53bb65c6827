/* check_conv.c -- the short convolution of every instruction set against the
 * reference, and against itself cut elsewhere; with --bench, its speed. */
#include "tests/kernels/check.h"

struct scene {
    struct conv_run run; /* .y, .bx and .state as below, all channels */
    float *y, *bx, *state, *weights, *bias;
    size_t n_y, n_state;
};

static void scene_init(struct scene *s, uint32_t n_tokens, uint32_t hidden,
                       uint32_t width)
{
    size_t ldy = hidden + check_random(4), ldbx = hidden + check_random(4);

    s->n_y = n_tokens * ldy;
    s->n_state = (size_t)(width - 1) * hidden;
    s->y = check_floats(s->n_y);
    s->bx = check_floats(n_tokens * ldbx);
    s->state = check_floats(s->n_state);
    s->weights = check_floats((size_t)hidden * width);
    s->bias = check_random(2) == 0 ? NULL : check_floats(hidden);
    s->run = (struct conv_run){.y = s->y,
                               .bx = s->bx,
                               .state = s->state,
                               .weights = s->weights,
                               .bias = s->bias,
                               .ldy = ldy,
                               .ldbx = ldbx,
                               .n_tokens = n_tokens,
                               .hidden = hidden,
                               .width = width,
                               .c1 = hidden};
}

static void scene_deinit(struct scene *s)
{
    free(s->y);
    free(s->bx);
    free(s->state);
    free(s->weights);
    free(s->bias);
}

/* The formula of the header at one output; also the sum of magnitudes. */
static double convolve_plainly(const struct conv_run *r, uint32_t t, uint32_t c,
                               double *size)
{
    double sum = r->bias != NULL ? (double)r->bias[c] : 0;

    *size = fabs(sum);
    for (uint32_t j = 0; j < r->width; j++) {
        uint32_t at = t + j; /* of state followed by bx */
        float column = at < r->width - 1
                           ? r->state[at * r->hidden + c]
                           : r->bx[(at - (r->width - 1)) * r->ldbx + c];
        double term = (double)r->weights[c * r->width + j] * (double)column;

        sum += term;
        *size += fabs(term);
    }
    return sum;
}

/* The state after the run: the last columns of state followed by bx. */
static float column_after(const struct conv_run *r, uint32_t j, uint32_t c)
{
    uint32_t at = r->n_tokens + j;

    return at < r->width - 1 ? r->state[at * r->hidden + c]
                             : r->bx[(at - (r->width - 1)) * r->ldbx + c];
}

static void compare_scene(const struct kernels *k, const struct scene *s)
{
    struct conv_run run = s->run;

    run.y = check_copy(s->y, s->n_y);
    run.state = check_copy(s->state, s->n_state);
    k->conv(&run);
    for (uint32_t c = 0; c < run.hidden; c++) {
        for (uint32_t t = 0; t < run.n_tokens; t++) {
            double size;
            double want = convolve_plainly(&s->run, t, c, &size);

            check_near(run.y[t * run.ldy + c], (float)want,
                       4e-7 * run.width * size, k->name, "conv", t);
        }
        for (uint32_t j = 0; j < run.width - 1; j++)
            assert_true(run.state[j * run.hidden + c] ==
                        column_after(&s->run, j, c));
    }
    free(run.y);
    free(run.state);
}

TEST(the_convolution_agrees_with_the_formula_for_every_width)
{
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 320; round++) {
            uint32_t width = 1 + round % KERNELS_MAX_CONV_WIDTH;

            scene_init(&s, check_random(20), 1 + check_random(40),
                       round % 4 == 0 ? 3 : width);
            compare_scene(check_isa(kernels_isa(i)), &s);
            scene_deinit(&s);
        }
    }
}

/* The run of `s` in pieces of channels and of tokens, in place over bx. */
static void run_in_pieces(const struct kernels *k, const struct scene *s,
                          float *state, float *inout, uint32_t cut_token,
                          uint32_t cut_channel)
{
    for (uint32_t piece = 0; piece < 4; piece++) {
        bool later = piece / 2 == 1, upper = piece % 2 == 1;
        uint32_t first = later ? cut_token : 0;
        struct conv_run run = s->run;

        run.state = state;
        run.y = inout + first * run.ldbx;
        run.ldy = run.ldbx;
        run.bx = run.y;
        run.n_tokens = later ? run.n_tokens - cut_token : cut_token;
        run.c0 = upper ? cut_channel : 0;
        run.c1 = upper ? run.hidden : cut_channel;
        k->conv(&run);
    }
}

static void compare_pieces(const struct kernels *k, const struct scene *s)
{
    struct conv_run whole = s->run;
    float *state = check_copy(s->state, s->n_state);
    float *inout = check_copy(s->bx, s->run.n_tokens * s->run.ldbx);

    whole.state = check_copy(s->state, s->n_state);
    k->conv(&whole);
    run_in_pieces(k, s, state, inout, check_random(whole.n_tokens + 1),
                  check_random(whole.hidden + 1));
    for (uint32_t t = 0; t < whole.n_tokens; t++)
        assert_memory_equal(inout + t * whole.ldbx, whole.y + t * whole.ldy,
                            whole.hidden * sizeof(float));
    assert_memory_equal(state, whole.state, s->n_state * sizeof(float));
    free(state);
    free(inout);
    free(whole.state);
}

TEST(cutting_tokens_or_channels_or_working_in_place_changes_no_bit)
{
    struct scene s;

    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t round = 0; round < 160; round++) {
            scene_init(&s, 1 + check_random(20), 1 + check_random(40),
                       2 + round % 4);
            compare_pieces(check_isa(kernels_isa(i)), &s);
            scene_deinit(&s);
        }
    }
}

/* ---- --bench ---- */

struct bench {
    const struct kernels *k;
    struct scene s;
};

static void bench_run(void *user, uint32_t thread, uint32_t n_threads)
{
    struct bench *b = user;

    (void)thread;
    (void)n_threads;
    b->k->conv(&b->s.run);
}

static int bench(void)
{
    static const uint32_t tokens[] = {1, 16, 512};

    for (uint32_t i = 0; i < 3; i++) {
        struct bench b = {.k = check_isa(NULL)};

        scene_init(&b.s, tokens[i], 2048, 3);
        printf("%-5s conv of 3 on 2048 channels, %3u tokens: %7.1f us\n",
               b.k->name, tokens[i], check_best(bench_run, &b, 1, 50) * 1e6);
        scene_deinit(&b.s);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_convolution_agrees_with_the_formula_for_every_width),
        cmocka_unit_test(
            cutting_tokens_or_channels_or_working_in_place_changes_no_bit),
    };

    if (check_wants_bench(argc, argv))
        return bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
