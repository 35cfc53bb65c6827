/* test_responses_request.c -- a responses body becomes a chat, or is refused by
 * the path of what is wrong. */
#include "tests/lib/test.h"

#include "api/request/responses_request.h"
#include "model/base/alloc.h"

#define VOCAB 100u
#define TOOL(name) "{\"type\":\"function\",\"name\":\"" name "\"}"

struct parsed {
    struct chat_request r;
    struct responses_asked asked;
    struct err err;
};

static int parse(struct parsed *p, const char *body)
{
    memset(p, 0, sizeof *p);
    return responses_request_parse(&p->r, &p->asked, body, strlen(body), VOCAB,
                                   1u << 24, &p->err);
}

static void discard(struct parsed *p)
{
    chat_request_deinit(&p->r);
    buf_deinit(&p->asked.echo);
}

static void accept(struct parsed *p, const char *body)
{
    if (parse(p, body) != 0)
        fail_msg("%s: %s", body, p->err.text);
}

static void refuse(const char *body, const char *param)
{
    struct parsed p;
    if (parse(&p, body) == 0)
        fail_msg("accepted: %.200s", body);
    assert_int_equal(p.err.class_, ERR_INVALID);
    assert_true(p.err.text[0] != '\0');
    assert_null(strchr(p.err.text, '\n'));
    if (strcmp(p.err.param, param) != 0)
        fail_msg("%.200s: param is \"%s\", not \"%s\" (%s)", body, p.err.param,
                 param, p.err.text);
    if (param[0] != '\0' && strncmp(p.err.text, param, strlen(param)) != 0)
        fail_msg("%s does not begin with %s", p.err.text, param);
    buf_deinit(&p.asked.echo);
}

/* The messages of the chat, as JSON. */
static void become(const char *body, const char *messages)
{
    struct parsed p;
    struct buf got = {0};
    accept(&p, body);
    json_write(&got, p.r.messages, false);
    assert_string_equal(buf_str(&got), messages);
    buf_deinit(&got);
    discard(&p);
}

static void items_become(const char *items, const char *messages)
{
    char body[4096];
    snprintf(body, sizeof body, "{\"input\":[%s]}", items);
    become(body, messages);
}

#define ASSISTANT "{\"role\":\"assistant\",\"content\":"
#define THOUGHT(text) \
    "\"thinking\":\"" text "\",\"reasoning_content\":\"" text "\""
#define CHAT_CALL(id, name, args)               \
    "{\"id\":\"" id "\",\"type\":\"function\"," \
    "\"function\":{\"name\":\"" name "\",\"arguments\":" args "}}"
#define CALL(id, name, args)                                       \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":" \
    "\"" name "\",\"arguments\":\"" args "\"}"
#define THINK(text)                                                   \
    "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],"         \
    "\"content\":[{\"type\":\"reasoning_text\",\"text\":\"" text "\"" \
    "}]}"
#define SAY(text)                                                      \
    "{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\","   \
    "\"status\":\"completed\",\"content\":[{\"type\":\"output_text\"," \
    "\"text\":\"" text "\",\"annotations\":[],\"logprobs\":[]}]}"

TEST(input_becomes_messages)
{
    UNUSED_STATE;
    become("{\"input\":\"Hi\"}", "[{\"role\":\"user\",\"content\":\"Hi\"}]");
    become("{\"input\":\"Hi\",\"instructions\":\"Be kind.\"}",
           "[{\"role\":\"system\",\"content\":\"Be kind.\"},"
           "{\"role\":\"user\",\"content\":\"Hi\"}]");
    become("{\"input\":[{\"role\":\"developer\",\"content\":\"B\"},"
           "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
           "\"text\":\"x\"},{\"type\":\"input_text\",\"text\":\"y\"}]}],"
           "\"instructions\":\"A\"}",
           "[{\"role\":\"system\",\"content\":\"A\\nB\"},"
           "{\"role\":\"user\",\"content\":\"xy\"}]");
    items_become("{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\","
                 "\"refusal\":\"No.\"}]}",
                 "[" ASSISTANT "\"No.\"}]");
}

TEST(what_one_reply_said_is_one_message)
{
    UNUSED_STATE;
    items_become(
        THINK("Hm.") "," SAY("Look.") "," CALL(
            "c1", "f", "{\\\"a\\\":1}") "," CALL("c2", "g", ""),
        "[" ASSISTANT "\"Look.\"," THOUGHT("Hm.") ",\"tool_calls\":[" CHAT_CALL(
            "c1", "f", "{\"a\":1}") "," CHAT_CALL("c2", "g", "{}") "]}]");
}

