/* test_chat_request.c -- each field with what it must refuse, and what it
 * becomes. */
#include "tests/lib/test.h"

#include "api/request/chat_request.h"
#include "model/base/alloc.h"

#define VOCAB 100u
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define TOOL(name) \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

static int parse(struct chat_request *r, const char *body, struct err *err)
{
    memset(err, 0, sizeof *err);
    return chat_request_parse(r, body, strlen(body), VOCAB, 1u << 24, err);
}

static void accept(struct chat_request *r, const char *body)
{
    struct err err;
    if (parse(r, body, &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

/* `fields` beside a plain message. */
static void accept_fields(struct chat_request *r, const char *fields)
{
    char body[4096];
    snprintf(body, sizeof body, "{" HI "%s%s}", *fields ? "," : "", fields);
    accept(r, body);
}

static void refuse(const char *body, const char *param)
{
    struct chat_request r;
    struct err err;
    if (parse(&r, body, &err) == 0)
        fail_msg("accepted: %.200s", body);
    assert_int_equal(err.class_, ERR_INVALID);
    assert_true(err.text[0] != '\0');
    assert_null(strchr(err.text, '\n'));
    if (strcmp(err.param, param) != 0)
        fail_msg("%.200s: param is \"%s\", not \"%s\" (%s)", body, err.param,
                 param, err.text);
}

static void refuse_fields(const char *fields, const char *param)
{
    char body[8192];
    snprintf(body, sizeof body, "{" HI ",%s}", fields);
    refuse(body, param);
}

static void refuse_messages(const char *messages, const char *param)
{
    char body[4096];
    snprintf(body, sizeof body, "{\"messages\":%s}", messages);
    refuse(body, param);
}

static const char *text_of(const struct chat_request *r, size_t i,
                           const char *key)
{
    const char *s =
        json_string_value(json_object_get(json_array_get(r->messages, i), key));
    return s != NULL ? s : "(none)";
}

TEST(a_wrong_value_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"model\":7", "model"},
        {"\"temperature\":-0.1", "temperature"}, /* and so on: see
                                                  test_sampling_fields.c */
        {"\"logprobs\":5", "logprobs"},
        {"\"top_logprobs\":5", "top_logprobs"},
        {"\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"},
        {"\"logprobs\":true,\"top_logprobs\":-1", "top_logprobs"},
        {"\"parallel_tool_calls\":\"x\"", "parallel_tool_calls"},
        {"\"add_generation_prompt\":1", "add_generation_prompt"},
        {"\"continue_final_message\":true", "continue_final_message"},
        {"\"response_format\":\"text\"", "response_format"},
        {"\"response_format\":{}", "response_format.type"},
        {"\"response_format\":{\"type\":\"xml\"}", "response_format.type"},
        {"\"response_format\":{\"type\":\"json_object\",\"schema\":1}",
         "response_format.schema"},
        {"\"response_format\":{\"type\":\"json_schema\"}",
         "response_format.json_schema.schema"},
        {"\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
         "{\"schema\":{\"not\":{}}}}",
         "response_format.json_schema.schema"},
        {"\"guided_json\":\"{\"", "guided_json"},
        {"\"guided_regex\":\"(\"", "guided_regex"},
        {"\"guided_choice\":[]", "guided_choice"},
        {"\"guided_choice\":[1]", "guided_choice"},
        {"\"guided_grammar\":\"x ::= y\"", "guided_grammar"},
        {"\"grammar\":7", "grammar"},
        {"\"json_schema\":{\"type\":\"nothing\"}", "json_schema"},
        {"\"json_schema\":{},\"grammar\":\"root ::= \\\"a\\\"\"", "grammar"},
        {"\"structured_outputs\":{\"json\":5}", "structured_outputs.json"},
        {"\"structured_outputs\":{\"structural_tag\":{}}",
         "structured_outputs.structural_tag"},
        {"\"chat_template_kwargs\":[]", "chat_template_kwargs"},
        {"\"chat_template_kwargs\":{\"messages\":[]}",
         "chat_template_kwargs.messages"},
        {"\"chat_template_kwargs\":{\"tokenize\":true}",
         "chat_template_kwargs.tokenize"},
        {"\"chat_template_kwargs\":{\"enable_thinking\":\"no\"}",
         "chat_template_kwargs.enable_thinking"},
        {"\"reasoning_effort\":\"huge\"", "reasoning_effort"},
        {"\"reasoning_effort\":0.5", "reasoning_effort"},
        {"\"echo\":1", "echo"},
        {"\"tools\":{}", "tools"},
        {"\"tools\":[7]", "tools[0]"},
        {"\"tools\":[{}]", "tools[0].type"},
        {"\"tools\":[{\"type\":\"custom\"}]", "tools[0].type"},
        {"\"tools\":[{\"type\":\"function\"}]", "tools[0].function"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{}}]",
         "tools[0].function.name"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":7}}]",
         "tools[0].function.name"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
         "\"parameters\":[]}}]",
         "tools[0].function.parameters"},
        {"\"tool_choice\":\"maybe\"", "tool_choice"},
        {"\"tool_choice\":7", "tool_choice"},
        {"\"tool_choice\":\"required\"", "tool_choice"},
        {"\"tool_choice\":" TOOL("f"), "tool_choice"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":" TOOL("g"), "tool_choice"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"x\"}",
         "tool_choice.type"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":"
                                 "\"allowed_tools\"}",
         "tool_choice.allowed_tools"},
        {"\"tools\":[" TOOL(
             "f") "],\"tool_choice\":{\"type\":"
                  "\"allowed_tools\",\"allowed_tools\":{\"mode\":\"x\"}}",
         "tool_choice.allowed_tools.mode"},
        {"\"tools\":[" TOOL(
             "f") "],\"tool_choice\":{\"type\":"
                  "\"allowed_tools\",\"allowed_tools\":{\"tools\":[]}}",
         "tool_choice.allowed_tools.tools"},
        {"\"tools\":[" TOOL(
             "f") "],\"tool_choice\":{\"type\":"
                  "\"allowed_tools\",\"allowed_tools\":{\"tools\":[" TOOL(
                      "g") "]}}",
         "tool_choice.allowed_tools.tools[0]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse_fields(rows[i].fields, rows[i].param);
}

TEST(a_wrong_message_is_refused_by_its_path)
{
    UNUSED_STATE;
    static const struct {
        const char *messages, *param;
    } rows[] = {
        {"null", "messages"},
        {"\"Hi\"", "messages"},
        {"[]", "messages"},
        {"[7]", "messages[0]"},
        {"[{}]", "messages[0].role"},
        {"[{\"role\":7}]", "messages[0].role"},
        {"[{\"role\":\"\"}]", "messages[0].role"},
        {"[{\"role\":\"a b\",\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "messages[0].content"},
        {"[{\"role\":\"tool\",\"content\":7}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":7}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":{}}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[7]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{}]}]",
         "messages[0].content[0].type"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"},"
         "{\"type\":\"image_url\"}]}]",
         "messages[0].content[1].type"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
         "messages[0].content[0].text"},
        {"[{\"role\":\"user\",\"content\":\"x\",\"name\":7}]",
         "messages[0].name"},
        {"[{\"role\":\"assistant\",\"reasoning_content\":7}]",
         "messages[0].reasoning_content"},
        {"[{\"role\":\"assistant\",\"tool_calls\":7}]",
         "messages[0].tool_calls"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{}]}]",
         "messages[0].tool_calls[0].function"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}]",
         "messages[0].tool_calls[0].function"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
         "\"f\",\"arguments\":\"{\"}}]}]",
         "messages[0].tool_calls[0].function.arguments"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
         "\"f\",\"arguments\":\"[]\"}}]}]",
         "messages[0].tool_calls[0].function.arguments"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
         "\"f\",\"arguments\":7}}]}]",
         "messages[0].tool_calls[0].function.arguments"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse_messages(rows[i].messages, rows[i].param);
    refuse("{}", "messages");
    refuse("[]", "");
    refuse("{", "");
    refuse("", "");
    refuse("{" HI "," HI "}", "");
}

