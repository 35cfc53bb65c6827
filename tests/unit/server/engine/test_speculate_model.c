/* test_speculate_model.c -- over real weights: a reply with guesses is the
 * reply without, token for token, greedy and drawn by chance.
 *
 * Over the oracle's checkpoints, which have every kind and order of layers, and
 * the demo model; alone, in crowds, with cached prefixes and with too few
 * blocks.  LFMD_SPECULATE_CASES=1000 asks for more than the few cases of every
 * day. */
#include "tests/lib/test.h"

#include <stdlib.h>

#include "model/base/buf.h"
#include "model/base/metrics.h"
#include "model/model.h"
#include "model/sample/rng.h"
#include "tests/lib/checkpoints.h"
#include "tests/lib/engine_rig.h"

#define DAILY_CASES 24u
#define MAX_CASES 1000u
#define MAX_PROMPT 160u
#define MAX_REPLY 48u
#define CROWD 4u
#define FEW_BLOCKS 12u
#define N_LIKED 4u /* tokens that most replies are made of */

struct sample {
    token_id prompt[MAX_PROMPT], reply[MAX_REPLY];
    uint32_t n_prompt, n_reply;
    float temperature;
    uint32_t n_liked;
    struct logit_bias liked[N_LIKED];
};

static struct sample samples[MAX_CASES];
static struct call calls[CROWD];
static unsigned long n_drafts, n_accepted;

static uint32_t chance(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 11, what) % below);
}

/* Its prompt repeats itself in pieces, and often begins like an earlier one. */
static void make_sample(uint32_t i, uint32_t n_vocab)
{
    struct sample *s = &samples[i];
    s->n_prompt = 0;
    s->n_reply = 1 + chance(i, 1, MAX_REPLY);
    s->temperature = chance(i, 2, 3) == 0 ? 1.0f : 0.0f;
    uint32_t n = 1 + chance(i, 3, MAX_PROMPT);
    /* Random weights say everything once; this is how they repeat themselves.
     */
    s->n_liked = chance(i, 6, 4) > 0 ? N_LIKED : 0;
    for (uint32_t k = 0; k < N_LIKED; k++)
        s->liked[k] =
            (struct logit_bias){(token_id)chance(i, 10 + k, n_vocab), 40.0f};
    if (i > 0 && chance(i, 4, 2) == 0) {
        const struct sample *old = &samples[chance(i, 5, i)];
        s->n_prompt = old->n_prompt < n ? old->n_prompt : n;
        memcpy(s->prompt, old->prompt, s->n_prompt * sizeof *s->prompt);
    }
    for (uint32_t k = 0; s->n_prompt < n; k++) {
        uint32_t have = s->n_prompt, at = 0, m = 1 + chance(i, 200 + k, 12);
        bool again = have > 12 && chance(i, 400 + k, 3) > 0;
        if (again)
            at = chance(i, 600 + k, have - m + 1);
        for (uint32_t j = 0; j < m && s->n_prompt < n; j++)
            s->prompt[s->n_prompt++] =
                again ? s->prompt[at + j]
                      : (token_id)chance(i, 1000 + 16 * k + j, n_vocab);
    }
}

static struct job *job_of(uint32_t i)
{
    const struct sample *s = &samples[i];
    struct job *job = rig_counting_job(1, s->n_reply);
    job->prompt =
        arena_dup(job->arena, s->prompt, s->n_prompt * sizeof *s->prompt);
    job->n_prompt = s->n_prompt;
    job->n_stop_ids = 0;
    job->params.temperature = s->temperature;
    job->params.seed = i;
    job->params.bias = s->liked; /* outlives the job */
    job->params.n_bias = s->n_liked;
    return job;
}

static void say_plainly(struct model *m, uint32_t n_cases)
{
    const struct engine_options options = {.max_sequences = CROWD,
                                           .max_queue = 2 * CROWD};
    struct rig rig;
    rig_init_model(&rig, m, &options);
    for (uint32_t i = 0; i < n_cases; i++) {
        make_sample(i, m->hp.n_vocab);
        struct sample *s = &samples[i];
        const struct heard *h = rig_say(&rig, &calls[0], job_of(i));
        assert_int_equal(h->n_tokens, s->n_reply);
        memcpy(s->reply, h->tokens, s->n_reply * sizeof *s->reply);
    }
    rig_deinit(&rig);
}

