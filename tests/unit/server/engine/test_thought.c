/* test_thought.c -- how long a reply may think, over a model without weights:
 * with and without a grammar, whoever opened the thought, beside drafts,
 * preemption and everything that bans or ends. */
#include "tests/lib/test.h"

#include "model/grammar/regex.h"
#include "tests/lib/engine_rig.h"

static const struct engine_options roomy = {
    .max_sequences = 4,
    .max_queue = 8,
    .max_step_tokens = 64,
    .max_logit_rows = 16,
    .n_draft = 8,
};

enum { END = FAKE_A + 24, K = FAKE_A + 10, N_CASES = 40 };

/* Hot, without an eos, from a prompt that says little. */
static struct job *hot_job(uint64_t seed)
{
    struct job *job = rig_counting_job(FAKE_A, 60);
    const token_id prompt[2] = {10, (token_id)(5 + seed % 50)};
    job->prompt = arena_dup(job->arena, prompt, sizeof prompt);
    job->params.temperature = 1;
    job->params.seed = seed;
    job->n_stop_ids = 0;
    job->think_end = END;
    return job;
}

static void bind_to_k(struct job *job)
{
    assert_int_equal(grammar_from_regex(&job->grammar, "k*", 2, NULL), 0);
}

/* Where the thought that begins at `from` is closed, or n_tokens. */
static uint32_t end_of_thought(const struct heard *h, uint32_t from)
{
    while (from < h->n_tokens && h->tokens[from] != END)
        from++;
    return from;
}

/* A thought that the prompt opened, of `most` tokens at most. */
static void check_open_thought(const struct heard *h, uint32_t most, bool bound)
{
    uint32_t end = end_of_thought(h, 0);
    assert_int_equal(h->end, EVENT_FINISH);
    assert_true(end <= most);
    assert_true(end < h->n_tokens);
    assert_int_equal(h->n_thought, end + 1);
    for (uint32_t i = end + 1; bound && i < h->n_tokens; i++)
        assert_int_equal(h->tokens[i], K);
}

TEST(a_thought_is_closed_when_it_has_had_its_tokens)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    uint32_t n_forced = 0;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        struct job *job = hot_job(t);
        const uint32_t most = t % 7;
        const bool bound = t % 2 == 1;
        job->in_thought = true;
        job->max_thought = most;
        job->n_choices = 1 + t % 4;
        const uint32_t n = job->n_choices;
        if (bound)
            bind_to_k(job);
        rig_say(&rig, &call, job);
        for (uint32_t i = 0; i < n; i++) {
            check_open_thought(&call.heard[i], most, bound);
            n_forced += end_of_thought(&call.heard[i], 0) == most;
        }
    }
    assert_true(n_forced > N_CASES);
    rig_deinit(&rig);
}

/* What the model would say first is made the marker that opens. */
TEST(a_model_that_opens_its_thought_is_held_to_the_same)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        struct job *job = hot_job(t);
        job->max_tokens = 1;
        job->params.temperature = 0;
        const token_id first = rig_say(&rig, &call, job)->tokens[0];
        if (first == END)
            continue;
        for (uint32_t most = 0; most < 5; most++) {
            job = hot_job(t);
            job->params.temperature = 0;
            job->think_start = first;
            job->max_thought = most;
            if (t % 2 == 1)
                bind_to_k(job);
            const struct heard *h = rig_say(&rig, &call, job);
            const uint32_t end = end_of_thought(h, 1);
            assert_int_equal(h->tokens[0], first);
            assert_true(end <= 1 + most);
            assert_int_equal(h->n_thought, end + 1);
        }
    }
    rig_deinit(&rig);
}

TEST(what_is_no_thought_is_neither_counted_nor_cut)
{
    UNUSED_STATE;
    static struct call plain, limited;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        const struct heard *a = rig_say(&rig, &plain, hot_job(t));
        struct job *job = hot_job(t);
        job->max_thought = 0;
        job->think_start = a->tokens[0] == FAKE_A ? FAKE_A + 1 : FAKE_A;
        const struct heard *b = rig_say(&rig, &limited, job);
        assert_int_equal(a->n_thought, 0);
        assert_int_equal(b->n_thought, 0);
        assert_true(a->digest == b->digest);
    }
    rig_deinit(&rig);
}

TEST(a_free_thought_is_counted_and_left_alone)
{
    UNUSED_STATE;
    static struct call plain, counted;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        struct job *job = hot_job(t);
        job->in_thought = true;
        const struct heard *a = rig_say(&rig, &plain, hot_job(t));
        const struct heard *b = rig_say(&rig, &counted, job);
        const uint32_t end = end_of_thought(b, 0);
        assert_true(a->digest == b->digest);
        assert_int_equal(b->n_thought,
                         end < b->n_tokens ? end + 1 : b->n_tokens);
    }
    rig_deinit(&rig);
}

