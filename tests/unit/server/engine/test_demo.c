/* test_demo.c -- the engine over the real demo model: many at once, and with
 * too little cache, each says what transformers says alone. */
#include "tests/lib/test.h"

#include <semaphore.h>
#include <time.h>

#include "model/base/json.h"
#include "model/model.h"
#include "server/engine/engine.h"

#define DEMO "model/demo"
#define MAX_CASES 64
#define MAX_TOKENS 256
#define COPIES 2u

struct reply {
    struct job *job;
    token_id tokens[MAX_TOKENS];
    uint32_t n_tokens, n_ends;
    bool failed;
};

static struct reply replies[MAX_CASES * COPIES];

static void on_event(void *user, const struct job_event *e)
{
    struct reply *r = user;
    assert_int_equal(r->n_ends, 0);
    if (e->kind == EVENT_TOKEN) {
        assert_true(r->n_tokens < MAX_TOKENS - 1);
        r->tokens[r->n_tokens++] = e->token;
        return;
    }
    r->n_ends++;
    r->failed = e->kind != EVENT_FINISH;
    if (e->stop_token != TOKEN_NONE)
        r->tokens[r->n_tokens++] = e->stop_token;
}

static void wake(void *user)
{
    (void)sem_post(user);
}

static uint32_t ids_of(const json_t *list, token_id *out)
{
    uint32_t n = (uint32_t)json_array_size(list);
    assert_true(n < MAX_TOKENS);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (token_id)json_integer_value(json_array_get(list, i));
    return n;
}

static void ask(struct engine *e, const struct model *m, const json_t *want,
                struct reply *r, uint32_t max_tokens)
{
    struct err err;
    token_id prompt[MAX_TOKENS];
    memset(r, 0, sizeof *r);
    r->job = job_new(0);
    assert_non_null(r->job);
    r->job->n_prompt = ids_of(json_object_get(want, "ids"), prompt);
    r->job->prompt =
        arena_dup(r->job->arena, prompt, r->job->n_prompt * sizeof *prompt);
    r->job->params.temperature = 0;
    r->job->max_tokens = max_tokens;
    r->job->stop_ids = m->hp.eos;
    r->job->n_stop_ids = m->hp.n_eos;
    r->job->on_event = on_event;
    r->job->user = r;
    if (engine_submit(e, r->job, &err) != 0)
        fail_msg("%s", err.text);
}

static void wait_for_all(struct engine *e, sem_t *woken)
{
    while (!engine_idle(e)) {
        struct timespec t;
        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += 8;
        if (sem_timedwait(woken, &t) != 0)
            fail_msg("nothing came for 8 s");
        engine_dispatch(e);
    }
    engine_dispatch(e);
}

static void ask_all(struct model *m, const json_t *golden,
                    const struct engine_options *options, uint64_t *preemptions)
{
    const json_t *cases = json_object_get(golden, "cases");
    uint32_t n = (uint32_t)json_array_size(cases);
    uint32_t most =
        (uint32_t)json_integer_value(json_object_get(golden, "max_new_tokens"));
    struct engine *e;
    struct err err;
    sem_t woken;
    assert_true(n > 0 && n <= MAX_CASES);
    assert_int_equal(sem_init(&woken, 0, 0), 0);
    if (engine_new(&e, m, options, wake, &woken, &err) != 0)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < n * COPIES; i++)
        ask(e, m, json_array_get(cases, i % n), &replies[i], most);
    wait_for_all(e, &woken);
    *preemptions = engine_stats(e).preemptions;
    for (uint32_t i = 0; i < n * COPIES; i++) {
        token_id want[MAX_TOKENS];
        uint32_t n_want = ids_of(
            json_object_get(json_array_get(cases, i % n), "completion_ids"),
            want);
        assert_false(replies[i].failed);
        assert_int_equal(replies[i].n_ends, 1);
        if (replies[i].n_tokens != n_want ||
            memcmp(replies[i].tokens, want, n_want * sizeof *want) != 0)
            fail_msg("case %u, copy %u says something else", i % n, i / n);
        job_release(replies[i].job);
    }
    engine_free(e);
    (void)sem_destroy(&woken);
}

static void with_cache(uint32_t n_blocks, uint64_t *preemptions)
{
    struct model *m;
    struct hparams hp;
    struct err err;
    json_t *golden;
    if (hparams_load(&hp, DEMO, &err) != 0 ||
        json_parse_file(&golden, DEMO "/golden.json", 1 << 24,
                        JSON_NODES_DEFAULT, &err) != 0)
        fail_msg("%s", err.text);
    const struct model_options options = {
        .path = DEMO,
        .n_threads = 2,
        .max_batch_tokens = 64,
        .max_slices = 8,
        .max_logit_rows = 8,
        .ctx_tokens = 320,
        .cache_bytes = cache_block_bytes(&hp, KV_F16) * n_blocks,
    };
    hparams_deinit(&hp);
    if (model_open(&m, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    const struct engine_options all = {
        .max_sequences = 8,
        .max_queue = MAX_CASES * COPIES,
        .prefix_cache = true,
    };
    ask_all(m, golden, &all, preemptions);
    json_decref(golden);
    model_close(m);
}

TEST(a_crowd_says_what_transformers_says)
{
    UNUSED_STATE;
    uint64_t preemptions;
    with_cache(200, &preemptions);
    assert_int_equal(preemptions, 0);
}

TEST(with_little_cache_nothing_changes)
{
    UNUSED_STATE;
    uint64_t preemptions;
    with_cache(14, &preemptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_says_what_transformers_says),
        cmocka_unit_test(with_little_cache_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
