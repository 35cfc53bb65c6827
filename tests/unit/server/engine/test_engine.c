/* test_engine.c -- the whole engine over a model without weights. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/cache/cache.h"
#include "model/sample/rng.h"
#include "server/engine/engine.h"
#include "tests/lib/engine_rig.h"

static const struct engine_options roomy = {
    .max_sequences = 40,
    .max_queue = 64,
    .max_step_tokens = 96,
    .max_logit_rows = 48,
};

/* A job of its own kind for every number. */
static struct job *random_job(uint32_t number)
{
    static const char *const stops[] = {"ab", "--a", "zzz"};
    struct job *job = job_new(0);
    assert_non_null(job);
    uint64_t r = rng_bits(number, 1, 1);
    job->n_prompt = 1 + (uint32_t)(r % 150);
    token_id *prompt = arena_calloc(job->arena, job->n_prompt, sizeof *prompt);
    for (uint32_t i = 0; i < job->n_prompt; i++)
        prompt[i] = 5 + (token_id)(rng_bits(number, 2, i) % 50);
    job->prompt = prompt;
    job->max_tokens = (uint32_t)(r >> 10) % 80;
    job->n_choices = 1 + (uint32_t)(r >> 20) % RIG_CHOICES;
    job->params.seed = number;
    job->params.temperature = r >> 22 & 1 ? 0.0f : 1.2f;
    job->params.top_p = r >> 23 & 1 ? 0.9f : 1.0f;
    job->params.repetition_penalty = r >> 24 & 1 ? 1.1f : 1.0f;
    job->params.frequency_penalty = r >> 25 & 1 ? 0.5f : 0.0f;
    job->params.want_logprob = r >> 26 & 1;
    job->params.n_logprobs = r >> 27 & 1 ? 5 : 0;
    job->want_prompt_logprobs = (r >> 28 & 3) == 0;
    job->n_prompt_logprobs = (uint32_t)(r >> 33) % 7;
    if ((r >> 36 & 3) == 0)
        job->loops = (struct job_loops){1, 6, 2};
    job->min_tokens = r >> 30 & 1 ? 10 : 0;
    job->stop = stops;
    job->n_stop = (r >> 31 & 3) == 0 ? 3 : 0;
    static const token_id eos = FAKE_EOS;
    job->stop_ids = &eos;
    job->n_stop_ids = 1;
    return job;
}

static void say_alone(struct call *calls, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct rig rig;
        rig_init(&rig, 40, &roomy);
        rig_call(&calls[i], random_job(i));
        rig_submit(&rig, &calls[i]);
        rig_wait_for(&rig, &calls[i], 1);
        job_release(calls[i].job);
        rig_deinit(&rig);
    }
}

static void compare(const struct call *a, const struct call *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t c = 0; c < a[i].n_choices && !b[i].cancelled; c++) {
            assert_int_equal(b[i].heard[c].n_ends, 1);
            if (a[i].heard[c].digest != b[i].heard[c].digest)
                fail_msg("job %u choice %u says something else", i, c);
        }
    }
}

#define CROWD 32
static struct call alone[CROWD], together[CROWD];

static void say_together(uint32_t n_blocks, bool cancel, bool slow,
                         uint64_t *preemptions)
{
    struct rig rig;
    struct engine_options options = roomy;
    options.max_sequences = 24;
    options.ring_bytes = slow ? 1 : 0;
    rig_init(&rig, n_blocks, &options);
    for (uint32_t i = 0; i < CROWD; i++) {
        rig_call(&together[i], random_job(i));
        if (cancel && i % 3 == 0)
            together[i].cancel_after = 1 + i;
        rig_submit(&rig, &together[i]);
        for (uint64_t k = rng_bits(i, 9, 9) % 4; k > 0; k--)
            (void)rig_turn(&rig, 1);
        if (cancel && i % 5 == 1) { /* in the queue or in prefill */
            engine_cancel(rig.engine, together[i].job);
            together[i].cancelled = true;
        }
    }
    rig_wait_for(&rig, together, CROWD);
    rig_wait_idle(&rig);
    struct engine_stats stats = engine_stats(rig.engine);
    *preemptions = stats.preemptions;
    assert_int_equal(stats.free_blocks, stats.total_blocks);
    assert_int_equal(stats.jobs_accepted, CROWD);
    assert_int_equal(stats.jobs_finished + stats.jobs_cancelled, CROWD);
    for (uint32_t i = 0; i < CROWD; i++)
        job_release(together[i].job);
    rig_deinit(&rig);
}