TEST(what_follows_a_call_is_another_message)
{
    UNUSED_STATE;
    items_become(CALL("c", "f",
                      "{}") ",{\"type\":\"function_call_output\","
                            "\"call_id\":\"c\",\"output\":\"5\"}," SAY("Five."),
                 "[" ASSISTANT "\"\",\"tool_calls\":[" CHAT_CALL(
                     "c", "f", "{}") "]},{\"role\":\"tool\",\"content\":\"5\","
                                     "\"tool_call_id\":\"c\"}," ASSISTANT
                                     "\"Five.\"}]");
    items_become(CALL("c", "f", "{}") "," THINK("Hm."),
                 "[" ASSISTANT "\"\",\"tool_calls\":[" CHAT_CALL(
                     "c", "f", "{}") "]}," ASSISTANT
                                     "\"\"," THOUGHT("Hm.") "}]");
    items_become(SAY("a") "," SAY("b"),
                 "[" ASSISTANT "\"a\"}," ASSISTANT "\"b\"}]");
}

TEST(thoughts_in_a_row_are_one_and_those_without_text_none)
{
    UNUSED_STATE;
    items_become(THINK("a") "," THINK("b") "," SAY("c"),
                 "[" ASSISTANT "\"c\"," THOUGHT("a\\nb") "}]");
    items_become("{\"type\":\"reasoning\",\"summary\":[{\"type\":"
                 "\"summary_text\",\"text\":\"s\"}],"
                 "\"encrypted_content\":\"xx\"}," SAY("c"),
                 "[" ASSISTANT "\"c\"}]");
    items_become(THINK("a") "," THINK("") ",{\"type\":\"reasoning\","
                                          "\"summary\":[]}," THINK("b"),
                 "[" ASSISTANT "\"\"," THOUGHT("a\\nb") "}]");
    items_become(
        THINK("a") ",{\"role\":\"user\",\"content\":\"u\"}," THINK("b"),
        "[" ASSISTANT "\"\"," THOUGHT("a") "},{\"role\":\"user\","
                                           "\"content\":\"u\"}," ASSISTANT
                                           "\"\"," THOUGHT("b") "}]");
}

/* Each would copy all before it, were they not put together at their end. */
TEST(a_great_many_thoughts_take_no_more_than_their_length)
{
    UNUSED_STATE;
    static const char first[] = "{\"input\":[{\"type\":\"reasoning\","
                                "\"content\":\"",
                      item[] = "{\"type\":\"reasoning\",\"content\":\"x\"}";
    struct buf body = {0};
    const size_t n_first = 4u << 20;
    const uint32_t n = 200000;
    buf_puts(&body, first);
    memset(buf_room(&body, n_first), 'a', n_first);
    buf_added(&body, n_first);
    buf_puts(&body, "\"}");
    for (uint32_t i = 0; i < n; i++)
        buf_printf(&body, ",%s", item);
    buf_puts(&body, "]}");
    struct parsed p;
    accept(&p, buf_str(&body));
    const json_t *v =
        json_object_get(json_array_get(p.r.messages, 0), "thinking");
    assert_int_equal(json_string_length(v), n_first + 2 * (size_t)n);
    discard(&p);
    buf_deinit(&body);
}

TEST(a_result_in_parts_is_joined)
{
    UNUSED_STATE;
    items_become("{\"type\":\"function_call_output\",\"call_id\":\"c\","
                 "\"output\":[{\"type\":\"input_text\",\"text\":\"a\"},"
                 "{\"type\":\"input_text\",\"text\":\"b\"}]}",
                 "[{\"role\":\"tool\",\"content\":\"ab\","
                 "\"tool_call_id\":\"c\"}]");
}

