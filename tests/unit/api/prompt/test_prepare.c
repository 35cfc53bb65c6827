/* test_prepare.c -- requests become jobs, with the model's own numbers where
 * the client is silent.  The tokenizer is that of the demo model. */
#include "tests/lib/test.h"

#include "api/prompt/prepare.h"
#include "model/base/alloc.h"
#include "model/model.h"
#include "server/engine/job.h"
#include "tests/unit/api/prompt/fake_template.h"

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define CTX 64u

static struct model model;
static struct template chatml = {.chatml = "<|im_start|>assistant\n"};
static struct api_options options;

static int set_up(void **state)
{
    UNUSED_STATE;
    struct err err = {0};
    if (tokenizer_load(&model.tokenizer, "model/demo", &err) != 0)
        fail_msg("%s", err.text);
    model.chat_template = &chatml;
    model.hp.n_vocab = 2048;
    model.hp.n_layers = 24;
    model.hp.eos[0] = 7;
    model.hp.n_eos = 1;
    model.ctx_tokens = CTX;
    strcpy(model.name, "demo");
    return 0;
}

static int tear_down(void **state)
{
    UNUSED_STATE;
    tokenizer_free(model.tokenizer);
    return 0;
}

static int chat(struct job **job, struct speech_options *speech,
                const char *fields, struct err *err)
{
    struct chat_request r;
    struct speech_options ignored;
    char body[2048];
    memset(err, 0, sizeof *err);
    snprintf(body, sizeof body, "{" HI "%s%s}", *fields ? "," : "", fields);
    if (chat_request_parse(&r, body, strlen(body), model.hp.n_vocab, 0, err) !=
        0)
        fail_msg("%s", err->text);
    int rc = prepare_chat(job, speech ? speech : &ignored, &model, &options, &r,
                          err);
    chat_request_deinit(&r);
    return rc;
}

static struct job *chat_job(const char *fields)
{
    struct job *job;
    struct err err;
    if (chat(&job, NULL, fields, &err) != 0)
        fail_msg("%s", err.text);
    return job;
}

static int complete(struct job **job, const char *body, uint32_t prompt,
                    struct err *err)
{
    struct completion_request r;
    memset(err, 0, sizeof *err);
    if (completion_request_parse(&r, body, strlen(body), model.hp.n_vocab, 0,
                                 err) != 0)
        fail_msg("%s", err->text);
    int rc = prepare_completion(job, &model, &options, &r, prompt, err);
    completion_request_deinit(&r);
    return rc;
}

static bool stops_at(const struct job *job, token_id id)
{
    for (uint32_t i = 0; i < job->n_stop_ids; i++)
        if (job->stop_ids[i] == id)
            return true;
    return false;
}

TEST(a_chat_prompt_has_one_bos_and_its_special_tokens)
{
    UNUSED_STATE;
    struct job *job = chat_job("");
    assert_int_equal(job->prompt[0], 1); /* BOS, from the template alone */
    assert_int_equal(job->prompt[1], 6); /* <|im_start|> */
    assert_int_not_equal(job->prompt[2], 1);
    assert_int_equal(job->n_choices, 1);
    assert_int_equal(job->max_tokens, CTX - job->n_prompt);
    assert_true(job->skip_special);
    assert_true(job->n_keep_ids > 0);
    assert_false(job->params.want_logprob);
    job_release(job);
}

TEST(a_completion_gets_its_bos_and_ids_are_taken_as_they_are)
{
    UNUSED_STATE;
    struct job *job;
    struct err err;
    assert_int_equal(complete(&job, "{\"prompt\":[\"Hello\",[5,6]]}", 0, &err),
                     0);
    assert_int_equal(job->prompt[0], 1);
    assert_int_equal(job->max_tokens, 16);
    assert_false(job->want_prompt_logprobs);
    job_release(job);
    assert_int_equal(complete(&job,
                              "{\"prompt\":[\"Hello\",[5,6]],\"echo\":true,"
                              "\"logprobs\":3,\"max_tokens\":0}",
                              1, &err),
                     0);
    assert_int_equal(job->n_prompt, 2);
    assert_int_equal(job->prompt[0], 5);
    assert_true(job->want_prompt_logprobs && job->params.want_logprob);
    assert_int_equal(job->params.n_logprobs, 3);
    assert_int_equal(job->max_tokens, 0);
    job_release(job);
}

