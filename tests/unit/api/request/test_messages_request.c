/* test_messages_request.c -- what Anthropic's clients write, as the chat it
 * becomes; and each field with what it must refuse. */
#include "tests/lib/test.h"

#include "api/request/messages_request.h"
#include "model/base/alloc.h"

#define VOCAB 100u
#define HI \
    "\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define TOOL(name) \
    "{\"name\":\"" name "\",\"input_schema\":{\"type\":\"object\"}}"

static int parse(struct chat_request *r, const char *body, struct err *err)
{
    memset(err, 0, sizeof *err);
    return messages_request_parse(r, body, strlen(body), VOCAB, 1u << 24,
                                  MESSAGES_ANSWER, err);
}

static void accept(struct chat_request *r, const char *body)
{
    struct err err;
    if (parse(r, body, &err) != 0)
        fail_msg("%s: %s", body, err.text);
}

static void accept_fields(struct chat_request *r, const char *fields)
{
    char body[4096];
    snprintf(body, sizeof body, "{" HI ",%s}", fields);
    accept(r, body);
}

static void refuse(const char *body, const char *param)
{
    struct chat_request r;
    struct err err;
    if (parse(&r, body, &err) == 0)
        fail_msg("accepted: %.200s", body);
    assert_int_equal(err.class_, ERR_INVALID);
    assert_null(strchr(err.text, '\n'));
    if (strcmp(err.param, param) != 0)
        fail_msg("%.200s: param is \"%s\", not \"%s\" (%s)", body, err.param,
                 param, err.text);
    /* Nothing of the chat that it was made into shows. */
    if (strstr(err.text, "tool_calls") != NULL ||
        strstr(err.text, "response_format") != NULL ||
        strncmp(err.text, "stop ", 5) == 0)
        fail_msg("%s", err.text);
}

static void expect_json(const json_t *v, const char *want)
{
    struct buf b = {0};
    json_write(&b, v, false);
    if (strcmp(buf_str(&b), want) != 0)
        fail_msg("%s\nis not\n%s", buf_str(&b), want);
    buf_deinit(&b);
}

TEST(messages_become_those_of_a_chat)
{
    UNUSED_STATE;
#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
    static const struct {
        const char *messages, *chat;
    } rows[] = {
        {"[" U("Hi") "]", "[" U("Hi") "]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
         "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
         "\"text\":\" b\\u0000\"}]}]",
         "[" U("a b\\u0000") "]"},
        {"[{\"role\":\"user\",\"content\":[]}]", "[" U("") "]"},
        {"[" U("a") ",{\"role\":\"system\",\"content\":[{\"type\":\"text\","
                    "\"text\":\"s\"}]}," U("b") "]",
         "[" U("a") ",{\"role\":\"system\",\"content\":\"s\"}," U("b") "]"},
        /* thoughts, text and calls of one turn */
        {"[" U("a") ",{\"role\":\"assistant\",\"content\":["
                    "{\"type\":\"thinking\",\"thinking\":\"Hm\","
                    "\"signature\":\"x\"},"
                    "{\"type\":\"redacted_thinking\",\"data\":\"x\"},"
                    "{\"type\":\"thinking\",\"thinking\":\".\"},"
                    "{\"type\":\"text\",\"text\":\"Let\"},"
                    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\","
                    "\"input\":{\"a\":[1]}},"
                    "{\"type\":\"tool_use\",\"id\":\"2\",\"name\":\"g\"}]}]",
         "[" U("a") ",{\"role\":\"assistant\",\"content\":\"Let\","
                    "\"thinking\":\"Hm.\",\"reasoning_content\":\"Hm.\","
                    "\"tool_calls\":["
                    "{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":"
                    "{\"name\":\"f\",\"arguments\":{\"a\":[1]}}},"
                    "{\"id\":\"2\",\"type\":\"function\",\"function\":"
                    "{\"name\":\"g\",\"arguments\":{}}}]}]"},
        {"[" U("a") ",{\"role\":\"assistant\",\"content\":\"b\"},"
                    "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
                    "\"text\":\" c\"}]}," U("d") "," U("e") "]",
         "[" U("a") ",{\"role\":\"assistant\",\"content\":\"b c\"}," U(
             "d") "," U("e") "]"},
        /* results go before the text, each a message */
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
         "{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":\"r\"},"
         "{\"type\":\"tool_result\",\"tool_use_id\":\"2\",\"is_error\":true,"
         "\"content\":[{\"type\":\"text\",\"text\":\"n\"},"
         "{\"type\":\"text\",\"text\":\"o\"}]}]}]",
         "[{\"role\":\"tool\",\"content\":\"r\",\"tool_call_id\":\"1\"},"
         "{\"role\":\"tool\",\"content\":\"no\",\"tool_call_id\":\"2\"}," U(
             "t") "]"},
        {"[{\"role\":\"user\",\"content\":["
         "{\"type\":\"tool_result\",\"tool_use_id\":\"1\"},"
         "{\"type\":\"tool_result\",\"tool_use_id\":\"2\",\"content\":null}]}]",
         "[{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"1\"},"
         "{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"2\"}]"},
    };
#undef U
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct chat_request r;
        char body[2048];
        snprintf(body, sizeof body, "{\"max_tokens\":1,\"messages\":%s}",
                 rows[i].messages);
        accept(&r, body);
        expect_json(r.messages, rows[i].chat);
        chat_request_deinit(&r);
    }
}

