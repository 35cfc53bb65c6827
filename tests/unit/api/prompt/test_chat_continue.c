/* test_chat_continue.c -- prompts that end inside a message or a thought, and
 * how the reply to them begins.  That they are transformers' own is shown by
 * test_chat_golden.c. */
#include "tests/lib/test.h"

#include "api/prompt/chat_continue.h"
#include "api/prompt/chat_opening.h"
#include "api/prompt/chat_prompt.h"
#include "model/base/alloc.h"
#include "model/template/template.h"

#define EACH "{% for m in messages %}<{{ m.role }}>"
#define ASK "{\"role\":\"user\",\"content\":\"Q\"}"
#define SAID(rest) "{\"messages\":[" ASK ",{\"role\":\"assistant\"," rest "}]}"

static const char plain[] =
    EACH "{{ m.content }}.{% endfor %}"
         "{% if add_generation_prompt %}<assistant>{% endif %}";
static const char opens[] =
    EACH "{{ m.content }}.{% endfor %}"
         "{% if add_generation_prompt %}<assistant><think>\n{% endif %}";
static const char trims[] = EACH "{{ m.content | trim }}.{% endfor %}";
static const char drops[] = EACH "{{ m.content | length }}.{% endfor %}";
static const char shouts[] = EACH "{{ m.content | replace('sun', 'SUN') }}."
                                  "{% endfor %}";
static const char refuses[] =
    EACH "{% if m.thinking is defined %}{{ raise_exception('no') }}{% endif %}"
         "{{ m.content }}.{% endfor %}"
         "{% if add_generation_prompt %}<assistant>{% endif %}";

static struct template *compile(const char *source)
{
    struct template *t;
    struct err err = {0};
    if (template_compile(&t, source, strlen(source), &err) != 0)
        fail_msg("%s", err.text);
    return t;
}

static void read_body(struct chat_request *r, const char *body)
{
    struct err err = {0};
    if (chat_request_parse(r, body, strlen(body), 10, 0, &err) != 0)
        fail_msg("%s", err.text);
}

