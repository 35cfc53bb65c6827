/* test_prompt_states.c -- jobs that want what the model says inside of a prompt
 * and no reply, over a model without weights. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/metrics.h"
#include "model/sample/rng.h"
#include "tests/lib/engine_rig.h"

enum { CROWD = 48, MAX_PROMPT = 150, SOME = 3 };

static struct engine_options options_of(bool prefix_cache)
{
    return (struct engine_options){
        .max_sequences = 24,
        .max_queue = 64,
        .max_step_tokens = 40,
        .max_logit_rows = 24,
        .prefix_cache = prefix_cache,
    };
}

static struct capture_want want_of(uint32_t kind)
{
    static const struct capture_want wants[] = {
        {.last = true},
        {.mean = true},
        {0}, /* a reply */
        {.n_states = FAKE_LAYERS + 1, .router = true},
        {.last = true, .mean = true, .n_states = 1},
        {0},
    };
    return wants[kind % (sizeof wants / sizeof *wants)];
}

static uint32_t prompt_tokens(uint32_t number)
{
    return 1 + (uint32_t)(rng_bits(number, 1, 0) % MAX_PROMPT);
}

/* Some begin like others. */
static struct job *prompt_job(uint32_t number, struct capture_want want)
{
    struct job *job = job_new(0);
    assert_non_null(job);
    job->n_prompt = prompt_tokens(number);
    token_id *prompt = arena_calloc(job->arena, job->n_prompt, sizeof *prompt);
    for (uint32_t i = 0; i < job->n_prompt; i++)
        prompt[i] =
            5 + (token_id)(rng_bits(i < 60 ? number % 3 : number, 2, i) % 50);
    job->prompt = prompt;
    job->want = want;
    if (!capture_wants(&want))
        job->max_tokens = 1 + number % 40;
    return job;
}

static struct job *long_job(void)
{
    struct job *job = prompt_job(SOME, want_of(4));
    job->n_prompt = 300;
    token_id *prompt = arena_calloc(job->arena, job->n_prompt, sizeof *prompt);
    for (uint32_t i = 0; i < job->n_prompt; i++)
        prompt[i] = 5 + (token_id)(i % 50);
    job->prompt = prompt;
    return job;
}

static void check_call(const struct call *call)
{
    const struct job *job = call->job;
    const struct heard *h = &call->heard[0];
    assert_int_equal(h->n_ends, 1);
    assert_int_equal(h->end, EVENT_FINISH);
    if (!capture_wants(&job->want))
        return;
    assert_int_equal(h->finish, FINISH_LENGTH);
    assert_int_equal(h->n_tokens + h->n_completion + h->n_prompt_tokens, 0);
    assert_true((job->captured.last != NULL) == job->want.last);
    assert_true((job->captured.sum != NULL) == job->want.mean);
    assert_true((job->captured.router != NULL) == job->want.router);
    if (capture_wants_all(&job->want))
        assert_int_equal(h->n_cached, 0);
    rig_check_captured(job);
}

static void run_crowd(const struct engine_options *options)
{
    static struct call calls[CROWD];
    struct rig rig;
    rig_init(&rig, 400, options);
    for (uint32_t i = 0; i < CROWD; i++) {
        rig_call(&calls[i], prompt_job(i, want_of(i)));
        rig_submit(&rig, &calls[i]);
    }
    rig_wait_for(&rig, calls, CROWD);
    for (uint32_t i = 0; i < CROWD; i++) {
        check_call(&calls[i]);
        job_release(calls[i].job);
    }
    struct engine_stats stats = engine_stats(rig.engine);
    assert_int_equal(stats.prefix_hit_tokens > 0, options->prefix_cache);
    rig_deinit(&rig);
}

TEST(among_replies_every_prompt_shows_its_own_states)
{
    UNUSED_STATE;
    const struct engine_options cold = options_of(false);
    const struct engine_options hot = options_of(true);
    run_crowd(&cold);
    run_crowd(&hot);
}

/* A token of each a step: the reply wants its third block long before the
 * prompt is through, and all are taken. */
TEST(preempted_it_shows_the_same)
{
    UNUSED_STATE;
    static struct call calls[2];
    struct engine_options slow = options_of(false);
    struct rig rig;
    slow.max_sequences = slow.max_step_tokens = slow.max_logit_rows = 2;
    rig_init(&rig, 12, &slow);
    rig_call(&calls[0], prompt_job(SOME, want_of(2)));
    calls[0].job->n_prompt = 2;
    calls[0].job->max_tokens = 200;
    calls[0].job->priority = -1;
    rig_call(&calls[1], long_job());
    atomic_store(&rig.model.held, true);
    for (uint32_t i = 0; i < 2; i++)
        rig_submit(&rig, &calls[i]);
    atomic_store(&rig.model.held, false);
    rig_wait_for(&rig, calls, 2);
    assert_int_equal(engine_stats(rig.engine).preemptions, 1);
    for (uint32_t i = 0; i < 2; i++) {
        check_call(&calls[i]);
        job_release(calls[i].job);
    }
    rig_deinit(&rig);
}