TEST(the_system_prompt_comes_first_without_what_differs_each_time)
{
    UNUSED_STATE;
#define BILLING "x-anthropic-billing-header: cc_version=2.1; "
#define BLOCK(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
    static const struct {
        const char *system, *text; /* NULL: no system message */
    } rows[] = {
        {"\"Be brief.\"", "Be brief."},
        {"[" BLOCK("Be ") "," BLOCK("brief.") "]", "Be brief."},
        {"\"\"", NULL},
        {"[]", NULL},
        {"null", NULL},
        {"\"" BILLING "cch=a5145;You are\"", BILLING ";You are"},
        {"[" BLOCK(BILLING "cch=00000;") "," BLOCK("You are") "]",
         BILLING ";You are"},
        {"\"" BILLING "cch=a5145\"", BILLING ""},
        {"\"" BILLING "\\ncch=a5145;\"", BILLING "\ncch=a5145;"},
        {"\"cch=a5145;\"", "cch=a5145;"},
    };
#undef BILLING
#undef BLOCK
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct chat_request r;
        char fields[512];
        snprintf(fields, sizeof fields, "\"system\":%s", rows[i].system);
        accept_fields(&r, fields);
        const json_t *first = json_array_get(r.messages, 0);
        const char *role = json_string_value(json_object_get(first, "role"));
        assert_int_equal(json_array_size(r.messages), rows[i].text ? 2 : 1);
        assert_string_equal(role, rows[i].text ? "system" : "user");
        if (rows[i].text != NULL)
            assert_string_equal(
                json_string_value(json_object_get(first, "content")),
                rows[i].text);
        chat_request_deinit(&r);
    }
}

