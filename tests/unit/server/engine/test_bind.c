/* test_bind.c -- replies held to a grammar, over a model without
 * weights. */
#include "tests/lib/test.h"

#include <regex.h>

#include "model/grammar/regex.h"
#include "tests/lib/engine_rig.h"

static const struct engine_options roomy = {
    .max_sequences = 4,
    .max_queue = 8,
    .max_step_tokens = 64,
    .max_logit_rows = 16,
    .n_draft = 8,
};

static struct grammar *grammar_of(const char *pattern)
{
    struct grammar *g;
    assert_int_equal(grammar_from_regex(&g, pattern, strlen(pattern), NULL), 0);
    return g;
}

/* Hot, from a prompt that says little. */
static struct job *held_job(const char *pattern, uint64_t seed)
{
    struct job *job = rig_counting_job(FAKE_A, 40);
    const token_id prompt[2] = {10, 11};
    job->prompt = arena_dup(job->arena, prompt, sizeof prompt);
    job->params.temperature = 1;
    job->params.seed = seed;
    job->grammar = grammar_of(pattern);
    return job;
}

static void expect_match(const struct heard *h, const char *pattern)
{
    char whole[128], text[RIG_TEXT + 1];
    regex_t re;
    snprintf(whole, sizeof whole, "^(%s)$", pattern);
    snprintf(text, sizeof text, "%.*s", (int)h->n_text, h->text);
    assert_int_equal(regcomp(&re, whole, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("\"%s\" is not %s", text, pattern);
    regfree(&re);
}

TEST(what_has_ended_has_the_form)
{
    UNUSED_STATE;
    static const char *const forms[] = {"[a-f]{3,9}", "x(y|z--)*q", "no|nono"};
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    uint32_t n_ended = 0;
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = held_job(forms[t % 3], t);
        job->n_choices = 1 + t % 3;
        const uint32_t n = job->n_choices;
        rig_say(&rig, &call, job);
        for (uint32_t i = 0; i < n; i++) {
            const struct heard *h = &call.heard[i];
            assert_int_equal(h->end, EVENT_FINISH);
            if (h->finish != FINISH_STOP)
                continue;
            assert_int_equal(h->stop_token, FAKE_EOS);
            expect_match(h, forms[t % 3]);
            n_ended++;
        }
    }
    assert_true(n_ended > 80);
    rig_deinit(&rig);
}

TEST(without_an_eos_it_ends_where_nothing_can_follow)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t max = 5; max <= 9; max++) {
        struct job *job = held_job("ab[x-z]{4}", max);
        job->n_stop_ids = 0;
        job->max_tokens = max;
        const struct heard *h = rig_say(&rig, &call, job);
        assert_int_equal(h->finish, max < 7 ? FINISH_LENGTH : FINISH_STOP);
        assert_int_equal(h->stop_token, TOKEN_NONE);
        assert_int_equal(h->n_completion, max < 6 ? max : 6);
    }
    rig_deinit(&rig);
}

TEST(min_tokens_give_way_where_only_the_end_is_left)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    struct job *job = held_job("abc", 1);
    job->min_tokens = 30;
    const struct heard *h = rig_say(&rig, &call, job);
    assert_int_equal(h->finish, FINISH_STOP);
    expect_match(h, "abc");
    rig_deinit(&rig);
}

enum {
    THINK = FAKE_A + 25,
    END = FAKE_A + 24,
    CALL = FAKE_A + 23,
    CALL_END = FAKE_A + 22
};

static struct job *open_job(uint64_t seed)
{
    struct job *job = held_job("k+", seed);
    token_id *prompt = arena_dup(job->arena, job->prompt, 2 * sizeof *prompt);
    prompt[1] = (token_id)(5 + seed % 50); /* FAKE_POISON is 2 */
    job->prompt = prompt;
    job->max_tokens = 300;
    job->think_start = THINK;
    job->think_end = END;
    return job;
}