TEST(null_is_absent)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"model\":null,\"temperature\":null,\"top_p\":null,"
                      "\"n\":null,\"stop\":null,\"max_tokens\":null,"
                      "\"max_completion_tokens\":null,\"seed\":null,"
                      "\"logit_bias\":null,\"logprobs\":null,"
                      "\"top_logprobs\":null,\"tools\":null,"
                      "\"tool_choice\":null,\"response_format\":null,"
                      "\"stream\":null,\"stream_options\":null,"
                      "\"chat_template_kwargs\":null,\"user\":null,"
                      "\"reasoning_effort\":null,\"guided_json\":null,"
                      "\"parallel_tool_calls\":null,\"cache_salt\":null");
    assert_int_equal(r.sampling.has, 0);
    assert_int_equal(r.sampling.n, 1);
    assert_true(r.sampling.skip_special);
    assert_true(r.parallel_tool_calls);
    assert_true(r.add_generation_prompt);
    assert_null(r.tools);
    assert_null(r.model);
    assert_null(r.template_kwargs);
    chat_request_deinit(&r);
}

TEST(unknown_and_ignored_fields_pass)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"user\":7,\"metadata\":[],\"store\":\"x\","
                      "\"service_tier\":{},\"prompt_cache_key\":1,"
                      "\"no_stop_trim\":true,\"verbosity\":\"low\","
                      "\"prediction\":{},\"stream_options\":{\"x\":7}");
    chat_request_deinit(&r);
}

