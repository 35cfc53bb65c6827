/* test_chat_prompt.c -- what the template gets to see. */
#include "tests/lib/test.h"

#include "api/prompt/chat_prompt.h"
#include "tests/unit/api/prompt/fake_template.h"

#define CALLS                                                      \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"       \
    "{\"role\":\"assistant\",\"content\":\"So:\",\"tool_calls\":[" \
    "{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":"    \
    "\"{\\\"a\\\": \\\"b\\\", \\\"n\\\": [null]}\"}},"             \
    "{\"id\":\"2\",\"function\":{\"name\":\"g\"}}]}]}"

static void check(const struct template *t, const char *body,
                  const char *expected)
{
    struct chat_request r;
    struct buf out = {0};
    struct err err = {0};
    if (chat_request_parse(&r, body, strlen(body), 10, 0, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(chat_prompt_render(&out, t, "<s>", NULL, &r, &err), 0);
    assert_string_equal(buf_str(&out), expected);
    buf_deinit(&out);
    chat_request_deinit(&r);
}

TEST(the_context_has_all_that_templates_ask_for)
{
    UNUSED_STATE;
    static const struct template t = {.knows_calls = true};
    check(&t,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
          "\"chat_template_kwargs\":{\"deep\":{\"x\":1}},"
          "\"reasoning_effort\":\"none\"}",
          "{\"deep\":{\"x\":1},\"reasoning_effort\":\"none\","
          "\"enable_thinking\":false,"
          "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
          "\"tools\":null,\"add_generation_prompt\":true,"
          "\"bos_token\":\"<s>\",\"eos_token\":\"\"}");
    check(&t,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
          "\"add_generation_prompt\":false,"
          "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"x\":[1]}}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
          "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"x\":[1]}}],\"add_generation_prompt\":false,"
          "\"bos_token\":\"<s>\",\"eos_token\":\"\"}");
}

TEST(past_calls_are_given_to_a_template_that_knows_them)
{
    UNUSED_STATE;
    static const struct template t = {.knows_calls = true};
    check(&t, CALLS,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
          "{\"role\":\"assistant\",\"content\":\"So:\",\"tool_calls\":["
          "{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"arguments\":{\"a\":\"b\",\"n\":[null]}}},"
          "{\"id\":\"2\",\"type\":\"function\",\"function\":{\"name\":\"g\","
          "\"arguments\":{}}}]}],"
          "\"tools\":null,\"add_generation_prompt\":true,"
          "\"bos_token\":\"<s>\",\"eos_token\":\"\"}");
}

TEST(past_calls_are_written_out_for_a_template_that_does_not)
{
    UNUSED_STATE;
    static const struct template t = {.chatml = "<|im_start|>assistant\n"};
    check(&t, CALLS,
          "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nSo:"
          "<|tool_call_start|>[f(a=\"b\", n=[None]), g()]<|tool_call_end|>"
          "<|im_end|>\n<|im_start|>assistant\n");
}

TEST(a_template_that_refuses_makes_a_request_error)
{
    UNUSED_STATE;
    static const struct template t = {.exception = "no such role"};
    static const char body[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    struct chat_request r;
    struct buf out = {0};
    struct err err = {0};
    assert_int_equal(chat_request_parse(&r, body, strlen(body), 10, 0, &err),
                     0);
    assert_int_equal(chat_prompt_render(&out, &t, NULL, NULL, &r, &err),
                     -ERR_INVALID);
    assert_string_equal(err.text, "the chat template refuses the messages: "
                                  "no such role");
    buf_deinit(&out);
    chat_request_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_context_has_all_that_templates_ask_for),
        cmocka_unit_test(past_calls_are_given_to_a_template_that_knows_them),
        cmocka_unit_test(
            past_calls_are_written_out_for_a_template_that_does_not),
        cmocka_unit_test(a_template_that_refuses_makes_a_request_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