TEST(the_request_outranks_the_file_and_the_file_the_family)
{
    UNUSED_STATE;
    struct job *job = chat_job("");
    assert_true(job->params.temperature == 0.3f);
    assert_true(job->params.min_p == 0.15f);
    assert_true(job->params.repetition_penalty == 1.05f);
    assert_int_equal(job->params.top_k, 0);
    job_release(job);

    model.hp.n_vocab = 128000;
    job = chat_job("");
    assert_true(job->params.temperature == 0.2f);
    assert_int_equal(job->params.top_k, 80);
    job_release(job);
    model.hp.n_vocab = 2048;

    model.gen.has_top_p = true;
    model.gen.top_p = 0.9f;
    job = chat_job("\"top_k\":3");
    assert_true(job->params.top_p == 0.9f);
    assert_true(job->params.temperature == 1.0f);
    assert_true(job->params.min_p == 0.0f);
    assert_int_equal(job->params.top_k, 3);
    job_release(job);

    model.gen.greedy = true;
    job = chat_job("");
    assert_true(job->params.temperature == 0.0f);
    job_release(job);
    job = chat_job("\"temperature\":0.5,\"seed\":9,\"logprobs\":true,"
                   "\"top_logprobs\":2,\"logit_bias\":{\"5\":-1}");
    assert_true(job->params.temperature == 0.5f);
    assert_true(job->params.seed == 9);
    assert_true(job->params.want_logprob);
    assert_int_equal(job->params.n_logprobs, 2);
    assert_int_equal(job->params.bias[0].id, 5);
    job_release(job);
    memset(&model.gen, 0, sizeof model.gen);
}

TEST(silent_requests_differ_in_their_seed)
{
    UNUSED_STATE;
    struct job *a = chat_job(""), *b = chat_job("");
    assert_true(a->params.seed != b->params.seed);
    job_release(a);
    job_release(b);
}

TEST(a_reply_ends_at_the_models_ends_and_at_the_requests)
{
    UNUSED_STATE;
    model.gen.eos[0] = 9;
    model.gen.n_eos = 1;
    struct job *job = chat_job("\"stop_token_ids\":[33,7],"
                               "\"stop\":[\"x\",\"yy\"]");
    assert_int_equal(job->n_stop_ids, 3);
    assert_true(stops_at(job, 7) && stops_at(job, 9) && stops_at(job, 33));
    assert_int_equal(job->n_stop, 2);
    assert_string_equal(job->stop[1], "yy");
    job_release(job);
    job = chat_job("\"ignore_eos\":true,\"stop_token_ids\":[33]");
    assert_int_equal(job->n_stop_ids, 1);
    assert_int_equal(job->stop_ids[0], 33);
    job_release(job);
    model.gen.n_eos = 0;
}

TEST(what_does_not_fit_the_context_is_refused_with_both_numbers)
{
    UNUSED_STATE;
    struct job *job = chat_job("");
    struct err err;
    char fields[64], prompt[] = "64";
    uint32_t n = job->n_prompt;
    job_release(job);
    snprintf(fields, sizeof fields, "\"max_tokens\":%u", CTX - n);
    job = chat_job(fields);
    assert_int_equal(job->max_tokens, CTX - n);
    job_release(job);
    snprintf(fields, sizeof fields, "\"max_tokens\":%u", CTX - n + 1);
    assert_int_equal(chat(&job, NULL, fields, &err), -ERR_CONTEXT);
    assert_non_null(strstr(err.text, prompt));
    snprintf(fields, sizeof fields, "\"min_tokens\":%u", CTX - n + 1);
    assert_int_equal(chat(&job, NULL, fields, &err), -ERR_INVALID);
    assert_string_equal(err.param, "min_tokens");
    model.ctx_tokens = n;
    assert_int_equal(chat(&job, NULL, "", &err), -ERR_CONTEXT);
    model.ctx_tokens = n + 5;
    options.default_max_tokens = 100;
    job = chat_job("");
    assert_int_equal(job->max_tokens, 5);
    job_release(job);
    options.default_max_tokens = 2;
    job = chat_job("");
    assert_int_equal(job->max_tokens, 2);
    job_release(job);
    options.default_max_tokens = 0;
    model.ctx_tokens = CTX;
}

/* The tokens of a text, which must be few. */
static uint32_t tokens_of(const char *text, token_id out[8])
{
    token_id *ids;
    size_t n;
    struct err err;
    assert_int_equal(tokenizer_encode(model.tokenizer, text, strlen(text), 0,
                                      &ids, &n, &err),
                     0);
    assert_true(n <= 8);
    memcpy(out, ids, n * sizeof *ids);
    mem_free(ids);
    return (uint32_t)n;
}

static bool bars(const struct job *job, const char *text)
{
    token_id ids[8];
    const uint32_t n = tokens_of(text, ids);
    for (uint32_t i = 0; i < job->params.n_bad_words; i++) {
        const struct bad_word *w = &job->params.bad_words[i];
        if (w->n <= n &&
            memcmp(w->ids, ids + n - w->n, w->n * sizeof *ids) == 0)
            return true;
    }
    return false;
}