TEST(sampling_fields_arrive)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r,
                  "\"temperature\":0.5,\"top_p\":0,\"top_k\":-1,\"min_p\":0,"
                  "\"repeat_penalty\":1.5,\"presence_penalty\":-2,"
                  "\"frequency_penalty\":2,\"seed\":-5,\"n\":8,"
                  "\"max_tokens\":5,\"max_completion_tokens\":7,"
                  "\"min_tokens\":6,\"stop\":[\"a\",\"\\n\\n\"],"
                  "\"stop_token_ids\":[0,99],\"logit_bias\":{\"3\":-100,"
                  "\"99\":1.5},\"ignore_eos\":true,\"priority\":-3,"
                  "\"skip_special_tokens\":false,\"stream\":true,"
                  "\"stream_options\":{\"include_usage\":true,"
                  "\"continuous_usage_stats\":true},\"logprobs\":true,"
                  "\"top_logprobs\":20,\"model\":\"m\",\"cache_salt\":\"s\","
                  "\"cache_prompt\":false,\"include_stop_str_in_output\":true,"
                  "\"return_token_ids\":true,\"speculative.n_max\":16");
    const struct sampling_fields *f = &r.sampling;
    assert_int_equal(f->has, (1u << 10) - 1);
    assert_true(f->temperature == 0.5f && f->top_p == 0.0f);
    assert_true(f->repetition_penalty == 1.5f);
    assert_int_equal(f->top_k, 0);
    assert_true((int64_t)f->seed == -5);
    assert_int_equal(f->n, 8);
    assert_int_equal(f->max_tokens, 7);
    assert_int_equal(f->min_tokens, 6);
    assert_int_equal(f->n_stop, 2);
    assert_string_equal(f->stop[1], "\n\n");
    assert_int_equal(f->n_stop_ids, 2);
    assert_int_equal(f->stop_ids[1], 99);
    assert_int_equal(f->n_bias, 2);
    assert_int_equal(f->bias[0].id, 3);
    assert_true(f->bias[0].bias == -100.0f);
    assert_true(f->ignore_eos && f->stream && f->include_usage &&
                f->continuous_usage && f->include_stop && f->return_token_ids &&
                !f->skip_special);
    assert_int_equal(f->priority, -3);
    assert_int_equal(f->n_draft, 16);
    assert_string_equal(f->cache_salt, "s");
    assert_true(f->no_prefix);
    assert_true(r.want_logprobs);
    assert_int_equal(r.n_top_logprobs, 20);
    assert_string_equal(r.model, "m");
    chat_request_deinit(&r);
    accept_fields(&r, "\"repeat_penalty\":1.5,\"repetition_penalty\":1.25,"
                      "\"stop\":\"end\"");
    assert_true(r.sampling.repetition_penalty == 1.25f);
    assert_int_equal(r.sampling.n_stop, 1);
    chat_request_deinit(&r);
    accept_fields(&r, "\"stop\":[],\"stop_token_ids\":[],\"logit_bias\":{},"
                      "\"tools\":[]");
    assert_int_equal(r.sampling.n_stop, 0);
    assert_false(r.sampling.no_prefix);
    assert_null(r.tools);
    chat_request_deinit(&r);
}

