/* test_sampling_fields.c -- the fields that chat and completions share, each
 * with what it must refuse, and what it becomes. */
#include "tests/lib/test.h"

#include "api/request/sampling_fields.h"
#include "model/base/alloc.h"

#define VOCAB 100u

static struct arena *arena;

static int set_up(void **state)
{
    UNUSED_STATE;
    arena = arena_new(1u << 22);
    return arena != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    UNUSED_STATE;
    arena_free(arena);
    return 0;
}

static int parse(struct sampling_fields *f, const char *fields, struct err *err)
{
    const struct sampling_rules rules = {VOCAB, 1};
    char body[16384];
    json_t *root;
    snprintf(body, sizeof body, "{%s}", fields);
    memset(err, 0, sizeof *err);
    int rc = json_parse(&root, body, strlen(body), 64, 10000, err);
    if (rc != 0)
        return rc;
    rc = sampling_fields_parse(f, root, &rules, arena, err);
    json_decref(root);
    return rc;
}

static void accept(struct sampling_fields *f, const char *fields)
{
    struct err err;
    if (parse(f, fields, &err) != 0)
        fail_msg("%.200s: %s", fields, err.text);
}

struct row {
    const char *fields, *param;
};

static void refuse_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sampling_fields f;
        struct err err;
        if (parse(&f, rows[i].fields, &err) == 0)
            fail_msg("accepted: %.200s", rows[i].fields);
        assert_int_equal(err.class_, ERR_INVALID);
        assert_true(err.text[0] != '\0');
        assert_null(strchr(err.text, '\n'));
        if (strcmp(err.param, rows[i].param) != 0)
            fail_msg("%.200s: param is \"%s\", not \"%s\" (%s)", rows[i].fields,
                     err.param, rows[i].param, err.text);
    }
}

#define REFUSE_ALL(rows) refuse_all(rows, sizeof rows / sizeof *rows)

TEST(wrong_numbers_and_flags_are_refused_by_name)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"\"temperature\":-0.1", "temperature"},
        {"\"temperature\":2.1", "temperature"},
        {"\"temperature\":\"1\"", "temperature"},
        {"\"top_p\":-0.1", "top_p"},
        {"\"top_p\":1.1", "top_p"},
        {"\"top_p\":[]", "top_p"},
        {"\"top_k\":-2", "top_k"},
        {"\"top_k\":1.5", "top_k"},
        {"\"min_p\":-1", "min_p"},
        {"\"min_p\":1.5", "min_p"},
        {"\"repetition_penalty\":0", "repetition_penalty"},
        {"\"repeat_penalty\":-1", "repeat_penalty"},
        {"\"presence_penalty\":2.5", "presence_penalty"},
        {"\"frequency_penalty\":-2.5", "frequency_penalty"},
        {"\"seed\":1.5", "seed"},
        {"\"seed\":\"x\"", "seed"},
        {"\"n\":0", "n"},
        {"\"n\":9", "n"},
        {"\"max_tokens\":0", "max_tokens"},
        {"\"max_tokens\":-1", "max_tokens"},
        {"\"max_tokens\":4294967296", "max_tokens"},
        {"\"max_completion_tokens\":0", "max_completion_tokens"},
        {"\"min_tokens\":-1", "min_tokens"},
        {"\"speculative.n_max\":-1", "speculative.n_max"},
        {"\"speculative.n_max\":17", "speculative.n_max"},
        {"\"speculative.n_max\":2.5", "speculative.n_max"},
        {"\"speculative.n_max\":\"4\"", "speculative.n_max"},
        {"\"speculative.n_max\":true", "speculative.n_max"},
        {"\"max_tokens\":3,\"min_tokens\":4", "min_tokens"},
        {"\"priority\":1e3", "priority"},
        {"\"priority\":2147483648", "priority"},
        {"\"ignore_eos\":1", "ignore_eos"},
        {"\"stream\":\"true\"", "stream"},
        {"\"stream_options\":1", "stream_options"},
        {"\"stream_options\":{\"include_usage\":1}",
         "stream_options.include_usage"},
        {"\"stream\":true,\"stream_options\":{\"continuous_usage_stats\":1}",
         "stream_options.continuous_usage_stats"},
        {"\"skip_special_tokens\":\"no\"", "skip_special_tokens"},
        {"\"include_stop_str_in_output\":2", "include_stop_str_in_output"},
        {"\"return_token_ids\":2", "return_token_ids"},
        {"\"cache_salt\":\"\"", "cache_salt"},
        {"\"cache_salt\":1", "cache_salt"},
        {"\"cache_prompt\":1", "cache_prompt"},
        {"\"seed\":9223372036854775808", "seed"},
        {"\"n_predict\":-2", "n_predict"},
        {"\"n_predict\":0", "n_predict"},
        {"\"n_predict\":\"x\"", "n_predict"},
        {"\"n_predict\":3,\"min_tokens\":4", "min_tokens"},
        {"\"repeat_last_n\":-2", "repeat_last_n"},
        {"\"repeat_last_n\":1.5", "repeat_last_n"},
        {"\"use_beam_search\":true", "use_beam_search"},
        {"\"use_beam_search\":1", "use_beam_search"},
        {"\"return_tokens_as_token_ids\":1", "return_tokens_as_token_ids"},
        {"\"prompt_logprobs\":-1", "prompt_logprobs"},
        {"\"prompt_logprobs\":21", "prompt_logprobs"},
        {"\"prompt_logprobs\":true", "prompt_logprobs"},
        {"\"prompt_logprobs\":0,\"stream\":true", "prompt_logprobs"},
    };
    REFUSE_ALL(rows);
}

