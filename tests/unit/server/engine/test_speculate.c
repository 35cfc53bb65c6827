/* test_speculate.c -- replies of an engine that guesses ahead, against the same
 * replies drawn token by token: nothing that is heard may differ.
 *
 * Over a model that notices every wrong, lost or forgotten token, and repeats
 * itself enough for guesses to be right, half right and wrong. */
#include "tests/lib/test.h"

#include <stdlib.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/metrics.h"
#include "model/cache/cache.h"
#include "model/sample/rng.h"
#include "tests/lib/engine_rig.h"

#define N_CASES 1536u
#define MAX_PROMPT 120u
#define MAX_REPLY 70u
#define CROWD 32u

static uint64_t digests[N_CASES][RIG_CHOICES];
static struct call calls[CROWD];

static const struct engine_options plain = {
    .max_sequences = 24,
    .max_queue = 64,
    .max_step_tokens = 96,
    .max_logit_rows = 64,
};

static uint32_t chance(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 7, what) % below);
}

static bool one_in(uint32_t n, uint32_t i, uint32_t what)
{
    return chance(i, what, n) == 0;
}

static void make_prompt(struct job *job, uint32_t i)
{
    token_id *prompt = arena_calloc(job->arena, MAX_PROMPT, sizeof *prompt);
    assert_non_null(prompt);
    /* Some begin alike, so that there is something to share. */
    uint32_t alike = one_in(2, i, 1) ? i % 8 : i;
    job->n_prompt = 1 + chance(i, 2, MAX_PROMPT);
    for (uint32_t k = 0; k < job->n_prompt; k++)
        prompt[k] = 5 + (token_id)chance(alike, 100 + k, 50);
    if (!one_in(8, i, 3))
        prompt[0] = FAKE_LOOP;
    job->prompt = prompt;
}

static void make_stops(struct job *job, uint32_t i)
{
    char(*texts)[3] = arena_calloc(job->arena, 2, sizeof *texts);
    const char **stop = arena_calloc(job->arena, 2, sizeof *stop);
    assert_true(texts != NULL && stop != NULL);
    for (uint32_t k = 0; k < 2; k++) {
        texts[k][0] = (char)('a' + chance(i, 10 + k, 26));
        texts[k][1] = (char)(one_in(2, i, 12) ? '\0' : '-');
        stop[k] = texts[k];
    }
    job->stop = stop;
    job->n_stop = 2;
    job->include_stop = one_in(2, i, 13);
}

static struct job *job_of(uint32_t i)
{
    struct job *job = rig_counting_job(FAKE_A, 1 + chance(i, 4, MAX_REPLY));
    make_prompt(job, i);
    job->params.temperature = one_in(3, i, 5) ? 0.0f : 1.0f;
    job->params.seed = i;
    if (one_in(6, i, 6))
        job->n_choices = 1 + chance(i, 7, RIG_CHOICES);
    if (one_in(3, i, 8))
        make_stops(job, i);
    if (one_in(3, i, 14))
        job->min_tokens = chance(i, 15, job->max_tokens + 1);
    if (one_in(3, i, 16)) {
        job->params.want_logprob = true;
        job->params.n_logprobs = chance(i, 17, 4);
    }
    job->want_prompt_logprobs = one_in(12, i, 18);
    if (one_in(6, i, 40))
        job->loops = (struct job_loops){1, 9, 2 + chance(i, 41, 3)};
    if (one_in(4, i, 19)) {
        job->params.repetition_penalty = 1.1f;
        job->params.presence_penalty = 0.5f;
        job->params.frequency_penalty = 0.1f;
    }
    job->priority = (int32_t)chance(i, 20, 2);
    if (one_in(4, i, 21))
        job->n_draft = chance(i, 22, JOB_DRAFT_MAX + 1);
    job->no_prefix = one_in(5, i, 23);
    if (one_in(4, i, 24)) {
        job->in_thought = one_in(2, i, 25);
        job->think_start = FAKE_A;
        job->think_end = FAKE_A + 1;
        job->max_thought = chance(i, 26, 20);
    }
    return job;
}

/* The number behind a metric's name. */
static unsigned long metric(const struct rig *rig, const char *name)
{
    struct buf out;
    buf_init(&out, 0);
    struct metrics_text t = {&out, ""};
    char line[96];
    engine_metrics(rig->engine, &t);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(buf_str(&out), line);
    assert_non_null(at);
    unsigned long n = strtoul(at + strlen(line), NULL, 10);
    buf_deinit(&out);
    return n;
}

static void say_plainly(void)
{
    static bool said;
    struct rig rig;
    if (said)
        return;
    said = true;
    rig_init(&rig, 200, &plain);
    for (uint32_t i = 0; i < N_CASES; i++) {
        struct job *job = job_of(i);
        job->n_draft = 0;
        uint32_t n_choices = job->n_choices;
        const struct heard *h = rig_say(&rig, &calls[0], job);
        for (uint32_t c = 0; c < n_choices; c++)
            digests[i][c] = h[c].digest;
    }
    assert_int_equal(metric(&rig, "vllm:spec_decode_num_drafts_total"), 0);
    rig_deinit(&rig);
}