TEST(bad_words_are_barred_with_and_without_a_space)
{
    UNUSED_STATE;
    struct job *job = chat_job("\"bad_words\":[\"the\",\"  Hello\",\" \"]");
    assert_true(bars(job, "the") && bars(job, " the"));
    assert_true(bars(job, "Hello") && bars(job, " Hello"));
    assert_true(bars(job, " "));
    assert_false(bars(job, "a"));
    assert_true(job->params.n_bad_words >= 4);
    job_release(job);
}

TEST(biases_of_words_are_those_of_their_tokens)
{
    UNUSED_STATE;
    token_id ids[8];
    const uint32_t n = tokens_of("Hello zz", ids);
    struct job *job = chat_job("\"logit_bias\":[[9,3],[\"Hello zz\",-4]],"
                               "\"allowed_token_ids\":[0,2047]");
    assert_true(n > 1);
    assert_int_equal(job->params.n_bias, 1 + n);
    assert_int_equal(job->params.bias[0].id, 9);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(job->params.bias[1 + i].id, ids[i]);
        assert_true(job->params.bias[1 + i].bias == -4.0f);
    }
    assert_int_equal(job->params.allowed[0], 1);
    assert_true(job->params.allowed[63] == 1u << 31);
    job_release(job);
}

static struct job *cut_job(const char *fields)
{
    char body[512];
    struct job *job;
    struct err err;
    snprintf(body, sizeof body, "{\"prompt\":[11,12,13,14,15,16],%s}", fields);
    if (complete(&job, body, 0, &err) != 0)
        fail_msg("%s", err.text);
    return job;
}

TEST(a_prompt_is_cut_on_the_side_that_was_named)
{
    UNUSED_STATE;
    struct job *job = cut_job("\"truncate_prompt_tokens\":2");
    assert_int_equal(job->n_prompt, 2);
    assert_int_equal(job->prompt[0], 15);
    job_release(job);
    job = cut_job("\"truncate_prompt_tokens\":2,\"truncation_side\":\"right\"");
    assert_int_equal(job->prompt[1], 12);
    job_release(job);
    job = cut_job("\"truncate_prompt_tokens\":7");
    assert_int_equal(job->n_prompt, 6);
    job_release(job);
    model.ctx_tokens = 8;
    job = cut_job("\"truncate_prompt_tokens\":-1,\"max_tokens\":5");
    assert_int_equal(job->n_prompt, 3);
    assert_int_equal(job->prompt[0], 14);
    job_release(job);
    job = cut_job("\"n_predict\":-1");
    assert_int_equal(job->max_tokens, 2);
    job_release(job);
    model.ctx_tokens = CTX;
    job = chat_job("\"truncate_prompt_tokens\":3");
    assert_int_equal(job->n_prompt, 3);
    job_release(job);
}

TEST(who_asks_for_the_prompts_logprobs_gets_the_more_of_both)
{
    UNUSED_STATE;
    struct job *job = cut_job("\"prompt_logprobs\":0");
    assert_true(job->want_prompt_logprobs && !job->params.want_logprob);
    assert_int_equal(job->n_prompt_logprobs, 0);
    job_release(job);
    job = cut_job("\"prompt_logprobs\":5,\"logprobs\":3,\"echo\":true");
    assert_int_equal(job->n_prompt_logprobs, 5);
    assert_int_equal(job->params.n_logprobs, 3);
    job_release(job);
    job = cut_job("\"prompt_logprobs\":2,\"logprobs\":3,\"echo\":true");
    assert_int_equal(job->n_prompt_logprobs, 3);
    job_release(job);
    job = cut_job("\"best_of\":4,\"n\":2");
    assert_int_equal(job->n_choices, 4);
    assert_true(job->params.want_logprob);
    job_release(job);
}

TEST(the_reply_is_read_as_the_request_wants)
{
    UNUSED_STATE;
    struct job *job;
    struct err err;
    struct speech_options s;
    assert_int_equal(chat(&job, &s, "", &err), 0);
    assert_false(s.calls || s.in_reasoning || s.keep_markers);
    job_release(job);
    assert_int_equal(chat(&job, &s,
                          "\"tools\":[{\"type\":\"function\",\"function\":{"
                          "\"name\":\"f\"}}],\"parallel_tool_calls\":false,"
                          "\"skip_special_tokens\":false",
                          &err),
                     0);
    assert_true(s.calls && s.single_call && s.keep_markers);
    assert_false(job->skip_special);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n<think>\n";
    assert_int_equal(chat(&job, &s, "", &err), 0);
    assert_true(s.in_reasoning && s.reasoning);
    job_release(job);
    assert_int_equal(chat(&job, &s, "\"add_generation_prompt\":false", &err),
                     0);
    assert_false(s.in_reasoning);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n";
}

