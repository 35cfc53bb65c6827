/* test_base.c -- the ground floor: buf, arena, err, utf8, alloc. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/list.h"
#include "model/base/utf8.h"

TEST(a_buffer_grows_and_stays_terminated)
{
    UNUSED_STATE;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, strlen(b.data));
    assert_memory_equal(b.data, "0,1,2,", 6);
    buf_drop(&b, 2);
    assert_memory_equal(b.data, "1,2,", 4);
    buf_drop(&b, b.len + 7);
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

TEST(a_buffer_keeps_what_it_had_when_its_limit_is_reached)
{
    UNUSED_STATE;
    struct buf b;
    buf_init(&b, 5);
    buf_puts(&b, "abc");
    buf_puts(&b, "defg");
    buf_puts(&b, "h");
    assert_false(buf_ok(&b));
    assert_string_equal(buf_str(&b), "abc");
    assert_null(buf_take(&b, NULL));
    buf_deinit(&b);
}

TEST(a_taken_buffer_belongs_to_the_taker)
{
    UNUSED_STATE;
    struct buf b = {0};
    size_t n;
    buf_puts(&b, "mine");
    char *s = buf_take(&b, &n);
    assert_int_equal(n, 4);
    assert_string_equal(s, "mine");
    assert_int_equal(b.len, 0);
    mem_free(s);
}

TEST(an_arena_gives_zeroed_aligned_memory_up_to_its_limit)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    struct arena *a = arena_new(100000);
    for (size_t n = 1; n < 200; n++) {
        unsigned char *p = arena_alloc(a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xAA, n);
    }
    assert_non_null(arena_alloc(a, 50000));
    assert_null(arena_alloc(a, 50000));
    assert_null(arena_calloc(a, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_free(a);
    assert_int_equal(mem_live_count(), live);
}

TEST(an_arena_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    for (int nth = 0; nth < 8; nth++) {
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        struct arena *a = arena_new(0);
        for (int i = 0; a != NULL && i < 6; i++)
            (void)arena_alloc(a, 3000);
        fault_alloc_at(-1);
        arena_free(a);
        assert_int_equal(mem_live_count(), live);
    }
}

TEST(an_error_gathers_context_as_it_rises)
{
    UNUSED_STATE;
    struct err e = {0};
    int rc = err_field(&e, "messages[2].role", "must be %s", "a string");
    assert_int_equal(rc, -ERR_INVALID);
    rc = err_wrap(&e, "request %d", 7);
    assert_int_equal(rc, -ERR_INVALID);
    assert_string_equal(e.text, "request 7: must be a string");
    assert_string_equal(e.param, "messages[2].role");
}

TEST(an_error_that_is_too_long_ends_in_dots)
{
    UNUSED_STATE;
    struct err e = {0};
    char big[2000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    err_set(&e, ERR_FORMAT, "%s", big);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_string_equal(e.text + sizeof e.text - 4, "...");
    err_wrap(&e, "outer");
    assert_memory_equal(e.text, "outer: xxx", 10);
    assert_string_equal(e.text + sizeof e.text - 4, "...");
}

TEST(a_long_place_does_not_hide_the_reason)
{
    UNUSED_STATE;
    struct err e = {0};
    char path[2000];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    err_set(&e, ERR_FORMAT, "the file is empty");
    err_wrap(&e, "/%s", path);
    err_wrap(&e, "cannot load the model in /%s", path);
    assert_memory_equal(e.text, "cannot load the model in /xxx", 29);
    assert_non_null(strstr(e.text, "xxx...: "));
    size_t n = strlen(e.text);
    assert_int_equal(n, sizeof e.text - 1);
    assert_string_equal(e.text + n - 19, ": the file is empty");
}

TEST(every_code_point_makes_the_round_trip)
{
    UNUSED_STATE;
    for (uint32_t cp = 0; cp <= 0x110000; cp++) {
        char s[4];
        uint32_t back = 0xFFFFFFFF;
        int n = utf8_encode(cp, s);
        bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        if (surrogate || cp > 0x10FFFF) {
            assert_int_equal(n, 0);
            continue;
        }
        if (utf8_decode(s, (size_t)n, &back) != n || back != cp)
            fail_msg("U+%04X", cp);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(s, (size_t)cut, &back), 0);
            assert_int_equal(utf8_unfinished(s, (size_t)cut), cut);
        }
        assert_int_equal(utf8_unfinished(s, (size_t)n), 0);
    }
}

TEST(overlong_forms_and_surrogates_are_not_utf8)
{
    UNUSED_STATE;
    static const char *const bad[] = {"\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\x80",
                                      "a\xC3",
                                      "\xE2\x28\xA1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    assert_true(utf8_valid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 10));
}

TEST(a_list_node_may_be_removed_twice)
{
    UNUSED_STATE;
    struct list head, a, b;
    list_init(&head);
    list_append(&head, &a);
    list_append(&head, &b);
    list_remove(&a);
    list_remove(&a);
    assert_ptr_equal(head.next, &b);
    list_remove(&b);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows_and_stays_terminated),
        cmocka_unit_test(a_buffer_keeps_what_it_had_when_its_limit_is_reached),
        cmocka_unit_test(a_taken_buffer_belongs_to_the_taker),
        cmocka_unit_test(an_arena_gives_zeroed_aligned_memory_up_to_its_limit),
        cmocka_unit_test(an_arena_survives_the_failure_of_every_allocation),
        cmocka_unit_test(an_error_gathers_context_as_it_rises),
        cmocka_unit_test(an_error_that_is_too_long_ends_in_dots),
        cmocka_unit_test(a_long_place_does_not_hide_the_reason),
        cmocka_unit_test(every_code_point_makes_the_round_trip),
        cmocka_unit_test(overlong_forms_and_surrogates_are_not_utf8),
        cmocka_unit_test(a_list_node_may_be_removed_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
