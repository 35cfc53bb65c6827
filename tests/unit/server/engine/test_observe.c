/* test_observe.c -- what the engine counts: with a clock of the test's own, and
 * from a whole engine over a model without weights. */
#include "tests/lib/test.h"

#include <semaphore.h>
#include <time.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/metrics.h"
#include "model/cache/cache.h"
#include "server/engine/engine.h"
#include "server/engine/job_state.h"
#include "server/engine/observe.h"
#include "server/engine/sequence.h"
#include "tests/lib/fake_model.h"

/* ---- by hand ---------------------------------------------------------- */

static uint64_t now_us;

static int at_noon(void **state)
{
    UNUSED_STATE;
    now_us = UINT64_C(43200000000);
    clock_fake(&now_us);
    return 0;
}

static int real_time(void **state)
{
    UNUSED_STATE;
    clock_fake(NULL);
    return 0;
}

/* A job that has just arrived. */
static struct job *arrive(uint32_t n_prompt, uint32_t n_choices)
{
    struct job *job = job_new(0);
    assert_non_null(job);
    job->n_prompt = n_prompt;
    job->n_choices = n_choices;
    job->max_tokens = 40;
    job->state->seqs = mem_calloc(n_choices, sizeof *job->state->seqs);
    assert_non_null(job->state->seqs);
    for (uint32_t i = 0; i < n_choices; i++) {
        job->state->seqs[i].job = job;
        job->state->seqs[i].cache.slot = CACHE_NO_SLOT;
    }
    job->state->arrived_us = now_us;
    return job;
}

static void draw(struct observer *o, struct sequence *seq)
{
    seq->n_output++;
    observe_tokens(o, seq, 1);
}

static void leave(struct observer *o, struct job *job)
{
    observe_job_end(o, job);
    job_release(job);
}

static void sums(const struct histogram *h, uint64_t count, uint64_t sum)
{
    assert_int_equal(histogram_count(h), count);
    assert_int_equal(atomic_load(&h->sum), sum);
}

TEST(the_times_of_a_request_are_those_of_the_drawing)
{
    UNUSED_STATE;
    static struct observer o;
    observer_init(&o, 4096);
    struct job *job = arrive(17, 1);
    struct sequence *seq = &job->state->seqs[0];
    now_us += 300000;
    observe_planned(&o, seq);
    now_us += 200000;
    observe_tokens(&o, seq, 0); /* a chunk of its prompt */
    now_us += 500000;
    draw(&o, seq);
    sums(&o.first_token, 1, 1000000);
    now_us += 70000;
    draw(&o, seq);
    observe_planned(&o, seq); /* again, after a preemption */
    now_us += 90000;
    draw(&o, seq);
    seq->times.outcome = OUTCOME_STOP;
    now_us += 5000; /* told a little later */
    leave(&o, job);
    sums(&o.queue, 1, 300000);
    sums(&o.between_tokens, 2, 160000);
    sums(&o.per_token, 1, 80000);
    sums(&o.whole, 1, 1160000);
    sums(&o.prefill, 1, 700000);
    sums(&o.decode, 1, 160000);
    sums(&o.inference, 1, 860000);
    sums(&o.prompt, 1, 17);
    sums(&o.generation, 1, 3);
    sums(&o.max_tokens, 1, 40);
    sums(&o.n_choices, 1, 1);
    assert_int_equal(counter_get(&o.prompt_tokens), 17);
    assert_int_equal(counter_get(&o.generation_tokens), 3);
    assert_int_equal(counter_get(&o.outcomes[OUTCOME_STOP]), 1);
}

TEST(choices_count_one_by_one_and_the_cut_have_no_times)
{
    UNUSED_STATE;
    static struct observer o;
    observer_init(&o, 4096);
    struct job *job = arrive(5, 3);
    struct sequence *seqs = job->state->seqs;
    for (int i = 0; i < 3; i++) {
        observe_planned(&o, &seqs[i]);
        draw(&o, &seqs[i]);
    }
    seqs[0].times.outcome = OUTCOME_LENGTH;
    seqs[1].times.outcome = OUTCOME_ERROR;
    leave(&o, job); /* the third was cancelled: nobody was told */
    assert_int_equal(counter_get(&o.outcomes[OUTCOME_LENGTH]), 1);
    assert_int_equal(counter_get(&o.outcomes[OUTCOME_ERROR]), 1);
    assert_int_equal(counter_get(&o.outcomes[OUTCOME_ABORT]), 1);
    assert_int_equal(counter_get(&o.prompt_tokens), 15);
    sums(&o.whole, 1, 0);
    sums(&o.first_token, 3, 0);
    sums(&o.per_token, 0, 0); /* one token has no time between tokens */
    sums(&o.n_choices, 1, 3);
}

