/* test_call_bind.c -- what a request's tools ask of the reply. */
#include "tests/lib/test.h"

#include "api/prompt/call_bind.h"
#include "model/grammar/regex.h"
#include "server/engine/job.h"
#include "tests/lib/grammar_rig.h"

#define TOOLS                                                           \
    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"            \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}," \
    "{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]"
#define STRICT                                                         \
    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"           \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\","  \
    "\"strict\":true}},{\"type\":\"function\",\"function\":{\"name\":" \
    "\"b\"}}]"
#define NAMED(name)                                                  \
    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":" \
    "\"" name "\"}}"
#define ALLOWED(mode)                                      \
    "\"tool_choice\":{\"type\":\"allowed_tools\","         \
    "\"allowed_tools\":{\"mode\":\"" mode "\",\"tools\":[" \
    "{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]}}"

static const struct dialect tokens = {.think_start = 1,
                                      .think_end = 2,
                                      .call_start = 3,
                                      .call_end = 4,
                                      .turn_end = 5,
                                      .thinks = true,
                                      .calls = true};
static const struct dialect text = {.think_start = TOKEN_NONE,
                                    .think_end = TOKEN_NONE,
                                    .call_start = TOKEN_NONE,
                                    .call_end = TOKEN_NONE,
                                    .turn_end = 5};

/* A job whose answer is bound already if `answer`. */
static struct job *bind(const char *body, const struct dialect *d, bool answer,
                        struct err *err)
{
    struct chat_request r;
    struct job *job = job_new(0);
    char whole[1024];
    snprintf(whole, sizeof whole, "{%s}", body);
    if (chat_request_parse(&r, whole, strlen(whole), 10, 0, err) != 0)
        fail_msg("%s", err->text);
    if (answer)
        assert_int_equal(grammar_from_regex(&job->grammar, "x", 1, NULL), 0);
    if (call_bind(job, d, &r, err) != 0) {
        job_release(job);
        job = NULL;
    }
    chat_request_deinit(&r);
    return job;
}

static void expect(const char *body, bool must, bool single, const char *takes,
                   const char *refuses)
{
    struct err err = {0};
    struct job *job = bind(body, &tokens, true, &err);
    if (takes == NULL) {
        assert_null(job->call_grammar);
    } else {
        assert_true(rig_takes(job->call_grammar, takes));
        assert_false(rig_takes(job->call_grammar, refuses));
        assert_int_equal(job->call_start, 3);
        assert_int_equal(job->call_end, 4);
    }
    assert_int_equal(job->must_call, must);
    assert_int_equal(job->single_block, single);
    assert_int_equal(job->grammar == NULL, must);
    job_release(job);
}

TEST(a_choice_is_a_grammar_of_calls)
{
    UNUSED_STATE;
    expect(TOOLS, false, false, NULL, NULL);
    expect(TOOLS ",\"tool_choice\":\"none\"", false, false, NULL, NULL);
    expect(STRICT ",\"tool_choice\":\"none\"", false, false, NULL, NULL);
    expect(TOOLS ",\"tool_choice\":\"required\"", true, true, "[a(), b()]",
           "[c()]");
    expect(TOOLS "," NAMED("b"), true, true, "[b()]", "[b(), b()]");
    expect(TOOLS "," ALLOWED("required"), true, true, "[b(), b()]", "[a()]");
    expect(TOOLS "," ALLOWED("auto"), false, false, "[b(), b()]", "[a()]");
    expect(STRICT, false, false, "[a(), b()]", "[c()]");
    expect(TOOLS ",\"parallel_tool_calls\":false", false, true, "[a()]",
           "[a(), b()]");
    expect(TOOLS ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false",
           true, true, "[a()]", "[a(), b()]");
}

TEST(beside_a_form_of_the_answer_calls_are_held)
{
    UNUSED_STATE;
    expect(TOOLS ",\"guided_regex\":\"x\"", false, true, "[a(), b()]", "[c()]");
    expect(TOOLS ",\"guided_regex\":\"x\",\"tool_choice\":\"none\"", false,
           false, NULL, NULL);
}

TEST(without_markers_a_call_that_must_come_is_an_answer)
{
    UNUSED_STATE;
    struct err err = {0};
    struct job *job =
        bind(STRICT ",\"tool_choice\":\"required\"", &text, true, &err);
    assert_null(job->call_grammar);
    assert_false(job->must_call);
    assert_true(rig_takes(job->grammar,
                          "<|tool_call_start|>[a(), b()]<|tool_call_end|>"));
    assert_false(rig_takes(job->grammar, "x"));
    job_release(job);

    job = bind(TOOLS ",\"parallel_tool_calls\":false", &text, true, &err);
    assert_null(job->call_grammar);
    assert_true(rig_takes(job->grammar, "x"));
    job_release(job);

    assert_null(bind(STRICT, &text, false, &err));
    assert_int_equal(err.class_, ERR_INVALID);
    assert_string_equal(err.param, "tools");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_choice_is_a_grammar_of_calls),
        cmocka_unit_test(beside_a_form_of_the_answer_calls_are_held),
        cmocka_unit_test(without_markers_a_call_that_must_come_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
