/* test_replay_prompt.c -- which past replies are shown as the model wrote
 * them, and how the others are. */
#include "tests/lib/test.h"

#include "api/prompt/chat_prompt.h"
#include "api/prompt/replay.h"
#include "api/prompt/replay_prompt.h"
#include "tests/unit/api/prompt/fake_template.h"

#define TENANT 7u
#define F "<|tool_call_start|>[f( a=\"b\",n = 01 )]<|tool_call_end|>"
#define CALL_F                                                       \
    "{\"id\":\"call_1\",\"function\":{\"name\":\"f\",\"arguments\":" \
    "\"{\\\"n\\\":1,\\\"a\\\":\\\"b\\\"}\"}}"
#define CALL_G "{\"id\":\"call_2\",\"function\":{\"name\":\"g\"}}"

static const struct template chatml = {.chatml = "<|im_start|>assistant\n"};
static const struct speech_options options = {.calls = true, .reasoning = true};

/* Whether, after the model said `said` in `n_ids` calls, the message with the
 * members `message` is shown as `shown`. */
static void check_of(const struct template *t, const char *said, uint32_t n_ids,
                     const char *message, const char *shown, uint64_t tenant)
{
    static const char ids[2][IDS_BYTES] = {"call_1", "call_2"};
    struct replay *store;
    struct chat_request r;
    struct buf body = {0}, out = {0};
    struct err err = {0};
    assert_int_equal(replay_new(&store, 9, 1u << 20, NULL), 0);
    replay_put(store, TENANT, ids[0], n_ids, said, strlen(said), &options);
    buf_printf(&body,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},"
               "{\"role\":\"assistant\",%s}]}",
               message);
    if (chat_request_parse(&r, body.data, body.len, 10, 0, &err) != 0)
        fail_msg("%s", err.text);
    r.replay = store;
    r.tenant = tenant;
    assert_int_equal(chat_prompt_render(&out, t, "", NULL, &r, &err), 0);
    if (strstr(buf_str(&out), shown) == NULL)
        fail_msg("%s\nis not in %s", shown, buf_str(&out));
    assert_null(strstr(buf_str(&out), "said-"));
    buf_deinit(&body);
    buf_deinit(&out);
    chat_request_deinit(&r);
    replay_free(store);
}

static void check(const char *said, uint32_t n_ids, const char *message,
                  const char *shown)
{
    check_of(&chatml, said, n_ids, message, shown, TENANT);
}

#define ASSISTANT(text) "<|im_start|>assistant\n" text "<|im_end|>\n"

TEST(a_reply_that_comes_back_is_shown_as_it_was_written)
{
    UNUSED_STATE;
    check(F, 1, "\"content\":null,\"tool_calls\":[" CALL_F "]", ASSISTANT(F));
    check("So:\n " F "\n", 1, "\"content\":\"So:\",\"tool_calls\":[" CALL_F "]",
          ASSISTANT("So:\n " F "\n"));
    check("<|tool_call_start|>[f(n=1,a='b'),g()]<|tool_call_end|>", 2,
          "\"tool_calls\":[" CALL_F "," CALL_G "]",
          ASSISTANT("<|tool_call_start|>[f(n=1,a='b'),g()]<|tool_call_end|>"));
}

TEST(thoughts_that_the_template_leaves_out_stay_out)
{
    UNUSED_STATE;
    check("<think>\nHm.\n</think>\n\nSo:" F, 1,
          "\"content\":\"So:\",\"reasoning_content\":\"Hm.\","
          "\"tool_calls\":[" CALL_F "]",
          ASSISTANT("So:" F));
}

/* This template shows its context as JSON. */
TEST(a_template_that_knows_calls_is_shown_none)
{
    UNUSED_STATE;
    static const struct template json = {.knows_calls = true};
    check_of(&json, "<think> Hm. </think>So:" F, 1,
             "\"content\":\"So:\",\"tool_calls\":[" CALL_F "]",
             "\"content\":\"So:<|tool_call_start|>[f( a=", TENANT);
}

