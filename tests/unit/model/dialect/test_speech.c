/* test_speech.c -- what is told must not depend on where the bytes are cut. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"
#include "model/dialect/speech.h"

#define S "<|tool_call_start|>"
#define E "<|tool_call_end|>"

static const struct speech_options tools_and_thoughts = {
    .reasoning = true,
    .calls = true,
};
static const struct speech_options thoughts = {.reasoning = true};
static const struct speech_options plain = {0};

/* Events as one line: T"..." R"..." C"name" A"..." E; runs of one kind of
 * text are joined, as a client would. */
struct record {
    struct buf line;
    int last;
};

static void on_event(void *user, enum speech_kind kind, const char *bytes,
                     size_t n)
{
    struct record *r = user;
    static const char letters[] = "TRCAE";
    assert_true(n > 0 || kind == SPEECH_CALL_END);
    bool joined = r->last == (int)kind && kind <= SPEECH_REASONING;
    if (!joined) {
        if (r->last == SPEECH_TEXT || r->last == SPEECH_REASONING)
            buf_putc(&r->line, '|');
        buf_putc(&r->line, letters[kind]);
        buf_putc(&r->line, ':');
    }
    buf_put(&r->line, bytes, n);
    if (kind > SPEECH_REASONING)
        buf_putc(&r->line, '|');
    r->last = (int)kind;
}

static void run(const struct speech_options *o, const char *text, size_t n,
                size_t cut1, size_t cut2, const char *expected)
{
    struct record r = {.last = -1};
    struct speech s;
    speech_init(&s, o, on_event, &r);
    assert_int_equal(speech_feed(&s, text, cut1), 0);
    assert_int_equal(speech_feed(&s, text + cut1, cut2 - cut1), 0);
    assert_int_equal(speech_feed(&s, text + cut2, n - cut2), 0);
    assert_int_equal(speech_finish(&s), 0);
    speech_deinit(&s);
    if (r.last == SPEECH_TEXT || r.last == SPEECH_REASONING)
        buf_putc(&r.line, '|');
    assert_string_equal(buf_str(&r.line), expected);
    buf_deinit(&r.line);
}

static void check(const struct speech_options *o, const char *text,
                  const char *expected)
{
    size_t n = strlen(text);
    for (size_t i = 0; i <= n; i++)
        for (size_t j = i; j <= n && j < i + 25; j++)
            run(o, text, n, i, j, expected);

    struct record r = {.last = -1};
    struct speech s;
    speech_init(&s, o, on_event, &r);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(speech_feed(&s, text + i, 1), 0);
    assert_int_equal(speech_finish(&s), 0);
    speech_deinit(&s);
    if (r.last == SPEECH_TEXT || r.last == SPEECH_REASONING)
        buf_putc(&r.line, '|');
    assert_string_equal(buf_str(&r.line), expected);
    buf_deinit(&r.line);
}

TEST(plain_text_passes_through_verbatim)
{
    UNUSED_STATE;
    check(&plain, "", "");
    check(&plain, "Hello\nWorld  ", "T:Hello\nWorld  |");
    check(&plain, "  a < b <| c <think> d\n", "T:  a < b <| c <think> d\n|");
    check(&tools_and_thoughts, "Hello, <b>you</b>!  ",
          "T:Hello, <b>you</b>!  |");
    check(&tools_and_thoughts, " \n ", "T: \n |");
    check(&tools_and_thoughts, "h\xc3\xa9 \xf0\x9f\x98\x80 <",
          "T:h\xc3\xa9 \xf0\x9f\x98\x80 <|");
}