TEST(a_crowd_says_what_each_says_alone)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    uint64_t preemptions;
    say_alone(alone, CROWD);
    say_together(400, false, false, &preemptions);
    assert_int_equal(preemptions, 0);
    compare(alone, together, CROWD);
    assert_int_equal(mem_live_count(), live);
}

TEST(preemption_changes_nothing_that_is_said)
{
    UNUSED_STATE;
    static struct call calls[2];
    for (int few = 0; few < 2; few++) {
        struct rig rig;
        rig_init(&rig, few ? 12 : 100, &roomy);
        struct job *job = rig_counting_job(FAKE_A, 220);
        job->prompt =
            arena_dup(job->arena, &(token_id){FAKE_A}, sizeof(token_id));
        job->n_prompt = 1;
        job->n_stop_ids = 0;
        job->n_choices = RIG_CHOICES; /* they come and grow together */
        job->params.temperature = 1.0f;
        (void)rig_say(&rig, &calls[few], job);
        struct engine_stats stats = engine_stats(rig.engine);
        assert_int_equal(stats.preemptions > 0, few);
        rig_deinit(&rig);
    }
    compare(&calls[0], &calls[1], 1);

    uint64_t preemptions;
    say_together(9, false, false, &preemptions);
    compare(alone, together, CROWD);
}

TEST(small_rings_change_nothing_that_is_said)
{
    UNUSED_STATE;
    uint64_t preemptions;
    say_together(30, false, true, &preemptions);
    compare(alone, together, CROWD);
}

TEST(cancelling_some_leaves_the_others_as_they_were)
{
    UNUSED_STATE;
    uint64_t preemptions;
    size_t live = mem_live_count();
    say_together(25, true, false, &preemptions);
    compare(alone, together, CROWD);
    assert_int_equal(mem_live_count(), live);
}

static void expect_text(const struct heard *h, const char *text)
{
    assert_int_equal(h->n_text, strlen(text));
    assert_memory_equal(h->text, text, h->n_text);
}

TEST(ends_by_length_stop_string_or_stop_token)
{
    UNUSED_STATE;
    static const char *const stops[] = {"xyz", "fgh", "ghi"};
    static const token_id stop_id = FAKE_A + 3;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);

    struct heard *h = rig_say(&rig, &call, rig_counting_job(FAKE_A, 4));
    expect_text(h, "abcd");
    assert_int_equal(h->finish, FINISH_LENGTH);
    assert_int_equal(h->n_completion, 4);

    for (int include = 0; include < 2; include++) {
        struct job *job = rig_counting_job(FAKE_A, 30);
        job->stop = stops;
        job->n_stop = 3;
        job->include_stop = include;
        h = rig_say(&rig, &call, job);
        expect_text(h, include ? "abcdefgh" : "abcde");
        assert_int_equal(h->finish, FINISH_STOP);
        assert_int_equal(h->stop_string, 1);
        assert_int_equal(h->n_tokens, 8);
    }

    struct job *job = rig_counting_job(FAKE_A, 7); /* ends while "fg" is held */
    job->stop = stops;
    job->n_stop = 3;
    h = rig_say(&rig, &call, job);
    expect_text(h, "abcdefg");
    assert_int_equal(h->finish, FINISH_LENGTH);

    job = rig_counting_job(FAKE_A, 30);
    job->stop_ids = &stop_id;
    h = rig_say(&rig, &call, job);
    expect_text(h, "abc");
    assert_int_equal(h->finish, FINISH_STOP);
    assert_int_equal(h->stop_token, stop_id);
    assert_int_equal(h->n_tokens, 3);
    assert_int_equal(h->n_completion, 4);
    rig_deinit(&rig);
}

