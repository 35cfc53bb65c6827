/* test_share.c -- replies that begin with somebody else's keys and values,
 * against the same replies computed from nothing. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/sample/rng.h"
#include "tests/lib/engine_rig.h"

#define N_CASES 1000u
#define MAX_PROMPT 300u
#define MAX_REPLY 40u
#define CROWD 32u

/* One request of a family tree: it begins like an earlier one's prompt and
 * reply, up to any token, and goes on by itself. */
struct sample {
    token_id tokens[MAX_PROMPT + MAX_REPLY]; /* the prompt, then choice 0 */
    uint32_t n_prompt, n_tokens, max_tokens, n_choices;
    uint64_t salt, digests[RIG_CHOICES];
};

static struct sample samples[N_CASES];
static struct call calls[CROWD];

static const struct engine_options cold = {
    .max_sequences = 24,
    .max_queue = 64,
    .max_step_tokens = 96,
    .max_logit_rows = 48,
};

static struct engine_options hot(void)
{
    struct engine_options options = cold;
    options.prefix_cache = true;
    return options;
}

static uint32_t chance(uint32_t i, uint32_t what, uint32_t below)
{
    return (uint32_t)(rng_bits(i, 3, what) % below);
}

static void make_sample(uint32_t i)
{
    struct sample *s = &samples[i];
    s->salt = chance(i, 0, 8) == 0;
    s->max_tokens = 1 + chance(i, 1, MAX_REPLY);
    s->n_choices = chance(i, 2, 6) == 0 ? 1 + chance(i, 3, RIG_CHOICES) : 1;
    if (i > 0 && chance(i, 4, 40) > 0) {
        const struct sample *old = &samples[chance(i, 5, i)];
        uint32_t n = chance(i, 6, 3) == 0 ? old->n_tokens
                                          : chance(i, 7, old->n_tokens + 1);
        s->n_prompt = n < MAX_PROMPT ? n : MAX_PROMPT;
        memcpy(s->tokens, old->tokens, s->n_prompt * sizeof *s->tokens);
    }
    uint32_t more = 1 + chance(i, 8, chance(i, 9, 2) ? 8 : 120);
    while (more-- > 0 && s->n_prompt < MAX_PROMPT)
        s->tokens[s->n_prompt++] = 5 + (token_id)chance(i, 100 + more, 50);
    s->n_tokens = s->n_prompt;
}

static struct job *job_of(uint32_t i)
{
    const struct sample *s = &samples[i];
    struct job *job = rig_counting_job(FAKE_A, s->max_tokens);
    job->prompt =
        arena_dup(job->arena, s->tokens, s->n_prompt * sizeof *s->tokens);
    job->n_prompt = s->n_prompt;
    job->n_choices = s->n_choices;
    job->params.temperature = 1.0f;
    job->params.seed = i;
    job->cache_salt = s->salt;
    return job;
}

/* All samples from nothing; each is the stuff of later ones. */
static void make_samples(void)
{
    static bool made;
    struct rig rig;
    if (made)
        return;
    made = true;
    rig_init(&rig, 200, &cold);
    for (uint32_t i = 0; i < N_CASES; i++) {
        make_sample(i);
        struct sample *s = &samples[i];
        const struct heard *h = rig_say(&rig, &calls[0], job_of(i));
        assert_int_equal(h->n_cached, 0);
        memcpy(s->tokens + s->n_prompt, h->tokens,
               h->n_tokens * sizeof *h->tokens);
        s->n_tokens = s->n_prompt + h->n_tokens;
        for (uint32_t c = 0; c < s->n_choices; c++)
            s->digests[c] = h[c].digest;
    }
    assert_int_equal(engine_stats(rig.engine).prefix_query_tokens, 0);
    rig_deinit(&rig);
}

static void check_reply(uint32_t i, const struct call *call)
{
    for (uint32_t c = 0; c < samples[i].n_choices; c++) {
        assert_int_equal(call->heard[c].n_ends, 1);
        if (call->heard[c].digest != samples[i].digests[c])
            fail_msg("case %u choice %u says something else", i, c);
    }
}

/* What the first choice of case i must find of those before it: their tokens
 * that were computed, which the last one drawn was not. */
