/* test_render.c -- answers and chunks, byte for byte. */
#include "tests/lib/test.h"

#include "api/answer/answer_render.h"
#include "api/answer/chat_render.h"
#include "api/answer/completion_render.h"
#include "api/turn_state.h"

struct fixture {
    struct answer a;
    struct choice c;
    struct buf out;
};

static const token_id prompt[] = {1, 6};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->a.id, "chatcmpl-x");
    f->a.created = 5;
    f->a.model = "m";
    f->a.fingerprint = "v";
    f->a.choices = &f->c;
    f->a.n_choices = 1;
    f->a.n_told = 1;
    f->a.n_prompt = 2;
    f->c.answer = &f->a;
    f->c.first = &f->c;
    f->c.prompt = prompt;
    f->c.n_prompt = 2;
    f->c.stop_token = TOKEN_NONE;
    f->c.n_completion = 3;
    f->c.n_cached = 1;
    f->c.prefill_us = 2500;
    f->c.decode_us = 6000;
}

static void teardown(struct fixture *f)
{
    parts_deinit(&f->c.parts);
    buf_deinit(&f->c.ids);
    buf_deinit(&f->c.said);
    buf_deinit(&f->out);
}

#define HEAD(object)                                    \
    "{\"id\":\"chatcmpl-x\",\"object\":\"" object "\"," \
    "\"created\":5,\"model\":\"m\",\"system_fingerprint\":\"v\","
#define CHUNK_HEAD HEAD("chat.completion.chunk")
#define USAGE                                                             \
    "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,"             \
    "\"total_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":0}," \
    "\"completion_tokens_details\":{\"reasoning_tokens\":0}}"
#define TIMINGS                                                              \
    "\"timings\":{\"cache_n\":1,\"prompt_n\":1,\"prompt_ms\":2.5,"           \
    "\"prompt_per_token_ms\":2.5,\"prompt_per_second\":400.0,"               \
    "\"predicted_n\":3,\"predicted_ms\":6.0,\"predicted_per_token_ms\":3.0," \
    "\"predicted_per_second\":333.33334}"

static void expect(struct fixture *f, const char *want)
{
    assert_true(buf_ok(&f->out));
    assert_string_equal(buf_str(&f->out), want);
    buf_clear(&f->out);
}

static void expect_part(struct fixture *f, const char *want)
{
    if (strstr(buf_str(&f->out), want) == NULL)
        fail_msg("%s is not in %s", want, buf_str(&f->out));
}

TEST(a_stream_of_chat_is_role_delta_finish_usage)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    f.a.stream = true;
    chat_render_role(&f.out, &f.a, &f.c);
    expect(&f, CHUNK_HEAD
           "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
           "\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}");
    parts_text(&f.c.parts, "a\"\n", 3);
    chat_render_delta(&f.out, &f.a, &f.c);
    expect(&f, CHUNK_HEAD
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\\"\\n\"},"
           "\"logprobs\":null,\"finish_reason\":null}]}");
    f.c.ended = true;
    f.c.finish = FINISH_STOP;
    f.a.include_usage = true;
    chat_render_finish(&f.out, &f.a, &f.c);
    expect(&f, CHUNK_HEAD
           "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
           "\"finish_reason\":\"stop\",\"stop_reason\":null}],"
           "\"usage\":null}");
    struct writer w;
    writer_init(&w, &f.out);
    answer_usage_chunk(&w, &f.a, CHAT_CHUNK);
    expect(&f, CHUNK_HEAD "\"choices\":[]," USAGE "," TIMINGS "}");
    teardown(&f);
}

TEST(thoughts_have_both_of_their_names_or_are_hidden)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    f.c.n_thought = 2;
    turn_on_speech(&f.c, SPEECH_REASONING, "Hm", 2);
    chat_render_delta(&f.out, &f.a, &f.c);
    expect_part(&f, "\"delta\":{\"reasoning_content\":\"Hm\","
                    "\"reasoning\":\"Hm\"}");
    buf_clear(&f.out);
    chat_render_whole(&f.out, &f.a);
    expect_part(&f, "\"content\":\"\",\"refusal\":null,"
                    "\"reasoning_content\":\"Hm\",\"reasoning\":\"Hm\"}");
    expect_part(&f, "\"completion_tokens_details\":{\"reasoning_tokens\":2}");
    teardown(&f);
    setup(&f);
    f.a.hide_thoughts = true;
    turn_on_speech(&f.c, SPEECH_REASONING, "Hm", 2);
    assert_false(parts_have_news(&f.c.parts));
    teardown(&f);
}

static void say_call(struct choice *c, const char *name)
{
    turn_on_speech(c, SPEECH_CALL_BEGIN, name, strlen(name));
    turn_on_speech(c, SPEECH_CALL_ARGS, "{\"a\": ", 6);
    turn_on_speech(c, SPEECH_CALL_ARGS, "1}", 2);
    turn_on_speech(c, SPEECH_CALL_END, "", 0);
}

TEST(a_call_makes_content_null_and_the_reason_tool_calls)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    say_call(&f.c, "f");
    f.c.finish = FINISH_STOP;
    chat_render_whole(&f.out, &f.a);
    expect_part(&f, "\"message\":{\"role\":\"assistant\",\"content\":null,"
                    "\"refusal\":null,\"tool_calls\":[{\"id\":\"call_");
    expect_part(&f, "\"type\":\"function\",\"function\":{\"name\":\"f\","
                    "\"arguments\":\"{\\\"a\\\": 1}\"}}]}");
    expect_part(&f, "\"finish_reason\":\"tool_calls\"");
    f.c.finish = FINISH_LENGTH;
    buf_clear(&f.out);
    chat_render_whole(&f.out, &f.a);
    expect_part(&f, "\"finish_reason\":\"length\"");
    teardown(&f);
}