TEST(a_wrong_item_is_refused_by_its_path)
{
    UNUSED_STATE;
    static const struct {
        const char *items, *param;
    } rows[] = {
        {"7", "input[0]"},
        {"{}", "input[0].role"},
        {"{\"role\":7}", "input[0].role"},
        {"{\"role\":\"critic\",\"content\":\"x\"}", "input[0].role"},
        {"{\"role\":\"user\"}", "input[0].content"},
        {"{\"role\":\"user\",\"content\":7}", "input[0].content"},
        {"{\"role\":\"user\",\"content\":[7]}", "input[0].content[0]"},
        {"{\"role\":\"user\",\"content\":[{}]}", "input[0].content[0].type"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"input_image\","
         "\"image_url\":\"x\"}]}",
         "input[0].content[0].type"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}",
         "input[0].content[0].text"},
        {SAY("x") ",{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                  "\"text\":\"x\"},{\"type\":\"input_file\"}]}",
         "input[1].content[1].type"},
        {"{\"type\":7}", "input[0].type"},
        {"{\"type\":\"web_search_call\"}", "input[0].type"},
        {"{\"type\":\"item_reference\",\"id\":\"msg_1\"}", "input[0].type"},
        {"{\"type\":\"function_call\"}", "input[0].call_id"},
        {"{\"type\":\"function_call\",\"call_id\":\"\"}", "input[0].call_id"},
        {"{\"type\":\"function_call\",\"call_id\":\"c\"}", "input[0].name"},
        {CALL("c", "f", "[1]"), "input[0].arguments"},
        {CALL("c", "f", "{"), "input[0].arguments"},
        {"{\"type\":\"function_call_output\",\"output\":\"x\"}",
         "input[0].call_id"},
        {"{\"type\":\"function_call_output\",\"call_id\":\"c\"}",
         "input[0].output"},
        {"{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{"
         "\"type\":\"input_image\"}]}",
         "input[0].output[0].type"},
        {"{\"type\":\"reasoning\",\"content\":[{\"type\":\"image\"}]}",
         "input[0].content[0].type"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[1024];
        snprintf(body, sizeof body, "{\"input\":[%s]}", rows[i].items);
        refuse(body, rows[i].param);
    }
}

TEST(calls_in_a_row_are_bounded)
{
    UNUSED_STATE;
    struct buf body = {0};
    struct parsed p;
    buf_puts(&body, "{\"input\":[" CALL("c", "f", ""));
    for (int i = 1; i < 128; i++)
        buf_puts(&body, "," CALL("c", "f", ""));
    buf_puts(&body, "]}");
    accept(&p, buf_str(&body));
    discard(&p);
    body.len -= 2;
    buf_puts(&body, "," CALL("c", "f", "") "]}");
    refuse(buf_str(&body), "input[128]");
    buf_deinit(&body);
}

