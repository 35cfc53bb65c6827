/* test_replay.c -- over real weights: a reply that begins with cached keys and
 * replayed columns is the reply computed from nothing, token for token.
 *
 * Over the oracle's checkpoints, which have every kind and order of layers, and
 * the demo model; with keys and values, and weights, kept in several ways; and
 * with so few blocks that sequences are preempted and resumed all the time.
 * LFMD_REPLAY_CASES=1000 runs so many cases of each instead of few. */
#include "tests/lib/test.h"

#include <stdlib.h>

#include "model/model.h"
#include "model/sample/rng.h"
#include "tests/lib/checkpoints.h"
#include "tests/lib/engine_rig.h"

#define MAX_CASES 1000u
#define MAX_PROMPT 200u
#define MAX_REPLY 70u /* goes over two ends of blocks at least */
#define CROWD 10u

struct sample {
    token_id tokens[MAX_PROMPT + MAX_REPLY]; /* the prompt, then the reply */
    uint32_t n_prompt, n_tokens;
};

static struct sample samples[MAX_CASES];
static struct call calls[CROWD];

static uint32_t chance(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 5, what) % below);
}

/* It begins like an earlier one, up to any token, more often than not. */
static void make_sample(uint32_t i, uint32_t n_vocab)
{
    struct sample *s = &samples[i];
    s->n_prompt = 0;
    if (i > 0 && chance(i, 1, 10) > 0) {
        const struct sample *old = &samples[chance(i, 2, i)];
        uint32_t n = chance(i, 3, 3) == 0 ? old->n_tokens
                                          : chance(i, 4, old->n_tokens + 1);
        s->n_prompt = n < MAX_PROMPT ? n : MAX_PROMPT;
        memcpy(s->tokens, old->tokens, s->n_prompt * sizeof *s->tokens);
    }
    uint32_t more = 1 + chance(i, 5, chance(i, 6, 3) ? 6 : 150);
    while (more-- > 0 && s->n_prompt < MAX_PROMPT)
        s->tokens[s->n_prompt++] = (token_id)chance(i, 100 + more, n_vocab);
    s->n_tokens = s->n_prompt;
}

static struct job *job_of(uint32_t i)
{
    const struct sample *s = &samples[i];
    struct job *job = rig_counting_job(1, MAX_REPLY);
    job->prompt =
        arena_dup(job->arena, s->tokens, s->n_prompt * sizeof *s->tokens);
    job->n_prompt = s->n_prompt;
    job->n_stop_ids = 0;
    return job;
}

static void check_reply(const char *what, uint32_t i, const struct heard *h)
{
    const struct sample *s = &samples[i];
    assert_int_equal(h->n_tokens, MAX_REPLY);
    if (memcmp(s->tokens + s->n_prompt, h->tokens,
               MAX_REPLY * sizeof *h->tokens) != 0)
        fail_msg("%s, case %u: %u cached tokens of %u change the reply", what,
                 i, h->n_cached, s->n_prompt);
}

static void say_from_nothing(struct model *m, uint32_t n_cases)
{
    const struct engine_options options = {.max_sequences = CROWD,
                                           .max_queue = 2 * CROWD};
    struct rig rig;
    rig_init_model(&rig, m, &options);
    for (uint32_t i = 0; i < n_cases; i++) {
        make_sample(i, m->hp.n_vocab);
        struct sample *s = &samples[i];
        const struct heard *h = rig_say(&rig, &calls[0], job_of(i));
        assert_int_equal(h->n_cached, 0);
        memcpy(s->tokens + s->n_prompt, h->tokens,
               h->n_tokens * sizeof *h->tokens);
        s->n_tokens = s->n_prompt + h->n_tokens;
    }
    rig_deinit(&rig);
}

