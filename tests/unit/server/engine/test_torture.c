/* test_torture.c -- everything at once: tenants, priorities, guesses, shared
 * prefixes, choices, slow readers, cancels, deadlines, queue times, too few
 * blocks, and somebody who saves the cache meanwhile; of answers and calls in a
 * form, thoughts with a limit, loops, words that may not come, prompts whose
 * states are wanted.
 *
 * Each round is an engine with options of its own and a random string of
 * operations on it; what its cache had remembered, the next one reads.  Every
 * reply that is said to its end equals the one said alone, one that is broken
 * off begins like it, and all blocks come back.
 *
 * A round depends on its number, but for the time things take.  LFMD_TORTURE_S
 * is how many seconds to go on, LFMD_TORTURE_ROUND the first round. */
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/cache/cache.h"
#include "model/cache/prefix_file.h"
#include "model/grammar/regex.h"
#include "model/sample/rng.h"
#include "tests/lib/engine_rig.h"

#define N_CASES 300u
#define MAX_PROMPT 180u
#define MAX_REPLY 60u
#define LEAST_BLOCKS 16u /* hold the longest of them */
#define CROWD 24u
#define JOBS_A_ROUND 100u
#define ENOUGH_ROUNDS 50u /* for something to have happened, on any machine */
#define FINGERPRINT 7u

/* What is asked, and what it hears when it is alone. */
struct sample {
    token_id tokens[MAX_PROMPT + MAX_REPLY]; /* the prompt, then choice 0 */
    uint32_t n_prompt, n_tokens, max_tokens, n_choices;
    bool scored;
    struct capture_want want;
    struct {
        uint64_t digest;
        token_id tokens[MAX_REPLY];
        uint32_t n_tokens;
    } reply[RIG_CHOICES];
};

static struct sample samples[N_CASES];
static struct grammar *answers[3], *calls[3];
static char path[64];

/* ---- chance ----------------------------------------------------------- */

static uint32_t of_case(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 11, what) % below);
}

struct dice {
    uint32_t round, n;
};

static uint32_t roll(struct dice *d, uint32_t below)
{
    return (uint32_t)(rng_bits(d->round, 13, d->n++) % below);
}

static bool one_in(struct dice *d, uint32_t n)
{
    return roll(d, n) == 0;
}

/* ---- what is asked ---------------------------------------------------- */

static void make_grammars(void)
{
    static const char *const forms[2][3] = {
        {"[a-w]{2,30}", "(ab|cde--f)+", "abcdefgh[i-k]lmnopq(r|s)*"},
        {"[a-f]{1,9}", "abcd(ef|gh)ijklmnop[a-c]{0,4}", "a(b|c)*"},
    };
    for (unsigned i = 0; i < 3; i++) {
        const char *answer = forms[0][i], *call = forms[1][i];
        if (grammar_from_regex(&answers[i], answer, strlen(answer), NULL) ||
            grammar_from_regex(&calls[i], call, strlen(call), NULL))
            fail_msg("no grammar");
    }
}

static void forget_grammars(void)
{
    for (unsigned i = 0; i < 3; i++) {
        grammar_unref(answers[i]);
        grammar_unref(calls[i]);
    }
}