TEST(min_tokens_bans_stop_ids_and_ignores_stop_strings)
{
    UNUSED_STATE;
    static const char *const stops[] = {"c", "f"};
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    struct job *job = rig_counting_job(FAKE_A, 30);
    job->stop = stops;
    job->n_stop = 2;
    job->min_tokens = 4;
    struct heard *h = rig_say(&rig, &call, job);
    expect_text(h, "abcde");
    assert_int_equal(h->stop_string, 1);

    static const token_id stop_id = FAKE_A + 1;
    job = rig_counting_job(FAKE_A, 6);
    job->stop_ids = &stop_id;
    job->min_tokens = 6;
    h = rig_say(&rig, &call, job);
    for (uint32_t i = 0; i < h->n_tokens; i++)
        assert_int_not_equal(h->tokens[i], stop_id);
    assert_int_equal(h->finish, FINISH_LENGTH);
    rig_deinit(&rig);
}

TEST(text_is_whole_characters_and_special_tokens_are_hidden_unless_kept)
{
    UNUSED_STATE;
    static const token_id keep = FAKE_HEAR;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    expect_text(rig_say(&rig, &call, rig_counting_job(FAKE_HALF_1 - 1, 3)),
                "z\xc3\xa9");
    expect_text(rig_say(&rig, &call, rig_counting_job(FAKE_HALF_1, 1)),
                "\xef\xbf\xbd");
    expect_text(rig_say(&rig, &call, rig_counting_job(FAKE_HEAR, 2)), "--");
    struct job *job = rig_counting_job(FAKE_HEAR, 2);
    job->keep_ids = &keep;
    job->n_keep_ids = 1;
    expect_text(rig_say(&rig, &call, job), "<hear>--");
    job = rig_counting_job(FAKE_HEAR, 1);
    job->skip_special = false;
    expect_text(rig_say(&rig, &call, job), "<hear>");
    rig_deinit(&rig);
}

static struct job *echo_job(uint32_t n_prompt, uint32_t max_tokens)
{
    struct job *job = rig_counting_job(FAKE_A, max_tokens);
    token_id *prompt = arena_calloc(job->arena, n_prompt, sizeof *prompt);
    for (uint32_t i = 0; i < n_prompt; i++)
        prompt[i] = 5 + (token_id)(rng_bits(77, 0, i) % 50);
    job->prompt = prompt;
    job->n_prompt = n_prompt;
    job->want_prompt_logprobs = true;
    job->n_prompt_logprobs = 3;
    job->n_stop_ids = 0; /* its reply is chance and must not end early */
    return job;
}

TEST(prompt_logprobs_come_in_order_whatever_the_chunks)
{
    UNUSED_STATE;
    static struct call calls[3];
    for (unsigned i = 0; i < 3; i++) {
        struct engine_options options = roomy;
        options.max_sequences = i == 0 ? 40 : 2;
        options.max_logit_rows = i == 0 ? 300 : 2;
        options.max_step_tokens = i == 0 ? 400 : 7;
        options.ring_bytes = i == 2 ? 1 : 0;
        struct rig rig;
        rig_init(&rig, 20, &options);
        struct job *job = echo_job(200, i == 2 ? 0 : 5);
        struct heard *h = rig_say(&rig, &calls[i], job);
        assert_int_equal(h->n_prompt_tokens, 199);
        assert_int_equal(h->n_tokens, i == 2 ? 0 : 5);
        assert_int_equal(h->finish, FINISH_LENGTH);
        for (uint32_t t = 0; t < 199; t++) {
            assert_int_equal(h->prompt_tokens[t],
                             5 + (token_id)(rng_bits(77, 0, t + 1) % 50));
            assert_memory_equal(&h->prompt_logprobs[t],
                                &calls[0].heard[0].prompt_logprobs[t], 4);
        }
        rig_deinit(&rig);
    }
    assert_int_equal(calls[0].heard[0].digest, calls[1].heard[0].digest);
}

/* The model says again what stood FAKE_LOOP_TOKENS before, most of the time. */
static struct job *looping_job(uint32_t n_draft, uint32_t min_tokens)
{
    struct job *job = rig_counting_job(FAKE_A, 200);
    token_id *prompt = arena_calloc(job->arena, 8, sizeof *prompt);
    prompt[0] = FAKE_LOOP;
    for (uint32_t i = 1; i < 8; i++)
        prompt[i] = FAKE_A + (token_id)i;
    job->prompt = prompt;
    job->n_prompt = 8;
    job->n_stop_ids = 0;
    job->n_draft = n_draft;
    job->min_tokens = min_tokens;
    job->params.temperature = 0;
    job->loops = (struct job_loops){FAKE_LOOP_TOKENS, FAKE_LOOP_TOKENS, 2};
    return job;
}

