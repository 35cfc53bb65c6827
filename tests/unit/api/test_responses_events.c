/* test_responses_events.c -- what a response says, byte for byte: event after
 * event, and all at once. */
#include "tests/lib/test.h"

#include "api/answer/responses_render.h"
#include "api/api_state.h"
#include "api/turn_state.h"
#include "model/base/alloc.h"
#include "model/base/json.h"
#include "server/engine/job.h"

struct fixture {
    struct api api;
    struct model model;
    struct turn t;
    struct turn_job tj;
    struct choice c;
};

static void setup(struct fixture *f, const char *body)
{
    struct err err = {0};
    memset(f, 0, sizeof *f);
    f->model.hp.n_vocab = 10;
    f->api.model = &f->model;
    f->t.api = &f->api;
    f->t.form = &form_responses;
    f->t.jobs = &f->tj;
    f->tj.job = job_new(0);
    assert_non_null(f->tj.job);
    if (form_responses.parse(&f->t, body, strlen(body), 0, &err) != 0)
        fail_msg("%s", err.text);
    struct answer *a = &f->t.answer;
    strcpy(a->id, "resp_abc");
    a->created = 5;
    a->model = "m";
    a->choices = &f->c;
    a->n_choices = 1;
    a->n_prompt = 2;
    a->n_cached = 1;
    a->want_logprobs = f->t.chat.want_logprobs;
    f->c.answer = a;
}

static void teardown(struct fixture *f)
{
    form_responses.free_extra(&f->t);
    chat_request_deinit(&f->t.chat);
    parts_deinit(&f->c.parts);
    buf_deinit(&f->t.out);
    buf_deinit(&f->t.json);
    job_release(f->tj.job);
}

static void say(struct fixture *f, enum speech_kind kind, const char *text)
{
    turn_on_speech(&f->c, kind, text, strlen(text));
    form_responses.say_chunks(&f->t, &f->c);
}

static void finish(struct fixture *f, enum finish_reason reason)
{
    f->c.ended = true;
    f->c.finish = reason;
    f->c.n_completion = 3;
    f->c.n_thought = 1;
}

static void end(struct fixture *f, enum finish_reason reason)
{
    finish(f, reason);
    form_responses.say_chunks(&f->t, &f->c);
    form_responses.say_end(&f->t);
}

/* The time of the end, which is the clock's, becomes 9. */
static const char *output(struct fixture *f)
{
    static const char key[] = "\"completed_at\":";
    assert_true(buf_ok(&f->t.out));
    char *at = f->t.out.len > 0 ? f->t.out.data : NULL;
    while (at != NULL && (at = strstr(at, key)) != NULL) {
        at += strlen(key);
        size_t n = strspn(at, "0123456789");
        if (n == 0)
            continue;
        *at = '9';
        memmove(at + 1, at + n, strlen(at + n) + 1);
        f->t.out.len -= n - 1;
    }
    return buf_str(&f->t.out);
}

static void expect(struct fixture *f, const char *want)
{
    assert_string_equal(output(f), want);
    buf_clear(&f->t.out);
}

#define EVENT(type, number, members)           \
    "event: " type "\ndata: {\"type\":\"" type \
    "\",\"sequence_number\":" number "," members "}\n\n"
#define ECHO                                                               \
    "\"background\":false,\"previous_response_id\":null,"                  \
    "\"instructions\":null,\"prompt_cache_key\":null,"                     \
    "\"safety_identifier\":null,\"user\":null,\"service_tier\":"           \
    "\"default\",\"max_output_tokens\":null,\"max_tool_calls\":null,"      \
    "\"top_logprobs\":0,\"reasoning\":{\"effort\":null,\"summary\":null}," \
    "\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"},"  \
    "\"tools\":[],\"tool_choice\":\"auto\",\"metadata\":{},"               \
    "\"parallel_tool_calls\":true,\"store\":false,\"truncation\":"         \
    "\"disabled\""