TEST(tools_are_functions_and_choices_are_ours)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(&r, "\"tools\":[{\"name\":\"f\",\"description\":null,"
                      "\"cache_control\":{},\"input_schema\":{\"type\":"
                      "\"object\"}},{\"type\":\"custom\",\"name\":\"g\","
                      "\"description\":\"d\",\"strict\":true,"
                      "\"input_schema\":{}}]");
    expect_json(r.tools,
                "[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"parameters\":{\"type\":\"object\"}}},"
                "{\"type\":\"function\",\"function\":{\"name\":\"g\","
                "\"description\":\"d\",\"parameters\":{},\"strict\":true}}]");
    assert_int_equal(r.tool_choice, TOOL_CHOICE_AUTO);
    assert_true(r.parallel_tool_calls);
    chat_request_deinit(&r);
    static const struct {
        const char *choice;
        enum tool_choice want;
    } rows[] = {
        {"{\"type\":\"auto\"}", TOOL_CHOICE_AUTO},
        {"{\"type\":\"any\",\"disable_parallel_tool_use\":true}",
         TOOL_CHOICE_REQUIRED},
        {"{\"type\":\"tool\",\"name\":\"g\"}", TOOL_CHOICE_NAMED},
        {"{\"type\":\"none\"}", TOOL_CHOICE_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char fields[512];
        snprintf(fields, sizeof fields,
                 "\"tools\":[" TOOL("f") "," TOOL("g") "],\"tool_choice\":%s",
                 rows[i].choice);
        accept_fields(&r, fields);
        assert_int_equal(r.tool_choice, rows[i].want);
        assert_int_equal(r.parallel_tool_calls,
                         strstr(rows[i].choice, "disable") == NULL);
        if (rows[i].want == TOOL_CHOICE_NAMED)
            assert_string_equal(r.tool_name, "g");
        assert_int_equal(r.tools == NULL, rows[i].want == TOOL_CHOICE_NONE);
        chat_request_deinit(&r);
    }
    accept_fields(&r, "\"tools\":[]");
    assert_null(r.tools);
    chat_request_deinit(&r);
}

TEST(the_rest_finds_its_place)
{
    UNUSED_STATE;
    struct chat_request r;
    accept_fields(
        &r, "\"model\":\"m\",\"temperature\":0.5,\"top_p\":0.9,"
            "\"top_k\":7,\"stop_sequences\":[\"a\",\"b\"],\"stream\":true,"
            "\"metadata\":7,\"service_tier\":\"auto\",\"n\":3,"
            "\"logprobs\":true,\"context_management\":{\"edits\":[]}");
    assert_string_equal(r.model, "m");
    assert_int_equal(r.sampling.max_tokens, 5);
    assert_true(r.sampling.clips_max_tokens);
    assert_true(r.sampling.temperature == 0.5f && r.sampling.top_p == 0.9f);
    assert_int_equal(r.sampling.top_k, 7);
    assert_int_equal(r.sampling.n_stop, 2);
    assert_string_equal(r.sampling.stop[1], "b");
    assert_true(r.sampling.stream);
    assert_int_equal(r.sampling.n, 1); /* of a chat, not of a message */
    assert_false(r.want_logprobs);
    assert_null(r.grammar);
    chat_request_deinit(&r);
    accept_fields(&r,
                  "\"stop_sequences\":null,\"tools\":null,\"thinking\":null,"
                  "\"tool_choice\":null,\"output_config\":null,"
                  "\"temperature\":null,\"stream\":null");
    assert_null(r.template_kwargs);
    chat_request_deinit(&r);
#define SCHEMA "{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}"
    accept_fields(&r, "\"output_config\":{\"format\":" SCHEMA "}");
    assert_non_null(r.grammar);
    chat_request_deinit(&r);
    accept_fields(&r, "\"output_format\":" SCHEMA);
    assert_non_null(r.grammar);
    chat_request_deinit(&r);
#undef SCHEMA
}

TEST(thinking_can_be_switched_off_measured_and_hidden)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *effort;
        struct thinking want;
    } rows[] = {
        {"\"thinking\":{\"type\":\"disabled\"},"
         "\"output_config\":{\"effort\":\"max\"}",
         "none",
         {true, THINKING_FREE, THINKING_APART}},
        {"\"thinking\":{\"type\":\"adaptive\",\"display\":null},"
         "\"output_config\":{\"effort\":\"max\"}",
         "max",
         {false, THINKING_FREE, THINKING_APART}},
        {"\"thinking\":{\"type\":\"between_tools\"}",
         NULL,
         {false, THINKING_FREE, THINKING_APART}},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000,"
         "\"display\":\"summarized\"}",
         NULL,
         {false, 2000, THINKING_APART}},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1,"
         "\"display\":\"omitted\"}",
         NULL,
         {false, 1, THINKING_HIDDEN}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct chat_request r;
        accept_fields(&r, rows[i].fields);
        assert_int_equal(r.thinking.off, rows[i].want.off);
        assert_int_equal(r.thinking.budget, rows[i].want.budget);
        assert_int_equal(r.thinking.shown, rows[i].want.shown);
        const char *effort = json_string_value(
            json_object_get(r.template_kwargs, "reasoning_effort"));
        assert_int_equal(effort != NULL, rows[i].effort != NULL);
        if (effort != NULL)
            assert_string_equal(effort, rows[i].effort);
        chat_request_deinit(&r);
    }
}