static struct heard *say_again(struct rig *rig, struct call *call,
                               struct capture_want want)
{
    rig_call(call, prompt_job(SOME, want));
    rig_submit(rig, call);
    rig_wait_for(rig, call, 1);
    check_call(call);
    job_release(call->job);
    return &call->heard[0];
}

TEST(the_last_state_takes_a_prefix_and_all_states_none)
{
    UNUSED_STATE;
    assert_true(prompt_tokens(SOME) > FAKE_REPLAY + 1);
    static struct call call;
    const struct engine_options options = options_of(true);
    struct rig rig;
    rig_init(&rig, 100, &options);
    /* What is wanted of all tokens leaves nothing for others. */
    assert_int_equal(say_again(&rig, &call, want_of(3))->n_cached, 0);
    assert_int_equal(say_again(&rig, &call, want_of(0))->n_cached, 0);
    assert_true(say_again(&rig, &call, want_of(0))->n_cached > 0);
    assert_int_equal(say_again(&rig, &call, want_of(1))->n_cached, 0);
    assert_int_equal(say_again(&rig, &call, want_of(3))->n_cached, 0);
    rig_deinit(&rig);
}

TEST(prompts_without_a_reply_are_counted)
{
    UNUSED_STATE;
    static struct call call;
    const struct engine_options options = options_of(false);
    struct buf out = {0};
    struct metrics_text text = {&out, ""};
    char line[96];
    struct rig rig;
    rig_init(&rig, 100, &options);
    say_again(&rig, &call, want_of(0));
    rig_wait_idle(&rig);
    engine_metrics(rig.engine, &text);
    snprintf(line, sizeof line, "prompt_tokens_total %u\n",
             (unsigned)prompt_tokens(SOME));
    assert_non_null(strstr(buf_str(&out), line));
    buf_deinit(&out);
    rig_deinit(&rig);
}

TEST(cancelled_or_late_it_ends_like_any_other)
{
    UNUSED_STATE;
    static struct call calls[2];
    const struct engine_options options = options_of(false);
    struct rig rig;
    rig_init(&rig, 100, &options);
    for (uint32_t i = 0; i < 2; i++)
        rig_call(&calls[i], prompt_job(SOME, want_of(3)));
    calls[0].job->deadline_us = 1;
    rig_submit(&rig, &calls[0]);
    rig_submit(&rig, &calls[1]);
    engine_cancel(rig.engine, calls[1].job);
    rig_wait_for(&rig, calls, 1);
    rig_wait_idle(&rig);
    assert_int_equal(calls[0].heard[0].finish, FINISH_ABORT);
    assert_int_equal(calls[1].heard[0].n_ends, 0);
    job_release(calls[0].job);
    job_release(calls[1].job);
    rig_deinit(&rig);
}

TEST(a_want_goes_with_no_reply_no_logprobs_and_one_choice)
{
    UNUSED_STATE;
    const struct engine_options options = options_of(false);
    struct rig rig;
    rig_init(&rig, 20, &options);
    for (uint32_t wrong = 0; wrong < 4; wrong++) {
        struct job *job = prompt_job(SOME, want_of(0));
        struct err err;
        job->max_tokens = wrong == 0;
        job->n_choices = wrong == 1 ? 2 : 1;
        job->want_prompt_logprobs = wrong == 2;
        job->want.n_states = wrong == 3 ? FAKE_LAYERS + 2 : 0;
        assert_int_equal(engine_submit(rig.engine, job, &err), -ERR_INVALID);
        job_release(job);
    }
    rig_deinit(&rig);
}

TEST(submitting_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    static struct call call;
    const struct engine_options options = options_of(false);
    struct rig rig;
    rig_init(&rig, 20, &options);
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct err err;
        struct job *job = prompt_job(SOME, want_of(3));
        rig_call(&call, job);
        fault_alloc_at(nth);
        int rc = engine_submit(rig.engine, job, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(rc, hit ? -ERR_NOMEM : 0);
        if (rc == 0) {
            rig_wait_for(&rig, &call, 1);
            check_call(&call);
            rig_wait_idle(&rig);
        }
        job_release(job);
        engine_dispatch(rig.engine);
        assert_int_equal(mem_live_count(), live);
        if (rc == 0)
            break;
    }
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(among_replies_every_prompt_shows_its_own_states),
        cmocka_unit_test(preempted_it_shows_the_same),
        cmocka_unit_test(the_last_state_takes_a_prefix_and_all_states_none),
        cmocka_unit_test(prompts_without_a_reply_are_counted),
        cmocka_unit_test(cancelled_or_late_it_ends_like_any_other),
        cmocka_unit_test(a_want_goes_with_no_reply_no_logprobs_and_one_choice),
        cmocka_unit_test(submitting_survives_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