TEST(thoughts_are_free_but_for_their_end)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    uint32_t n_stopped = 0;
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = open_job(t);
        job->in_thought = true;
        const struct heard *h = rig_say(&rig, &call, job);
        bool thinks = true;
        for (uint32_t i = 0; i < h->n_tokens; i++) {
            assert_int_not_equal(h->tokens[i], FAKE_EOS);
            if (!thinks)
                assert_int_equal(h->tokens[i], FAKE_A + 10);
            thinks = thinks && h->tokens[i] != END;
        }
        n_stopped += h->finish == FINISH_STOP;
        assert_true(h->finish == FINISH_LENGTH || !thinks);
    }
    assert_true(n_stopped > 40);
    rig_deinit(&rig);
}

/* With each of 60 prompts the model would rather begin with some token: made a
 * marker, that one is taken, and otherwise the form begins at once. */
TEST(a_model_begins_with_a_thought_or_a_call_only_if_it_would_rather)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = open_job(t);
        job->params.temperature = 0;
        grammar_unref(job->grammar);
        job->grammar = NULL;
        job->max_tokens = 1;
        job->n_stop_ids = 0;
        token_id first = rig_say(&rig, &call, job)->tokens[0];

        job = open_job(t);
        job->think_start = first;
        const struct heard *h = rig_say(&rig, &call, job);
        assert_int_equal(h->tokens[0], first);
        for (uint32_t i = 1; i < h->n_tokens && h->tokens[i - 1] != END; i++)
            assert_int_not_equal(h->tokens[i], FAKE_EOS);

        job = open_job(t);
        job->call_start = first;
        job->params.temperature = 0;
        h = rig_say(&rig, &call, job);
        assert_int_equal(h->tokens[0], first);

        job = open_job(t);
        job->think_start = (first + 1) % 20 + FAKE_A;
        if (job->think_start == first)
            job->think_start = FAKE_A + 22;
        job->call_start = CALL == first ? FAKE_A + 21 : CALL;
        h = rig_say(&rig, &call, job);
        for (uint32_t i = 0; i < h->n_tokens; i++)
            assert_int_equal(h->tokens[i], FAKE_A + 10);
    }
    rig_deinit(&rig);
}

/* As above, but the request will not have that token. */
TEST(a_beginning_that_is_barred_is_not_forced)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = open_job(t);
        job->params.temperature = 0;
        grammar_unref(job->grammar);
        job->grammar = NULL;
        job->max_tokens = 1;
        job->n_stop_ids = 0;
        token_id first = rig_say(&rig, &call, job)->tokens[0];
        const struct bad_word bad = {&first, 1};
        const struct logit_bias bias = {first, -100};
        uint32_t allowed[2] = {UINT32_MAX, UINT32_MAX};
        allowed[first / 32] &= ~(1u << first % 32);
        if (first == FAKE_A + 10)
            continue;
        job = open_job(t);
        job->think_start = first;
        if (t % 3 == 0)
            job->params.allowed = allowed;
        if (t % 3 == 1) {
            job->params.bad_words = &bad;
            job->params.n_bad_words = 1;
        }
        if (t % 3 == 2) {
            job->params.bias = &bias;
            job->params.n_bias = 1;
        }
        const struct heard *h = rig_say(&rig, &call, job);
        for (uint32_t i = 0; i < h->n_tokens; i++)
            assert_int_equal(h->tokens[i], FAKE_A + 10);
    }
    rig_deinit(&rig);
}

/* Four choices of one job: they are in the engine together, however slowly this
 * thread runs.  `calls`: what they say is a call. */