TEST(thoughts_are_as_long_as_the_request_lets_them)
{
    UNUSED_STATE;
    struct job *job = chat_job("");
    assert_int_equal(job->think_start, 14);
    assert_int_equal(job->think_end, 15);
    assert_int_equal(job->max_thought, JOB_THOUGHT_FREE);
    assert_false(job->in_thought);
    job_release(job);
    job = chat_job("\"thinking_token_budget\":5");
    assert_int_equal(job->max_thought, 5);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n<think>\n";
    job = chat_job("\"reasoning_budget_tokens\":0");
    assert_true(job->in_thought);
    assert_int_equal(job->max_thought, 0);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n";
}

TEST(a_reply_that_must_not_think_cannot_say_so)
{
    UNUSED_STATE;
    struct job *job = chat_job("\"reasoning_effort\":\"none\","
                               "\"logit_bias\":{\"14\":100,\"20\":1}");
    assert_int_equal(job->think_start, TOKEN_NONE);
    assert_int_equal(job->params.n_bias, 3);
    assert_int_equal(job->params.bias[2].id, 14);
    assert_true(job->params.bias[2].bias < -1e30f);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n<think>";
    struct speech_options s;
    struct err err;
    assert_int_equal(chat(&job, &s, "\"reasoning_effort\":\"none\"", &err), 0);
    assert_false(job->in_thought || s.in_reasoning);
    assert_true(s.after_think);
    assert_int_equal(job->prompt[job->n_prompt - 1], 15);
    job_release(job);
    chatml.chatml = "<|im_start|>assistant\n";
}

TEST(thoughts_stay_in_the_content_where_the_request_wants_them)
{
    UNUSED_STATE;
    static const char *const fields[] = {"\"separate_reasoning\":false",
                                         "\"reasoning_format\":\"none\""};
    struct job *job;
    struct err err;
    struct speech_options s;
    chatml.chatml = "<|im_start|>assistant\n<think>\n";
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(chat(&job, &s, fields[i], &err), 0);
        assert_false(s.reasoning || s.in_reasoning);
        assert_true(job->in_thought);
        job_release(job);
    }
    chatml.chatml = "<|im_start|>assistant\n";
}

TEST(a_strict_name_is_checked)
{
    UNUSED_STATE;
    struct err err = {0};
    assert_int_equal(prepare_check_model(&model, &options, "x", &err), 0);
    options.strict_model_name = true;
    assert_int_equal(prepare_check_model(&model, &options, "demo", &err), 0);
    assert_int_equal(prepare_check_model(&model, &options, NULL, &err), 0);
    assert_int_equal(prepare_check_model(&model, &options, "x", &err),
                     -ERR_NOT_FOUND);
    assert_string_equal(err.param, "model");
    options.served_name = "x";
    assert_int_equal(prepare_check_model(&model, &options, "x", &err), 0);
    memset(&options, 0, sizeof options);
}

TEST(a_model_without_template_cannot_chat)
{
    UNUSED_STATE;
    struct job *job;
    struct err err;
    model.chat_template = NULL;
    assert_int_equal(chat(&job, NULL, "", &err), -ERR_UNSUPPORTED);
    model.chat_template = &chatml;
}

TEST(the_banner_says_which_defaults_are_in_force)
{
    UNUSED_STATE;
    struct buf b = {0};
    prepare_describe_defaults(&b, &model);
    assert_string_equal(buf_str(&b),
                        "temperature 0.3, top_p 1, top_k 0, min_p 0.15, "
                        "repetition_penalty 1.05 (recommended for LFM2)");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_prompt_has_one_bos_and_its_special_tokens),
        cmocka_unit_test(
            a_completion_gets_its_bos_and_ids_are_taken_as_they_are),
        cmocka_unit_test(the_request_outranks_the_file_and_the_file_the_family),
        cmocka_unit_test(silent_requests_differ_in_their_seed),
        cmocka_unit_test(a_reply_ends_at_the_models_ends_and_at_the_requests),
        cmocka_unit_test(
            what_does_not_fit_the_context_is_refused_with_both_numbers),
        cmocka_unit_test(bad_words_are_barred_with_and_without_a_space),
        cmocka_unit_test(biases_of_words_are_those_of_their_tokens),
        cmocka_unit_test(a_prompt_is_cut_on_the_side_that_was_named),
        cmocka_unit_test(
            who_asks_for_the_prompts_logprobs_gets_the_more_of_both),
        cmocka_unit_test(the_reply_is_read_as_the_request_wants),
        cmocka_unit_test(thoughts_are_as_long_as_the_request_lets_them),
        cmocka_unit_test(a_reply_that_must_not_think_cannot_say_so),
        cmocka_unit_test(
            thoughts_stay_in_the_content_where_the_request_wants_them),
        cmocka_unit_test(a_strict_name_is_checked),
        cmocka_unit_test(a_model_without_template_cannot_chat),
        cmocka_unit_test(the_banner_says_which_defaults_are_in_force),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
