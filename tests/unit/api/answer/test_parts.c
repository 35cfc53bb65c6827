/* test_parts.c -- what a reply says, in its order. */
#include "tests/lib/test.h"

#include "api/answer/parts.h"
#include "model/base/alloc.h"

static void say(struct parts *p)
{
    parts_speech(p, SPEECH_REASONING, "Hm", 2);
    parts_speech(p, SPEECH_REASONING, ".", 1);
    parts_speech(p, SPEECH_TEXT, "Look", 4);
    parts_speech(p, SPEECH_CALL_BEGIN, "f", 1);
    parts_speech(p, SPEECH_CALL_ARGS, "{\"a\":", 5);
    parts_speech(p, SPEECH_CALL_ARGS, "1}", 2);
    parts_speech(p, SPEECH_CALL_END, "", 0);
    parts_speech(p, SPEECH_CALL_BEGIN, "g", 1);
    parts_speech(p, SPEECH_CALL_END, "", 0);
    parts_speech(p, SPEECH_TEXT, "!", 1);
}

static void expect_join(const struct parts *p, enum part_kind kind, bool news,
                        const char *want)
{
    struct buf text = {0};
    if (news)
        parts_join_news(p, kind, &text);
    else
        parts_join(p, kind, &text);
    assert_string_equal(buf_str(&text), want);
    buf_deinit(&text);
}

TEST(neighbours_of_a_kind_are_one_part)
{
    UNUSED_STATE;
    static const enum part_kind kinds[] = {PART_REASONING, PART_TEXT, PART_CALL,
                                           PART_CALL, PART_TEXT};
    struct parts p = {0};
    say(&p);
    assert_int_equal(p.n, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(p.items[i].kind, kinds[i]);
    assert_int_equal(p.n_calls, 2);
    assert_int_equal(p.items[3].number, 1);
    assert_string_equal(buf_str(&p.items[2].bytes), "{\"a\":1}");
    assert_string_not_equal(p.items[2].id, p.items[3].id);
    expect_join(&p, PART_TEXT, false, "Look!");
    expect_join(&p, PART_REASONING, false, "Hm.");
    parts_deinit(&p);
}

TEST(what_was_told_is_no_news)
{
    UNUSED_STATE;
    for (int forget = 0; forget < 2; forget++) {
        struct parts p = {0};
        parts_text(&p, "", 0);
        assert_false(parts_have_news(&p));
        parts_text(&p, "ab", 2);
        assert_true(parts_have_news_of(&p, PART_TEXT));
        assert_false(parts_have_news_of(&p, PART_CALL));
        parts_told(&p, forget);
        assert_false(parts_have_news(&p));
        parts_text(&p, "c", 1);
        expect_join(&p, PART_TEXT, true, "c");
        expect_join(&p, PART_TEXT, false, forget ? "c" : "abc");
        parts_told(&p, forget);
        parts_speech(&p, SPEECH_CALL_BEGIN, "f", 1); /* no arguments yet */
        assert_true(parts_have_news_of(&p, PART_CALL));
        parts_told(&p, forget);
        assert_false(parts_have_news(&p));
        parts_deinit(&p);
    }
}

TEST(a_lost_allocation_is_not_forgotten)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (int nth = 0;; nth++) {
        struct parts p = {0};
        fault_alloc_at(nth);
        say(&p);
        bool failed = fault_hits() > 0;
        fault_alloc_at(-1);
        assert_int_equal(parts_ok(&p), !failed);
        parts_deinit(&p);
        assert_int_equal(mem_live_count(), live);
        if (!failed)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_of_a_kind_are_one_part),
        cmocka_unit_test(what_was_told_is_no_news),
        cmocka_unit_test(a_lost_allocation_is_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