static uint32_t known_tokens(uint32_t i)
{
    const struct sample *s = &samples[i];
    uint32_t most = 0;
    for (uint32_t j = 0; j < i; j++) {
        const struct sample *old = &samples[j];
        uint32_t n = old->n_tokens - 1, k = 0;
        if (old->salt != s->salt)
            continue;
        if (n > s->n_prompt - 1)
            n = s->n_prompt - 1;
        while (k < n && old->tokens[k] == s->tokens[k])
            k++;
        if (k > most)
            most = k;
    }
    return most;
}

static void rig_end(struct rig *rig)
{
    struct cache *cache = rig->model.face.cache;
    rig_wait_idle(rig);
    struct engine_stats stats = engine_stats(rig->engine);
    assert_int_equal(stats.free_blocks, stats.total_blocks);
    engine_stop(rig->engine);
    assert_true(cache_validate(cache));
    cache_forget(cache);
    assert_true(cache_validate(cache));
    assert_int_equal(cache_unused_blocks(cache), 0);
    assert_int_equal(cache_free_blocks(cache), cache_total_blocks(cache));
    rig_deinit(rig);
}

TEST(a_reply_is_the_same_and_only_what_nobody_computed_is_computed)
{
    UNUSED_STATE;
    const struct engine_options options = hot();
    struct rig rig;
    make_samples();
    rig_init(&rig, 20000, &options);
    uint64_t n_query = 0, n_hit = 0;
    for (uint32_t i = 0; i < N_CASES; i++) {
        uint32_t known = known_tokens(i);
        uint32_t want = known > FAKE_REPLAY ? known - FAKE_REPLAY : 0;
        const struct heard *h = rig_say(&rig, &calls[0], job_of(i));
        check_reply(i, &calls[0]);
        /* Other choices too leave their tokens; of many roots only some are
         * looked at. */
        if (known >= KV_BLOCK_TOKENS && h->n_cached < want)
            fail_msg("case %u: %u tokens are cached, not %u", i, h->n_cached,
                     want);
        assert_true(h->n_cached < samples[i].n_prompt);
        for (uint32_t c = 0; c < samples[i].n_choices; c++) {
            n_query += samples[i].n_prompt;
            n_hit += h[c].n_cached;
        }
    }
    rig_wait_idle(&rig);
    struct engine_stats stats = engine_stats(rig.engine);
    assert_int_equal(stats.prefix_query_tokens, n_query);
    assert_int_equal(stats.prefix_hit_tokens, n_hit);
    assert_int_equal(stats.prefix_evictions, 0);
    assert_true(n_hit > n_query / 2);
    rig_end(&rig);
}

/* All cases through a small cache, many at a time; some are cancelled. */
static void say_in_crowds(uint32_t n_blocks, bool cancel, bool slow)
{
    struct engine_options options = hot();
    options.ring_bytes = slow ? 1 : 0;
    struct rig rig;
    make_samples();
    rig_init(&rig, n_blocks, &options);
    for (uint32_t first = 0; first + CROWD <= N_CASES; first += CROWD) {
        for (uint32_t i = 0; i < CROWD; i++) {
            rig_call(&calls[i], job_of(first + i));
            if (cancel && i % 3 == 0)
                calls[i].cancel_after = 1 + chance(i, 10, MAX_REPLY);
            rig_submit(&rig, &calls[i]);
            if (cancel && i % 5 == 1) {
                for (uint32_t k = chance(first + i, 11, 4); k > 0; k--)
                    (void)rig_turn(&rig, 1);
                engine_cancel(rig.engine, calls[i].job);
                calls[i].cancelled = true;
            }
        }
        rig_wait_for(&rig, calls, CROWD);
        for (uint32_t i = 0; i < CROWD; i++) {
            if (!calls[i].cancelled)
                check_reply(first + i, &calls[i]);
            job_release(calls[i].job);
        }
    }
    rig_wait_idle(&rig);
    assert_true(engine_stats(rig.engine).prefix_hit_tokens > 0);
    assert_true(engine_stats(rig.engine).prefix_evictions > 0);
    rig_end(&rig);
}

TEST(a_crowd_in_a_small_cache_says_the_same)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    say_in_crowds(150, false, false);
    say_in_crowds(25, false, false);
    say_in_crowds(11, false, false); /* the longest just fits */
    say_in_crowds(25, false, true);
    assert_int_equal(mem_live_count(), live);
}