static void check_preempted(bool calls)
{
    static struct call said[2];
    static const uint32_t blocks[2] = {60, 5};
    for (unsigned pass = 0; pass < 2; pass++) {
        struct rig rig;
        rig_init(&rig, blocks[pass], &roomy);
        struct job *job =
            held_job(calls ? "([a-m]{2}n){16}" : "([a-m]{2}n)+", 3);
        if (calls) {
            job->call_grammar = job->grammar;
            job->grammar = NULL;
            job->must_call = true;
            job->call_start = CALL;
            job->call_end = CALL_END;
        }
        job->max_tokens = 50;
        job->n_stop_ids = 0;
        job->n_choices = 4;
        rig_say(&rig, &said[pass], job);
        rig_wait_idle(&rig);
        assert_int_equal(engine_stats(rig.engine).preemptions > 0, pass == 1);
        rig_deinit(&rig);
    }
    for (uint32_t i = 0; i < 4; i++) {
        const struct heard *wide = &said[0].heard[i];
        assert_int_equal(wide->n_tokens, 50);
        assert_memory_equal(wide->tokens, said[1].heard[i].tokens,
                            50 * sizeof(token_id));
    }
}

TEST(preempted_it_says_the_same)
{
    UNUSED_STATE;
    check_preempted(false);
    check_preempted(true);
}

TEST(a_vocabulary_that_cannot_go_on_is_an_error)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    struct job *job = held_job("ab[0-9]", 1); /* it has no digit */
    const struct heard *h = rig_say(&rig, &call, job);
    assert_int_equal(h->end, EVENT_ERROR);
    assert_int_equal(h->error, ERR_INTERNAL);
    assert_int_equal(h->n_tokens, 2);
    rig_deinit(&rig);
}

/* Whose calls are of this form. */
static struct job *calling_job(const char *pattern, uint64_t seed)
{
    struct job *job = open_job(seed);
    grammar_unref(job->grammar);
    job->grammar = NULL;
    job->call_grammar = grammar_of(pattern);
    job->call_start = CALL;
    job->call_end = CALL_END;
    return job;
}

/* The call that begins at tokens[i]; where it ends, or n_tokens. */
static uint32_t expect_call(const struct heard *h, uint32_t i,
                            const char *pattern)
{
    struct heard inside = {0};
    assert_int_equal(h->tokens[i++], CALL);
    for (; i < h->n_tokens && h->tokens[i] != CALL_END; i++)
        inside.text[inside.n_text++] = (char)('a' + h->tokens[i] - FAKE_A);
    if (i < h->n_tokens)
        expect_match(&inside, pattern);
    return i;
}

TEST(who_must_call_calls_once_and_ends)
{
    UNUSED_STATE;
    static const char form[] = "[a-f]{2,40}";
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = calling_job(form, t);
        job->must_call = true;
        job->think_start = job->think_end = TOKEN_NONE;
        job->n_choices = 1 + t % 3;
        job->n_stop_ids = t % 2;
        job->min_tokens = t % 5 == 0 ? 200 : 0;
        const uint32_t n = job->n_choices;
        rig_say(&rig, &call, job);
        for (uint32_t i = 0; i < n; i++) {
            const struct heard *h = &call.heard[i];
            assert_int_equal(h->finish, FINISH_STOP);
            assert_int_equal(h->stop_token, t % 2 ? FAKE_EOS : TOKEN_NONE);
            assert_int_equal(expect_call(h, 0, form), h->n_tokens - 1);
        }
    }
    rig_deinit(&rig);
}

TEST(who_must_call_may_think_before_it)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    uint32_t n_ended = 0, n_thought = 0;
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = calling_job("gh|hg", t);
        job->must_call = true;
        job->in_thought = t % 2 == 0;
        job->think_end = END;
        const struct heard *h = rig_say(&rig, &call, job);
        uint32_t i = 0;
        bool thinks = t % 2 == 0 || h->tokens[0] == THINK;
        while (thinks && i < h->n_tokens && h->tokens[i] != CALL) {
            assert_int_not_equal(h->tokens[i], FAKE_EOS);
            n_thought++;
            i++;
        }
        if (i == h->n_tokens)
            continue;
        assert_int_equal(expect_call(h, i, "gh|hg"), i + 3);
        assert_int_equal(h->n_tokens, i + 4);
        n_ended += h->finish == FINISH_STOP;
    }
    assert_true(n_ended > 50 && n_thought > 100);
    rig_deinit(&rig);
}

