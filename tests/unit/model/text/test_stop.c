/* test_stop.c -- the earliest stop string ends the text, only what could begin
 * one is held, and the cuts of the stream do not matter. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/text/stop.h"

struct outcome {
    char text[128];
    size_t n;
    int32_t found;
};

static void run(const struct stop_set *set, const char *bytes, size_t n,
                size_t step, struct outcome *o)
{
    struct stop s;
    stop_init(&s, set);
    o->n = 0;
    alloc_forbid("stop_push");
    for (size_t i = 0; i < n; i += step) {
        size_t part = n - i < step ? n - i : step;
        size_t got = stop_push(&s, bytes + i, part, o->text + o->n);
        assert_true(got <= STOP_ROOM(set, part));
        o->n += got;
    }
    o->n += stop_finish(&s, o->text + o->n);
    alloc_permit();
    o->found = s.found;
}

static void check(const char *const *strings, uint32_t n, bool include,
                  const char *input, const char *expected, int32_t found)
{
    struct arena *arena = arena_new(0);
    struct stop_set set;
    struct outcome o;
    assert_int_equal(stop_set_init(&set, arena, strings, n, include, NULL), 0);
    for (size_t step = 1; step <= strlen(input) + 1; step++) {
        run(&set, input, strlen(input), step, &o);
        assert_int_equal(o.found, found);
        assert_int_equal(o.n, strlen(expected));
        assert_memory_equal(o.text, expected, o.n);
    }
    arena_free(arena);
}

TEST(text_ends_before_or_behind_the_stop_string)
{
    UNUSED_STATE;
    const char *one[] = {"STOP"};
    check(one, 1, false, "go on STOP here", "go on ", 0);
    check(one, 1, true, "go on STOP here", "go on STOP", 0);
    check(one, 1, false, "no end STO", "no end STO", -1);
    check(one, 1, false, "SSTSTOSTOP", "SSTSTO", 0);
    check(one, 0, false, "nothing to find", "nothing to find", -1);
}

TEST(the_string_complete_first_wins_and_of_equals_the_longest)
{
    UNUSED_STATE;
    const char *nested[] = {"abcd", "bc"};
    check(nested, 2, false, "xabcd", "xa", 1);
    check(nested, 2, true, "xabcd", "xabc", 1);
    const char *tail[] = {"Human:", "\nHuman:"};
    check(tail, 2, false, "a\nHuman: b", "a", 1);
    check(tail, 2, false, "a Human: b", "a ", 0);
    const char *twice[] = {"ab", "ab"};
    check(twice, 2, false, "xab", "x", 0);
}

TEST(only_what_could_begin_a_stop_string_is_held)
{
    UNUSED_STATE;
    const char *strings[] = {"\n\nUser", "</s>"};
    struct arena *arena = arena_new(0);
    struct stop_set set;
    struct stop s;
    char out[64];
    assert_int_equal(stop_set_init(&set, arena, strings, 2, false, NULL), 0);
    stop_init(&s, &set);
    assert_int_equal(stop_push(&s, "hello", 5, out), 5);
    assert_int_equal(stop_push(&s, "\n", 1, out), 0);
    assert_int_equal(stop_push(&s, "<", 1, out), 1);
    assert_memory_equal(out, "\n", 1);
    assert_int_equal(stop_push(&s, "/x", 2, out), 3);
    assert_memory_equal(out, "</x", 3);
    assert_int_equal(stop_push(&s, "\n\n\n", 3, out), 1);
    assert_int_equal(stop_push(&s, "User", 4, out), 0);
    assert_int_equal(s.found, 0);
    assert_int_equal(stop_push(&s, "more", 4, out), 0);
    assert_int_equal(stop_finish(&s, out), 0);
    assert_int_equal(s.found, 0);
    arena_free(arena);
}

/* The same by definition: the smallest end, then the longest string. */
static void plain(const char *const *strings, uint32_t n_strings,
                  const char *text, size_t n, bool include, struct outcome *o)
{
    o->found = -1;
    o->n = n;
    for (size_t end = 1; end <= n && o->found < 0; end++) {
        for (uint32_t i = 0; i < n_strings; i++) {
            size_t len = strlen(strings[i]);
            if (len > end || memcmp(text + end - len, strings[i], len) != 0)
                continue;
            if (o->found < 0 || len > strlen(strings[o->found])) {
                o->found = (int32_t)i;
                o->n = include ? end : end - len;
            }
        }
    }
    memcpy(o->text, text, o->n);
}

TEST(any_cut_gives_what_a_plain_search_gives)
{
    UNUSED_STATE;
    uint32_t x = 99;
    for (int round = 0; round < 30000; round++) {
        char store[4][8], text[40];
        const char *strings[4];
        struct stop_set set;
        struct outcome got, want;
        struct arena *arena = arena_new(0);
        x = x * 1664525u + 1013904223u;
        uint32_t n = 1 + (x >> 20) % 4;
        bool include = x >> 31;
        for (uint32_t i = 0; i < n; i++) {
            x = x * 1664525u + 1013904223u;
            uint32_t len = 1 + (x >> 16) % 6;
            for (uint32_t k = 0; k < len; k++)
                store[i][k] = (char)('a' + (x >> (8 + 3 * k)) % 2);
            store[i][len] = '\0';
            strings[i] = store[i];
        }
        for (size_t k = 0; k < sizeof text; k++) {
            x = x * 1664525u + 1013904223u;
            text[k] = (char)('a' + (x >> 16) % 3 % 2);
        }
        size_t n_text = (x >> 8) % sizeof text;
        assert_int_equal(stop_set_init(&set, arena, strings, n, include, NULL),
                         0);
        plain(strings, n, text, n_text, include, &want);
        run(&set, text, n_text, 1 + (x >> 24) % 7, &got);
        assert_int_equal(got.found, want.found);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.text, want.text, want.n);
        arena_free(arena);
    }
}

TEST(too_many_too_long_and_empty_strings_are_refused)
{
    UNUSED_STATE;
    struct arena *arena = arena_new(0);
    struct stop_set set;
    struct err err;
    const char *many[STOP_MAX_STRINGS + 1];
    for (size_t i = 0; i <= STOP_MAX_STRINGS; i++)
        many[i] = "x";
    assert_int_equal(
        stop_set_init(&set, arena, many, STOP_MAX_STRINGS + 1, false, &err),
        -ERR_INVALID);
    assert_string_equal(err.param, "stop");
    many[1] = "";
    assert_int_equal(stop_set_init(&set, arena, many, 2, false, &err),
                     -ERR_INVALID);
    static char longest[STOP_MAX_BYTES + 2];
    memset(longest, 'y', STOP_MAX_BYTES + 1);
    many[1] = longest;
    assert_int_equal(stop_set_init(&set, arena, many, 2, false, &err),
                     -ERR_INVALID);
    longest[STOP_MAX_BYTES] = '\0';
    assert_int_equal(stop_set_init(&set, arena, many, 2, false, &err), 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_ends_before_or_behind_the_stop_string),
        cmocka_unit_test(
            the_string_complete_first_wins_and_of_equals_the_longest),
        cmocka_unit_test(only_what_could_begin_a_stop_string_is_held),
        cmocka_unit_test(any_cut_gives_what_a_plain_search_gives),
        cmocka_unit_test(too_many_too_long_and_empty_strings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
