/* test_messages_render.c -- Anthropic's messages, events and errors, byte for
 * byte. */
#include "tests/lib/test.h"

#include "api/answer/messages_render.h"
#include "api/base/messages_error.h"
#include "api/turn_state.h"
#include "model/base/alloc.h"

struct fixture {
    struct answer a;
    struct choice c;
    struct buf out;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->a.id, "msg_x");
    f->a.model = "m";
    f->a.choices = &f->c;
    f->a.n_choices = 1;
    f->a.n_prompt = 9;
    f->a.n_cached = 7;
    f->c.answer = &f->a;
    f->c.stop_token = TOKEN_NONE;
    f->c.n_completion = 3;
    f->c.n_thought = 2;
    f->c.parts.call_prefix = IDS_TOOL_USE;
}

static void teardown(struct fixture *f)
{
    parts_deinit(&f->c.parts);
    buf_deinit(&f->out);
}

/* Random ids are compared as dots. */
static void expect(struct fixture *f, const char *want)
{
    assert_true(buf_ok(&f->out));
    for (char *id = f->out.data; (id = strstr(id, "\"toolu_")) != NULL; id++)
        memset(id + 7, '.', strcspn(id + 7, "\""));
    assert_string_equal(buf_str(&f->out), want);
    buf_clear(&f->out);
}

static void say(struct fixture *f, enum speech_kind kind, const char *s)
{
    turn_on_speech(&f->c, kind, s, strlen(s));
}

static void say_call(struct fixture *f, const char *name, const char *args)
{
    say(f, SPEECH_CALL_BEGIN, name);
    say(f, SPEECH_CALL_ARGS, args);
    say(f, SPEECH_CALL_END, "");
}

#define ID "\"toolu_........................\""
#define USAGE                                                          \
    "\"usage\":{\"input_tokens\":2,\"cache_creation_input_tokens\":0," \
    "\"cache_read_input_tokens\":7,\"output_tokens\":3,"               \
    "\"output_tokens_details\":{\"thinking_tokens\":2}}"
#define HEAD                                                         \
    "{\"id\":\"msg_x\",\"type\":\"message\",\"role\":\"assistant\"," \
    "\"model\":\"m\",\"content\":["

TEST(a_message_has_a_block_for_each_part)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    say(&f, SPEECH_REASONING, "Hm.");
    say(&f, SPEECH_TEXT, "Let me \"look\".");
    say_call(&f, "f", "{\"a\": 1}");
    say_call(&f, "g", "{}");
    say(&f, SPEECH_TEXT, "\nDone.");
    f.c.finish = FINISH_STOP;
    messages_render_whole(&f.out, &f.a, false);
    expect(&f,
           HEAD "{\"type\":\"thinking\",\"thinking\":\"Hm.\",\"signature\":"
                "\"\"},{\"type\":\"text\",\"text\":\"Let me "
                "\\\"look\\\".\"},{\"type\":\"tool_use\",\"id\":" ID
                ",\"name\":\"f\",\"input\":{\"a\": 1}},{\"type\":\"tool_use\","
                "\"id\":" ID ",\"name\":\"g\",\"input\":{}},{\"type\":\"text\","
                "\"text\":\"\\nDone.\"}],\"stop_reason\":\"tool_use\","
                "\"stop_sequence\":null," USAGE "}");
    teardown(&f);
}

TEST(half_a_call_leaves_a_whole_message)
{
    UNUSED_STATE;
    static const char *const args[] = {"{\"a\": [1", "[]", "", "{}{"};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        struct fixture f;
        setup(&f);
        say_call(&f, "f", args[i]);
        f.c.finish = FINISH_LENGTH;
        messages_render_whole(&f.out, &f.a, false);
        expect(&f, HEAD "{\"type\":\"tool_use\",\"id\":" ID
                        ",\"name\":\"f\",\"input\":{}}],\"stop_reason\":"
                        "\"max_tokens\",\"stop_sequence\":null," USAGE "}");
        teardown(&f);
    }
}

TEST(the_reason_to_stop_is_one_of_five)
{
    UNUSED_STATE;
    static const struct {
        enum finish_reason finish;
        const char *stop_string;
        bool calls, clipped;
        const char *want;
    } rows[] = {
        {FINISH_STOP, NULL, false, false,
         "\"end_turn\",\"stop_sequence\":null"},
        {FINISH_STOP, NULL, true, true, "\"tool_use\",\"stop_sequence\":null"},
        {FINISH_STOP, "END", true, false,
         "\"stop_sequence\",\"stop_sequence\":\"END\""},
        {FINISH_LENGTH, NULL, true, false,
         "\"max_tokens\",\"stop_sequence\":null"},
        {FINISH_LENGTH, NULL, false, true,
         "\"model_context_window_exceeded\",\"stop_sequence\":null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        char want[512];
        setup(&f);
        if (rows[i].calls)
            say_call(&f, "f", "{}");
        f.c.finish = rows[i].finish;
        f.c.stop_string = rows[i].stop_string;
        messages_render_end(&f.out, &f.a, rows[i].clipped);
        snprintf(want, sizeof want,
                 "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":%s}"
                 "," USAGE "}",
                 rows[i].want);
        expect(&f, want);
        teardown(&f);
    }
}