/* It begins like an earlier one's prompt and reply, up to any token. */
static void make_sample(uint32_t i)
{
    struct sample *s = &samples[i];
    s->max_tokens = 1 + of_case(i, 1, MAX_REPLY);
    s->n_choices = of_case(i, 2, 5) == 0 ? 1 + of_case(i, 3, RIG_CHOICES) : 1;
    s->scored = of_case(i, 4, 16) == 0;
    if (of_case(i, 13, 12) == 0) {
        s->want = (struct capture_want){.last = of_case(i, 14, 2) == 0,
                                        .mean = of_case(i, 15, 4) == 0,
                                        .router = of_case(i, 16, 4) == 0,
                                        .n_states = of_case(i, 17, 3)};
        s->max_tokens = 0;
        s->n_choices = 1;
        s->scored = !capture_wants(&s->want);
    }
    if (of_case(i, 5, 2) == 0)
        s->tokens[s->n_prompt++] = FAKE_LOOP;
    if (i > 0 && of_case(i, 6, 8) > 0) {
        const struct sample *old = &samples[of_case(i, 7, i)];
        uint32_t n = of_case(i, 8, 2) == 0 ? old->n_tokens
                                           : of_case(i, 9, old->n_tokens + 1);
        s->n_prompt = n < MAX_PROMPT - 1 ? n : MAX_PROMPT - 1;
        memcpy(s->tokens, old->tokens, s->n_prompt * sizeof *s->tokens);
    }
    uint32_t more = 1 + of_case(i, 10, of_case(i, 11, 2) ? 8 : 90);
    while (more-- > 0 && s->n_prompt < MAX_PROMPT)
        s->tokens[s->n_prompt++] = 5 + (token_id)of_case(i, 100 + more, 50);
    if (of_case(i, 12, 40) == 0)
        s->tokens[s->n_prompt - 1] = FAKE_POISON;
    s->n_tokens = s->n_prompt;
}

/* The answer, calls, or both are held to a form. */
static void bind(struct job *job, uint32_t i)
{
    if (of_case(i, 30, 4) == 0)
        job->grammar = grammar_ref(answers[of_case(i, 31, 3)]);
    if (of_case(i, 32, 3) > 0)
        return;
    job->call_start = FAKE_A + (token_id)of_case(i, 33, 26);
    if (of_case(i, 34, 4) == 0)
        return;
    job->call_end = FAKE_A + 22;
    job->call_grammar = grammar_ref(calls[of_case(i, 35, 3)]);
    job->must_call = job->grammar == NULL && of_case(i, 36, 3) == 0;
    job->single_block = job->must_call || of_case(i, 37, 3) == 0;
}

static void think(struct job *job, uint32_t i)
{
    job->think_end = FAKE_HEAR;
    job->in_thought = of_case(i, 26, 2) == 0;
    if (!job->in_thought)
        job->think_start = FAKE_A + (token_id)of_case(i, 27, 26);
    if (of_case(i, 28, 4) > 0)
        job->max_thought = of_case(i, 25, 40);
}

/* Tokens and words that may not come, and ends of many kinds. */
static void restrain(struct job *job, uint32_t i)
{
    if (of_case(i, 40, 4) == 0)
        job->loops =
            (struct job_loops){of_case(i, 41, 4), 1 + of_case(i, 42, 9), 2};
    if (of_case(i, 43, 5) == 0) {
        static const token_id words[2][2] = {{FAKE_A + 1, FAKE_A + 2},
                                             {FAKE_A + 7}};
        static const struct bad_word bad[2] = {{words[0], 2}, {words[1], 1}};
        job->params.bad_words = bad;
        job->params.n_bad_words = 2;
    }
    if (of_case(i, 44, 6) == 0) {
        static const uint32_t allowed[2] = {0xfff0fff1u, 0x0000ffffu};
        job->params.allowed = allowed;
    }
    if (of_case(i, 45, 5) == 0)
        job->min_tokens = of_case(i, 46, 30);
    if (of_case(i, 47, 5) == 0) {
        static const token_id stops[3] = {FAKE_EOS, FAKE_A + 22, FAKE_A + 2};
        job->stop_ids = stops;
        job->n_stop_ids = 3;
    }
}