TEST(a_last_message_of_the_assistant_is_continued)
{
    UNUSED_STATE;
    struct chat_request r;
    accept(&r, "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":"
               "\"Hi\"},{\"role\":\"assistant\",\"content\":\"a\"},"
               "{\"role\":\"assistant\",\"content\":\"b\"}]}");
    assert_true(r.continues);
    assert_false(r.echo);
    chat_request_deinit(&r);
    accept_fields(&r, "\"echo\":true");
    assert_false(r.continues || r.echo);
    chat_request_deinit(&r);
}

TEST(counting_asks_for_no_max_tokens)
{
    UNUSED_STATE;
    static const char body[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    struct chat_request r;
    struct err err = {0};
    refuse(body, "max_tokens");
    assert_int_equal(messages_request_parse(&r, body, sizeof body - 1, VOCAB,
                                            1u << 24, MESSAGES_COUNT, &err),
                     0);
    chat_request_deinit(&r);
}

TEST(a_wrong_field_is_refused_by_its_own_name)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"model\":7", "model"},
        {"\"system\":7", "system"},
        {"\"system\":[7]", "system[0]"},
        {"\"system\":[{\"type\":\"image\"}]", "system[0].type"},
        {"\"system\":[{\"type\":\"text\"}]", "system[0].text"},
        {"\"temperature\":\"1\"", "temperature"},
        {"\"top_p\":2", "top_p"},
        {"\"top_k\":0.5", "top_k"},
        {"\"stream\":1", "stream"},
        {"\"stop_sequences\":\"a\"", "stop_sequences"},
        {"\"stop_sequences\":[\"a\",\"\"]", "stop_sequences[1]"},
        {"\"stop_sequences\":[7]", "stop_sequences[0]"},
        {"\"stop_sequences\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]",
         "stop_sequences"},
        {"\"tools\":{}", "tools"},
        {"\"tools\":[7]", "tools[0]"},
        {"\"tools\":[{\"type\":\"web_search_20250305\",\"name\":"
         "\"web_search\"}]",
         "tools[0].type"},
        {"\"tools\":[{\"type\":7}]", "tools[0].type"},
        {"\"tools\":[{\"input_schema\":{}}]", "tools[0].name"},
        {"\"tools\":[{\"name\":\"\",\"input_schema\":{}}]", "tools[0].name"},
        {"\"tools\":[{\"name\":7}]", "tools[0].name"},
        {"\"tools\":[{\"name\":\"f\"}]", "tools[0].input_schema"},
        {"\"tools\":[{\"name\":\"f\",\"input_schema\":[]}]",
         "tools[0].input_schema"},
        {"\"tools\":[{\"name\":\"f\",\"description\":7}]",
         "tools[0].description"},
        {"\"tools\":[{\"name\":\"f\",\"strict\":7}]", "tools[0].strict"},
        {"\"tool_choice\":\"auto\"", "tool_choice"},
        {"\"tool_choice\":{}", "tool_choice.type"},
        {"\"tool_choice\":{\"type\":\"some\"}", "tool_choice.type"},
        {"\"tool_choice\":{\"type\":\"any\"}", "tool_choice"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"tool\"}",
         "tool_choice.name"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"tool\","
                                 "\"name\":\"g\"}",
         "tool_choice"},
        {"\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":1}",
         "tool_choice.disable_parallel_tool_use"},
        {"\"thinking\":true", "thinking"},
        {"\"thinking\":{}", "thinking.type"},
        {"\"thinking\":{\"type\":\"on\"}", "thinking.type"},
        {"\"thinking\":{\"type\":\"enabled\"}", "thinking.budget_tokens"},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":0}",
         "thinking.budget_tokens"},
        {"\"thinking\":{\"type\":\"adaptive\",\"display\":\"all\"}",
         "thinking.display"},
        {"\"output_config\":7", "output_config"},
        {"\"output_config\":{\"effort\":\"huge\"}", "output_config.effort"},
        {"\"output_config\":{\"effort\":7}", "output_config.effort"},
        {"\"output_config\":{\"format\":7}", "output_config.format"},
        {"\"output_config\":{\"format\":{\"type\":\"text\"}}",
         "output_config.format.type"},
        {"\"output_config\":{\"format\":{\"type\":\"json_schema\"}}",
         "output_config.format.schema"},
        {"\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":"
         "{\"not\":{}}}}",
         "output_config.format.schema"},
        {"\"output_format\":{\"type\":\"json_schema\",\"schema\":"
         "{\"not\":{}}}",
         "output_format.schema"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[2048];
        snprintf(body, sizeof body, "{" HI ",%s}", rows[i].fields);
        refuse(body, rows[i].param);
    }
    refuse("[]", "");
    refuse("{\"max_tokens\":5}", "messages");
    refuse("{\"max_tokens\":5,\"messages\":{}}", "messages");
    refuse("{\"max_tokens\":5,\"messages\":[]}", "messages");
    refuse("{\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":"
           "\"\"}]}",
           "max_tokens");
}