TEST(a_wrong_value_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"model\":7", "model"},
        {"\"instructions\":7", "instructions"},
        {"\"temperature\":3", "temperature"},
        {"\"top_p\":\"x\"", "top_p"},
        {"\"stream\":1", "stream"},
        {"\"max_output_tokens\":0", "max_output_tokens"},
        {"\"max_output_tokens\":\"5\"", "max_output_tokens"},
        {"\"max_tool_calls\":0", "max_tool_calls"},
        {"\"previous_response_id\":\"resp_1\"", "previous_response_id"},
        {"\"conversation\":{\"id\":\"c\"}", "conversation"},
        {"\"prompt\":{\"id\":\"p\"}", "prompt"},
        {"\"background\":true", "background"},
        {"\"background\":1", "background"},
        {"\"store\":1", "store"},
        {"\"user\":1", "user"},
        {"\"service_tier\":1", "service_tier"},
        {"\"safety_identifier\":1", "safety_identifier"},
        {"\"prompt_cache_key\":1", "prompt_cache_key"},
        {"\"stream_options\":1", "stream_options"},
        {"\"stream_options\":{\"include_obfuscation\":1}",
         "stream_options.include_obfuscation"},
        {"\"truncation\":\"middle\"", "truncation"},
        {"\"include\":\"x\"", "include"},
        {"\"include\":[\"x\"]", "include[0]"},
        {"\"include\":[7]", "include[0]"},
        {"\"top_logprobs\":21", "top_logprobs"},
        {"\"reasoning\":\"low\"", "reasoning"},
        {"\"reasoning\":{\"effort\":\"x\"}", "reasoning.effort"},
        {"\"reasoning\":{\"effort\":1}", "reasoning.effort"},
        {"\"reasoning\":{\"summary\":\"x\"}", "reasoning.summary"},
        {"\"text\":\"x\"", "text"},
        {"\"text\":{\"verbosity\":\"x\"}", "text.verbosity"},
        {"\"text\":{\"format\":\"json\"}", "text.format"},
        {"\"text\":{\"format\":{}}", "text.format.type"},
        {"\"text\":{\"format\":{\"type\":\"xml\"}}", "text.format.type"},
        {"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}",
         "text.format.schema"},
        {"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\","
         "\"schema\":7}}",
         "text.format.schema"},
        {"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":7,"
         "\"schema\":{}}}",
         "text.format.name"},
        {"\"metadata\":[]", "metadata"},
        {"\"metadata\":{\"a\":1}", "metadata.a"},
        {"\"metadata\":{\"a\\n\":1}", "metadata.(another)"},
        {"\"parallel_tool_calls\":1", "parallel_tool_calls"},
        {"\"tools\":{}", "tools"},
        {"\"tools\":[1]", "tools[0]"},
        {"\"tools\":[{}]", "tools[0].type"},
        {"\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type"},
        {"\"tools\":[" TOOL("f") ",{\"type\":\"custom\",\"name\":\"x\"}]",
         "tools[1].type"},
        {"\"tools\":[{\"type\":\"function\"}]", "tools[0].name"},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\","
         "\"parameters\":1}]",
         "tools[0].parameters"},
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"strict\":1}]",
         "tools[0].strict"},
        {"\"tool_choice\":\"maybe\"", "tool_choice"},
        {"\"tool_choice\":\"required\"", "tool_choice"},
        {"\"tool_choice\":{\"type\":\"function\"}", "tool_choice.name"},
        {"\"tool_choice\":{\"type\":\"mcp\"}", "tool_choice.type"},
        {"\"tools\":[" TOOL("f") "],\"tool_choice\":" TOOL("g"), "tool_choice"},
        {"\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"x\"}",
         "tool_choice.mode"},
        {"\"tool_choice\":{\"type\":\"allowed_tools\"}", "tool_choice.tools"},
        {"\"tool_choice\":{\"type\":\"allowed_tools\",\"tools\":[{}]}",
         "tool_choice.tools[0].type"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[1024];
        snprintf(body, sizeof body, "{\"input\":\"Hi\",%s}", rows[i].fields);
        refuse(body, rows[i].param);
    }
    refuse("[]", "");
    refuse("{}", "input");
    refuse("{\"input\":7}", "input");
    refuse("{\"input\":[]}", "input");
}

TEST(an_unusable_tool_is_named)
{
    UNUSED_STATE;
    struct parsed p;
    assert_int_not_equal(
        parse(&p, "{\"input\":\"x\",\"tools\":[{\"type\":\"web_search\"}]}"),
        0);
    assert_non_null(strstr(p.err.text, "web_search"));
    assert_int_not_equal(
        parse(&p, "{\"input\":\"x\",\"tools\":[{\"type\":\"\\u00e9\\n\"}]}"),
        0);
    assert_non_null(strstr(p.err.text, "(another)"));
}

static const char *tool_names(const struct chat_request *r, char out[64])
{
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(r->tools); i++)
        strcat(out,
               json_string_value(json_object_get(
                   json_object_get(json_array_get(r->tools, i), "function"),
                   "name")));
    return out;
}

TEST(tools_and_their_choice_become_those_of_a_chat)
{
    UNUSED_STATE;
    struct parsed p;
    char names[64];
    struct buf tools = {0};
#define TOOLS "{\"input\":\"x\",\"tools\":[" TOOL("f") "," TOOL("g") "]"
    accept(&p, "{\"input\":\"x\",\"tools\":[{\"strict\":true,\"type\":"
               "\"function\",\"parameters\":{},\"description\":\"d\",\"name\":"
               "\"f\"}],\"tool_choice\":null}");
    json_write(&tools, p.r.tools, false);
    assert_string_equal(buf_str(&tools),
                        "[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                        "\"description\":\"d\",\"parameters\":{},"
                        "\"strict\":true}}]");
    buf_deinit(&tools);
    assert_int_equal(p.r.tool_choice, TOOL_CHOICE_AUTO);
    discard(&p);
    accept(&p, TOOLS ",\"tool_choice\":" TOOL("g") "}");
    assert_int_equal(p.r.tool_choice, TOOL_CHOICE_NAMED);
    assert_string_equal(p.r.tool_name, "g");
    discard(&p);
    accept(&p, TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":"
                     "\"required\",\"tools\":[" TOOL("g") "]}}");
    assert_int_equal(p.r.tool_choice, TOOL_CHOICE_REQUIRED);
    assert_string_equal(tool_names(&p.r, names), "g");
    discard(&p);
    accept(&p, TOOLS ",\"tool_choice\":\"none\"}");
    assert_null(p.r.tools);
    discard(&p);
}