static struct job *job_of(uint32_t i)
{
    const struct sample *s = &samples[i];
    struct job *job = rig_counting_job(FAKE_A, s->max_tokens);
    job->prompt =
        arena_dup(job->arena, s->tokens, s->n_prompt * sizeof *s->tokens);
    assert_non_null(job->prompt);
    job->n_prompt = s->n_prompt;
    job->n_choices = s->n_choices;
    job->params.temperature = of_case(i, 20, 3) == 0 ? 0.0f : 1.0f;
    job->params.seed = i;
    job->want_prompt_logprobs = s->scored;
    if (of_case(i, 21, 4) == 0) {
        job->params.want_logprob = true;
        job->params.n_logprobs = of_case(i, 22, 4);
    }
    if (of_case(i, 23, 4) == 0) {
        static const char *const stop[] = {"a-", "q", "xy"};
        job->stop = stop;
        job->n_stop = 3;
    }
    if (of_case(i, 24, 3) == 0)
        think(job, i);
    bind(job, i);
    restrain(job, i);
    job->want = s->want;
    return job;
}

/* All samples from nothing; each is the stuff of later ones. */
static void make_samples(void)
{
    static struct call call;
    const struct engine_options plain = {
        .max_sequences = RIG_CHOICES,
        .max_queue = 4,
        .max_step_tokens = 64,
        .max_logit_rows = 64,
    };
    struct rig rig;
    rig_init(&rig, 64, &plain);
    for (uint32_t i = 0; i < N_CASES; i++) {
        make_sample(i);
        struct sample *s = &samples[i];
        struct job *job = job_of(i);
        job->n_draft = 0;
        const struct heard *h = rig_say(&rig, &call, job);
        for (uint32_t c = 0; c < s->n_choices; c++) {
            s->reply[c].digest = h[c].digest;
            s->reply[c].n_tokens = h[c].n_tokens;
            memcpy(s->reply[c].tokens, h[c].tokens,
                   h[c].n_tokens * sizeof *h[c].tokens);
        }
        memcpy(s->tokens + s->n_prompt, h->tokens,
               h->n_tokens * sizeof *h->tokens);
        s->n_tokens = s->n_prompt + h->n_tokens;
    }
    rig_deinit(&rig);
}

/* ---- who saves -------------------------------------------------------- */

struct saving {
    struct engine *engine;
    pthread_t thread;
    bool is_on;
};

static void *save(void *arg)
{
    struct saving *s = arg;
    struct prefix_file_stats stats;
    struct err err;
    if (engine_save(s->engine, path, FINGERPRINT, &stats, &err) != 0)
        fail_msg("%s", err.text);
    return NULL;
}

static void save_join(struct saving *s)
{
    if (s->is_on)
        assert_int_equal(pthread_join(s->thread, NULL), 0);
    s->is_on = false;
}

static void save_start(struct saving *s)
{
    save_join(s);
    assert_int_equal(pthread_create(&s->thread, NULL, save, s), 0);
    s->is_on = true;
}

/* ---- a round ---------------------------------------------------------- */

struct place {
    struct call call;
    uint32_t sample;
    bool is_taken, is_paused;
};

struct round {
    struct dice dice;
    struct rig rig;
    struct saving saving;
    struct place places[CROWD];
    uint32_t crowd, n_asked;
};

static struct round round_;

static struct engine_options some_options(struct dice *d)
{
    struct engine_options o = {
        .max_sequences = 1 + roll(d, 12),
        .max_queue = JOBS_A_ROUND,
        .max_queue_ms = one_in(d, 6) ? 1 + roll(d, 4) : 0,
        .max_step_tokens = 8 + roll(d, 90),
        .max_logit_rows = 1 + roll(d, 60),
        .prefix_cache = !one_in(d, 6),
        .n_draft = one_in(d, 3) ? 0 : 1 + roll(d, JOB_DRAFT_MAX),
        .target_gap_ms = roll(d, 2),
        .ring_bytes = one_in(d, 2) ? 1 : 0,
    };
    return o;
}