static void check_reply(uint32_t i, const struct call *call)
{
    for (uint32_t c = 0; c < call->n_choices; c++) {
        assert_int_equal(call->heard[c].n_ends, 1);
        if (call->heard[c].digest != digests[i][c])
            fail_msg("case %u choice %u says something else", i, c);
    }
}

static void rig_end(struct rig *rig)
{
    struct cache *cache = rig->model.face.cache;
    rig_wait_idle(rig);
    struct engine_stats stats = engine_stats(rig->engine);
    assert_int_equal(stats.free_blocks, stats.total_blocks);
    unsigned long drafts = metric(rig, "vllm:spec_decode_num_drafts_total");
    unsigned long tokens =
        metric(rig, "vllm:spec_decode_num_draft_tokens_total");
    unsigned long accepted =
        metric(rig, "vllm:spec_decode_num_accepted_tokens_total");
    print_message("%lu drafts of %lu tokens, %lu right, %lu preemptions\n",
                  drafts, tokens, accepted, (unsigned long)stats.preemptions);
    assert_true(accepted > 0 && accepted < tokens && tokens > drafts);
    engine_stop(rig->engine);
    cache_forget(cache);
    assert_true(cache_validate(cache));
    rig_deinit(rig);
}

struct way {
    uint32_t n_blocks, crowd;
    bool prefix_cache, slow, cancel;
};

static void say_ahead(const struct way *way)
{
    struct engine_options options = plain;
    options.n_draft = JOB_DRAFT_MAX;
    options.prefix_cache = way->prefix_cache;
    options.ring_bytes = way->slow ? 1 : 0;
    struct rig rig;
    size_t live = mem_live_count();
    say_plainly();
    rig_init(&rig, way->n_blocks, &options);
    for (uint32_t first = 0; first < N_CASES; first += way->crowd) {
        for (uint32_t i = 0; i < way->crowd; i++) {
            rig_call(&calls[i], job_of(first + i));
            if (way->cancel && one_in(3, first + i, 30))
                calls[i].cancel_after = 1 + chance(first + i, 31, MAX_REPLY);
            rig_submit(&rig, &calls[i]);
        }
        rig_wait_for(&rig, calls, way->crowd);
        for (uint32_t i = 0; i < way->crowd; i++) {
            if (!calls[i].cancelled)
                check_reply(first + i, &calls[i]);
            job_release(calls[i].job);
        }
    }
    rig_end(&rig);
    assert_int_equal(mem_live_count(), live);
}

TEST(alone_a_reply_is_the_same)
{
    UNUSED_STATE;
    say_ahead(&(struct way){.n_blocks = 40, .crowd = 1});
    say_ahead(&(struct way){.n_blocks = 40, .crowd = 1, .prefix_cache = true});
}

TEST(among_few_and_many_too)
{
    UNUSED_STATE;
    say_ahead(&(struct way){.n_blocks = 200, .crowd = 3});
    say_ahead(&(struct way){.n_blocks = 900, .crowd = 8, .prefix_cache = true});
    say_ahead(&(struct way){.n_blocks = 200, .crowd = CROWD});
}

TEST(and_when_blocks_are_short_or_readers_slow)
{
    UNUSED_STATE;
    say_ahead(&(struct way){.n_blocks = 7, .crowd = 4, .prefix_cache = true});
    say_ahead(&(struct way){.n_blocks = 12, .crowd = 8, .prefix_cache = true});
    say_ahead(&(struct way){.n_blocks = 9, .crowd = 4});
    say_ahead(&(struct way){
        .n_blocks = 20, .crowd = 8, .prefix_cache = true, .slow = true});
}

TEST(cancelling_gives_every_block_back)
{
    UNUSED_STATE;
    say_ahead(&(struct way){
        .n_blocks = 12, .crowd = 4, .prefix_cache = true, .cancel = true});
}

static uint64_t steps_of(uint32_t n_draft)
{
    struct engine_options options = plain;
    options.n_draft = n_draft;
    struct rig rig;
    rig_init(&rig, 40, &options);
    struct job *job = rig_counting_job(FAKE_A, 300);
    token_id *prompt = arena_calloc(job->arena, 8, sizeof *prompt);
    for (token_id i = 0; i < 8; i++)
        prompt[i] = i == 0 ? FAKE_LOOP : FAKE_A + i;
    job->prompt = prompt;
    job->n_prompt = 8;
    job->n_stop_ids = 0;
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_tokens, 300);
    rig_wait_idle(&rig);
    struct engine_stats stats = engine_stats(rig.engine);
    assert_int_equal(stats.tokens_generated, 300);
    assert_int_equal(stats.tokens_prompt, 8);
    rig_deinit(&rig);
    return stats.steps;
}

TEST(what_repeats_takes_fewer_steps)
{
    UNUSED_STATE;
    assert_int_equal(steps_of(0), 300);
    uint64_t ahead = steps_of(JOB_DRAFT_MAX);
    print_message("%u steps\n", (unsigned)ahead);
    assert_true(ahead < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_a_reply_is_the_same),
        cmocka_unit_test(among_few_and_many_too),
        cmocka_unit_test(and_when_blocks_are_short_or_readers_slow),
        cmocka_unit_test(cancelling_gives_every_block_back),
        cmocka_unit_test(what_repeats_takes_fewer_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