TEST(fields_arrive_under_the_chats_names)
{
    UNUSED_STATE;
    struct parsed p;
    accept(&p, "{\"input\":\"x\",\"model\":\"m\",\"max_output_tokens\":7,"
               "\"temperature\":0.5,\"top_p\":0.25,\"stream\":true,\"seed\":3,"
               "\"parallel_tool_calls\":false,\"top_logprobs\":2,"
               "\"include\":[\"message.output_text.logprobs\"],"
               "\"reasoning\":{\"effort\":\"none\"}}");
    assert_string_equal(p.r.model, "m");
    assert_int_equal(p.r.sampling.max_tokens, 7);
    assert_true(p.r.sampling.temperature == 0.5f);
    assert_true(p.r.sampling.top_p == 0.25f);
    assert_true(p.r.sampling.stream);
    assert_int_equal(p.r.sampling.seed, 3);
    assert_false(p.r.parallel_tool_calls);
    assert_true(p.r.want_logprobs);
    assert_int_equal(p.r.n_top_logprobs, 2);
    assert_false(
        json_is_true(json_object_get(p.r.template_kwargs, "enable_thinking")));
    discard(&p);
    accept(&p, "{\"input\":\"x\",\"text\":{\"format\":{\"type\":"
               "\"json_schema\",\"name\":\"n\",\"strict\":true,\"schema\":{"
               "\"const\":1}}}}");
    assert_non_null(p.r.grammar);
    discard(&p);
    accept(&p, "{\"input\":\"x\",\"text\":{\"format\":{\"type\":"
               "\"json_object\"}}}");
    assert_non_null(p.r.grammar);
    discard(&p);
    accept(&p, "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"text\"}}}");
    assert_null(p.r.grammar);
    discard(&p);
}

TEST(a_reply_at_the_end_is_history_unless_it_is_to_go_on)
{
    UNUSED_STATE;
    struct parsed p;
    accept(&p, "{\"input\":[" SAY("One, two") "]}");
    assert_false(p.r.continues);
    discard(&p);
    accept(&p, "{\"continue_final_message\":true,\"add_generation_prompt\":"
               "false,\"input\":[" SAY("One, two") "]}");
    assert_true(p.r.continues);
    discard(&p);
}

TEST(fields_of_a_chat_mean_the_same)
{
    UNUSED_STATE;
    struct parsed p;
    accept(&p, "{\"input\":\"x\",\"n\":3,\"messages\":7,\"logprobs\":7,"
               "\"max_tokens\":5,\"stop\":\"z\",\"guided_regex\":\"a\","
               "\"return_token_ids\":true,\"prompt_logprobs\":3,"
               "\"unheard_of\":{}}");
    assert_int_equal(p.r.sampling.n, 1);
    assert_false(p.r.sampling.has & SAMPLING_PROMPT_LOGPROBS);
    assert_false(p.r.want_logprobs);
    assert_false(p.r.sampling.return_token_ids);
    assert_int_equal(p.r.sampling.max_tokens, 5);
    assert_string_equal(p.r.sampling.stop[0], "z");
    assert_non_null(p.r.grammar);
    discard(&p);
    accept(&p, "{\"input\":\"x\",\"max_tokens\":5,\"max_output_tokens\":6,"
               "\"max_completion_tokens\":7,\"reasoning_effort\":\"none\","
               "\"reasoning\":{\"effort\":\"low\"}}");
    assert_int_equal(p.r.sampling.max_tokens, 6);
    assert_string_equal(json_string_value(json_object_get(p.r.template_kwargs,
                                                          "reasoning_effort")),
                        "low");
    discard(&p);
    refuse("{\"input\":\"x\",\"min_p\":7}", "min_p");
    assert_int_not_equal(
        parse(&p, "{\"input\":\"x\",\"guided_regex\":\"a\",\"text\":{"
                  "\"format\":{\"type\":\"json_object\"}}}"),
        0);
    assert_string_equal(p.err.param, "guided_regex");
    assert_int_equal(strncmp(p.err.text, "text.format and guided_regex", 28),
                     0);
    buf_deinit(&p.asked.echo);
}