TEST(wrong_tokens_and_words_are_refused_by_name)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"\"stop\":1", "stop"},
        {"\"stop\":\"\"", "stop"},
        {"\"stop\":[\"a\",\"\"]", "stop[1]"},
        {"\"stop\":[\"a\",3]", "stop[1]"},
        {"\"stop\":\"a\\u0000\"", "stop"},
        {"\"stop\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "stop"},
        {"\"stop_token_ids\":1", "stop_token_ids"},
        {"\"stop_token_ids\":[100]", "stop_token_ids[0]"},
        {"\"stop_token_ids\":[1,-1]", "stop_token_ids[1]"},
        {"\"logit_bias\":{\"100\":1}", "logit_bias"},
        {"\"logit_bias\":{\"-1\":1}", "logit_bias"},
        {"\"logit_bias\":{\"\":1}", "logit_bias"},
        {"\"logit_bias\":{\"99999999999999999999\":1}", "logit_bias"},
        {"\"logit_bias\":{\"1\":101}", "logit_bias"},
        {"\"logit_bias\":{\"1\":\"x\"}", "logit_bias"},
        {"\"logit_bias\":7", "logit_bias"},
        {"\"logit_bias\":[1]", "logit_bias"},
        {"\"logit_bias\":[[1]]", "logit_bias"},
        {"\"logit_bias\":[[1,1,1]]", "logit_bias"},
        {"\"logit_bias\":[[100,1]]", "logit_bias"},
        {"\"logit_bias\":[[-1,1]]", "logit_bias"},
        {"\"logit_bias\":[[1,101]]", "logit_bias"},
        {"\"logit_bias\":[[1,true]]", "logit_bias"},
        {"\"logit_bias\":[[[],1]]", "logit_bias"},
        {"\"logit_bias\":[[\"\",1]]", "logit_bias"},
        {"\"logit_bias\":{\"a\":1}", "logit_bias"},
        {"\"logit_bias\":{\"1\":null}", "logit_bias"},
        {"\"bad_words\":\"a\"", "bad_words"},
        {"\"bad_words\":{}", "bad_words"},
        {"\"bad_words\":[\"a\",\"\"]", "bad_words[1]"},
        {"\"bad_words\":[1]", "bad_words[0]"},
        {"\"bad_words\":[\"a\\u0000\"]", "bad_words[0]"},
        {"\"allowed_token_ids\":[]", "allowed_token_ids"},
        {"\"allowed_token_ids\":7", "allowed_token_ids"},
        {"\"allowed_token_ids\":[1,100]", "allowed_token_ids[1]"},
        {"\"allowed_token_ids\":[\"1\"]", "allowed_token_ids[0]"},
        {"\"allowed_token_ids\":[-1]", "allowed_token_ids[0]"},
    };
    REFUSE_ALL(rows);
}