TEST(who_may_call_is_held_only_while_it_calls)
{
    UNUSED_STATE;
    static const char form[] = "[a-c]{1,4}";
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    uint32_t n_calls = 0, n_free = 0, n_after = 0;
    for (uint32_t t = 0; t < 80; t++) {
        struct job *job = calling_job(form, t);
        const bool single = t % 2;
        job->single_block = single;
        job->n_stop_ids = single;
        const struct heard *h = rig_say(&rig, &call, job);
        uint32_t n_here = 0;
        for (uint32_t i = 0; i < h->n_tokens; i++) {
            if (h->tokens[i] != CALL) {
                n_free++;
                n_after += n_here > 0;
                continue;
            }
            i = expect_call(h, i, form);
            n_calls += i < h->n_tokens;
            n_here++;
            if (single && i < h->n_tokens)
                assert_int_equal(i, h->n_tokens - 1);
        }
        assert_true(!single || n_here <= 1);
    }
    assert_true(n_calls > 100 && n_free > 1000 && n_after > 1000);
    rig_deinit(&rig);
}

TEST(an_answer_in_a_form_may_be_a_call_in_another)
{
    UNUSED_STATE;
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    uint32_t n_answers = 0, n_calls = 0;
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = calling_job("[a-c]{1,4}", t);
        job->grammar = grammar_of("k+");
        job->max_tokens = 60;
        if (t % 2 == 0) {
            struct job *first = open_job(t);
            grammar_unref(first->grammar);
            first->grammar = NULL;
            first->params.temperature = 0;
            first->max_tokens = 1;
            first->n_stop_ids = 0;
            job->call_start = rig_say(&rig, &call, first)->tokens[0];
        }
        const token_id start = job->call_start;
        const struct heard *h = rig_say(&rig, &call, job);
        if (h->tokens[0] == start && start != FAKE_A + 10)
            n_calls++;
        for (uint32_t i = 0; i < h->n_tokens && h->tokens[0] != start; i++)
            if (h->tokens[0] != THINK)
                assert_int_equal(h->tokens[i], FAKE_A + 10);
        for (uint32_t i = 1; i < h->n_tokens && h->tokens[0] == start &&
                             h->tokens[i] != CALL_END;
             i++)
            assert_in_range(h->tokens[i], FAKE_A, FAKE_A + 2);
        n_answers += h->tokens[0] == FAKE_A + 10;
    }
    assert_true(n_answers > 20 && n_calls > 20);
    rig_deinit(&rig);
}

TEST(no_stop_id_cuts_a_call)
{
    UNUSED_STATE;
    static const char form[] = "[a-f]{2,40}";
    static const token_id stops[3] = {FAKE_EOS, FAKE_A + 1, CALL_END};
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 60; t++) {
        struct job *job = calling_job(form, t);
        job->must_call = true;
        job->think_start = job->think_end = TOKEN_NONE;
        job->stop_ids = stops;
        job->n_stop_ids = 2 + t % 2;
        const struct heard *h = rig_say(&rig, &call, job);
        const uint32_t end = expect_call(h, 0, form);
        assert_int_equal(h->finish, FINISH_STOP);
        assert_int_equal(h->stop_token == CALL_END, t % 2);
        assert_int_equal(end, h->n_tokens - (t % 2 ? 0 : 1));
        assert_true(end > 2);
        for (uint32_t i = 0; i < end; i++)
            assert_int_not_equal(h->tokens[i], FAKE_A + 1);
    }
    rig_deinit(&rig);
}