TEST(a_text_may_hold_a_nul_and_a_name_may_not)
{
    UNUSED_STATE;
    items_become("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                 "\"text\":\"a\\u0000b\"}]}",
                 "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]");
    refuse("{\"input\":[{\"role\":\"user\\u0000\",\"content\":\"a\"}]}",
           "input[0].role");
}

#define NOTHING_ASKED                                                      \
    "\"background\":false,\"previous_response_id\":null,"                  \
    "\"instructions\":null,\"prompt_cache_key\":null,"                     \
    "\"safety_identifier\":null,\"user\":null,\"service_tier\":"           \
    "\"default\",\"max_output_tokens\":null,\"max_tool_calls\":null,"      \
    "\"top_logprobs\":0,\"reasoning\":{\"effort\":null,\"summary\":null}," \
    "\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"},"  \
    "\"tools\":[],\"tool_choice\":\"auto\",\"metadata\":{},"               \
    "\"parallel_tool_calls\":true,\"store\":false,\"truncation\":"         \
    "\"disabled\""

TEST(the_answer_repeats_what_was_asked)
{
    UNUSED_STATE;
    struct parsed p;
    accept(&p, "{\"input\":\"x\"}");
    assert_string_equal(buf_str(&p.asked.echo), NOTHING_ASKED);
    discard(&p);
    accept(&p,
           "{\"input\":\"x\",\"store\":true,\"instructions\":\"i\",\"user\":"
           "\"u\",\"prompt_cache_key\":\"k\",\"safety_identifier\":\"s\","
           "\"service_tier\":\"auto\",\"max_output_tokens\":5,"
           "\"max_tool_calls\":2,\"top_logprobs\":1,\"reasoning\":{"
           "\"effort\":\"low\",\"summary\":\"auto\"},\"text\":{\"format\":{"
           "\"type\":\"json_object\"},\"verbosity\":\"low\"},\"tools\":[" TOOL(
               "f") "],\"tool_choice\":\"required\",\"metadata\":{\"a\":"
                    "\"b\"},\"parallel_tool_calls\":false,\"truncation\":"
                    "\"auto\"}");
    assert_string_equal(
        buf_str(&p.asked.echo),
        "\"background\":false,\"previous_response_id\":null,"
        "\"instructions\":\"i\",\"prompt_cache_key\":\"k\","
        "\"safety_identifier\":\"s\",\"user\":\"u\",\"service_tier\":"
        "\"default\",\"max_output_tokens\":5,\"max_tool_calls\":2,"
        "\"top_logprobs\":1,\"reasoning\":{\"effort\":\"low\",\"summary\":"
        "\"auto\"},\"text\":{\"format\":{\"type\":\"json_object\"},"
        "\"verbosity\":\"low\"},\"tools\":[{\"type\":\"function\",\"name\":"
        "\"f\",\"description\":null,\"parameters\":null,\"strict\":false}],"
        "\"tool_choice\":\"required\",\"metadata\":{\"a\":\"b\"},"
        "\"parallel_tool_calls\":false,\"store\":false,\"truncation\":"
        "\"auto\"");
    discard(&p);
}

TEST(null_is_absent)
{
    UNUSED_STATE;
    struct parsed p;
    accept(&p, "{\"input\":\"x\",\"instructions\":null,\"tools\":null,"
               "\"tool_choice\":null,\"text\":null,\"reasoning\":null,"
               "\"include\":null,\"metadata\":null,\"max_output_tokens\":null,"
               "\"previous_response_id\":null,\"conversation\":null,"
               "\"prompt\":null,\"background\":null,\"store\":null,"
               "\"truncation\":null,\"top_logprobs\":null,\"stream\":null,"
               "\"stream_options\":null,\"service_tier\":null,\"user\":null,"
               "\"parallel_tool_calls\":null,\"temperature\":null}");
    assert_string_equal(buf_str(&p.asked.echo), NOTHING_ASKED);
    discard(&p);
}

TEST(metadata_is_bounded)
{
    UNUSED_STATE;
    struct buf body = {0};
    buf_puts(&body, "{\"input\":\"x\",\"metadata\":{\"a0\":\"\"");
    for (int i = 1; i < 17; i++)
        buf_printf(&body, ",\"a%d\":\"\"", i);
    buf_puts(&body, "}}");
    refuse(buf_str(&body), "metadata");
    buf_clear(&body);
    buf_puts(&body, "{\"input\":\"x\",\"metadata\":{\"a\":\"");
    for (int i = 0; i < 2049; i++)
        buf_putc(&body, 'x');
    buf_puts(&body, "\"}}");
    refuse(buf_str(&body), "metadata.a");
    buf_deinit(&body);
}