TEST(an_end_is_what_was_told)
{
    UNUSED_STATE;
    struct job_event e = {.kind = EVENT_FINISH, .finish = FINISH_STOP};
    assert_int_equal(observe_outcome(&e), OUTCOME_STOP);
    e.finish = FINISH_LENGTH;
    assert_int_equal(observe_outcome(&e), OUTCOME_LENGTH);
    e.finish = FINISH_LOOP;
    assert_int_equal(observe_outcome(&e), OUTCOME_LOOP);
    e.finish = FINISH_ABORT;
    assert_int_equal(observe_outcome(&e), OUTCOME_ABORT);
    e.kind = EVENT_ERROR;
    assert_int_equal(observe_outcome(&e), OUTCOME_ERROR);
}

/* Starts a job, and ends it after so long. */
static void run_one(struct observer *o, uint64_t us)
{
    struct job *job = arrive(1, 1);
    observe_planned(o, &job->state->seqs[0]);
    now_us += us;
    leave(o, job);
}

TEST(the_wait_is_the_line_at_the_pace_of_the_ends)
{
    UNUSED_STATE;
    static struct observer o;
    observer_init(&o, 4096);
    assert_int_equal(observe_retry_s(&o, 5), 1); /* nothing is known */
    for (int i = 0; i < 200; i++)
        run_one(&o, 2000000);
    assert_int_equal(observe_retry_s(&o, 0), 2);
    assert_int_equal(observe_retry_s(&o, 10), 20);
    assert_int_equal(observe_end_s(&o, 10, 5), 4); /* every second is his */
    assert_int_equal(observe_end_s(&o, 10, 0), 20);
    now_us += UINT64_C(3600000000); /* an hour's rest is no slowness */
    run_one(&o, 2000000);
    assert_int_equal(observe_retry_s(&o, 10), 20);
    for (int i = 0; i < 400; i++)
        run_one(&o, 10000); /* short ones now */
    assert_int_equal(observe_retry_s(&o, 10), 1);
    assert_int_equal(observe_retry_s(&o, UINT32_MAX), 3600);
    assert_int_equal(observe_end_s(&o, UINT32_MAX, 1), 3600);
}

TEST(a_batch_that_ends_in_one_step_is_a_batch)
{
    UNUSED_STATE;
    static struct observer o;
    struct job *jobs[16];
    observer_init(&o, 4096);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 16; i++) {
            jobs[i] = arrive(1, 1);
            observe_planned(&o, &jobs[i]->state->seqs[0]);
        }
        now_us += 16000000;
        for (int i = 0; i < 16; i++)
            leave(&o, jobs[i]);
    }
    /* One a second; the mean of 64 ends, with the youngest weighing most. */
    uint32_t s = observe_retry_s(&o, 100);
    assert_in_range(s, 80, 120);
}

TEST(ends_that_stay_away_make_the_wait_longer)
{
    UNUSED_STATE;
    static struct observer o;
    observer_init(&o, 4096);
    struct job *first = arrive(1, 1), *second = arrive(1, 1);
    observe_planned(&o, &first->state->seqs[0]);
    observe_planned(&o, &second->state->seqs[0]);
    now_us += 30000000;
    assert_int_equal(observe_retry_s(&o, 6), 4 * 15); /* none ended yet */
    leave(&o, first);
    leave(&o, second);
    assert_int_equal(observe_retry_s(&o, 4), 4 * 15);
    struct job *third = arrive(1, 1); /* one that never starts */
    now_us += 30000000;
    leave(&o, third);
    assert_int_equal(observe_retry_s(&o, 4), 4 * 15);
}

/* ---- from a whole engine ---------------------------------------------- */

#define N_BLOCKS 32u