#define RESPONSE(status, at, error, incomplete, output, usage)           \
    "{\"id\":\"resp_abc\",\"object\":\"response\",\"created_at\":5,"     \
    "\"status\":\"" status "\",\"completed_at\":" at ",\"error\":" error \
    ",\"incomplete_details\":" incomplete                                \
    ",\"model\":\"m\",\"output\":[" output "],\"usage\":" usage          \
    ",\"temperature\":1.0,\"top_p\":1.0,"                                \
    "\"presence_penalty\":0.0,\"frequency_penalty\":0.0," ECHO "}"
#define BEGUN RESPONSE("in_progress", "null", "null", "null", "", "null")
#define USAGE                                                               \
    "{\"input_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":1,"    \
    "\"cache_write_tokens\":0},\"output_tokens\":3,"                        \
    "\"output_tokens_details\":{\"reasoning_tokens\":1},\"total_tokens\":5" \
    "}"
#define TEXT(text)                               \
    "{\"type\":\"output_text\",\"text\":\"" text \
    "\",\"annotations\":[],\"logprobs\":[]}"
#define MESSAGE(number, status, content)                                      \
    "{\"id\":\"msg_abc" number "\",\"type\":\"message\",\"status\":\"" status \
    "\",\"role\":\"assistant\",\"content\":[" content "]}"
#define REASONING(number, status, content)                                     \
    "{\"id\":\"rs_abc" number "\",\"type\":\"reasoning\",\"status\":\"" status \
    "\",\"summary\":[],\"content\":[" content "]}"
#define THOUGHT(text) "{\"type\":\"reasoning_text\",\"text\":\"" text "\"}"
#define CONTENT(id, index) \
    "\"item_id\":\"" id "\",\"output_index\":" index ",\"content_index\":0,"

TEST(a_text_is_opened_grows_and_is_closed)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f, "{\"input\":\"x\"}");
    form_responses.say_begin(&f.t);
    expect(&f, EVENT("response.created", "0", "\"response\":" BEGUN)
                   EVENT("response.in_progress", "1", "\"response\":" BEGUN));
    say(&f, SPEECH_TEXT, "a\"");
    expect(
        &f,
        EVENT("response.output_item.added", "2",
              "\"output_index\":0,\"item\":" MESSAGE("00", "in_progress", ""))
            EVENT("response.content_part.added", "3",
                  CONTENT("msg_abc00", "0") "\"part\":" TEXT(""))
                EVENT("response.output_text.delta", "4",
                      CONTENT("msg_abc00",
                              "0") "\"delta\":\"a\\\"\",\"logprobs\":[]"));
    form_responses.say_chunks(&f.t, &f.c);
    expect(&f, "");
    say(&f, SPEECH_TEXT, "b");
    expect(&f,
           EVENT("response.output_text.delta", "5",
                 CONTENT("msg_abc00", "0") "\"delta\":\"b\",\"logprobs\":[]"));
    end(&f, FINISH_STOP);
    char *timings = strstr(f.t.out.data, ",\"timings\":");
    assert_non_null(timings);
    strcpy(timings, "}\n\n");
    expect(&f, EVENT("response.output_text.done", "6",
                     CONTENT("msg_abc00",
                             "0") "\"text\":\"a\\\"b\",\"logprobs\":[]")
                   EVENT("response.content_part.done", "7",
                         CONTENT("msg_abc00", "0") "\"part\":" TEXT("a\\\"b"))
                       EVENT("response.output_item.done", "8",
                             "\"output_index\":0,\"item\":" MESSAGE(
                                 "00", "completed", TEXT("a\\\"b")))
                           EVENT("response.completed", "9",
                                 "\"response\":" RESPONSE(
                                     "completed", "9", "null", "null",
                                     MESSAGE("00", "completed", TEXT("a\\\"b")),
                                     USAGE)));
    teardown(&f);
}