TEST(stop_ids_that_leave_no_way_on_are_the_requests_fault)
{
    UNUSED_STATE;
    static const token_id stops[2] = {FAKE_EOS, FAKE_A + 1};
    static struct call call;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 2; t++) {
        struct job *job = t ? calling_job("abc", t) : held_job("abc", t);
        if (t) {
            job->must_call = true;
            job->think_start = job->think_end = TOKEN_NONE;
        }
        job->stop_ids = stops;
        job->n_stop_ids = 2;
        const struct heard *h = rig_say(&rig, &call, job);
        assert_int_equal(h->end, EVENT_ERROR);
        assert_int_equal(h->error, ERR_INVALID);
        assert_int_equal(h->n_tokens, 1 + t);
    }
    rig_deinit(&rig);
}

/* A vocabulary of single letters: where two or more are forced, all but the
 * last of them are drafted, and the last is drawn from their row. */
TEST(what_is_forced_is_drafted_and_changes_nothing)
{
    UNUSED_STATE;
    static const char *const forms[] = {"abcdefghij[k-m]nop(q|rstu)v",
                                        "(ab--c|defghi){3,9}", "x{20}[a-f]{3}"};
    static struct call call, plain;
    struct rig rig;
    rig_init(&rig, 40, &roomy);
    for (uint32_t t = 0; t < 60; t++) {
        for (uint32_t pass = 0; pass < 2; pass++) {
            struct job *job = held_job(forms[t % 3], t);
            job->n_draft = pass == 0 ? 0 : JOB_DRAFT_DEFAULT;
            job->n_choices = 1 + t % 4;
            job->max_tokens = 5 + t;
            job->params.temperature = (float)(t % 2);
            if (t % 5 == 0) {
                job->call_grammar = job->grammar;
                job->grammar = NULL;
                job->must_call = true;
                job->call_start = CALL;
                job->call_end = CALL_END;
            }
            rig_say(&rig, pass == 0 ? &plain : &call, job);
        }
        for (uint32_t i = 0; i < 1 + t % 4; i++) {
            assert_int_equal(call.heard[i].n_tokens, plain.heard[i].n_tokens);
            assert_int_equal(call.heard[i].digest, plain.heard[i].digest);
        }
    }
    rig_wait_idle(&rig);
    const uint64_t steps = engine_stats(rig.engine).steps;
    struct job *job = held_job("abcdefghij[k-m]nopqrstuv", 1);
    rig_say(&rig, &call, job);
    assert_int_equal(call.heard[0].n_tokens, 20);
    /* "a"; then "b" to "j" and a letter in one step.  Whether more is drafted
     * after that hangs on how long that took. */
    rig_wait_idle(&rig);
    assert_in_range(engine_stats(rig.engine).steps - steps, 3, 13);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_ended_has_the_form),
        cmocka_unit_test(without_an_eos_it_ends_where_nothing_can_follow),
        cmocka_unit_test(min_tokens_give_way_where_only_the_end_is_left),
        cmocka_unit_test(thoughts_are_free_but_for_their_end),
        cmocka_unit_test(
            a_model_begins_with_a_thought_or_a_call_only_if_it_would_rather),
        cmocka_unit_test(a_beginning_that_is_barred_is_not_forced),
        cmocka_unit_test(preempted_it_says_the_same),
        cmocka_unit_test(a_vocabulary_that_cannot_go_on_is_an_error),
        cmocka_unit_test(who_must_call_calls_once_and_ends),
        cmocka_unit_test(who_must_call_may_think_before_it),
        cmocka_unit_test(who_may_call_is_held_only_while_it_calls),
        cmocka_unit_test(an_answer_in_a_form_may_be_a_call_in_another),
        cmocka_unit_test(no_stop_id_cuts_a_call),
        cmocka_unit_test(stop_ids_that_leave_no_way_on_are_the_requests_fault),
        cmocka_unit_test(what_is_forced_is_drafted_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
