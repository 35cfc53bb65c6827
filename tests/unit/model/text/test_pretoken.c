/* test_pretoken.c -- patterns in Oniguruma's dialect, pieces, and limits that
 * end in an error instead of a hang. */
#include "tests/lib/test.h"

#include "model/base/buf.h"
#include "model/text/pattern.h"
#include "model/text/pretoken.h"

static struct pretoken *cutter(const char *pattern)
{
    struct pretoken *p;
    struct err err;
    struct buf b = {0};
    assert_int_equal(pretoken_new(&p, &err), 0);
    if (pattern_translate(pattern, strlen(pattern), &b, &err) != 0 ||
        pretoken_add_split(p, buf_str(&b), b.len, &err) != 0)
        fail_msg("%s: %s", pattern, err.text);
    buf_deinit(&b);
    return p;
}

static int join(void *user, const char *piece, size_t n, struct err *err)
{
    (void)err;
    assert_true(n > 0);
    buf_put(user, piece, n);
    buf_putc(user, '|');
    return 0;
}

static void check(const struct pretoken *p, const char *text,
                  const char *expected)
{
    struct buf got = {0};
    struct err err;
    struct pretoken_run *run = pretoken_run_new(p);
    if (pretoken_cut(run, text, strlen(text), join, &got, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(buf_str(&got), expected);
    pretoken_run_free(run);
    buf_deinit(&got);
}

static void check_pattern(const char *pattern, const char *text,
                          const char *expected)
{
    struct pretoken *p = cutter(pattern);
    check(p, text, expected);
    pretoken_free(p);
}

TEST(white_space_and_words_are_those_of_unicode)
{
    UNUSED_STATE;
    check_pattern("\\s",
                  "a\xC2\x85"
                  "b",
                  "a|\xC2\x85|b|");
    check_pattern("\\s+",
                  "a\xE3\x80\x80\xC2\xA0"
                  "b",
                  "a|\xE3\x80\x80\xC2\xA0|b|");
    check_pattern("\\s",
                  "a\xE1\xA0\x8E"
                  "b",
                  "a\xE1\xA0\x8E"
                  "b|");
    check_pattern("[^\\s]+", "ab cd", "ab| |cd|");
    check_pattern("\\S", "a b", "a| |b|");
    check_pattern("\\w+", "a\xCC\x81_1-b", "a\xCC\x81_1|-|b|");
}

TEST(letters_newer_than_pcre2_are_letters)
{
    UNUSED_STATE;
    const char *text = "1\xF0\xB1\x8D\x90"
                       "1"; /* U+31350, Unicode 15 */
    check_pattern("\\p{L}", text, "1|\xF0\xB1\x8D\x90|1|");
    check_pattern("[^\\p{L}]", text, "1|\xF0\xB1\x8D\x90|1|");
    check_pattern("\\P{L}", text, "1|\xF0\xB1\x8D\x90|1|");
    check_pattern("\\p{N}+",
                  "a\xF0\x9E\x93\xB0"
                  "1", /* U+1E4F0 */
                  "a|\xF0\x9E\x93\xB0"
                  "1|");
}

TEST(case_folding_reaches_the_long_s)
{
    UNUSED_STATE;
    check_pattern("(?i:'s)|\\p{L}+", "it'\xC5\xBFx'S", "it|'\xC5\xBF|x|'S|");
}

TEST(an_empty_match_cuts_once_and_moves_on)
{
    UNUSED_STATE;
    check_pattern("x*", "abxxc", "a|b|xx|c|");
    check_pattern("(?=b)", "abab", "a|ba|b|");
    check_pattern("x*", "\xC3\xA9\xC3\xA9", "\xC3\xA9|\xC3\xA9|");
}

TEST(a_space_goes_in_front_of_every_piece)
{
    UNUSED_STATE;
    struct err err;
    struct pretoken *p = cutter("b");
    assert_int_equal(pretoken_add_prefix_space(p, &err), 0);
    assert_int_equal(pretoken_add_prefix_space(p, &err), -ERR_UNSUPPORTED);
    check(p, "ab c", " a| b| c|");
    pretoken_free(p);
}

TEST(a_literal_pattern_matches_its_characters)
{
    UNUSED_STATE;
    struct err err;
    struct buf b = {0};
    struct pretoken *p;
    assert_int_equal(pretoken_new(&p, &err), 0);
    pattern_literal("a.(\xC3\xA9 ", 6, &b);
    assert_int_equal(pretoken_add_split(p, buf_str(&b), b.len, &err), 0);
    check(p, "axa.(\xC3\xA9 !", "ax|a.(\xC3\xA9 |!|");
    buf_deinit(&b);
    pretoken_free(p);
}

TEST(what_might_mean_something_else_is_refused)
{
    UNUSED_STATE;
    static const char *const patterns[] = {
        "\\R",     "\\X",  "\\b",    "\\1",     "\\k<a>", "\\Qa\\E", "\\x41",
        "\\",      "\\v",  "[a[b]]", "[a&&b]",  "[]a]",   "(?<n>a)", "(?m:a)",
        "(*UCP)a", "(?R)", "a{,3}",  "a{1,3}+", "a{x}",   "\\pL",    "\\p{L"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct buf b = {0};
        struct err err;
        int rc = pattern_translate(patterns[i], strlen(patterns[i]), &b, &err);
        if (rc != -ERR_UNSUPPORTED)
            fail_msg("%s was accepted as %s", patterns[i], buf_str(&b));
        assert_non_null(strstr(err.text, "not supported"));
        buf_deinit(&b);
    }
}

TEST(runaway_backtracking_is_an_error)
{
    UNUSED_STATE;
    struct pretoken *p = cutter("(?:a|a)*b|(?:(?:c+)+)+d");
    struct pretoken_run *run = pretoken_run_new(p);
    struct err err;
    struct buf got = {0};
    char text[64];
    memset(text, 'c', sizeof text);
    int rc = pretoken_cut(run, text, sizeof text, join, &got, &err);
    assert_int_equal(rc, -ERR_LIMIT);
    assert_non_null(strstr(err.text, "backtrack"));
    buf_deinit(&got);
    pretoken_run_free(run);
    pretoken_free(p);
}

TEST(a_megabyte_of_one_kind_stays_within_the_limits)
{
    UNUSED_STATE;
    static const char *const patterns[] = {
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
        "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|"
        "\\s+",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"};
    size_t n = 1u << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t k = 0; k < 2; k++) {
        struct pretoken *p = cutter(patterns[k]);
        struct pretoken_run *run = pretoken_run_new(p);
        for (const char *c = "a !\n\t"; *c != '\0'; c++) {
            struct buf got = {0};
            struct err err;
            memset(text, *c, n);
            text[n - 1] = 'z';
            if (pretoken_cut(run, text, n, join, &got, &err) != 0)
                fail_msg("0x%02x: %s", (unsigned)*c, err.text);
            buf_deinit(&got);
        }
        pretoken_run_free(run);
        pretoken_free(p);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_and_words_are_those_of_unicode),
        cmocka_unit_test(letters_newer_than_pcre2_are_letters),
        cmocka_unit_test(case_folding_reaches_the_long_s),
        cmocka_unit_test(an_empty_match_cuts_once_and_moves_on),
        cmocka_unit_test(a_space_goes_in_front_of_every_piece),
        cmocka_unit_test(a_literal_pattern_matches_its_characters),
        cmocka_unit_test(what_might_mean_something_else_is_refused),
        cmocka_unit_test(runaway_backtracking_is_an_error),
        cmocka_unit_test(a_megabyte_of_one_kind_stays_within_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