#define CALL_CHUNK(calls)                                                    \
    CHUNK_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" calls \
               "]},\"logprobs\":null,\"finish_reason\":null}]}"

static void expect_delta(struct fixture *f, const char *want)
{
    chat_render_delta(&f->out, &f->a, &f->c);
    expect(f, want);
    parts_told(&f->c.parts, true);
}

TEST(a_streamed_call_is_named_once_and_its_arguments_grow)
{
    UNUSED_STATE;
    struct fixture f;
    char want[512];
    setup(&f);
    f.a.stream = true;
    turn_on_speech(&f.c, SPEECH_CALL_BEGIN, "f", 1);
    snprintf(want, sizeof want,
             CALL_CHUNK("{\"index\":0,\"id\":\"%s\",\"type\":\"function\","
                        "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}"),
             f.c.parts.items[0].id);
    expect_delta(&f, want);
    turn_on_speech(&f.c, SPEECH_CALL_ARGS, "{\"a\"", 4);
    expect_delta(&f, CALL_CHUNK("{\"index\":0,\"function\":{\"arguments\":"
                                "\"{\\\"a\\\"\"}}"));
    turn_on_speech(&f.c, SPEECH_CALL_ARGS, ": 1}", 4);
    turn_on_speech(&f.c, SPEECH_CALL_END, "", 0);
    turn_on_speech(&f.c, SPEECH_CALL_BEGIN, "g", 1);
    turn_on_speech(&f.c, SPEECH_CALL_ARGS, "{}", 2);
    snprintf(want, sizeof want,
             CALL_CHUNK("{\"index\":0,\"function\":{\"arguments\":\": 1}\"}},"
                        "{\"index\":1,\"id\":\"%s\",\"type\":\"function\","
                        "\"function\":{\"name\":\"g\",\"arguments\":"
                        "\"{}\"}}"),
             f.c.parts.items[1].id);
    expect_delta(&f, want);
    assert_false(parts_have_news(&f.c.parts));
    teardown(&f);
}

TEST(a_completion_names_what_stopped_it)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    parts_text(&f.c.parts, "t", 1);
    f.c.ended = true;
    f.c.finish = FINISH_STOP;
    f.c.stop_string = "END";
    completion_render_whole(&f.out, &f.a);
    expect(&f, HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":"
                                       "\"t\",\"logprobs\":null,"
                                       "\"finish_reason\":\"stop\",\"stop_"
                                       "reason\":\"END\",\"prompt_logprobs\":"
                                       "null}]," USAGE "," TIMINGS "}");
    f.c.stop_string = NULL;
    f.c.stop_token = 9;
    f.a.return_ids = true;
    buf_puts(&f.c.ids, "7,9");
    completion_render_whole(&f.out, &f.a);
    expect(&f,
           HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":\"t\","
                                   "\"logprobs\":null,"
                                   "\"finish_reason\":\"stop\",\"stop_reason\":"
                                   "9,\"token_ids\":[7,9],"
                                   "\"prompt_token_ids\":[1,6],"
                                   "\"prompt_logprobs\":null}]," USAGE
                                   "," TIMINGS "}");
    teardown(&f);
}

TEST(prompt_logprobs_begin_with_null)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    f.a.want_prompt_logprobs = true;
    chat_render_whole(&f.out, &f.a);
    expect_part(&f, "\"token_ids\":null}],\"prompt_token_ids\":null,"
                    "\"prompt_logprobs\":[null],");
    buf_clear(&f.out);
    buf_puts(&f.c.prompt_logprobs, "{}");
    completion_render_whole(&f.out, &f.a);
    expect_part(&f, "\"prompt_logprobs\":[null,{}]}]");
    buf_deinit(&f.c.prompt_logprobs);
    teardown(&f);
}

TEST(a_reply_that_went_round_says_so)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f);
    f.c.finish = FINISH_LOOP;
    chat_render_whole(&f.out, &f.a);
    expect_part(&f, "\"finish_reason\":\"repetition\","
                    "\"stop_reason\":\"repetition_detected\"");
    teardown(&f);
}

TEST(of_several_candidates_the_best_are_told_and_all_are_counted)
{
    UNUSED_STATE;
    struct fixture f;
    struct choice all[3];
    setup(&f);
    for (uint32_t i = 0; i < 3; i++) {
        all[i] = f.c;
        all[i].finish = FINISH_LENGTH;
        parts_text(&all[i].parts, &"abc"[i], 1);
    }
    all[0].index = 1;
    all[1].index = CHOICE_UNTOLD;
    all[2].index = 0;
    f.a.choices = all;
    f.a.n_choices = 3;
    f.a.n_told = 2;
    completion_render_whole(&f.out, &f.a);
    expect_part(&f, "\"choices\":[{\"index\":0,\"text\":\"c\"");
    expect_part(&f, "{\"index\":1,\"text\":\"a\"");
    expect_part(&f, "\"completion_tokens\":9");
    assert_null(strstr(buf_str(&f.out), "\"b\""));
    for (uint32_t i = 0; i < 3; i++)
        parts_deinit(&all[i].parts);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_chat_is_role_delta_finish_usage),
        cmocka_unit_test(thoughts_have_both_of_their_names_or_are_hidden),
        cmocka_unit_test(a_call_makes_content_null_and_the_reason_tool_calls),
        cmocka_unit_test(a_streamed_call_is_named_once_and_its_arguments_grow),
        cmocka_unit_test(a_completion_names_what_stopped_it),
        cmocka_unit_test(prompt_logprobs_begin_with_null),
        cmocka_unit_test(a_reply_that_went_round_says_so),
        cmocka_unit_test(
            of_several_candidates_the_best_are_told_and_all_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