static struct chat_opening check(const char *source, const char *body,
                                 const char *prompt)
{
    struct template *t = compile(source);
    struct chat_request r;
    struct buf out = {0};
    struct err err = {0};
    read_body(&r, body);
    if (chat_prompt_render(&out, t, NULL, NULL, &r, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(buf_str(&out), prompt);
    struct chat_opening o = chat_opening_of(&out, &r);
    buf_deinit(&out);
    chat_request_deinit(&r);
    template_free(t);
    return o;
}

static void expect(struct chat_opening o, bool in_thought, bool after_thought,
                   bool in_answer, bool resumes)
{
    assert_int_equal(o.in_thought, in_thought);
    assert_int_equal(o.after_thought, after_thought);
    assert_int_equal(o.in_answer, in_answer);
    assert_int_equal(o.resumes, resumes);
}

TEST(a_reply_begins_where_its_prompt_ends)
{
    UNUSED_STATE;
    static const char ask[] = "{\"messages\":[" ASK "]}";
    expect(check(plain, ask, "<user>Q.<assistant>"), 0, 0, 0, 0);
    expect(check(opens, ask, "<user>Q.<assistant><think>\n"), 1, 0, 0, 0);
    expect(check(plain, SAID("\"content\":\"\""), "<user>Q.<assistant>"), 0, 0,
           0, 0);
    expect(check(plain, SAID("\"content\":\"The sun \""),
                 "<user>Q.<assistant>The sun "),
           0, 0, 1, 0);
    expect(check(trims, SAID("\"content\":\"The sun \""),
                 "<user>Q.<assistant>The sun"),
           0, 0, 1, 0);
    expect(check(plain, SAID("\"content\":\"<think>Hm\""),
                 "<user>Q.<assistant><think>Hm"),
           1, 0, 0, 1);
    expect(check(plain, SAID("\"content\":\"<think>\\n\""),
                 "<user>Q.<assistant><think>\n"),
           1, 0, 0, 0);
    expect(check(plain, SAID("\"content\":\"<think>Hm</think>\""),
                 "<user>Q.<assistant><think>Hm</think>"),
           0, 1, 0, 0);
    expect(check(plain, SAID("\"content\":\"<think>Hm</think>So\""),
                 "<user>Q.<assistant><think>Hm</think>So"),
           0, 0, 1, 0);
}

TEST(a_thought_goes_on_whether_the_template_knows_thoughts_or_not)
{
    UNUSED_STATE;
    expect(check(plain, SAID("\"reasoning\":\"Hm, \""),
                 "<user>Q.<assistant><think>Hm, "),
           1, 0, 0, 1);
    expect(check(opens, SAID("\"reasoning_content\":\"Hm\",\"content\":null"),
                 "<user>Q.<assistant><think>\nHm"),
           1, 0, 0, 1);
}

#define NOT "\"reasoning_effort\":\"none\",\"messages\":["

TEST(a_thought_that_must_not_be_is_closed)
{
    UNUSED_STATE;
    expect(check(opens, "{" NOT ASK "]}",
                 "<user>Q.<assistant><think>\n\n</think>\n\n"),
           0, 1, 0, 0);
    expect(check(plain, "{" NOT ASK "]}", "<user>Q.<assistant>"), 0, 0, 0, 0);
    expect(check(refuses, "{" NOT ASK "]}", "<user>Q.<assistant>"), 0, 0, 0, 0);
    expect(check(opens, "{\"add_generation_prompt\":false," NOT ASK "]}",
                 "<user>Q."),
           0, 0, 0, 0);
    expect(check(plain,
                 "{" NOT ASK ",{\"role\":\"assistant\",\"reasoning\":\"Hm\"}]}",
                 "<user>Q.<assistant><think>Hm</think>"),
           0, 1, 0, 0);
    expect(check(plain,
                 "{" NOT ASK
                 ",{\"role\":\"assistant\",\"content\":\"<think>\\nHm\"}]}",
                 "<user>Q.<assistant><think>\nHm\n</think>\n\n"),
           0, 1, 0, 0);
    expect(check(plain,
                 "{" NOT ASK ",{\"role\":\"assistant\",\"content\":\"So\"}]}",
                 "<user>Q.<assistant>So"),
           0, 0, 1, 0);
}

TEST(what_the_template_does_not_show_cannot_be_continued)
{
    UNUSED_STATE;
    static const char *const sources[] = {drops, shouts};
    for (size_t i = 0; i < 2; i++) {
        struct template *t = compile(sources[i]);
        struct chat_request r;
        struct buf out = {0};
        struct err err = {0};
        read_body(&r, SAID("\"content\":\"The sun\""));
        assert_int_equal(chat_prompt_render(&out, t, NULL, NULL, &r, &err),
                         -ERR_INVALID);
        assert_string_equal(err.param, "messages");
        assert_int_equal(out.len, 0);
        buf_deinit(&out);
        chat_request_deinit(&r);
        template_free(t);
    }
}

TEST(the_requests_messages_stay_as_they_are)
{
    UNUSED_STATE;
    struct chat_request r;
    read_body(&r, SAID("\"content\":\"The sun\""));
    json_t *before = json_deep_copy(r.messages);
    json_t *marked = chat_continue_mark(r.messages);
    assert_true(json_equal(before, r.messages));
    assert_false(json_equal(before, marked));
    json_decref(marked);
    json_decref(before);
    chat_request_deinit(&r);
}

/* Our own memory; see test_chat_request.c. */
TEST(memory_may_run_out_anywhere)
{
    UNUSED_STATE;
    static const char *const bodies[] = {SAID("\"content\":\"The sun\""),
                                         SAID("\"reasoning\":\"Hm\""),
                                         "{" NOT ASK "]}"};
    struct template *t = compile(plain);
    for (size_t i = 0; i < 3; i++) {
        struct chat_request r;
        read_body(&r, bodies[i]);
        int rc = -1;
        for (long nth = 0; rc != 0; nth++) {
            struct buf out = {0};
            struct err err = {0};
            size_t live = mem_live_count();
            fault_alloc_at(nth);
            rc = chat_prompt_render(&out, t, NULL, NULL, &r, &err);
            long hits = fault_hits();
            fault_alloc_at(-1);
            assert_int_equal(rc, hits > 0 ? -ERR_NOMEM : 0);
            buf_deinit(&out);
            assert_int_equal(mem_live_count(), live);
            assert_true(nth < 10000);
        }
        chat_request_deinit(&r);
    }
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_begins_where_its_prompt_ends),
        cmocka_unit_test(
            a_thought_goes_on_whether_the_template_knows_thoughts_or_not),
        cmocka_unit_test(a_thought_that_must_not_be_is_closed),
        cmocka_unit_test(what_the_template_does_not_show_cannot_be_continued),
        cmocka_unit_test(the_requests_messages_stay_as_they_are),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
