/* test_detok.c -- text is the same however its bytes are cut, and what is no
 * UTF-8 becomes what Rust's from_utf8_lossy makes of it. */
#include "tests/lib/test.h"

#include "model/base/utf8.h"
#include "model/text/detok.h"

#define BAD "\xEF\xBF\xBD"

/* Pushes `n` bytes in pieces of `step` and returns the text. */
static size_t whole(const char *bytes, size_t n, size_t step, char *out)
{
    struct detok d;
    size_t len = 0;
    detok_init(&d);
    for (size_t i = 0; i < n; i += step) {
        size_t part = n - i < step ? n - i : step;
        char room[DETOK_ROOM(256)];
        size_t got = detok_push(&d, bytes + i, part, room);
        assert_true(got <= DETOK_ROOM(part));
        assert_true(utf8_valid(room, got));
        memcpy(out + len, room, got);
        len += got;
    }
    return len + detok_finish(&d, out + len);
}

TEST(invalid_bytes_become_one_replacement_per_maximal_subpart)
{
    UNUSED_STATE;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\xC3\xA9", "\xC3\xA9"},
        {"\xF0\x9F\x98\x80!", "\xF0\x9F\x98\x80!"},
        {"\xFF", BAD},
        {"a\x80z", "a" BAD "z"},
        {"\xE2\x82", BAD},
        {"\xE2\x82z", BAD "z"},
        {"\xF0\x9F\x98", BAD},
        {"\xF0\x9F\xC3\xA9", BAD "\xC3\xA9"},
        {"\xC0\x80", BAD BAD},
        {"\xED\xA0\x80", BAD BAD BAD},
        {"\xE2\xE2\x82\xAC", BAD "\xE2\x82\xAC"},
        {"\xF5\x80\x80\x80", BAD BAD BAD BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 1; step <= 5; step++) {
            char out[DETOK_ROOM(16)];
            size_t n = whole(cases[i][0], strlen(cases[i][0]), step, out);
            assert_int_equal(n, strlen(cases[i][1]));
            assert_memory_equal(out, cases[i][1], n);
        }
    }
}

TEST(cutting_the_stream_elsewhere_changes_nothing)
{
    UNUSED_STATE;
    static const unsigned char pool[] = {0x41, 0x80, 0xBF, 0xC3, 0xE2, 0xED,
                                         0x9F, 0xA0, 0xF0, 0xF4, 0x8F, 0xFF};
    uint32_t x = 7;
    for (int round = 0; round < 20000; round++) {
        char bytes[24], a[DETOK_ROOM(24)], b[DETOK_ROOM(24)];
        for (size_t i = 0; i < sizeof bytes; i++) {
            x = x * 1664525u + 1013904223u;
            bytes[i] = (char)pool[(x >> 16) % sizeof pool];
        }
        size_t n_a = whole(bytes, sizeof bytes, sizeof bytes, a);
        size_t n_b = whole(bytes, sizeof bytes, 1 + (x >> 8) % 5, b);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, n_a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            invalid_bytes_become_one_replacement_per_maximal_subpart),
        cmocka_unit_test(cutting_the_stream_elsewhere_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