TEST(wrong_names_prompts_and_patterns_are_refused_by_name)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"\"request_id\":7", "request_id"},
        {"\"request_id\":\"\"", "request_id"},
        {"\"request_id\":\"a b\"", "request_id"},
        {"\"request_id\":\"a\\n\"", "request_id"},
        {"\"request_id\":\"\\u00e9\"", "request_id"},
        {"\"truncate_prompt_tokens\":0", "truncate_prompt_tokens"},
        {"\"truncate_prompt_tokens\":-2", "truncate_prompt_tokens"},
        {"\"truncate_prompt_tokens\":\"1\"", "truncate_prompt_tokens"},
        {"\"truncation_side\":\"middle\"", "truncation_side"},
        {"\"truncation_side\":1", "truncation_side"},
        {"\"repetition_detection\":true", "repetition_detection"},
        {"\"repetition_detection\":{\"max_pattern_size\":-1}",
         "repetition_detection.max_pattern_size"},
        {"\"repetition_detection\":{\"max_pattern_size\":1025}",
         "repetition_detection.max_pattern_size"},
        {"\"repetition_detection\":{\"max_pattern_size\":3,"
         "\"min_pattern_size\":4,\"min_count\":2}",
         "repetition_detection.min_pattern_size"},
        {"\"repetition_detection\":{\"max_pattern_size\":3}",
         "repetition_detection.min_count"},
        {"\"repetition_detection\":{\"max_pattern_size\":3,"
         "\"min_count\":1}",
         "repetition_detection.min_count"},
        {"\"repetition_detection\":{\"max_pattern_size\":3,"
         "\"min_count\":2.5}",
         "repetition_detection.min_count"},
    };
    REFUSE_ALL(rows);
}

static void refuse_long(const char *before, const char *piece, unsigned n,
                        const char *param)
{
    char fields[16384];
    struct sampling_fields f;
    struct err err;
    strcpy(fields, before);
    for (unsigned i = 0; i < n; i++)
        strcat(fields, piece);
    strcat(fields, before[strlen(before) - 1] == '"' ? "\"" : "\"\"]");
    assert_int_equal(parse(&f, fields, &err), -ERR_INVALID);
    assert_string_equal(err.param, param);
}

TEST(long_lists_and_long_names_are_refused)
{
    UNUSED_STATE;
    refuse_long("\"bad_words\":[", "\"a\",", 1000, "bad_words");
    refuse_long("\"stop\":[", "\"a\",", 16, "stop");
    refuse_long("\"stop\":\"", "a", 257, "stop");
    refuse_long("\"request_id\":\"", "a", 129, "request_id");
    refuse_long("\"cache_salt\":\"", "a", 1025, "cache_salt");
}

TEST(what_two_peers_call_by_two_names_is_one)
{
    UNUSED_STATE;
    struct sampling_fields f;
    accept(&f, "\"n_predict\":5");
    assert_int_equal(f.max_tokens, 5);
    assert_true(f.has & SAMPLING_MAX_TOKENS);
    accept(&f, "\"n_predict\":5,\"max_tokens\":6");
    assert_int_equal(f.max_tokens, 6);
    accept(&f, "\"n_predict\":-1");
    assert_int_equal(f.has, SAMPLING_UNLIMITED);
    accept(&f, "\"n_predict\":-1,\"max_completion_tokens\":6");
    assert_int_equal(f.has, SAMPLING_MAX_TOKENS);
    assert_int_equal(f.max_tokens, 6);
    accept(&f, "\"repeat_last_n\":64,\"repeat_penalty\":1.1");
    assert_int_equal(f.penalty_window, 64);
    accept(&f, "\"repeat_last_n\":0");
    assert_int_equal(f.penalty_window, 0);
    accept(&f, "\"repeat_last_n\":-1");
    assert_true(f.penalty_window == SAMPLE_WINDOW_ALL);
    accept(&f, "");
    assert_true(f.penalty_window == SAMPLE_WINDOW_ALL);
    accept(&f, "\"seed\":-1");
    assert_int_equal(f.has, 0);
    accept(&f, "\"seed\":-9223372036854775808");
    assert_true(f.seed == (uint64_t)1 << 63);
    accept(&f, "\"top_p\":0");
    assert_true((f.has & SAMPLING_TOP_P) && f.top_p <= 0);
}