TEST(thoughts_and_calls_have_events_of_their_own)
{
    UNUSED_STATE;
    struct fixture f;
    char want[2048];
    setup(&f, "{\"input\":\"x\"}");
    say(&f, SPEECH_REASONING, "Hm.");
    expect(&f, EVENT("response.output_item.added", "0",
                     "\"output_index\":0,\"item\":" REASONING(
                         "00", "in_progress", ""))
                   EVENT("response.content_part.added", "1",
                         CONTENT("rs_abc00", "0") "\"part\":" THOUGHT(""))
                       EVENT("response.reasoning_text.delta", "2",
                             CONTENT("rs_abc00", "0") "\"delta\":\"Hm.\""));
    turn_on_speech(&f.c, SPEECH_CALL_BEGIN, "f", 1);
    say(&f, SPEECH_CALL_ARGS, "{}");
    snprintf(want, sizeof want,
             EVENT("response.reasoning_text.done", "3",
                   CONTENT("rs_abc00", "0") "\"text\":\"Hm.\"")
                 EVENT("response.content_part.done", "4",
                       CONTENT("rs_abc00", "0") "\"part\":" THOUGHT("Hm."))
                     EVENT("response.output_item.done", "5",
                           "\"output_index\":0,\"item\":" REASONING(
                               "00", "completed", THOUGHT("Hm.")))
                         EVENT("response.output_item.added", "6",
                               "\"output_index\":1,\"item\":{\"id\":"
                               "\"fc_abc01\",\"type\":\"function_call\","
                               "\"status\":\"in_progress\",\"arguments\":"
                               "\"\",\"call_id\":\"%s\",\"name\":\"f\"}")
                             EVENT("response.function_call_arguments.delta",
                                   "7",
                                   "\"item_id\":\"fc_abc01\","
                                   "\"output_index\":1,\"delta\":\"{}\""),
             f.c.parts.items[1].id);
    expect(&f, want);
    finish(&f, FINISH_STOP);
    form_responses.say_chunks(&f.t, &f.c);
    snprintf(want, sizeof want,
             EVENT("response.function_call_arguments.done", "8",
                   "\"item_id\":\"fc_abc01\",\"output_index\":1,"
                   "\"arguments\":\"{}\",\"name\":\"f\"")
                 EVENT("response.output_item.done", "9",
                       "\"output_index\":1,\"item\":{\"id\":\"fc_abc01\","
                       "\"type\":\"function_call\",\"status\":\"completed\","
                       "\"arguments\":\"{}\",\"call_id\":\"%s\",\"name\":"
                       "\"f\"}"),
             f.c.parts.items[1].id);
    expect(&f, want);
    teardown(&f);
}