TEST(thoughts_are_told_apart_and_trimmed)
{
    UNUSED_STATE;
    check(&thoughts, "<think>I'm thinking</think>Hello",
          "R:I'm thinking|T:Hello|");
    check(&thoughts, "\n<think>\nI am.\n\nTwice.\n</think>\n\nHello  you ",
          "R:I am.\n\nTwice.|T:Hello  you |");
    check(&thoughts, "<think></think>\nHello", "T:Hello|");
    check(&thoughts, "<think>\n\n</think>\n\n", "");
    check(&thoughts, "<think>never closed </thin", "R:never closed </thin|");
    check(&thoughts, "Hi <think>no</think>", "T:Hi <think>no</think>|");
    check(&thoughts, "<think>a <think> b</think>c", "R:a <think> b|T:c|");
}

TEST(a_prompt_that_opened_the_thoughts_starts_inside)
{
    UNUSED_STATE;
    struct speech_options o = {.reasoning = true, .in_reasoning = true};
    check(&o, "\nHm.\n</think>\nYes", "R:Hm.|T:Yes|");
    check(&o, "cut short", "R:cut short|");
    check(&o, " \n so", "R:so|");
    o.resumes = true;
    check(&o, " \n so</think> \nYes", "R: \n so|T:Yes|");
    check(&o, " </think>Yes", "T:Yes|");
}

TEST(behind_a_closed_thought_no_white_space_is_told)
{
    UNUSED_STATE;
    struct speech_options o = {.reasoning = true, .after_think = true};
    check(&o, "\n\nYes, \n", "T:Yes, \n|");
    check(&o, " <think>Hm</think> Yes", "R:Hm|T:Yes|");
    o.calls = true;
    check(&o, "\n" S "[g()]" E, "C:g|A:{}|E:|");
    check(&thoughts, "\n\nYes", "T:\n\nYes|");
}

TEST(calls_are_read)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[special_function(arg1=1)]" E,
          "C:special_function|A:{\"arg1\": 1}|E:|");
    check(&tools_and_thoughts, "Hello\n " S "[f(a='x', n=5), g()]" E "\nBye\n",
          "T:Hello|C:f|A:{\"a\": \"x\", \"n\": 5}|E:|C:g|A:{}|E:|T:\nBye\n|");
    check(&tools_and_thoughts,
          "<think>Let me.</think>\n" S
          "[Calendar.create_event(when=\"now\")]" E,
          "R:Let me.|C:Calendar.create_event|A:{\"when\": \"now\"}|E:|");
    check(&tools_and_thoughts, S "[a()]" E S "[b()]" E,
          "C:a|A:{}|E:|C:b|A:{}|E:|");
}

TEST(text_after_a_call_is_kept)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f()]" E "\nDone.", "C:f|A:{}|E:|T:Done.|");
    check(&tools_and_thoughts, S "[f()]" E " [1] is a <note>. ",
          "C:f|A:{}|E:|T:[1] is a <note>. |");
    check(&tools_and_thoughts,
          "Use [link](url). " S " [f()]" E "\n\n" S "[g()]" E "So.",
          "T:Use [link](url).|C:f|A:{}|E:|C:g|A:{}|E:|T:\nSo.|");
}

TEST(an_echo_of_a_call_is_dropped)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f(a=1)]" E "[f(a=1)]" E,
          "C:f|A:{\"a\": 1}|E:|");
    check(&tools_and_thoughts, S "[f()]" E "\n[f()]" E "[f()]" E " Bye",
          "C:f|A:{}|E:|T:Bye|");
    check(&tools_and_thoughts, S "[f()]" E "[x] " S "[g()]" E,
          "C:f|A:{}|E:|T:[x]|C:g|A:{}|E:|");
}

TEST(json_calls_are_read_too)
{
    UNUSED_STATE;
    check(&tools_and_thoughts,
          S "[{\"name\":\"f\",\"arguments\":{\"a\":[1,null]}}]" E,
          "C:f|A:{\"a\": [1, null]}|E:|");
}

TEST(a_missing_end_marker_is_tolerated)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, S "[f(a=1)]", "C:f|A:{\"a\": 1}|E:|");
    check(&tools_and_thoughts, S "[f(a=1)]<|tool_ca", "T:[f(a=1)]<|tool_ca|");
    check(&tools_and_thoughts, "x " S "[f(a=", "T:x [f(a=|");
}