TEST(a_reply_that_goes_round_ends_whether_it_is_guessed_or_not)
{
    UNUSED_STATE;
    static struct call calls[3];
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    const struct heard *h = rig_say(&rig, &calls[0], looping_job(0, 0));
    assert_int_equal(h->finish, FINISH_LOOP);
    assert_int_equal(h->stop_token, TOKEN_NONE);
    uint32_t n = h->n_tokens, size = FAKE_LOOP_TOKENS;
    assert_true(n >= 2 * size && n < 200);
    for (uint32_t i = n - size; i < n; i++)
        assert_int_equal(h->tokens[i], h->tokens[i - size]);
    uint64_t digest = h->digest;
    h = rig_say(&rig, &calls[1], looping_job(8, 0));
    assert_int_equal(h->digest, digest);
    h = rig_say(&rig, &calls[2], looping_job(8, n + 5));
    assert_true(h->n_tokens >= n + 5);
    rig_deinit(&rig);
}

TEST(a_request_that_allows_nothing_hears_that_it_is_wrong)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    struct job *job = rig_counting_job(FAKE_A, 9);
    const uint32_t allowed[2] = {1u << FAKE_EOS, 0};
    job->params.allowed = arena_dup(job->arena, allowed, sizeof allowed);
    job->min_tokens = 2; /* FAKE_EOS is a stop id */
    const struct heard *h = rig_say(&rig, &call, job);
    assert_int_equal(h->end, EVENT_ERROR);
    assert_int_equal(h->error, ERR_INVALID);
    rig_wait_idle(&rig);
    rig_deinit(&rig);
}

TEST(no_reply_wanted_is_an_immediate_end)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    struct heard *h = rig_say(&rig, &call, rig_counting_job(FAKE_A, 0));
    assert_int_equal(h->finish, FINISH_LENGTH);
    assert_int_equal(h->n_completion, 0);
    h = rig_say(&rig, &call, echo_job(1, 0));
    assert_int_equal(h->n_prompt_tokens, 0);
    assert_int_equal(h->finish, FINISH_LENGTH);
    rig_deinit(&rig);
}

TEST(logits_of_nan_fail_their_job_alone)
{
    UNUSED_STATE;
    static struct call good, bad;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    struct job *poisoned = rig_counting_job(FAKE_A, 9);
    const token_id prompt[2] = {FAKE_POISON, FAKE_A};
    poisoned->prompt = arena_dup(poisoned->arena, prompt, sizeof prompt);
    rig_call(&bad, poisoned);
    rig_call(&good, rig_counting_job(FAKE_A, 9));
    rig_submit(&rig, &good);
    rig_submit(&rig, &bad);
    rig_wait_for(&rig, &good, 1);
    rig_wait_for(&rig, &bad, 1);
    assert_int_equal(bad.heard[0].end, EVENT_ERROR);
    assert_int_equal(bad.heard[0].error, ERR_INTERNAL);
    expect_text(&good.heard[0], "abcdefghi");
    rig_wait_idle(&rig);
    assert_int_equal(engine_stats(rig.engine).jobs_failed, 1);
    job_release(good.job);
    job_release(bad.job);
    rig_deinit(&rig);
}

/* Waits until the engine, which has made n_steps, makes some and then no
 * more. */
static void wait_still(struct rig *rig, uint64_t n_steps)
{
    uint64_t before, now = engine_stats(rig->engine).steps;
    int tries = 0;
    do {
        before = now;
        (void)rig_turn(rig, 30);
        now = engine_stats(rig->engine).steps;
        assert_true(++tries < 200);
    } while (now != before || now == n_steps);
}

TEST(a_paused_reader_stops_its_own_job_only)
{
    UNUSED_STATE;
    static struct call slow, fast, free_run;
    struct engine_options options = roomy;
    options.ring_bytes = 1;
    options.max_sequences = 1; /* the stalled one must even give its place */
    struct rig rig;
    rig_init(&rig, 20, &options);
    (void)rig_say(&rig, &free_run, echo_job(100, 200));

    rig_call(&slow, echo_job(100, 200));
    engine_pause(rig.engine, slow.job);
    const uint64_t n_steps = engine_stats(rig.engine).steps;
    rig_submit(&rig, &slow);
    wait_still(&rig, n_steps);
    assert_int_equal(slow.n_events, 0);
    assert_false(engine_idle(rig.engine));
    expect_text(rig_say(&rig, &fast, rig_counting_job(FAKE_A, 9)), "abcdefghi");
    assert_true(engine_stats(rig.engine).preemptions > 0);
    engine_resume(rig.engine, slow.job);
    rig_wait_for(&rig, &slow, 1);
    assert_int_equal(slow.heard[0].digest, free_run.heard[0].digest);
    job_release(slow.job);
    rig_deinit(&rig);
}