TEST(a_wrong_block_is_refused_by_its_place)
{
    UNUSED_STATE;
#define USE "\"type\":\"tool_use\","
    static const struct {
        const char *role, *content, *at; /* behind messages[0] */
    } rows[] = {
        {"user", "7", ".content"},
        {"user", "null", ".content"},
        {"user", "[7]", ".content[0]"},
        {"user", "[{}]", ".content[0].type"},
        {"user", "[{\"type\":7}]", ".content[0].type"},
        {"user", "[{\"type\":\"text\"}]", ".content[0].text"},
        {"user", "[{\"type\":\"text\",\"text\":7}]", ".content[0].text"},
        {"user", "[{\"type\":\"image\",\"source\":{}}]", ".content[0].type"},
        {"user", "[{\"type\":\"document\"}]", ".content[0].type"},
        {"user", "[{\"type\":\"thinking\",\"thinking\":\"\"}]",
         ".content[0].type"},
        {"user", "[{" USE "\"id\":\"1\",\"name\":\"f\",\"input\":{}}]",
         ".content[0].type"},
        {"user", "[{\"type\":\"tool_result\"}]", ".content[0].tool_use_id"},
        {"user", "[{\"type\":\"tool_result\",\"tool_use_id\":7}]",
         ".content[0].tool_use_id"},
        {"user",
         "[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"is_error\":1}]",
         ".content[0].is_error"},
        {"user",
         "[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":1}]",
         ".content[0].content"},
        {"user",
         "[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":"
         "[{\"type\":\"image\"}]}]",
         ".content[0].content[0].type"},
        {"assistant", "[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}]",
         ".content[0].type"},
        {"assistant", "[{\"type\":\"server_tool_use\"}]", ".content[0].type"},
        {"assistant", "[{\"type\":\"thinking\"}]", ".content[0].thinking"},
        {"assistant", "[{" USE "\"name\":\"f\"}]", ".content[0].id"},
        {"assistant", "[{" USE "\"id\":\"1\"}]", ".content[0].name"},
        {"assistant", "[{" USE "\"id\":\"1\",\"name\":\"\"}]",
         ".content[0].name"},
        {"assistant", "[{" USE "\"id\":\"1\",\"name\":\"\\u0000f\"}]",
         ".content[0].name"},
        {"assistant", "[{" USE "\"id\":\"1\",\"name\":\"f\",\"input\":\"{}\"}]",
         ".content[0].input"},
        {"system", "[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}]",
         ".content[0].type"},
        {"tool", "\"x\"", ".role"},
        {"", "\"x\"", ".role"},
    };