static void speak(struct fixture *f, bool aloud)
{
    static const struct {
        enum speech_kind kind;
        const char *text;
    } rows[] = {
        {SPEECH_REASONING, "Hm"},   {SPEECH_REASONING, "."},
        {SPEECH_TEXT, "Let "},      {SPEECH_TEXT, "me see."},
        {SPEECH_CALL_BEGIN, "f"},   {SPEECH_CALL_ARGS, "{\"a\": "},
        {SPEECH_CALL_ARGS, "1}"},   {SPEECH_CALL_BEGIN, "g"},
        {SPEECH_CALL_ARGS, "{\"b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (aloud)
            say(f, rows[i].kind, rows[i].text);
        else
            turn_on_speech(&f->c, rows[i].kind, rows[i].text,
                           strlen(rows[i].text));
    for (uint32_t i = 0; i < f->c.parts.n; i++)
        if (f->c.parts.items[i].kind == PART_CALL)
            snprintf(f->c.parts.items[i].id, IDS_BYTES, "call_%u", (unsigned)i);
}

/* The last event's response; the text begins there. */
static json_t *last_response(const char *text)
{
    json_t *root;
    struct err err = {0};
    const char *at = text;
    for (const char *p = text; (p = strstr(p, "data: ")) != NULL;)
        at = p += 6;
    if (json_parse(&root, at, strcspn(at, "\n"), 64, 10000, &err) != 0)
        fail_msg("%s: %s", err.text, at);
    json_t *response = json_object_get(root, "response");
    json_incref(response != NULL ? response : root);
    json_decref(root);
    return response != NULL ? response : root;
}

TEST(the_last_event_says_what_a_whole_answer_is)
{
    UNUSED_STATE;
    static const enum finish_reason reasons[] = {FINISH_STOP, FINISH_LENGTH};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f, g;
        setup(&f, "{\"input\":\"x\",\"stream\":true}");
        setup(&g, "{\"input\":\"x\"}");
        form_responses.say_begin(&f.t);
        speak(&f, true);
        end(&f, reasons[i]);
        speak(&g, false);
        finish(&g, reasons[i]);
        form_responses.say_whole(&g.t);
        json_t *streamed = last_response(output(&f));
        json_t *whole = last_response(output(&g));
        assert_int_equal(json_array_size(json_object_get(whole, "output")), 4);
        assert_true(json_equal(streamed, whole));
        json_decref(streamed);
        json_decref(whole);
        teardown(&f);
        teardown(&g);
    }
}

TEST(what_had_no_room_is_incomplete)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f, "{\"input\":\"x\"}");
    turn_on_speech(&f.c, SPEECH_REASONING, "Hm.", 3);
    turn_on_speech(&f.c, SPEECH_TEXT, "a", 1);
    finish(&f, FINISH_LENGTH);
    form_responses.say_whole(&f.t);
    expect(&f,
           RESPONSE("incomplete", "null", "null",
                    "{\"reason\":\"max_output_tokens\"}",
                    REASONING("00", "completed", THOUGHT("Hm.")) "," MESSAGE(
                        "01", "incomplete", TEXT("a")),
                    USAGE));
    teardown(&f);
    setup(&f, "{\"input\":\"x\"}");
    turn_on_speech(&f.c, SPEECH_REASONING, "Hm.", 3);
    end(&f, FINISH_LENGTH);
    assert_non_null(strstr(output(&f), "event: response.incomplete\n"));
    json_t *r = last_response(output(&f));
    assert_int_equal(json_array_size(json_object_get(r, "output")), 1);
    json_decref(r);
    teardown(&f);
}

TEST(who_says_nothing_has_an_empty_message)
{
    UNUSED_STATE;
    struct fixture f;
    setup(&f, "{\"input\":\"x\"}");
    finish(&f, FINISH_STOP);
    form_responses.say_chunks(&f.t, &f.c);
    expect(
        &f,
        EVENT("response.output_item.added", "0",
              "\"output_index\":0,\"item\":" MESSAGE("00", "in_progress", ""))
            EVENT("response.content_part.added", "1",
                  CONTENT("msg_abc00", "0") "\"part\":" TEXT(""))
                EVENT("response.output_text.done", "2",
                      CONTENT("msg_abc00", "0") "\"text\":\"\",\"logprobs\":[]")
                    EVENT("response.content_part.done", "3",
                          CONTENT("msg_abc00", "0") "\"part\":" TEXT(""))
                        EVENT("response.output_item.done", "4",
                              "\"output_index\":0,\"item\":" MESSAGE(
                                  "00", "completed", TEXT(""))));
    form_responses.say_whole(&f.t);
    expect(&f, RESPONSE("completed", "9", "null", "null",
                        MESSAGE("00", "completed", TEXT("")), USAGE));
    teardown(&f);
}

TEST(a_stream_that_fails_says_so_and_what_there_was)
{
    UNUSED_STATE;
    struct fixture f;
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE, "Gone.");
    setup(&f, "{\"input\":\"x\"}");
    say(&f, SPEECH_TEXT, "a");
    buf_clear(&f.t.out);
    form_responses.say_error(&f.t, &err);
    expect(&f, EVENT("error", "3",
                     "\"code\":\"unavailable\",\"message\":\"Gone.\","
                     "\"param\":null")
                   EVENT("response.failed", "4",
                         "\"response\":" RESPONSE(
                             "failed", "null",
                             "{\"code\":\"server_error\",\"message\":"
                             "\"Gone.\"}",
                             "null", MESSAGE("00", "incomplete", TEXT("a")),
                             "null")));
    teardown(&f);
}