TEST(a_deadline_ends_even_a_stalled_job)
{
    UNUSED_STATE;
    static struct call call;
    struct engine_options options = roomy;
    options.ring_bytes = 1;
    struct rig rig;
    rig_init(&rig, 20, &options);
    struct job *job = echo_job(100, 200);
    job->n_choices = 3;
    job->deadline_us = clock_now_us() + 100000;
    rig_call(&call, job);
    engine_pause(rig.engine, job);
    rig_submit(&rig, &call);
    rig_wait_idle(&rig);
    engine_resume(rig.engine, job);
    rig_wait_for(&rig, &call, 1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(call.heard[i].finish, FINISH_ABORT);
    job_release(job);
    rig_deinit(&rig);
}

TEST(draining_refuses_new_jobs_and_finishes_old_ones)
{
    UNUSED_STATE;
    static struct call call;
    struct err err;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    rig_call(&call, echo_job(100, 100));
    rig_submit(&rig, &call);
    engine_drain(rig.engine);
    struct job *late = rig_counting_job(FAKE_A, 3);
    assert_int_equal(engine_submit(rig.engine, late, &err), -ERR_UNAVAILABLE);
    job_release(late);
    rig_wait_for(&rig, &call, 1);
    assert_int_equal(call.heard[0].finish, FINISH_LENGTH);
    rig_wait_idle(&rig);
    job_release(call.job);
    rig_deinit(&rig);
}

TEST(stopping_ends_every_job_once)
{
    UNUSED_STATE;
    static struct call calls[10];
    size_t live = mem_live_count();
    struct engine_options options = roomy;
    options.max_sequences = 3;
    options.ring_bytes = 1;
    struct rig rig;
    rig_init(&rig, 20, &options);
    for (uint32_t i = 0; i < 10; i++) {
        struct job *job = echo_job(100, 300);
        job->n_choices = 2;
        rig_call(&calls[i], job);
        if (i % 2)
            engine_pause(rig.engine, job);
        rig_submit(&rig, &calls[i]);
    }
    (void)rig_turn(&rig, 20);
    engine_stop(rig.engine);
    for (uint32_t i = 1; i < 10; i += 2)
        engine_resume(rig.engine, calls[i].job);
    engine_dispatch(rig.engine);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(calls[i].heard[0].finish, FINISH_ABORT);
        assert_int_equal(calls[i].heard[1].finish, FINISH_ABORT);
        job_release(calls[i].job);
    }
    rig_deinit(&rig);
    assert_int_equal(mem_live_count(), live);
}

/* The engine falls asleep and is stopped at the same time: whichever comes
 * first, it must hear of it.  (It once took the nudge for its last step.) */
TEST(stopping_is_heard_while_it_falls_asleep)
{
    UNUSED_STATE;
    for (unsigned i = 0; i < 1000; i++) {
        struct rig rig;
        rig_init(&rig, 20, &roomy);
        for (volatile unsigned spin = 0; spin < i * 300; spin++)
            continue;
        engine_stop(rig.engine);
        rig_deinit(&rig);
    }
}

static int refusal(struct rig *rig, struct job *job)
{
    struct err err = {0};
    int rc = engine_submit(rig->engine, job, &err);
    assert_true(err.text[0] != '\0');
    job_release(job);
    return rc;
}