#undef USE
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[1024], param[64];
        snprintf(body, sizeof body,
                 "{\"max_tokens\":5,\"messages\":[{\"role\":\"%s\","
                 "\"content\":%s}]}",
                 rows[i].role, rows[i].content);
        snprintf(param, sizeof param, "messages[0]%s", rows[i].at);
        refuse(body, param);
    }
    refuse("{\"max_tokens\":5,\"messages\":[7]}", "messages[0]");
    refuse("{\"max_tokens\":5,\"messages\":[{\"content\":\"x\"}]}",
           "messages[0].role");
    refuse("{\"max_tokens\":5,\"messages\":[{\"role\":\"user\"}]}",
           "messages[0].content");
}

/* `n` times `piece` in an array, in one message's content unless `whole`. */
static char *repeated(const char *role, const char *piece, size_t n)
{
    struct buf b = {0};
    buf_printf(&b, "{\"max_tokens\":5,\"messages\":[");
    if (role != NULL)
        buf_printf(&b, "{\"role\":\"%s\",\"content\":[", role);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i > 0 ? "," : "", piece);
    buf_puts(&b, role != NULL ? "]}]}" : "]}");
    assert_true(buf_ok(&b));
    return buf_take(&b, &n);
}

static void refuse_many(const char *role, const char *piece, size_t n,
                        const char *param)
{
    struct chat_request r;
    char *body = repeated(role, piece, n);
    accept(&r, body);
    chat_request_deinit(&r);
    mem_free(body);
    body = repeated(role, piece, n + 1);
    refuse(body, param);
    mem_free(body);
}

TEST(what_would_be_too_many_is_refused)
{
    UNUSED_STATE;
    refuse_many("assistant",
                "{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\"}", 128,
                "messages[0].content[128]");
    refuse_many("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}",
                4096, "messages[0].content[4096]");
    refuse_many(NULL, "{\"role\":\"user\",\"content\":\"\"}", 4096, "messages");
}

TEST(whichever_allocation_fails_the_error_says_so)
{
    UNUSED_STATE;
    static const char body[] =
        "{\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"s\"}],"
        "\"messages\":[{\"role\":\"assistant\",\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"Hm\"},{\"type\":\"text\","
        "\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\"}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
        "\"tool_use_id\":\"1\",\"content\":\"r\"}]}],"
        "\"tools\":[" TOOL("f") "],\"tool_choice\":{\"type\":\"tool\","
                                "\"name\":\"f\"},\"stop_sequences\":[\"x\"],"
                                "\"thinking\":{\"type\":\"disabled\"},"
                                "\"output_config\":{\"format\":{\"type\":"
                                "\"json_schema\",\"schema\":{\"type\":"
                                "\"boolean\"}}}}";
    const size_t n_live = mem_live_count();
    struct chat_request r;
    struct err err;
    long nth = 0;
    for (bool failed = true; failed; nth++) {
        fault_alloc_at(nth);
        int rc = parse(&r, body, &err);
        failed = fault_hits() > 0;
        fault_alloc_at(-1);
        if (rc == 0)
            chat_request_deinit(&r);
        else
            assert_int_equal(rc, -ERR_NOMEM);
        assert_int_equal(mem_live_count(), n_live);
        assert_true(failed || rc == 0);
    }
    assert_true(nth > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_those_of_a_chat),
        cmocka_unit_test(
            the_system_prompt_comes_first_without_what_differs_each_time),
        cmocka_unit_test(tools_are_functions_and_choices_are_ours),
        cmocka_unit_test(the_rest_finds_its_place),
        cmocka_unit_test(thinking_can_be_switched_off_measured_and_hidden),
        cmocka_unit_test(a_last_message_of_the_assistant_is_continued),
        cmocka_unit_test(counting_asks_for_no_max_tokens),
        cmocka_unit_test(a_wrong_field_is_refused_by_its_own_name),
        cmocka_unit_test(a_wrong_block_is_refused_by_its_place),
        cmocka_unit_test(what_would_be_too_many_is_refused),
        cmocka_unit_test(whichever_allocation_fails_the_error_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