TEST(biases_come_as_a_map_and_as_pairs)
{
    UNUSED_STATE;
    struct sampling_fields f;
    accept(&f, "\"logit_bias\":{\"7\":-100,\"9\":false}");
    assert_int_equal(f.n_bias, 2);
    assert_int_equal(f.bias[1].id, 9);
    assert_true(f.bias[1].bias < -1e30f);
    accept(&f, "\"logit_bias\":[[7,1.5],[\" no\",false],[8,-1]]");
    assert_int_equal(f.n_bias, 2);
    assert_int_equal(f.bias[1].id, 8);
    assert_int_equal(f.n_word_bias, 1);
    assert_string_equal(f.word_bias[0].word, " no");
    assert_true(f.word_bias[0].bias < -1e30f);
    struct err err;
    assert_int_equal(
        parse(&f, "\"logit_bias\":{\"bad1\":1,\"7\":1,\"bad2\":1}", &err),
        -ERR_INVALID);
    assert_non_null(strstr(err.text, "\"bad1\", \"bad2\""));
    accept(&f, "\"logit_bias\":[]");
    assert_int_equal(f.n_bias + f.n_word_bias, 0);
}

TEST(the_fields_of_vllm_arrive)
{
    UNUSED_STATE;
    struct sampling_fields f;
    accept(&f, "\"bad_words\":[\"a\",\" b\"],\"allowed_token_ids\":[0,33,33,"
               "99],\"prompt_logprobs\":0,\"truncate_prompt_tokens\":-1,"
               "\"truncation_side\":\"right\",\"request_id\":\"a-1\","
               "\"repetition_detection\":{\"max_pattern_size\":4,"
               "\"min_count\":3},\"return_tokens_as_token_ids\":true,"
               "\"use_beam_search\":false,"
               "\"spaces_between_special_tokens\":7");
    assert_int_equal(f.n_bad_words, 2);
    assert_string_equal(f.bad_words[1], " b");
    const uint32_t mask[4] = {1, 2, 0, 8};
    assert_memory_equal(f.allowed, mask, sizeof mask);
    assert_int_equal(f.has, SAMPLING_PROMPT_LOGPROBS);
    assert_true(f.truncate == SAMPLING_TRUNCATE_FIT && f.truncate_right);
    assert_string_equal(f.request_id, "a-1");
    assert_int_equal(f.loops.max_size, 4);
    assert_int_equal(f.loops.min_size, 0);
    assert_int_equal(f.loops.min_count, 3);
    assert_true(f.tokens_as_ids);
    accept(&f, "\"bad_words\":null,\"allowed_token_ids\":null,"
               "\"repetition_detection\":{},\"request_id\":null");
    assert_null(f.allowed);
    assert_int_equal(f.n_bad_words + f.loops.max_size, 0);
    accept(&f, "\"stream_options\":{\"include_usage\":true}");
    assert_false(f.include_usage);
    accept(&f, "\"stream\":true,\"stream_options\":"
               "{\"continuous_usage_stats\":true}");
    assert_false(f.include_usage || f.continuous_usage); /* as in vLLM */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_numbers_and_flags_are_refused_by_name),
        cmocka_unit_test(wrong_tokens_and_words_are_refused_by_name),
        cmocka_unit_test(wrong_names_prompts_and_patterns_are_refused_by_name),
        cmocka_unit_test(long_lists_and_long_names_are_refused),
        cmocka_unit_test(what_two_peers_call_by_two_names_is_one),
        cmocka_unit_test(biases_come_as_a_map_and_as_pairs),
        cmocka_unit_test(the_fields_of_vllm_arrive),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