struct rig {
    struct fake_model model;
    struct engine *engine;
    sem_t woken;
};

static void wake(void *user)
{
    struct rig *rig = user;
    (void)sem_post(&rig->woken);
}

static void (*quick_forward)(void *ctx, struct batch *batch);

static void slow_forward(void *ctx, struct batch *batch)
{
    quick_forward(ctx, batch);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void rig_init(struct rig *rig, const struct engine_options *options)
{
    struct err err;
    assert_int_equal(sem_init(&rig->woken, 0, 0), 0);
    fake_model_init(&rig->model, N_BLOCKS, options->max_sequences, 600);
    quick_forward = rig->model.face.forward;
    rig->model.face.forward = slow_forward;
    if (engine_new_with(&rig->engine, &rig->model.face, options, wake, rig,
                        &err) != 0)
        fail_msg("%s", err.text);
}

static void rig_deinit(struct rig *rig)
{
    engine_free(rig->engine);
    fake_model_deinit(&rig->model);
    (void)sem_destroy(&rig->woken);
}

static void turn(struct rig *rig)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 5;
    assert_int_equal(sem_timedwait(&rig->woken, &t), 0);
    engine_dispatch(rig->engine);
}

struct heard {
    uint32_t n_tokens, n_ends;
    enum event_kind end;
    struct err err;
};

static void on_event(void *user, const struct job_event *e)
{
    struct heard *h = user;
    h->n_tokens += e->kind == EVENT_TOKEN;
    if (e->kind == EVENT_FINISH || e->kind == EVENT_ERROR) {
        h->n_ends++;
        h->end = e->kind;
        h->err = e->err;
    }
}

static struct job *ask(struct rig *rig, const token_id *prompt, uint32_t n,
                       uint32_t max_tokens, struct heard *heard)
{
    struct job *job = job_new(0);
    struct err err;
    assert_non_null(job);
    memset(heard, 0, sizeof *heard);
    job->prompt = prompt;
    job->n_prompt = n;
    job->max_tokens = max_tokens;
    job->params.temperature = 0.0f;
    job->on_event = on_event;
    job->user = heard;
    if (engine_submit(rig->engine, job, &err) != 0)
        fail_msg("%s", err.text);
    return job;
}

/* The value of the sample whose line begins so. */
static double value(const char *text, const char *begin)
{
    char line[160];
    snprintf(line, sizeof line, "\n%s", begin);
    const char *at = strstr(text, line);
    if (at == NULL)
        fail_msg("%s is not told", begin);
    return strtod(at + strlen(line), NULL);
}

static void tell(struct rig *rig, struct buf *out)
{
    struct metrics_text t = {out, ""};
    buf_clear(out);
    engine_metrics(rig->engine, &t);
    assert_true(buf_ok(out));
}

static const token_id letters[] = {FAKE_A, FAKE_A + 1, FAKE_A + 2};
static const token_id poisoned[] = {FAKE_POISON, FAKE_A};