TEST(an_error_is_told_in_this_protocols_names)
{
    UNUSED_STATE;
    struct buf out = {0};
    struct err err = {0};
    err_field(&err, "messages", "messages: too long");
    form_responses.error_body(&out, &err);
    assert_non_null(strstr(buf_str(&out), "\"param\":\"input\""));
    assert_non_null(strstr(buf_str(&out), "\"input: too long\""));
    buf_deinit(&out);
}

/* A token is heard. */
static void token(struct fixture *f, const char *name)
{
    struct responses *x = f->t.extra;
    struct job_event none = {.kind = EVENT_PROMPT_LOGPROB};
    form_responses.hear(&f->t, &f->tj, &f->c, &none);
    struct buf *list = &x->logprobs.waiting.content;
    buf_printf(list, "%s\"%s\"", list->len > 0 ? "," : "", name);
}

TEST(logprobs_are_those_of_the_text_alone)
{
    UNUSED_STATE;
    for (int aloud = 0; aloud < 2; aloud++) {
        struct fixture f;
        setup(&f, "{\"input\":\"x\",\"include\":["
                  "\"message.output_text.logprobs\"]}");
        token(&f, "t1");
        say(&f, SPEECH_REASONING, "Hm.");
        token(&f, "t2");
        say(&f, SPEECH_TEXT, "a");
        token(&f, "t3"); /* may be a marker: nothing is said */
        if (aloud)
            form_responses.say_chunks(&f.t, &f.c);
        token(&f, "t4");
        buf_clear(&f.t.out);
        say(&f, SPEECH_TEXT, "bc");
        assert_non_null(strstr(output(&f), "\"logprobs\":[\"t3\",\"t4\"]"));
        token(&f, "t5");
        say(&f, SPEECH_CALL_BEGIN, "f");
        buf_clear(&f.t.out);
        end(&f, FINISH_STOP);
        assert_non_null(strstr(output(&f),
                               "\"text\":\"abc\",\"annotations\":[],"
                               "\"logprobs\":[\"t2\",\"t3\",\"t4\"]"));
        assert_null(strstr(output(&f), "t5"));
        teardown(&f);
    }
}

TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    long hits = 1;
    size_t n_whole = 0;
    for (long nth = -1; hits > 0 || nth < 1; nth++) {
        struct fixture f;
        size_t live = mem_live_count();
        setup(&f, "{\"input\":\"x\",\"include\":["
                  "\"message.output_text.logprobs\"]}");
        fault_alloc_at(nth);
        form_responses.say_begin(&f.t);
        token(&f, "t");
        speak(&f, true);
        end(&f, FINISH_STOP);
        hits = fault_hits();
        fault_alloc_at(-1);
        bool ok = buf_ok(&f.t.out) && parts_ok(&f.c.parts);
        if (nth < 0)
            n_whole = f.t.out.len;
        assert_true(ok || hits > 0);
        if (ok && hits == 0)
            assert_in_range(f.t.out.len, n_whole - 300, n_whole + 300);
        teardown(&f);
        assert_int_equal(mem_live_count(), live);
        assert_true(nth < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_opened_grows_and_is_closed),
        cmocka_unit_test(thoughts_and_calls_have_events_of_their_own),
        cmocka_unit_test(the_last_event_says_what_a_whole_answer_is),
        cmocka_unit_test(what_had_no_room_is_incomplete),
        cmocka_unit_test(who_says_nothing_has_an_empty_message),
        cmocka_unit_test(a_stream_that_fails_says_so_and_what_there_was),
        cmocka_unit_test(an_error_is_told_in_this_protocols_names),
        cmocka_unit_test(logprobs_are_those_of_the_text_alone),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