/* Says all cases, `crowd` of them at a time; how many were preempted. */
static uint64_t say_with_cache(const char *what, struct model *m,
                               uint32_t n_cases, uint32_t crowd)
{
    const struct engine_options options = {
        .max_sequences = CROWD, .max_queue = 2 * CROWD, .prefix_cache = true};
    struct rig rig;
    rig_init_model(&rig, m, &options);
    for (uint32_t first = 0; first < n_cases; first += crowd) {
        for (uint32_t i = 0; i < crowd; i++) {
            rig_call(&calls[i], job_of(first + i));
            rig_submit(&rig, &calls[i]);
        }
        rig_wait_for(&rig, calls, crowd);
        for (uint32_t i = 0; i < crowd; i++) {
            check_reply(what, first + i, &calls[i].heard[0]);
            job_release(calls[i].job);
        }
    }
    rig_wait_idle(&rig);
    struct engine_stats stats = engine_stats(rig.engine);
    /* Without attention a block costs nothing, and there are few. */
    assert_true(stats.prefix_hit_tokens > stats.prefix_query_tokens / 20);
    assert_int_equal(stats.free_blocks, stats.total_blocks);
    rig_deinit(&rig);
    cache_forget(m->cache);
    assert_int_equal(cache_unused_blocks(m->cache), 0);
    return stats.preemptions;
}

static struct model *open_model(struct model_options *options)
{
    struct model *m;
    struct err err;
    if (model_open(&m, options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return m;
}

/* Twice the blocks of the longest sequence, for a crowd of ten. */
static void say_with_few_blocks(const char *what, struct model_options *options,
                                uint64_t block_bytes, uint32_t n_cases)
{
    options->cache_bytes =
        2 * cache_blocks_for(options->ctx_tokens) * block_bytes;
    struct model *m = open_model(options);
    uint64_t n = say_with_cache(what, m, n_cases, CROWD);
    if (n < n_cases / 20)
        fail_msg("%s: %u cases with %u blocks preempt only %u times", what,
                 n_cases, cache_total_blocks(m->cache), (unsigned)n);
    model_close(m);
}

static uint32_t cases(uint32_t few)
{
    const char *many = getenv("LFMD_REPLAY_CASES");
    long n = many != NULL ? strtol(many, NULL, 10) : (long)few;
    assert_true(n >= CROWD && n <= MAX_CASES);
    return (uint32_t)n / CROWD * CROWD;
}

static void check_model(const char *path, const char *cache_type,
                        const char *quantize, uint32_t few)
{
    const uint32_t n_cases = cases(few);
    struct model_options options = {
        .path = path,
        .cache_type = cache_type,
        .quantize = quantize,
        .n_threads = 1,
        .max_batch_tokens = 64,
        .max_slices = CROWD,
        .ctx_tokens = MAX_PROMPT + MAX_REPLY,
        .cache_bytes = (uint64_t)32 << 20,
    };
    struct model *m = open_model(&options);
    say_from_nothing(m, n_cases);
    say_with_cache(path, m, n_cases, 1);
    say_with_cache(path, m, n_cases, CROWD);
    uint64_t block_bytes = cache_block_bytes(&m->hp, m->kv_format);
    model_close(m);
    if (block_bytes > 0)
        say_with_few_blocks(path, &options, block_bytes, n_cases);
}

struct asked {
    const char *cache_type;
    uint32_t n_cases;
};

static void check_checkpoint(void *user, const char *path, const char *golden,
                             uint32_t number)
{
    const struct asked *a = user;
    (void)golden, (void)number;
    check_model(path, a->cache_type, NULL, a->n_cases);
}

static void check_checkpoints(const char *cache_type, uint32_t n_cases)
{
    each_checkpoint(check_checkpoint, &(struct asked){cache_type, n_cases});
}

TEST(on_every_checkpoint_the_reply_is_the_cold_one)
{
    UNUSED_STATE;
    check_checkpoints("f32", 30);
}

TEST(with_half_precision_keys_too)
{
    UNUSED_STATE;
    check_checkpoints("f16", 20);
}

TEST(on_the_demo_too_with_its_weights_and_with_quantised_ones)
{
    UNUSED_STATE;
    check_model("model/demo", "f16", NULL, 30);
    check_model("model/demo", "f16", "q8_0", 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_every_checkpoint_the_reply_is_the_cold_one),
        cmocka_unit_test(with_half_precision_keys_too),
        cmocka_unit_test(
            on_the_demo_too_with_its_weights_and_with_quantised_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