TEST(an_engine_tells_what_it_has_done)
{
    UNUSED_STATE;
    static const struct engine_options options = {
        .max_sequences = 2, .max_queue = 8, .max_step_tokens = 16};
    struct rig rig;
    struct heard fine, failed, left;
    struct buf out = {0};
    rig_init(&rig, &options);
    struct job *a = ask(&rig, letters, 3, 6, &fine);
    while (fine.n_ends == 0)
        turn(&rig);
    struct job *b = ask(&rig, poisoned, 2, 6, &failed);
    while (failed.n_ends == 0)
        turn(&rig);
    struct job *c = ask(&rig, letters, 3, 500, &left);
    while (left.n_tokens == 0)
        turn(&rig);
    engine_cancel(rig.engine, c);
    for (int i = 0; !engine_idle(rig.engine); i++) {
        assert_true(i < 5000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    tell(&rig, &out);
    const char *text = buf_str(&out);
    assert_int_equal(fine.n_tokens, 6);
    assert_true(value(text, "vllm:num_requests_running ") == 0);
    assert_true(value(text, "vllm:num_requests_waiting ") == 0);
    assert_true(value(text, "vllm:kv_cache_usage_perc ") == 0);
    assert_true(value(text, "vllm:num_preemptions_total ") == 0);
    assert_true(value(text, "vllm:prompt_tokens_total ") == 6);
    assert_true(value(text, "vllm:generation_tokens_total ") >= 7);
    assert_true(value(text, "vllm:request_success_total"
                            "{finished_reason=\"length\"} ") == 1);
    assert_true(value(text, "vllm:request_success_total"
                            "{finished_reason=\"error\"} ") == 1);
    assert_true(value(text, "vllm:request_success_total"
                            "{finished_reason=\"abort\"} ") == 1);
    assert_true(value(text, "vllm:time_to_first_token_seconds_count ") == 2);
    assert_true(value(text, "vllm:request_queue_time_seconds_count ") == 3);
    assert_true(value(text, "vllm:e2e_request_latency_seconds_count ") == 1);
    assert_true(value(text, "vllm:request_generation_tokens_sum ") == 6);
    assert_true(value(text, "vllm:inter_token_latency_seconds_count ") >= 5);
    char info[96];
    snprintf(info, sizeof info,
             "vllm:cache_config_info{block_size=\"%u\",num_gpu_blocks=\"%u\"} ",
             KV_BLOCK_TOKENS, N_BLOCKS);
    assert_true(value(text, info) == 1);
    /* The context is 600 tokens long. */
    assert_non_null(strstr(text, "request_prompt_tokens_bucket{le=\"500.0\"}"));
    assert_null(strstr(text, "request_prompt_tokens_bucket{le=\"1000.0\"}"));
    job_release(a);
    job_release(b);
    job_release(c);
    buf_deinit(&out);
    rig_deinit(&rig);
}

TEST(what_waits_too_long_is_ended_and_what_runs_is_not)
{
    UNUSED_STATE;
    static const struct engine_options options = {.max_sequences = 1,
                                                  .max_queue = 2,
                                                  .max_step_tokens = 16,
                                                  .max_queue_ms = 60};
    struct rig rig;
    struct heard runs, waits;
    struct buf out = {0};
    struct err err = {0};
    rig_init(&rig, &options);
    struct job *a = ask(&rig, letters, 3, 400, &runs);
    while (runs.n_tokens == 0)
        turn(&rig);
    struct job *b = ask(&rig, letters, 3, 1, &waits);
    struct job *full = job_new(0);
    assert_non_null(full);
    full->prompt = letters;
    full->n_prompt = 3;
    full->max_tokens = 1;
    assert_int_equal(engine_submit(rig.engine, full, &err), -ERR_BUSY);
    assert_true(engine_retry_s(rig.engine) >= 1);
    job_release(full);
    while (waits.n_ends == 0)
        turn(&rig);
    assert_int_equal(waits.end, EVENT_ERROR);
    assert_int_equal(waits.err.class_, ERR_UNAVAILABLE);
    assert_non_null(strstr(waits.err.text, "waited for 60 ms"));
    assert_int_equal(runs.n_ends, 0);
    tell(&rig, &out);
    assert_true(value(buf_str(&out), "lfmd_requests_expired_total ") == 1);
    assert_true(value(buf_str(&out), "lfmd_requests_refused_total ") == 1);
    assert_true(value(buf_str(&out), "vllm:num_requests_running ") == 1);
    while (runs.n_ends == 0)
        turn(&rig);
    assert_int_equal(runs.n_tokens, 400);
    job_release(a);
    job_release(b);
    buf_deinit(&out);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_times_of_a_request_are_those_of_the_drawing, at_noon,
            real_time),
        cmocka_unit_test_setup_teardown(
            choices_count_one_by_one_and_the_cut_have_no_times, at_noon,
            real_time),
        cmocka_unit_test(an_end_is_what_was_told),
        cmocka_unit_test_setup_teardown(
            the_wait_is_the_line_at_the_pace_of_the_ends, at_noon, real_time),
        cmocka_unit_test_setup_teardown(
            a_batch_that_ends_in_one_step_is_a_batch, at_noon, real_time),
        cmocka_unit_test_setup_teardown(
            ends_that_stay_away_make_the_wait_longer, at_noon, real_time),
        cmocka_unit_test(an_engine_tells_what_it_has_done),
        cmocka_unit_test(what_waits_too_long_is_ended_and_what_runs_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