TEST(an_error_of_a_chat_is_named_in_our_words)
{
    UNUSED_STATE;
    static const struct {
        const char *chat, *ours;
        bool whole; /* with all of our fields in the body */
    } rows[] = {
        {"messages", "input", true},
        {"messages", "input", false},
        {"max_tokens", "max_output_tokens", false},
        {"response_format.json_schema.schema", "text.format.schema", true},
        {"response_format", "response_format", false},
        {"reasoning_effort", "reasoning.effort", true},
        {"reasoning_effort", "reasoning_effort", false},
        {"tools[3].function.parameters", "tools[3].parameters", false},
        {"temperature", "temperature", true},
    };
    json_t *whole = json_pack("{s:{s:{}}, s:{s:s}}", "text", "format",
                              "reasoning", "effort", "low");
    assert_non_null(whole);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = {0};
        char want[128];
        err_field(&err, rows[i].chat, "%s: no", rows[i].chat);
        responses_rename(&err, rows[i].whole ? whole : NULL);
        snprintf(want, sizeof want, "%s: no", rows[i].ours);
        assert_string_equal(err.param, rows[i].ours);
        assert_string_equal(err.text, want);
    }
    json_decref(whole);
}

TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    static const char body[] =
        "{\"instructions\":\"A\",\"input\":[" THINK("t") "," THINK("u") "," SAY(
            "s") "," CALL("c", "f",
                          "{\\\"a\\\":[1]}") ",{\"type\":"
                                             "\"function_call_"
                                             "output\",\"call_"
                                             "id\":\"c\","
                                             "\"output\":\"5\"}],"
                                             "\"tools\":[" TOOL(
                                                 "f") "],\"tool_"
                                                      "choice\":{"
                                                      "\"type\":"
                                                      "\"allowed_"
                                                      "tools\","
                                                      "\"tools\":"
                                                      "[" TOOL(
                                                          "f") "]}"
                                                               ","
                                                               "\"text\":{"
                                                               "\"format\":{"
                                                               "\"type\":"
                                                               "\"json_"
                                                               "schema\","
                                                               "\"name\":\"n\","
                                                               "\"schema\":{"
                                                               "\"const\":1}}},"
                                                               "\"reasoning\":{"
                                                               "\"effort\":"
                                                               "\"low\"},"
                                                               "\"metadata\":{"
                                                               "\"a\":\"b\"},"
                                                               "\"include\":["
                                                               "\"message."
                                                               "output_text."
                                                               "logprobs\"]}";
    long hits = 1;
    for (long nth = 0; hits > 0; nth++) {
        struct parsed p;
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        int rc = parse(&p, body);
        hits = fault_hits(); /* a grammar may do without the one or other */
        fault_alloc_at(-1);
        assert_true(rc == 0 || (rc == -ERR_NOMEM && hits > 0));
        if (rc == 0)
            chat_request_deinit(&p.r);
        buf_deinit(&p.asked.echo);
        assert_int_equal(mem_live_count(), live);
        assert_true(nth < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_becomes_messages),
        cmocka_unit_test(what_one_reply_said_is_one_message),
        cmocka_unit_test(what_follows_a_call_is_another_message),
        cmocka_unit_test(thoughts_in_a_row_are_one_and_those_without_text_none),
        cmocka_unit_test(a_great_many_thoughts_take_no_more_than_their_length),
        cmocka_unit_test(a_result_in_parts_is_joined),
        cmocka_unit_test(a_wrong_item_is_refused_by_its_path),
        cmocka_unit_test(calls_in_a_row_are_bounded),
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
        cmocka_unit_test(an_unusable_tool_is_named),
        cmocka_unit_test(tools_and_their_choice_become_those_of_a_chat),
        cmocka_unit_test(fields_arrive_under_the_chats_names),
        cmocka_unit_test(a_reply_at_the_end_is_history_unless_it_is_to_go_on),
        cmocka_unit_test(fields_of_a_chat_mean_the_same),
        cmocka_unit_test(a_text_may_hold_a_nul_and_a_name_may_not),
        cmocka_unit_test(the_answer_repeats_what_was_asked),
        cmocka_unit_test(null_is_absent),
        cmocka_unit_test(metadata_is_bounded),
        cmocka_unit_test(an_error_of_a_chat_is_named_in_our_words),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