TEST(what_is_no_call_becomes_text)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, "So: " S "not a call" E " ok",
          "T:So: " S "not a call" E " ok|");
    check(&tools_and_thoughts, S E, "T:" S E "|");
    check(&tools_and_thoughts, "a" E "b", "T:ab|");
}

TEST(thoughts_that_never_close_end_at_a_call)
{
    UNUSED_STATE;
    check(&tools_and_thoughts, "<think>I call. " S "[f()]" E,
          "R:I call.|C:f|A:{}|E:|");
}

TEST(without_tools_markers_are_dropped_or_kept)
{
    UNUSED_STATE;
    struct speech_options raw = {.keep_markers = true};
    check(&plain, "a " S "[f()]" E " b", "T:a [f()] b|");
    check(&raw, "a " S "[f()]" E " b", "T:a " S "[f()]" E " b|");
}

TEST(parallel_calls_can_be_ruled_out)
{
    UNUSED_STATE;
    struct speech_options o = {.calls = true, .single_call = true};
    check(&o, S "[f(), g()]" E S "[h()]" E, "C:f|A:{}|E:|");
}

TEST(an_endless_call_becomes_text)
{
    UNUSED_STATE;
    struct record r = {.last = -1};
    struct speech s;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    speech_init(&s, &tools_and_thoughts, on_event, &r);
    assert_int_equal(speech_feed(&s, S, strlen(S)), 0);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(speech_feed(&s, piece, sizeof piece), 0);
    assert_true(s.held.len < SPEECH_CALL_BYTES_MAX);
    assert_int_equal(speech_finish(&s), 0);
    assert_int_equal(r.line.len, 2 + strlen(S) + 300 * sizeof piece);
    speech_deinit(&s);
    buf_deinit(&r.line);
}

static void ignore_event(void *user, enum speech_kind kind, const char *bytes,
                         size_t n)
{
    (void)user;
    (void)kind;
    (void)bytes;
    (void)n;
}

TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    static const char text[] =
        "<think> a </think>\n b \n" S "[f(a='x', b=[{'k': {1, 2}}]), g()]" E
        "[x" S "[{\"name\":\"h\",\"arguments\":{\"a\":1}}]" E;
    long hits = 1;
    for (long nth = 0; hits > 0; nth++) {
        struct speech s;
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        speech_init(&s, &tools_and_thoughts, ignore_event, NULL);
        int rc = speech_feed(&s, text, sizeof text - 1);
        if (rc == 0)
            rc = speech_finish(&s);
        hits = fault_hits();
        fault_alloc_at(-1);
        speech_deinit(&s);
        assert_true(rc == 0 || (rc == -ERR_NOMEM && hits > 0));
        assert_int_equal(mem_live_count(), live);
        assert_true(nth < 10000);
    }
}

int main(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_passes_through_verbatim),
        cmocka_unit_test(thoughts_are_told_apart_and_trimmed),
        cmocka_unit_test(a_prompt_that_opened_the_thoughts_starts_inside),
        cmocka_unit_test(behind_a_closed_thought_no_white_space_is_told),
        cmocka_unit_test(calls_are_read),
        cmocka_unit_test(text_after_a_call_is_kept),
        cmocka_unit_test(an_echo_of_a_call_is_dropped),
        cmocka_unit_test(json_calls_are_read_too),
        cmocka_unit_test(a_missing_end_marker_is_tolerated),
        cmocka_unit_test(what_is_no_call_becomes_text),
        cmocka_unit_test(thoughts_that_never_close_end_at_a_call),
        cmocka_unit_test(without_tools_markers_are_dropped_or_kept),
        cmocka_unit_test(parallel_calls_can_be_ruled_out),
        cmocka_unit_test(an_endless_call_becomes_text),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