TEST(cancelling_anywhere_gives_every_block_back)
{
    UNUSED_STATE;
    say_in_crowds(60, true, false);
    say_in_crowds(14, true, false);
}

/* A prompt of n tokens that are all alike but for the first. */
static struct job *plain_job(token_id first, uint32_t n, uint32_t max_tokens)
{
    struct job *job = rig_counting_job(FAKE_A, max_tokens);
    token_id *prompt = arena_calloc(job->arena, n, sizeof *prompt);
    for (uint32_t i = 0; i < n; i++)
        prompt[i] = i == 0 ? first : FAKE_A + (token_id)(i % 20);
    job->prompt = prompt;
    job->n_prompt = n;
    job->n_stop_ids = 0;
    return job;
}

TEST(choices_share_the_prompt_of_the_first)
{
    UNUSED_STATE;
    const struct engine_options options = hot();
    struct rig rig;
    rig_init(&rig, 60, &options);
    struct job *job = plain_job(FAKE_A, 250, 5);
    job->n_choices = 4;
    job->params.temperature = 1.0f;
    const struct heard *h = rig_say(&rig, &calls[0], job);
    assert_int_equal(h[0].n_cached, 0);
    for (uint32_t c = 1; c < 4; c++)
        assert_int_equal(h[c].n_cached, 249 - FAKE_REPLAY);
    rig_wait_idle(&rig);
    assert_int_equal(engine_stats(rig.engine).tokens_prompt,
                     250 + 3 * (1 + FAKE_REPLAY));
    rig_end(&rig);
}

TEST(tenants_and_those_who_want_nothing_share_nothing)
{
    UNUSED_STATE;
    const struct engine_options options = hot();
    struct rig rig;
    rig_init(&rig, 60, &options);
    struct job *job = plain_job(FAKE_A, 200, 3);
    job->no_prefix = true;
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached, 0);
    job = plain_job(FAKE_A, 200, 3); /* and has left nothing */
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached, 0);
    for (uint64_t salt = 1; salt < 200; salt += 64) {
        job = plain_job(FAKE_A, 200, 3);
        job->cache_salt = salt; /* all in one list of roots */
        assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached, 0);
    }
    job = plain_job(FAKE_A, 200, 3);
    job->no_prefix = true;
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached, 0);
    job = plain_job(FAKE_A, 200, 3);
    job->cache_salt = 65;
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached,
                     199 - FAKE_REPLAY);
    job = plain_job(FAKE_A + 1, 200, 3);
    assert_int_equal(rig_say(&rig, &calls[0], job)->n_cached, 0);
    rig_end(&rig);
}

TEST(prompt_logprobs_are_computed_in_full)
{
    UNUSED_STATE;
    const struct engine_options options = hot();
    struct rig rig;
    rig_init(&rig, 60, &options);
    (void)rig_say(&rig, &calls[0], plain_job(FAKE_A, 200, 3));
    struct job *job = plain_job(FAKE_A, 200, 3);
    job->want_prompt_logprobs = true;
    const struct heard *h = rig_say(&rig, &calls[0], job);
    assert_int_equal(h->n_cached, 0);
    assert_int_equal(h->n_prompt_tokens, 199);
    rig_end(&rig);
}

TEST(a_request_of_the_whole_cache_is_served_after_itself)
{
    UNUSED_STATE;
    const struct engine_options options = hot();
    struct rig rig;
    rig_init(&rig, 10, &options);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t n = 310 - i * 3; /* ends within a block, or fills the cache */
        const struct heard *h =
            rig_say(&rig, &calls[0], plain_job(FAKE_A, n, 320 - n));
        assert_int_equal(h->n_tokens, 320 - n);
        if (i > 0)
            assert_true(h->n_cached >= 256);
    }
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_reply_is_the_same_and_only_what_nobody_computed_is_computed),
        cmocka_unit_test(a_crowd_in_a_small_cache_says_the_same),
        cmocka_unit_test(cancelling_anywhere_gives_every_block_back),
        cmocka_unit_test(choices_share_the_prompt_of_the_first),
        cmocka_unit_test(tenants_and_those_who_want_nothing_share_nothing),
        cmocka_unit_test(prompt_logprobs_are_computed_in_full),
        cmocka_unit_test(a_request_of_the_whole_cache_is_served_after_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
