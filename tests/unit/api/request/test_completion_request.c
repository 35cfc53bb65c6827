/* test_completion_request.c -- prompts in their four shapes, and the fields
 * that only completions have. */
#include "tests/lib/test.h"

#include "api/request/completion_request.h"

#define VOCAB 100u

static int parse(struct completion_request *r, const char *body,
                 struct err *err)
{
    memset(err, 0, sizeof *err);
    return completion_request_parse(r, body, strlen(body), VOCAB, 1u << 24,
                                    err);
}

static void accept(struct completion_request *r, const char *body)
{
    struct err err;
    if (parse(r, body, &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

TEST(a_wrong_value_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"x\":1", "prompt"},
        {"\"prompt\":null", "prompt"},
        {"\"prompt\":\"\"", "prompt"},
        {"\"prompt\":7", "prompt"},
        {"\"prompt\":{}", "prompt"},
        {"\"prompt\":[]", "prompt"},
        {"\"prompt\":[[]]", "prompt[0]"},
        {"\"prompt\":[\"a\",\"\"]", "prompt[1]"},
        {"\"prompt\":[\"a\",7]", "prompt[1]"},
        {"\"prompt\":[1.5]", "prompt[0]"},
        {"\"prompt\":[1,100]", "prompt[1]"},
        {"\"prompt\":[1,-1]", "prompt[1]"},
        {"\"prompt\":[1,\"a\"]", "prompt[1]"},
        {"\"prompt\":[[1],[1,100]]", "prompt[1][1]"},
        {"\"prompt\":\"a\",\"echo\":1", "echo"},
        {"\"prompt\":\"a\",\"logprobs\":true", "logprobs"},
        {"\"prompt\":\"a\",\"logprobs\":21", "logprobs"},
        {"\"prompt\":\"a\",\"logprobs\":-1", "logprobs"},
        {"\"prompt\":\"a\",\"suffix\":\"b\"", "suffix"},
        {"\"prompt\":\"a\",\"best_of\":0", "best_of"},
        {"\"prompt\":\"a\",\"best_of\":9", "best_of"},
        {"\"prompt\":\"a\",\"best_of\":\"2\"", "best_of"},
        {"\"prompt\":\"a\",\"best_of\":2,\"n\":3", "best_of"},
        {"\"prompt\":\"a\",\"best_of\":2,\"stream\":true", "best_of"},
        {"\"prompt\":\"a\",\"max_tokens\":-1", "max_tokens"},
        {"\"prompt\":\"a\",\"max_tokens\":0", "max_tokens"},
        {"\"prompt\":\"a\",\"temperature\":3", "temperature"},
        {"\"prompt\":\"a\",\"return_tokens_as_token_ids\":1",
         "return_tokens_as_token_ids"},
        {"\"prompt\":\"a\",\"response_format\":{\"type\":\"xml\"}",
         "response_format.type"},
        {"\"prompt\":\"a\",\"guided_regex\":\"x{2,1}\"", "guided_regex"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct completion_request r;
        struct err err;
        char body[512];
        snprintf(body, sizeof body, "{%s}", rows[i].fields);
        if (parse(&r, body, &err) == 0)
            fail_msg("accepted: %s", body);
        assert_int_equal(err.class_, ERR_INVALID);
        if (strcmp(err.param, rows[i].param) != 0)
            fail_msg("%s: param is \"%s\" (%s)", body, err.param, err.text);
    }
}

TEST(prompts_come_in_four_shapes)
{
    UNUSED_STATE;
    struct completion_request r;
    accept(&r, "{\"prompt\":\"a\\u0000b\"}");
    assert_int_equal(r.n_prompts, 1);
    assert_memory_equal(r.prompts[0].text, "a\0b", 4);
    assert_int_equal(r.prompts[0].n_text, 3);
    assert_int_equal(r.sampling.max_tokens, COMPLETION_MAX_TOKENS_DEFAULT);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":[\"a\",[5,6],\"c\"]}");
    assert_int_equal(r.n_prompts, 3);
    assert_string_equal(r.prompts[2].text, "c");
    assert_int_equal(r.prompts[1].n_ids, 2);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":[0,99]}");
    assert_int_equal(r.n_prompts, 1);
    assert_null(r.prompts[0].text);
    assert_int_equal(r.prompts[0].n_ids, 2);
    assert_int_equal(r.prompts[0].ids[1], 99);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":[[1],[2,3]]}");
    assert_int_equal(r.n_prompts, 2);
    assert_int_equal(r.prompts[1].ids[1], 3);
    completion_request_deinit(&r);
}