static void open_round(struct round *r, uint32_t number)
{
    memset(r, 0, sizeof *r);
    r->dice.round = number;
    struct engine_options o = some_options(&r->dice);
    struct rig *rig = &r->rig;
    struct prefix_file_stats stats;
    struct err err;
    uint32_t more = one_in(&r->dice, 4) ? 200 : 20;
    r->crowd = 1 + roll(&r->dice, CROWD);
    assert_int_equal(sem_init(&rig->woken, 0, 0), 0);
    fake_model_init(&rig->model, LEAST_BLOCKS + roll(&r->dice, more),
                    o.max_sequences, 600);
    if (o.prefix_cache && !one_in(&r->dice, 4) &&
        prefix_file_read(rig->model.face.cache, path, FINGERPRINT, FAKE_N_VOCAB,
                         &stats, &err) != 0)
        fail_msg("%s", err.text);
    if (engine_new_with(&rig->engine, &rig->model.face, &o, rig_wake, rig,
                        &err) != 0)
        fail_msg("%s", err.text);
    r->saving.engine = rig->engine;
}

static void ask(struct round *r, struct place *p)
{
    struct dice *d = &r->dice;
    p->sample = roll(d, N_CASES);
    struct job *job = job_of(p->sample);
    job->tenant = roll(d, 4);
    job->cache_salt = one_in(d, 4) ? job->tenant : 0;
    job->priority = one_in(d, 3) ? (int32_t)roll(d, 5) - 2 : 0;
    job->no_prefix = one_in(d, 6);
    if (one_in(d, 3))
        job->n_draft = roll(d, JOB_DRAFT_MAX + 1);
    if (one_in(d, 12))
        job->deadline_us = clock_now_us() + roll(d, 3000);
    rig_call(&p->call, job);
    if (one_in(d, 8))
        p->call.cancel_after = 1 + roll(d, MAX_REPLY);
    p->is_taken = true;
    p->is_paused = false;
    rig_submit(&r->rig, &p->call);
    r->n_asked++;
}

static void check_choice(const struct place *p, uint32_t c)
{
    const struct heard *h = &p->call.heard[c];
    const struct sample *s = &samples[p->sample];
    bool broken_off = h->n_ends == 0 || h->finish == FINISH_ABORT ||
                      (h->end == EVENT_ERROR && h->error == ERR_UNAVAILABLE);
    uint32_t n = h->n_tokens;
    assert_true(h->n_cached < s->n_prompt);
    if (!broken_off && h->digest != s->reply[c].digest)
        fail_msg("round %u: case %u choice %u says something else",
                 round_.dice.round, p->sample, c);
    if (n > s->reply[c].n_tokens ||
        memcmp(h->tokens, s->reply[c].tokens, n * sizeof *h->tokens) != 0)
        fail_msg("round %u: case %u choice %u begins with something else",
                 round_.dice.round, p->sample, c);
}

/* Its reply is over, or its engine is. */
static void leave(struct place *p)
{
    for (uint32_t c = 0; c < p->call.n_choices; c++) {
        if (!p->call.cancelled)
            assert_int_equal(p->call.heard[c].n_ends, 1);
        check_choice(p, c);
    }
    if (p->call.heard[0].n_ends > 0 && p->call.heard[0].end == EVENT_FINISH &&
        p->call.heard[0].finish == FINISH_LENGTH)
        rig_check_captured(p->call.job);
    job_release(p->call.job);
    p->is_taken = false;
}

static void resume(struct round *r, struct place *p)
{
    if (p->is_paused)
        engine_resume(r->rig.engine, p->call.job);
    p->is_paused = false;
}

/* Something happens to one of them. */
static void disturb(struct round *r, struct place *p)
{
    switch (roll(&r->dice, 12)) {
    case 0:
        engine_cancel(r->rig.engine, p->call.job);
        p->call.cancelled = true;
        break;
    case 1:
    case 2:
    case 3:
        engine_pause(r->rig.engine, p->call.job);
        p->is_paused = true;
        break;
    default:
        resume(r, p);
    }
}