static unsigned long metric(const struct rig *rig, const char *name)
{
    struct buf out;
    buf_init(&out, 0);
    struct metrics_text t = {&out, ""};
    engine_metrics(rig->engine, &t);
    const char *at = strstr(buf_str(&out), name);
    assert_non_null(at);
    unsigned long n = strtoul(at + strlen(name), NULL, 10);
    buf_deinit(&out);
    return n;
}

static void say_ahead(const char *what, struct model *m, uint32_t n_cases,
                      uint32_t crowd, bool prefix_cache)
{
    const struct engine_options options = {.max_sequences = CROWD,
                                           .max_queue = 2 * CROWD,
                                           .prefix_cache = prefix_cache,
                                           .n_draft = 16};
    struct rig rig;
    rig_init_model(&rig, m, &options);
    for (uint32_t first = 0; first < n_cases; first += crowd) {
        for (uint32_t i = 0; i < crowd; i++) {
            rig_call(&calls[i], job_of(first + i));
            rig_submit(&rig, &calls[i]);
        }
        rig_wait_for(&rig, calls, crowd);
        for (uint32_t i = 0; i < crowd; i++) {
            const struct sample *s = &samples[first + i];
            const struct heard *h = &calls[i].heard[0];
            assert_int_equal(h->n_tokens, s->n_reply);
            for (uint32_t k = 0; k < s->n_reply; k++)
                if (h->tokens[k] != s->reply[k])
                    fail_msg("%s, case %u, temperature %g, %u at once: token "
                             "%u of the reply is %d, not %d",
                             what, first + i, (double)s->temperature, crowd, k,
                             h->tokens[k], s->reply[k]);
            job_release(calls[i].job);
        }
    }
    rig_wait_idle(&rig);
    n_drafts += metric(&rig, "\nvllm:spec_decode_num_drafts_total ");
    n_accepted += metric(&rig, "\nvllm:spec_decode_num_accepted_tokens_total ");
    struct engine_stats stats = engine_stats(rig.engine);
    assert_int_equal(stats.free_blocks, stats.total_blocks);
    rig_deinit(&rig);
    cache_forget(m->cache);
}

static struct model *open_model(const char *path, const char *cache_type,
                                const char *quantize, uint64_t cache_bytes)
{
    struct model *m;
    struct err err;
    const struct model_options options = {
        .path = path,
        .cache_type = cache_type,
        .quantize = quantize,
        .n_threads = 1,
        .max_batch_tokens = 64,
        .max_slices = CROWD,
        .max_logit_rows = CROWD + 16,
        .ctx_tokens = MAX_PROMPT + MAX_REPLY,
        .cache_bytes = cache_bytes,
    };
    if (model_open(&m, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    return m;
}

static uint32_t cases_wanted(void)
{
    const char *said = getenv("LFMD_SPECULATE_CASES");
    unsigned long n = said != NULL ? strtoul(said, NULL, 10) : DAILY_CASES;
    return (uint32_t)(n < MAX_CASES ? n : MAX_CASES) / CROWD * CROWD;
}

static void check_model(const char *path, const char *cache_type,
                        const char *quantize)
{
    uint32_t n = cases_wanted();
    struct model *m =
        open_model(path, cache_type, quantize, (uint64_t)32 << 20);
    uint64_t block = cache_block_bytes(&m->hp, m->kv_format);
    n_drafts = n_accepted = 0;
    say_plainly(m, n);
    say_ahead(path, m, n, 1, false);
    say_ahead(path, m, n, CROWD, true);
    model_close(m);
    if (block > 0) { /* some layer attends, so blocks can be short */
        m = open_model(path, cache_type, quantize, FEW_BLOCKS * block);
        say_ahead(path, m, n, CROWD, true);
        model_close(m);
    }
    print_message("%s: %lu drafts, %lu tokens right\n", path, n_drafts,
                  n_accepted);
    assert_true(n_accepted > 0);
}

static void check_checkpoint(void *user, const char *path, const char *golden,
                             uint32_t number)
{
    (void)user, (void)golden;
    check_model(path, number % 2 == 0 ? "f32" : "f16", NULL);
}

TEST(on_every_checkpoint_the_reply_is_the_one_without)
{
    UNUSED_STATE;
    each_checkpoint(check_checkpoint, NULL);
}

TEST(on_the_demo_too_with_its_weights_and_with_quantised_ones)
{
    UNUSED_STATE;
    check_model("model/demo", "f16", NULL);
    check_model("model/demo", "q8", "q4_0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_every_checkpoint_the_reply_is_the_one_without),
        cmocka_unit_test(
            on_the_demo_too_with_its_weights_and_with_quantised_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