TEST(the_harness_of_language_models_is_served)
{
    UNUSED_STATE;
    struct completion_request r;
    accept(&r, "{\"model\":\"m\",\"prompt\":[[1,2,3]],\"max_tokens\":1,"
               "\"temperature\":0,\"logprobs\":1,\"echo\":true,\"seed\":1234,"
               "\"best_of\":1,\"suffix\":null}");
    assert_true(r.echo && r.want_logprobs);
    assert_int_equal(r.n_logprobs, 1);
    assert_int_equal(r.sampling.max_tokens, 1);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"max_tokens\":0,\"echo\":true,"
               "\"logprobs\":0}");
    assert_true(r.want_logprobs);
    assert_int_equal(r.n_logprobs, 0);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"logprobs\":false}");
    assert_false(r.want_logprobs);
    completion_request_deinit(&r);
}

TEST(lengths_and_candidates_are_settled)
{
    UNUSED_STATE;
    struct completion_request r;
    accept(&r, "{\"prompt\":\"a\",\"n\":2}");
    assert_int_equal(r.best_of, 2);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"n\":2,\"best_of\":2,\"stream\":true}");
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"best_of\":5}");
    assert_int_equal(r.best_of, 5);
    assert_int_equal(r.sampling.n, 1);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"n_predict\":-1}");
    assert_int_equal(r.sampling.max_tokens, 0);
    assert_false(r.sampling.has & SAMPLING_MAX_TOKENS);
    completion_request_deinit(&r);
    accept(&r, "{\"prompt\":\"a\",\"max_tokens\":0,\"prompt_logprobs\":2}");
    completion_request_deinit(&r);
}

TEST(the_number_of_choices_is_bounded)
{
    UNUSED_STATE;
    struct completion_request r;
    struct err err;
    char body[1024] = "{\"n\":8,\"prompt\":[1";
    size_t n = strlen(body) - 1;
    for (int i = 0; i < 65; i++)
        n += (size_t)sprintf(body + n, "%s[1]", i > 0 ? "," : "");
    strcpy(body + n, "]}");
    assert_int_equal(parse(&r, body, &err), -ERR_INVALID);
    assert_string_equal(err.param, "prompt");
    strcpy(strstr(body, ",[1],[1],[1]"), "]}");
    accept(&r, body);
    completion_request_deinit(&r);
    strcpy(body, "{\"best_of\":8,\"prompt\":[[1]");
    for (int i = 0; i < 16; i++)
        strcat(body, ",[1]");
    strcat(body, "]}");
    assert_int_equal(parse(&r, body, &err), -ERR_INVALID);
    assert_string_equal(err.param, "best_of");
    strcpy(body, "{\"n\":8,\"prompt\":[[1]");
    for (int i = 0; i < 16; i++)
        strcat(body, ",[1]");
    strcat(body, "]}");
    assert_int_equal(parse(&r, body, &err), -ERR_INVALID);
    assert_string_equal(err.param, "n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
        cmocka_unit_test(prompts_come_in_four_shapes),
        cmocka_unit_test(the_harness_of_language_models_is_served),
        cmocka_unit_test(lengths_and_candidates_are_settled),
        cmocka_unit_test(the_number_of_choices_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