static void leave_those_over(struct round *r)
{
    for (uint32_t i = 0; i < r->crowd; i++)
        if (r->places[i].is_taken && rig_is_over(&r->places[i].call))
            leave(&r->places[i]);
}

static void play(struct round *r)
{
    while (r->n_asked < JOBS_A_ROUND) {
        struct place *p = &r->places[roll(&r->dice, r->crowd)];
        if (p->is_taken)
            disturb(r, p);
        else
            ask(r, p);
        if (one_in(&r->dice, 60))
            save_start(&r->saving);
        if (one_in(&r->dice, 3))
            (void)rig_turn(&r->rig, one_in(&r->dice, 16));
        leave_those_over(r);
    }
}

static void let_all_end(struct round *r)
{
    for (uint32_t i = 0; i < r->crowd; i++) {
        struct place *p = &r->places[i];
        if (!p->is_taken)
            continue;
        resume(r, p);
        rig_wait_for(&r->rig, &p->call, 1);
        leave(p);
    }
    rig_wait_idle(&r->rig);
    save_join(&r->saving);
    struct engine_stats s = engine_stats(r->rig.engine);
    assert_int_equal(s.running + s.waiting, 0);
    assert_int_equal(s.jobs_accepted, r->n_asked);
    assert_true(s.prefix_hit_tokens <= s.prefix_query_tokens);
}

/* In the middle of everything. */
static void stop_all(struct round *r)
{
    if (one_in(&r->dice, 2))
        save_start(&r->saving);
    engine_stop(r->rig.engine);
    for (uint32_t i = 0; i < r->crowd; i++)
        if (r->places[i].is_taken)
            resume(r, &r->places[i]);
    engine_dispatch(r->rig.engine);
    for (uint32_t i = 0; i < r->crowd; i++)
        if (r->places[i].is_taken)
            leave(&r->places[i]);
}

static void close_round(struct round *r, uint64_t *preemptions, uint64_t *hits)
{
    struct cache *cache = r->rig.model.face.cache;
    engine_stop(r->rig.engine);
    save_join(&r->saving);
    if (one_in(&r->dice, 3)) {
        save_start(&r->saving);
        save_join(&r->saving);
    }
    struct engine_stats s = engine_stats(r->rig.engine);
    assert_int_equal(s.jobs_accepted,
                     s.jobs_cancelled + s.jobs_finished + s.jobs_failed);
    *preemptions += s.preemptions;
    *hits += s.prefix_hit_tokens;
    assert_true(cache_validate(cache));
    assert_int_equal(cache_free_blocks(cache), cache_total_blocks(cache));
    cache_forget(cache);
    assert_int_equal(cache_unused_blocks(cache), 0);
    rig_deinit(&r->rig);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

TEST(whatever_happens_a_reply_is_what_it_is_alone)
{
    UNUSED_STATE;
    uint64_t preemptions = 0, hits = 0;
    uint32_t first = (uint32_t)from_environment("LFMD_TORTURE_ROUND", 0);
    uint32_t number = first;
    size_t live = mem_live_count();
    snprintf(path, sizeof path, "/tmp/lfmd-torture-%ld", (long)getpid());
    make_grammars();
    make_samples();
    uint64_t end =
        clock_now_us() + from_environment("LFMD_TORTURE_S", 3) * 1000000;
    do {
        open_round(&round_, number++);
        play(&round_);
        if (one_in(&round_.dice, 3))
            stop_all(&round_);
        else
            let_all_end(&round_);
        close_round(&round_, &preemptions, &hits);
    } while (clock_now_us() < end || (number - first < ENOUGH_ROUNDS &&
                                      (preemptions == 0 || hits == 0)));
    (void)unlink(path);
    forget_grammars();
    print_message("%u rounds, %lu preemptions, %lu tokens found\n",
                  number - first, (unsigned long)preemptions,
                  (unsigned long)hits);
    assert_true(preemptions > 0 && hits > 0);
    assert_int_equal(mem_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_a_reply_is_what_it_is_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