TEST(messages_are_normalised)
{
    UNUSED_STATE;
    struct chat_request r;
    accept(&r,
           "{\"messages\":["
           "{\"role\":\"system\",\"content\":\"A\"},"
           "{\"role\":\"developer\",\"content\":[{\"type\":\"text\","
           "\"text\":\"B\"},\"C\"]},"
           "{\"role\":\"user\",\"content\":[],\"name\":\"bo\",\"x\":1},"
           "{\"role\":\"assistant\",\"reasoning\":\"hm\",\"content\":null,"
           "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
           "{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}},"
           "{\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
           "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"ok\"},"
           "{\"role\":\"critic\",\"content\":\"hm\"},"
           "{\"role\":\"developer\",\"content\":\"later\"}]}");
    assert_int_equal(json_array_size(r.messages), 6);
    assert_string_equal(text_of(&r, 0, "role"), "system");
    assert_string_equal(text_of(&r, 0, "content"), "A\nBC");
    assert_string_equal(text_of(&r, 1, "content"), "");
    assert_string_equal(text_of(&r, 1, "name"), "bo");
    assert_string_equal(text_of(&r, 1, "x"), "(none)");
    assert_string_equal(text_of(&r, 2, "content"), "");
    assert_string_equal(text_of(&r, 2, "thinking"), "hm");
    assert_string_equal(text_of(&r, 2, "reasoning_content"), "hm");
    assert_string_equal(text_of(&r, 3, "tool_call_id"), "c1");
    assert_string_equal(text_of(&r, 4, "role"), "critic");
    assert_string_equal(text_of(&r, 5, "role"), "system");
    struct buf b = {0};
    json_write(&b, json_object_get(json_array_get(r.messages, 2), "tool_calls"),
               false);
    assert_string_equal(
        buf_str(&b),
        "[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":{\"a\":1}}},{\"type\":\"function\",\"function\":{"
        "\"name\":\"g\",\"arguments\":{}}}]");
    buf_deinit(&b);
    assert_true(r.has_past_calls);
    assert_true(chat_request_reads_calls(&r));
    chat_request_deinit(&r);
}

TEST(past_calls_alone_do_not_make_a_call_of_an_answer_in_a_form)
{
    UNUSED_STATE;
    static const char *const forms[] = {
        "\"n\":1", "\"guided_regex\":\"x\"",
        "\"guided_regex\":\"x\",\"tools\":[" TOOL("f") "]"};
    for (int i = 0; i < 3; i++) {
        struct chat_request r;
        char body[512];
        struct err err = {0};
        snprintf(body, sizeof body,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                 "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\","
                 "\"type\":\"function\",\"function\":{\"name\":\"f\","
                 "\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
                 "\"content\":\"b\",\"tool_call_id\":\"c\"}],%s}",
                 forms[i]);
        if (chat_request_parse(&r, body, strlen(body), 10, 0, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(chat_request_reads_calls(&r), i != 1);
        chat_request_deinit(&r);
    }
}

TEST(tool_choice_decides_which_tools_are_in_play)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"tools\":[" TOOL("f") "," TOOL("g") "]");
    assert_int_equal(json_array_size(r.tools), 2);
    assert_true(chat_request_reads_calls(&r));
    chat_request_deinit(&r);
    accept_fields(&r, "\"tools\":[" TOOL("f") "],\"tool_choice\":\"none\"");
    assert_null(r.tools);
    assert_false(chat_request_reads_calls(&r));
    chat_request_deinit(&r);
    accept_fields(&r, "\"tools\":[" TOOL("f") "],\"tool_choice\":"
                                              "\"required\"");
    assert_int_equal(r.tool_choice, TOOL_CHOICE_REQUIRED);
    chat_request_deinit(&r);
    accept_fields(
        &r, "\"tools\":[" TOOL("f") "," TOOL("g") "],"
                                                  "\"tool_choice\":" TOOL("g"));
    assert_int_equal(r.tool_choice, TOOL_CHOICE_NAMED);
    assert_string_equal(r.tool_name, "g");
    chat_request_deinit(&r);
    accept_fields(
        &r,
        "\"tools\":[" TOOL("f") "," TOOL(
            "g") "],"
                 "\"tool_choice\":{\"type\":\"allowed_tools\","
                 "\"allowed_tools\":{\"mode\":\"required\",\"tools\":[" TOOL(
                     "g") "," TOOL("g") "]}}");
    assert_int_equal(r.tool_choice, TOOL_CHOICE_REQUIRED);
    assert_int_equal(json_array_size(r.tools), 1);
    chat_request_deinit(&r);
}

TEST(thinking_switches_become_template_variables)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"reasoning_effort\":\"none\","
                      "\"chat_template_kwargs\":{\"a\":[1]}");
    assert_true(
        json_is_false(json_object_get(r.template_kwargs, "enable_thinking")));
    assert_int_equal(json_object_size(r.template_kwargs), 3);
    chat_request_deinit(&r);
    accept_fields(&r, "\"reasoning_effort\":\"none\","
                      "\"chat_template_kwargs\":{\"enable_thinking\":true}");
    assert_true(
        json_is_true(json_object_get(r.template_kwargs, "enable_thinking")));
    chat_request_deinit(&r);
    accept_fields(&r, "\"reasoning_effort\":\"high\"");
    assert_null(json_object_get(r.template_kwargs, "enable_thinking"));
    chat_request_deinit(&r);
}

