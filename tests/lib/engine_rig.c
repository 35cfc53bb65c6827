/* engine_rig.c -- see engine_rig.h. */
#include "tests/lib/engine_rig.h"

#include <math.h>
#include <time.h>

#include "tests/lib/test.h"

void rig_wake(void *user)
{
    struct rig *rig = user;
    (void)sem_post(&rig->woken);
}

void rig_init(struct rig *rig, uint32_t n_blocks,
              const struct engine_options *options)
{
    struct err err;
    assert_int_equal(sem_init(&rig->woken, 0, 0), 0);
    fake_model_init(&rig->model, n_blocks, options->max_sequences, 600);
    if (engine_new_with(&rig->engine, &rig->model.face, options, rig_wake, rig,
                        &err) != 0)
        fail_msg("%s", err.text);
}

void rig_init_model(struct rig *rig, struct model *model,
                    const struct engine_options *options)
{
    struct err err;
    memset(rig, 0, sizeof *rig);
    assert_int_equal(sem_init(&rig->woken, 0, 0), 0);
    if (engine_new(&rig->engine, model, options, rig_wake, rig, &err) != 0)
        fail_msg("%s", err.text);
}

void rig_deinit(struct rig *rig)
{
    engine_free(rig->engine);
    if (rig->model.face.cache != NULL)
        fake_model_deinit(&rig->model);
    (void)sem_destroy(&rig->woken);
}

bool rig_turn(struct rig *rig, unsigned wait_ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += (long)wait_ms * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    bool woken = sem_timedwait(&rig->woken, &t) == 0;
    engine_dispatch(rig->engine);
    return woken;
}

static void mix_in(uint64_t *digest, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        *digest = (*digest ^ p[i]) * UINT64_C(0x100000001B3);
}

static void on_event(void *user, const struct job_event *e)
{
    struct call *call = user;
    struct heard *h = &call->heard[e->choice];
    assert_false(call->cancelled);
    assert_int_equal(h->n_ends, 0);
    assert_true(h->n_text + e->n_text < RIG_TEXT);
    mix_in(&h->digest, &e->kind, sizeof e->kind);
    mix_in(&h->digest, &e->token, sizeof e->token);
    mix_in(&h->digest, &e->logprob, sizeof e->logprob);
    mix_in(&h->digest, &e->finish, sizeof e->finish);
    mix_in(&h->digest, &e->n_completion, sizeof e->n_completion);
    mix_in(&h->digest, e->text, e->n_text);
    mix_in(&h->digest, e->top, e->n_top * sizeof *e->top);
    memcpy(h->text + h->n_text, e->text, e->n_text);
    h->n_text += e->n_text;
    h->n_completion = e->n_completion;
    h->n_cached = e->n_cached;
    h->n_thought = e->n_thought;
    if (e->kind == EVENT_PROMPT_LOGPROB) {
        assert_int_equal(h->n_tokens, 0);
        h->prompt_logprobs[h->n_prompt_tokens] = e->logprob;
        h->prompt_tokens[h->n_prompt_tokens++] = e->token;
    } else if (e->kind == EVENT_TOKEN) {
        h->logprobs[h->n_tokens] = e->logprob;
        h->tokens[h->n_tokens++] = e->token;
    } else {
        h->n_ends++;
        h->end = e->kind;
        h->finish = e->finish;
        h->stop_token = e->stop_token;
        h->stop_string = e->stop_string;
        h->error = e->err.class_;
    }
    if (++call->n_events == call->cancel_after) {
        engine_cancel(call->engine, call->job);
        call->cancelled = true;
    }
}

bool rig_is_over(const struct call *call)
{
    bool over = true;
    for (uint32_t i = 0; i < call->n_choices; i++)
        over = over && call->heard[i].n_ends > 0;
    return over || call->cancelled;
}

void rig_call(struct call *call, struct job *job)
{
    memset(call, 0, sizeof *call);
    call->job = job;
    call->n_choices = job->n_choices;
    job->on_event = on_event;
    job->user = call;
}

void rig_submit(struct rig *rig, struct call *call)
{
    struct err err;
    call->engine = rig->engine;
    if (engine_submit(rig->engine, call->job, &err) != 0)
        fail_msg("%s", err.text);
}

void rig_wait_for(struct rig *rig, struct call *calls, uint32_t n)
{
    for (uint32_t i = 0, idle = 0; i < n;) {
        if (rig_is_over(&calls[i])) {
            i++;
            continue;
        }
        idle = rig_turn(rig, 100) ? 0 : idle + 1;
        assert_true(idle < 80);
    }
}

void rig_wait_idle(struct rig *rig)
{
    for (int i = 0; !engine_idle(rig->engine); i++) {
        (void)rig_turn(rig, 5);
        assert_true(i < 1000);
    }
}

struct job *rig_counting_job(token_id from, uint32_t max_tokens)
{
    static const token_id eos = FAKE_EOS;
    struct job *job = job_new(0);
    assert_non_null(job);
    const token_id prompt[2] = {FAKE_COUNT, from - 1};
    job->prompt = arena_dup(job->arena, prompt, sizeof prompt);
    job->n_prompt = 2;
    job->max_tokens = max_tokens;
    job->params.temperature = 0;
    job->stop_ids = &eos;
    job->n_stop_ids = 1;
    return job;
}

struct heard *rig_say(struct rig *rig, struct call *call, struct job *job)
{
    rig_call(call, job);
    rig_submit(rig, call);
    rig_wait_for(rig, call, 1);
    job_release(job);
    return &call->heard[0];
}

/* ---- what was captured ------------------------------------------------ */

static void check_number(float got, float want, const char *what)
{
    if (!(fabsf(got - want) <= 1e-6f))
        fail_msg("%s is %.7f, expected %.7f", what, (double)got, (double)want);
}

static void check_row(const float *row, uint32_t n_floats,
                      const struct job *job, uint32_t n_tokens, uint32_t state)
{
    for (uint32_t i = 0; i < n_floats; i++)
        check_number(row[i], fake_state(job->prompt, n_tokens, state, i),
                     "a state's number");
}

static void check_mean(const struct job *job)
{
    for (uint32_t i = 0; i < FAKE_HIDDEN; i++) {
        double sum = 0;
        for (uint32_t t = 1; t <= job->n_prompt; t++)
            sum += (double)fake_state(job->prompt, t, FAKE_LAYERS, i);
        check_number((float)(job->captured.sum[i] / job->n_prompt),
                     (float)(sum / job->n_prompt), "a mean's number");
    }
}

void rig_check_captured(const struct job *job)
{
    const struct capture *c = &job->captured;
    if (c->last != NULL)
        check_row(c->last, FAKE_HIDDEN, job, job->n_prompt, FAKE_LAYERS);
    if (c->sum != NULL)
        check_mean(job);
    for (uint32_t s = 0; s < job->want.n_states; s++)
        for (uint32_t t = 0; t < job->n_prompt; t++)
            check_row(c->states + (s * job->n_prompt + t) * FAKE_HIDDEN,
                      FAKE_HIDDEN, job, t + 1, c->first_state + s);
    for (uint32_t t = 0; c->router != NULL && t < job->n_prompt; t++)
        check_row(c->router + t * FAKE_EXPERTS, FAKE_EXPERTS, job, t + 1,
                  FAKE_LAYERS + 1);
}