TEST(a_call_ends_a_thought_that_was_never_closed)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        struct job *job = hot_job(t);
        job->in_thought = true;
        job->params.temperature = 0;
        const struct heard *h = rig_say(&rig, &call, job);
        const token_id third = h->tokens[2];
        if (third == h->tokens[0] || third == h->tokens[1] ||
            end_of_thought(h, 0) <= 3)
            continue;
        const uint64_t free = h->digest;
        job = hot_job(t);
        job->in_thought = true;
        job->params.temperature = 0;
        job->call_start = third;
        job->max_thought = 3;
        h = rig_say(&rig, &call, job);
        assert_int_equal(h->n_thought, 2);
        assert_true(h->digest == free);
    }
    rig_deinit(&rig);
}

/* min_tokens bans the stop ids, a bias of -100 all but bans the marker, and the
 * marker is asked to end the reply: it closes the thought nonetheless. */
TEST(nothing_else_keeps_a_thought_open)
{
    UNUSED_STATE;
    static struct call call;
    static const token_id stops[2] = {FAKE_EOS, END};
    static const struct logit_bias against = {END, -100};
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < N_CASES; t++) {
        struct job *job = hot_job(t);
        job->in_thought = true;
        job->max_thought = 4;
        job->params.bias = &against;
        job->params.n_bias = 1;
        job->params.want_logprob = true;
        job->min_tokens = 20;
        const struct heard *h = rig_say(&rig, &call, job);
        assert_int_equal(end_of_thought(h, 0), 4);
        assert_true(h->logprobs[4] < 0 && h->logprobs[4] > -20);

        job = hot_job(t);
        job->in_thought = true;
        job->max_thought = 4;
        job->min_tokens = 20;
        job->stop_ids = stops;
        job->n_stop_ids = 2;
        h = rig_say(&rig, &call, job);
        assert_int_equal(h->finish, FINISH_STOP);
        assert_int_equal(h->stop_token, END);
        assert_int_equal(h->n_tokens, 4);

        job = hot_job(t);
        job->in_thought = true;
        job->stop_ids = stops;
        job->n_stop_ids = 2;
        bind_to_k(job);
        h = rig_say(&rig, &call, job);
        assert_int_equal(h->end, EVENT_FINISH);
    }
    rig_deinit(&rig);
}

static struct job *looping_job(uint32_t n_draft, uint32_t most)
{
    struct job *job = hot_job(3);
    token_id prompt[16] = {FAKE_LOOP};
    for (uint32_t i = 1; i < 16; i++)
        prompt[i] = (token_id)(FAKE_A + i % FAKE_LOOP_TOKENS);
    job->prompt = arena_dup(job->arena, prompt, sizeof prompt);
    job->n_prompt = 16;
    job->max_tokens = 200;
    job->params.temperature = 0.3f;
    job->n_draft = n_draft;
    job->in_thought = true;
    job->max_thought = most;
    return job;
}

TEST(guessing_ahead_changes_nothing)
{
    UNUSED_STATE;
    static struct call slow, fast;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t most = 0; most < 60; most++) {
        const struct heard *a = rig_say(&rig, &slow, looping_job(0, most));
        const uint64_t steps = engine_stats(rig.engine).steps;
        const struct heard *b = rig_say(&rig, &fast, looping_job(8, most));
        assert_true(end_of_thought(a, 0) <= most);
        assert_int_equal(a->n_thought, b->n_thought);
        assert_true(a->digest == b->digest);
        assert_true(engine_stats(rig.engine).steps - steps < a->n_tokens);
    }
    rig_deinit(&rig);
}

TEST(preempted_it_thinks_the_same)
{
    UNUSED_STATE;
    static struct call calls[2];
    static const uint32_t blocks[2] = {60, 5};
    for (unsigned pass = 0; pass < 2; pass++) {
        struct rig rig;
        rig_init(&rig, blocks[pass], &roomy);
        struct job *job = hot_job(3);
        job->in_thought = true;
        job->max_thought = 37;
        job->think_end = FAKE_HEAR;
        job->n_choices = 4;
        rig_say(&rig, &calls[pass], job);
        rig_wait_idle(&rig);
        assert_int_equal(engine_stats(rig.engine).preemptions > 0, pass == 1);
        rig_deinit(&rig);
    }
    for (uint32_t i = 0; i < 4; i++) {
        const struct heard *wide = &calls[0].heard[i];
        assert_int_equal(wide->n_tokens, 60);
        assert_true(wide->digest == calls[1].heard[i].digest);
        assert_int_equal(wide->n_thought, calls[1].heard[i].n_thought);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thought_is_closed_when_it_has_had_its_tokens),
        cmocka_unit_test(a_model_that_opens_its_thought_is_held_to_the_same),
        cmocka_unit_test(what_is_no_thought_is_neither_counted_nor_cut),
        cmocka_unit_test(a_free_thought_is_counted_and_left_alone),
        cmocka_unit_test(a_call_ends_a_thought_that_was_never_closed),
        cmocka_unit_test(nothing_else_keeps_a_thought_open),
        cmocka_unit_test(guessing_ahead_changes_nothing),
        cmocka_unit_test(preempted_it_thinks_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