#define ASK "{\"role\":\"user\",\"content\":\"Hi\"}"
#define SAID "{\"role\":\"assistant\",\"content\":\"So\"}"
#define CALLED                                         \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":" \
    "\"1\",\"function\":{\"name\":\"f\"}}]}"

static bool continues(const char *messages, const char *fields)
{
    char body[1024];
    struct chat_request r;
    snprintf(body, sizeof body, "{\"messages\":[%s]%s}", messages, fields);
    accept(&r, body);
    bool is = r.continues;
    chat_request_deinit(&r);
    return is;
}

TEST(an_assistants_last_message_is_continued_unless_told_otherwise)
{
    UNUSED_STATE;
    assert_true(continues(ASK "," SAID, ""));
    assert_true(continues(SAID, ""));
    assert_true(continues(ASK "," SAID, ",\"continue_final_message\":true"));
    assert_true(continues(ASK "," SAID, ",\"continue_final_message\":true,"
                                        "\"add_generation_prompt\":false"));
    assert_true(continues(ASK "," SAID, ",\"continue_final_message\":null"));
    assert_false(continues(ASK "," SAID, ",\"continue_final_message\":false"));
    assert_false(continues(ASK "," SAID, ",\"add_generation_prompt\":true"));
    assert_false(continues(ASK "," SAID, ",\"add_generation_prompt\":false"));
    assert_false(continues(ASK "," CALLED, ""));
    assert_false(continues(ASK "," SAID "," ASK, ""));
    assert_false(continues(SAID "," SAID "," ASK, ""));
    refuse("{\"messages\":[" ASK "," SAID "],\"continue_final_message\":true,"
           "\"add_generation_prompt\":true}",
           "continue_final_message");
    refuse("{\"messages\":[" ASK "," CALLED "],"
           "\"continue_final_message\":true}",
           "continue_final_message");
    refuse("{\"messages\":[" ASK "," SAID "," SAID "]}", "messages");
    refuse("{\"messages\":[" CALLED "," SAID "],"
           "\"continue_final_message\":true}",
           "messages");
}