TEST(refuses_what_can_never_be_served)
{
    UNUSED_STATE;
    static struct call calls[2];
    struct engine_options options = roomy;
    options.max_queue = 2;
    options.ring_bytes = 1;
    struct rig rig;
    rig_init(&rig, 4, &options);
    assert_int_equal(engine_context_tokens(rig.engine), 4 * 32);
    assert_int_equal(refusal(&rig, rig_counting_job(FAKE_A, 127)),
                     -ERR_CONTEXT);
    assert_int_equal(refusal(&rig, rig_counting_job(FAKE_A, UINT32_MAX)),
                     -ERR_CONTEXT);
    assert_int_equal(refusal(&rig, rig_counting_job(1000, 3)), -ERR_INVALID);
    struct job *job = rig_counting_job(FAKE_A, 3);
    job->n_prompt = 0;
    assert_int_equal(refusal(&rig, job), -ERR_INVALID);
    job = rig_counting_job(FAKE_A, 3);
    job->n_choices = 0;
    assert_int_equal(refusal(&rig, job), -ERR_INVALID);

    for (int i = 0; i < 2; i++) {
        rig_call(&calls[i], echo_job(50, 70));
        engine_pause(rig.engine, calls[i].job);
        rig_submit(&rig, &calls[i]);
    }
    assert_int_equal(refusal(&rig, rig_counting_job(FAKE_A, 3)), -ERR_BUSY);
    for (int i = 0; i < 2; i++) {
        engine_resume(rig.engine, calls[i].job);
        rig_wait_for(&rig, &calls[i], 1);
        job_release(calls[i].job);
    }
    rig_wait_idle(&rig);
    rig_deinit(&rig);
}

TEST(survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 20, &roomy);
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        static const char *const stops[] = {"xyz"};
        struct err err;
        fault_alloc_at(nth);
        struct job *job = job_new(0);
        int rc = -ERR_NOMEM;
        if (job != NULL) {
            const token_id prompt[2] = {FAKE_COUNT, FAKE_A - 1};
            job->prompt = arena_dup(job->arena, prompt, sizeof prompt);
            job->n_prompt = job->prompt == NULL ? 0 : 2;
            job->n_choices = 3;
            job->max_tokens = 3;
            job->stop = stops;
            job->n_stop = 1;
            rig_call(&call, job);
            rc = engine_submit(rig.engine, job, &err);
        }
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        if (rc == 0) {
            assert_false(hit);
            rig_wait_for(&rig, &call, 1);
            rig_wait_idle(&rig);
            job_release(job);
            break;
        }
        job_release(job);
        assert_int_equal(mem_live_count(), live);
    }
    engine_dispatch(rig.engine);
    assert_int_equal(mem_live_count(), live);
    rig_deinit(&rig);
}

TEST(starting_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    struct fake_model model;
    fake_model_init(&model, 4, 40, 100);
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct engine *e;
        struct err err;
        fault_alloc_at(nth);
        int rc = engine_new_with(&e, &model.face, &roomy, rig_wake, NULL, &err);
        fault_alloc_at(-1);
        if (rc == 0) {
            engine_free(e);
            break;
        }
        assert_int_equal(rc, -ERR_NOMEM);
        assert_int_equal(mem_live_count(), live);
    }
    fake_model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_says_what_each_says_alone),
        cmocka_unit_test(preemption_changes_nothing_that_is_said),
        cmocka_unit_test(small_rings_change_nothing_that_is_said),
        cmocka_unit_test(cancelling_some_leaves_the_others_as_they_were),
        cmocka_unit_test(ends_by_length_stop_string_or_stop_token),
        cmocka_unit_test(min_tokens_bans_stop_ids_and_ignores_stop_strings),
        cmocka_unit_test(
            text_is_whole_characters_and_special_tokens_are_hidden_unless_kept),
        cmocka_unit_test(
            a_reply_that_goes_round_ends_whether_it_is_guessed_or_not),
        cmocka_unit_test(a_request_that_allows_nothing_hears_that_it_is_wrong),
        cmocka_unit_test(prompt_logprobs_come_in_order_whatever_the_chunks),
        cmocka_unit_test(no_reply_wanted_is_an_immediate_end),
        cmocka_unit_test(logits_of_nan_fail_their_job_alone),
        cmocka_unit_test(a_paused_reader_stops_its_own_job_only),
        cmocka_unit_test(a_deadline_ends_even_a_stalled_job),
        cmocka_unit_test(draining_refuses_new_jobs_and_finishes_old_ones),
        cmocka_unit_test(stopping_ends_every_job_once),
        cmocka_unit_test(stopping_is_heard_while_it_falls_asleep),
        cmocka_unit_test(refuses_what_can_never_be_served),
        cmocka_unit_test(survives_the_failure_of_every_allocation),
        cmocka_unit_test(starting_survives_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
