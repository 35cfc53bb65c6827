/* test_capture.c -- hidden states and router logits against transformers:
 * states.json of every checkpoint, computed alone, in chunks, among others, on
 * a prefix and again. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/base/json.h"
#include "model/forward/forward.h"
#include "model/kernels/gemm_blas.h"
#include "model/kernels/kernels.h"
#include "model/weights/weights.h"
#include "tests/lib/checkpoints.h"

enum { MAX_TOKENS = 256, MAX_CASES = 8 };

/* float32 both, in another order of summation: measured 3.8e-5 at most of a
 * number, or beside 1. */
#define TOLERANCE 1e-4f
/* The same prompt on another way. */
#define SELF 1e-4f

struct bed {
    struct hparams hp;
    struct capture_shape shape;
    struct weights *weights;
    struct cache *cache;
    struct forward *forward;
    struct batch *batch;
    json_t *golden;
    float worst;
    uint32_t random;
};

static void bed_init(struct bed *b, const char *path, const char *isa)
{
    struct err err = {0};
    char golden[600];
    memset(b, 0, sizeof *b);
    b->random = 9;
    gemm_init();
    if (hparams_load(&b->hp, path, &err) != 0 ||
        weights_open(&b->weights, path, &b->hp, NULL, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    b->shape = capture_shape(&b->hp);
    const struct kernels *kernels = kernels_select(isa, &err);
    if (kernels == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(cache_new(&b->cache, &b->hp, KV_F32, 128, MAX_CASES, &err),
                     0);
    const struct forward_parts parts = {&b->hp, b->weights, kernels, b->cache};
    const struct forward_limits limits = {2, MAX_TOKENS, MAX_TOKENS};
    assert_int_equal(forward_new(&b->forward, &parts, &limits, &err), 0);
    assert_int_equal(batch_new(&b->batch, MAX_TOKENS, MAX_CASES, MAX_TOKENS,
                               b->hp.n_vocab, &err),
                     0);
    snprintf(golden, sizeof golden, "%s/states.json", path);
    if (json_parse_file(&b->golden, golden, 1u << 20, 100000, &err) != 0)
        fail_msg("%s", err.text);
}

static void bed_deinit(struct bed *b)
{
    assert_true(cache_validate(b->cache));
    json_decref(b->golden);
    batch_free(b->batch);
    forward_free(b->forward);
    cache_free(b->cache);
    weights_close(b->weights);
    hparams_deinit(&b->hp);
}

/* A prompt on its way. */
struct run {
    token_id prompt[MAX_TOKENS];
    uint32_t n_prompt, n_done;
    struct cache_seq seq;
    struct capture capture; /* none: it asks for logits */
};

static void run_init(struct run *r, struct bed *b, const json_t *golden,
                     const struct capture_want *want)
{
    const json_t *prompt = json_object_get(golden, "prompt");
    *r = (struct run){.n_prompt = (uint32_t)json_array_size(prompt)};
    assert_in_range(r->n_prompt, 1, MAX_TOKENS);
    for (uint32_t i = 0; i < r->n_prompt; i++)
        r->prompt[i] = (token_id)json_integer_value(json_array_get(prompt, i));
    assert_int_equal(cache_seq_init(&r->seq, MAX_TOKENS, NULL), 0);
    assert_int_equal(cache_open(b->cache, &r->seq), CACHE_OK);
    if (want != NULL)
        assert_int_equal(
            capture_init(&r->capture, &b->shape, want, r->n_prompt, NULL), 0);
}

static void run_deinit(struct run *r, struct bed *b)
{
    capture_deinit(&r->capture);
    cache_close(b->cache, &r->seq);
    cache_seq_deinit(&r->seq);
}

static uint32_t chance(struct bed *b, uint32_t below)
{
    b->random = b->random * 1664525u + 1013904223u;
    return (b->random >> 8) % below;
}

static void add(struct bed *b, struct run *r, uint32_t n)
{
    bool captures = r->capture.n_tokens > 0;
    assert_int_equal(cache_reserve(b->cache, &r->seq, r->n_done + n), CACHE_OK);
    assert_true(batch_add(b->batch, &r->seq, r->prompt + r->n_done, n,
                          r->n_done, captures ? 0 : chance(b, n + 1)));
    if (captures)
        batch_capture(b->batch, &r->capture);
    r->n_done += n;
}

/* All runs together, in chunks of random sizes up to `chunk`. */
static void run_all(struct bed *b, struct run *runs, uint32_t n, uint32_t chunk)
{
    for (;;) {
        batch_clear(b->batch);
        for (uint32_t i = 0; i < n; i++) {
            struct run *r = &runs[i];
            uint32_t left = r->n_prompt - r->n_done;
            uint32_t m = chunk < MAX_TOKENS ? 1 + chance(b, chunk) : left;
            if (left > 0)
                add(b, r, m < left ? m : left);
        }
        if (b->batch->n_slices == 0)
            return;
        alloc_forbid("a step");
        forward_run(b->forward, b->batch);
        alloc_permit();
    }
}

static void check(struct bed *b, float got, float want, float tolerance,
                  const char *what, size_t at)
{
    float off = fabsf(got - want) / fmaxf(1.0f, fabsf(want));
    if (!(off <= tolerance))
        fail_msg("%s, number %zu is %.7f, expected %.7f", what, at, (double)got,
                 (double)want);
    b->worst = fmaxf(b->worst, off);
}

static void check_list(struct bed *b, const float *got, size_t n,
                       const json_t *want, const char *what)
{
    assert_int_equal(json_array_size(want), n);
    for (size_t i = 0; i < n; i++)
        check(b, got[i], (float)json_number_value(json_array_get(want, i)),
              TOLERANCE, what, i);
}

/* Tables of which `list` has one list each. */
static void check_tables(struct bed *b, const float *got, size_t n_floats,
                         const json_t *list, size_t first, const char *what)
{
    for (size_t i = first; i < json_array_size(list); i++)
        check_list(b, got + (i - first) * n_floats, n_floats,
                   json_array_get(list, i), what);
}

static void check_states(struct bed *b, const struct run *r,
                         const json_t *golden)
{
    const struct capture *c = &r->capture;
    const json_t *states = json_object_get(golden, "hidden_states");
    const json_t *router = json_object_get(golden, "router_logits");
    assert_int_equal(json_array_size(states), b->hp.n_layers + 1);
    assert_int_equal(json_array_size(router), b->shape.n_routed);
    if (c->states != NULL)
        check_tables(b, c->states, (size_t)c->n_tokens * b->hp.hidden, states,
                     c->first_state, "hidden states");
    if (c->router != NULL)
        check_tables(b, c->router, (size_t)c->n_tokens * b->hp.n_experts,
                     router, 0, "router logits");
}

static void check_pooled(struct bed *b, const struct run *r,
                         const json_t *golden)
{
    const struct capture *c = &r->capture;
    const json_t *mean = json_object_get(golden, "mean");
    if (c->last != NULL)
        check_list(b, c->last, b->hp.hidden, json_object_get(golden, "last"),
                   "last state");
    for (uint32_t i = 0; c->sum != NULL && i < b->hp.hidden; i++)
        check(b, (float)(c->sum[i] / c->n_tokens),
              (float)json_number_value(json_array_get(mean, i)), TOLERANCE,
              "mean state", i);
}

/* The states of one prompt and what is pooled of all, together with prompts
 * that ask for logits. */
static void check_crowd(struct bed *b, uint32_t chunk)
{
    const json_t *states = json_object_get(b->golden, "states");
    const json_t *pooled = json_object_get(b->golden, "pooled");
    const struct capture_want all = {.router = true,
                                     .n_states = b->hp.n_layers + 1};
    const struct capture_want pools[] = {
        {.last = true}, {.mean = true}, {.last = true, .mean = true}};
    struct run runs[MAX_CASES];
    const json_t *golden[MAX_CASES];
    uint32_t n = 1;
    run_init(&runs[0], b, states, &all);
    for (size_t i = 0; i < json_array_size(pooled); i++, n++) {
        assert_in_range(n, 1, MAX_CASES - 1);
        golden[n] = json_array_get(pooled, i);
        uint32_t kind = chance(b, 4);
        run_init(&runs[n], b, golden[n], kind < 3 ? &pools[kind] : NULL);
    }
    run_all(b, runs, n, chunk);
    check_states(b, &runs[0], states);
    run_deinit(&runs[0], b);
    for (uint32_t i = 1; i < n; i++) {
        check_pooled(b, &runs[i], golden[i]);
        run_deinit(&runs[i], b);
    }
}

/* Each want by itself, alone and in one piece. */
static void check_alone(struct bed *b)
{
    const struct capture_want wants[] = {
        {.n_states = 1},
        {.n_states = b->hp.n_layers + 1},
        {.n_states = 2, .router = true, .last = true},
        {.router = true},
    };
    const json_t *states = json_object_get(b->golden, "states");
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        struct run r;
        run_init(&r, b, states, &wants[i]);
        run_all(b, &r, 1, MAX_TOKENS);
        assert_true((r.capture.states != NULL) == (wants[i].n_states > 0));
        check_states(b, &r, states);
        run_deinit(&r, b);
    }
}

static void check_checkpoint(void *user, const char *path, const char *golden,
                             uint32_t number)
{
    struct bed b;
    (void)golden, (void)number;
    bed_init(&b, path, user);
    check_alone(&b);
    check_crowd(&b, MAX_TOKENS);
    for (int round = 0; round < 6; round++)
        check_crowd(&b, 1u << round);
    print_message("%s: %g at worst\n", path, (double)b.worst);
    bed_deinit(&b);
}

TEST(states_are_those_of_transformers_with_the_best_kernels)
{
    UNUSED_STATE;
    each_checkpoint(check_checkpoint, NULL);
}

TEST(states_are_those_of_transformers_with_reference_kernels)
{
    UNUSED_STATE;
    char ref[] = "ref";
    each_checkpoint(check_checkpoint, ref);
}

static struct capture *pool_longest(struct bed *b, struct run *r,
                                    const struct capture_want *want)
{
    const json_t *pooled = json_object_get(b->golden, "pooled");
    run_init(r, b, json_array_get(pooled, json_array_size(pooled) - 1), want);
    return &r->capture;
}

/* Somebody else's blocks, and the few tokens before their end run again. */
TEST(the_last_state_is_the_same_on_a_shared_prefix)
{
    UNUSED_STATE;
    static const struct capture_want last = {.last = true};
    const uint32_t n_shared = 2 * KV_BLOCK_TOKENS;
    struct bed b;
    struct run whole, resumed;
    bed_init(&b, "tests/oracle/checkpoints/hub-bf16", NULL);
    uint32_t n_replay = forward_replay_tokens(&b.hp);
    pool_longest(&b, &whole, &last);
    pool_longest(&b, &resumed, &last);
    run_all(&b, &whole, 1, MAX_TOKENS);
    cache_adopt(b.cache, &resumed.seq, whole.seq.blocks, 2);
    uint32_t from = n_shared - n_replay, n = resumed.n_prompt - from;
    assert_int_equal(cache_reserve(b.cache, &resumed.seq, resumed.n_prompt),
                     CACHE_OK);
    batch_clear(b.batch);
    assert_true(batch_add_resumed(b.batch, &resumed.seq, resumed.prompt + from,
                                  n, from, 0, n_replay));
    batch_capture(b.batch, &resumed.capture);
    forward_run(b.forward, b.batch);
    for (uint32_t i = 0; i < b.hp.hidden; i++)
        check(&b, resumed.capture.last[i], whole.capture.last[i], SELF,
              "last state", i);
    run_deinit(&whole, &b);
    run_deinit(&resumed, &b);
    bed_deinit(&b);
}

/* What a preempted sequence does. */
TEST(computed_again_from_the_beginning_nothing_counts_twice)
{
    UNUSED_STATE;
    static const struct capture_want both = {.last = true, .mean = true};
    struct bed b;
    struct run r;
    bed_init(&b, "tests/oracle/checkpoints/hub-bf16", NULL);
    const json_t *pooled = json_object_get(b.golden, "pooled");
    pool_longest(&b, &r, &both);
    for (uint32_t n = 0; n < 60; n += 20) {
        batch_clear(b.batch);
        add(&b, &r, 20);
        forward_run(b.forward, b.batch);
    }
    cache_close(b.cache, &r.seq);
    assert_int_equal(cache_open(b.cache, &r.seq), CACHE_OK);
    r.n_done = 0;
    run_all(&b, &r, 1, 30);
    check_pooled(&b, &r, json_array_get(pooled, json_array_size(pooled) - 1));
    run_deinit(&r, &b);
    bed_deinit(&b);
}

TEST(what_the_tables_take_is_known_before)
{
    UNUSED_STATE;
    static const struct capture_shape shape = {
        .n_layers = 24, .n_routed = 22, .hidden = 2048, .n_experts = 32};
    static const struct capture_want last = {.last = true},
                                     mean = {.mean = true},
                                     all = {.router = true, .n_states = 25};
    const struct capture_shape huge = {UINT32_MAX - 1, UINT32_MAX, UINT32_MAX,
                                       UINT32_MAX};
    const struct capture_want most = {.router = true, .n_states = UINT32_MAX};
    struct capture c;
    assert_int_equal(capture_bytes(&shape, &last, 128000), 8192);
    assert_int_equal(capture_bytes(&shape, &mean, 128000), 16384);
    assert_int_equal(capture_bytes(&shape, &all, 10),
                     10 * 4 * (25 * 2048 + 22 * 32));
    assert_true(capture_bytes(&huge, &most, UINT32_MAX) == UINT64_MAX);
    assert_int_equal(capture_init(&c, &huge, &most, UINT32_MAX, NULL),
                     -ERR_NOMEM);
}

TEST(a_capture_that_cannot_be_had_leaves_nothing)
{
    UNUSED_STATE;
    static const struct capture_shape shape = {2, 1, 4, 3};
    static const struct capture_want want = {true, true, true, 3};
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct capture c;
        fault_alloc_at(nth);
        int rc = capture_init(&c, &shape, &want, 5, NULL);
        bool failed = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(rc, failed ? -ERR_NOMEM : 0);
        capture_deinit(&c);
        assert_int_equal(mem_live_count(), live);
        if (!failed)
            break;
        assert_true(nth < 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            states_are_those_of_transformers_with_the_best_kernels),
        cmocka_unit_test(
            states_are_those_of_transformers_with_reference_kernels),
        cmocka_unit_test(the_last_state_is_the_same_on_a_shared_prefix),
        cmocka_unit_test(
            computed_again_from_the_beginning_nothing_counts_twice),
        cmocka_unit_test(what_the_tables_take_is_known_before),
        cmocka_unit_test(a_capture_that_cannot_be_had_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