TEST(plain_text_format_passes)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"response_format\":{\"type\":\"text\"}");
    chat_request_deinit(&r);
}

/* Our own memory, that is: jansson 2.14 does not survive a lack of its own
 * inside json_loadb. */
TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    static const char body[] =
        "{\"model\":\"m\",\"stop\":[\"a\"],\"stop_token_ids\":[1],"
        "\"logit_bias\":{\"1\":1},\"cache_salt\":\"s\","
        "\"reasoning_effort\":\"none\",\"tools\":[" TOOL(
            "f") "],"
                 "\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_"
                 "tools\":{"
                 "\"tools\":[" TOOL(
                     "f") "]}},"
                          "\"messages\":[{\"role\":\"system\",\"content\":"
                          "\"A\"},"
                          "{\"role\":\"developer\",\"content\":[{\"type\":"
                          "\"text\","
                          "\"text\":\"B\"}]},{\"role\":\"assistant\","
                          "\"reasoning\":\"x\","
                          "\"tool_calls\":[{\"id\":\"1\",\"function\":{"
                          "\"name\":\"f\","
                          "\"arguments\":\"{\\\"a\\\":[1]}\"}}]}]}";
    struct chat_request r;
    struct err err;
    int rc = -1;
    for (long nth = 0; rc != 0; nth++) {
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        rc = parse(&r, body, &err);
        long hits = fault_hits();
        fault_alloc_at(-1);
        assert_true((rc != 0) == (hits > 0));
        if (rc == 0)
            chat_request_deinit(&r);
        assert_int_equal(mem_live_count(), live);
        assert_true(nth < 10000);
    }
}

TEST(parsed_json_is_read_and_may_go)
{
    UNUSED_STATE;
    static const char body[] = "{" HI ",\"model\":\"m\",\"stop\":\"x\","
                               "\"tools\":[" TOOL("f") "]}";
    struct chat_request r;
    struct err err = {0};
    json_t *root;
    assert_int_equal(json_parse(&root, body, strlen(body), 16, 100, &err), 0);
    assert_int_equal(chat_request_read(&r, root, VOCAB, 1u << 20, &err), 0);
    json_decref(root);
    assert_string_equal(r.model, "m");
    assert_string_equal(r.sampling.stop[0], "x");
    assert_string_equal(text_of(&r, 0, "content"), "Hi");
    assert_int_equal(json_array_size(r.tools), 1);
    chat_request_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
        cmocka_unit_test(a_wrong_message_is_refused_by_its_path),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(unknown_and_ignored_fields_pass),
        cmocka_unit_test(sampling_fields_arrive),
        cmocka_unit_test(messages_are_normalised),
        cmocka_unit_test(
            past_calls_alone_do_not_make_a_call_of_an_answer_in_a_form),
        cmocka_unit_test(tool_choice_decides_which_tools_are_in_play),
        cmocka_unit_test(thinking_switches_become_template_variables),
        cmocka_unit_test(
            an_assistants_last_message_is_continued_unless_told_otherwise),
        cmocka_unit_test(plain_text_format_passes),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(parsed_json_is_read_and_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