/* As a template would that shows thoughts; and one that forgets the reply. */
TEST(thoughts_that_a_template_shows_are_as_they_were_written)
{
    UNUSED_STATE;
    static const char said[] = "<think>\nHm. </think>\n\nSo:" F;
    static const char id[IDS_BYTES] = "call_1";
    struct replay *store;
    struct chat_request r;
    struct replay_prompt p;
    struct buf text = {0}, out = {0};
    static const char body[] =
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"So:\","
        "\"reasoning_content\":\"Hm.\",\"tool_calls\":[" CALL_F "]}]}";
    assert_int_equal(replay_new(&store, 9, 1u << 20, NULL), 0);
    replay_put(store, TENANT, id, 1, said, strlen(said), &options);
    assert_int_equal(chat_request_parse(&r, body, strlen(body), 10, 0, NULL),
                     0);
    json_t *list = replay_prompt_mark(&p, store, TENANT, r.messages);
    const json_t *m = json_array_get(list, 0);
    assert_int_equal(p.n_replies, 1);
    assert_false(replay_prompt_expand(&out, &p, &text));
    buf_printf(&text, "<think>%s</think>%s",
               json_string_value(json_object_get(m, "thinking")),
               json_string_value(json_object_get(m, "content")));
    assert_true(replay_prompt_expand(&out, &p, &text));
    assert_string_equal(buf_str(&out), said);
    json_decref(list);
    replay_prompt_deinit(&p);
    chat_request_deinit(&r);
    replay_free(store);
    buf_deinit(&text);
    buf_deinit(&out);
}

TEST(what_the_client_changed_is_shown_as_he_sent_it)
{
    UNUSED_STATE;
    check(F, 1,
          "\"tool_calls\":[{\"id\":\"call_1\",\"function\":{\"name\":\"f\","
          "\"arguments\":\"{\\\"a\\\":\\\"c\\\",\\\"n\\\":1}\"}}]",
          "[f(a=\"c\", n=1)]");
    check(F, 1,
          "\"tool_calls\":[{\"id\":\"call_1\",\"function\":{\"name\":\"h\","
          "\"arguments\":\"{\\\"a\\\":\\\"b\\\",\\\"n\\\":1}\"}}]",
          "[h(a=\"b\", n=1)]");
    check(F, 1, "\"content\":\"Other\",\"tool_calls\":[" CALL_F "]",
          "Other<|tool_call_start|>[f(n=1, a=\"b\")]");
    check(F, 1, "\"tool_calls\":[" CALL_F "," CALL_G "]",
          "[f(n=1, a=\"b\"), g()]");
    check("<|tool_call_start|>[f(n=1,a='b'),g()]<|tool_call_end|>", 2,
          "\"tool_calls\":[" CALL_G "," CALL_F "]", "[g(), f(n=1, a=\"b\")]");
}

TEST(another_tenant_gets_the_templates_own_form)
{
    UNUSED_STATE;
    check_of(&chatml, F, 1, "\"tool_calls\":[" CALL_F "]", "[f(n=1, a=\"b\")]",
             TENANT + 1);
}

#define MANY 64u
#define N_THOUGHT ((size_t)1 << 20)

/* The message is short, for thoughts need not be sent. */
TEST(one_long_reply_repeated_is_read_so_often_and_no_more)
{
    UNUSED_STATE;
    static const char id[IDS_BYTES] = "call_1";
    struct replay *store;
    struct replay_prompt p;
    struct buf said = {0};
    size_t n_bytes = 0;
    json_t *message =
        json_pack("{s:s, s:s, s:[{s:s, s:{s:s, s:{s:s, s:i}}}]}", "role",
                  "assistant", "content", "", "tool_calls", "id", "call_1",
                  "function", "name", "f", "arguments", "a", "b", "n", 1);
    json_t *messages = json_array();
    buf_puts(&said, "<think>");
    for (size_t i = 0; i < N_THOUGHT; i++)
        buf_put(&said, "x", 1);
    buf_puts(&said, "</think>" F);
    assert_int_equal(replay_new(&store, 9, 2 * N_THOUGHT, NULL), 0);
    replay_put(store, TENANT, id, 1, buf_str(&said), said.len, &options);
    for (uint32_t i = 0; i < MANY; i++)
        json_array_append(messages, message);
    json_t *shown = replay_prompt_mark(&p, store, TENANT, messages);
    assert_int_equal(json_array_size(shown), MANY);
    assert_true(p.n_replies > 0 && p.n_replies < MANY);
    for (uint32_t i = 0; i < p.n_replies; i++)
        n_bytes += p.replies[i].said.len;
    assert_true(n_bytes <= REPLAY_BYTES + said.len);
    json_decref(shown);
    json_decref(messages);
    json_decref(message);
    replay_prompt_deinit(&p);
    replay_free(store);
    buf_deinit(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_that_comes_back_is_shown_as_it_was_written),
        cmocka_unit_test(thoughts_that_the_template_leaves_out_stay_out),
        cmocka_unit_test(a_template_that_knows_calls_is_shown_none),
        cmocka_unit_test(
            thoughts_that_a_template_shows_are_as_they_were_written),
        cmocka_unit_test(what_the_client_changed_is_shown_as_he_sent_it),
        cmocka_unit_test(another_tenant_gets_the_templates_own_form),
        cmocka_unit_test(one_long_reply_repeated_is_read_so_often_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