TEST(each_event_says_its_type_and_its_block)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    messages_render_start(&f.out, &f.a);
    expect(&f, "{\"type\":\"message_start\",\"message\":" HEAD
               "],\"stop_reason\":null,\"stop_sequence\":null," USAGE "}}");
    say(&f, SPEECH_REASONING, "Hm.");
    messages_render_block(&f.out, &f.c.parts, 0);
    expect(&f, "{\"type\":\"content_block_start\",\"index\":0,"
               "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\","
               "\"signature\":\"\"}}");
    messages_render_news(&f.out, &f.c.parts, 0);
    expect(&f, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
               "\"type\":\"thinking_delta\",\"thinking\":\"Hm.\"}}");
    parts_told(&f.c.parts, true);
    messages_render_signature(&f.out, 0);
    expect(&f, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
               "\"type\":\"signature_delta\",\"signature\":\"\"}}");
    messages_render_block_stop(&f.out, 0);
    expect(&f, "{\"type\":\"content_block_stop\",\"index\":0}");
    say(&f, SPEECH_TEXT, "a");
    messages_render_block(&f.out, &f.c.parts, 1);
    expect(&f, "{\"type\":\"content_block_start\",\"index\":1,"
               "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
    parts_told(&f.c.parts, false);
    say(&f, SPEECH_TEXT, "b\"");
    messages_render_news(&f.out, &f.c.parts, 1);
    expect(&f, "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
               "\"type\":\"text_delta\",\"text\":\"b\\\"\"}}");
    say_call(&f, "f", "{\"a\": 1}");
    messages_render_block(&f.out, &f.c.parts, 2);
    expect(&f, "{\"type\":\"content_block_start\",\"index\":2,"
               "\"content_block\":{\"type\":\"tool_use\",\"id\":" ID
               ",\"name\":\"f\",\"input\":{}}}");
    messages_render_news(&f.out, &f.c.parts, 2);
    expect(&f, "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{"
               "\"type\":\"input_json_delta\","
               "\"partial_json\":\"{\\\"a\\\": 1}\"}}");
    messages_render_stop(&f.out);
    expect(&f, "{\"type\":\"message_stop\"}");
    teardown(&f);
}

TEST(errors_are_typed_by_their_status)
{
    UNUSED_STATE;
    static const struct {
        enum err_class class_;
        const char *type, *code;
    } rows[] = {
        {ERR_INVALID, "invalid_request_error", NULL},
        {ERR_UNSUPPORTED, "invalid_request_error", "not_supported"},
        {ERR_AUTH, "authentication_error", "invalid_api_key"},
        {ERR_NOT_FOUND, "not_found_error", "not_found"},
        {ERR_BUSY, "rate_limit_error", "server_busy"},
        {ERR_UNAVAILABLE, "overloaded_error", "unavailable"},
        {ERR_NOMEM, "overloaded_error", "out_of_memory"},
        {ERR_INTERNAL, "api_error", "internal_error"},
    };
    struct fixture f;
    struct err err = {0};
    char want[256];
    setup(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        err_set(&err, rows[i].class_, "a \"b\"");
        messages_error_write(&f.out, &err);
        snprintf(want, sizeof want,
                 "{\"type\":\"error\",\"error\":{\"type\":\"%s\","
                 "\"message\":\"a \\\"b\\\"\"%s%s%s}}",
                 rows[i].type, rows[i].code ? ",\"code\":\"" : "",
                 rows[i].code ? rows[i].code : "", rows[i].code ? "\"" : "");
        expect(&f, want);
    }
    err_field(&err, "messages[0].role", "no");
    messages_error_write(&f.out, &err);
    expect(&f, "{\"type\":\"error\",\"error\":{\"type\":"
               "\"invalid_request_error\",\"message\":\"no\","
               "\"param\":\"messages[0].role\"}}");
    err_field(&err, "tools[7].function.parameters",
              "tools[7].function.parameters: no .function.parameters");
    messages_error_write(&f.out, &err);
    expect(&f, "{\"type\":\"error\",\"error\":{\"type\":"
               "\"invalid_request_error\",\"message\":"
               "\"tools[7].input_schema: no .function.parameters\","
               "\"param\":\"tools[7].input_schema\"}}");
    err_set(&err, ERR_CONTEXT, "9 tokens");
    messages_error_write(&f.out, &err);
    expect(&f, "{\"type\":\"error\",\"error\":{\"type\":"
               "\"invalid_request_error\",\"message\":"
               "\"prompt is too long: 9 tokens\","
               "\"code\":\"context_length_exceeded\"}}");
    messages_error_write_status(&f.out, 413, "big");
    expect(&f, "{\"type\":\"error\",\"error\":{\"type\":"
               "\"request_too_large\",\"message\":\"big\"}}");
    messages_error_write_status(&f.out, 405, "no");
    expect(&f, "{\"type\":\"error\",\"error\":{\"type\":"
               "\"invalid_request_error\",\"message\":\"no\"}}");
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_a_block_for_each_part),
        cmocka_unit_test(half_a_call_leaves_a_whole_message),
        cmocka_unit_test(the_reason_to_stop_is_one_of_five),
        cmocka_unit_test(each_event_says_its_type_and_its_block),
        cmocka_unit_test(errors_are_typed_by_their_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
