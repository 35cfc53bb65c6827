/* test_regex.c -- patterns: which texts they have, which are refused. */
#include "tests/lib/test.h"

#include "model/grammar/regex.h"
#include "tests/lib/grammar_rig.h"

static void takes(const char *pattern, const char *const *yes,
                  const char *const *no)
{
    struct grammar *g;
    struct err err = {0};
    if (grammar_from_regex(&g, pattern, strlen(pattern), &err) != 0)
        fail_msg("%s: %s", pattern, err.text);
    for (; *yes; yes++)
        if (!rig_takes(g, *yes))
            fail_msg("%s does not take %s", pattern, *yes);
    for (; *no; no++)
        if (rig_takes(g, *no))
            fail_msg("%s takes %s", pattern, *no);
    grammar_unref(g);
}

#define TAKES(pattern, yes, ...)                     \
    takes(pattern, (const char *const[]){yes, NULL}, \
          (const char *const[]){__VA_ARGS__, NULL})
#define ALL(...) __VA_ARGS__

TEST(patterns_have_the_texts_of_ecma_262)
{
    UNUSED_STATE;
    TAKES("abc", ALL("abc"), "ab", "abcd", "");
    TAKES("a|bc|", ALL("a", "bc", ""), "b", "abc");
    TAKES("(ab)+c?", ALL("ab", "ababc"), "", "c", "abcc");
    TAKES("a{2,3}", ALL("aa", "aaa"), "a", "aaaa");
    TAKES("a{2}b{0,}c{,2}", ALL("aac{,2}", "aabbc{,2}"), "aac");
    TAKES("[a-c-]+[^a-c]", ALL("a-bd", "c\xC3\xA9"), "aa", "d");
    TAKES("\\d\\D\\w\\W\\s\\S", ALL("1a_- x"), "aa_- x", "1a_-  ");
    TAKES(".+", ALL("a", "\xF0\x9F\x98\x80"), "", "a\nb", "\xE2\x80\xA8");
    TAKES("\\u00e9\\x41\\u{1F600}\\cA\\ud83d\\ude00",
          ALL("\xC3\xA9"
              "A\xF0\x9F\x98\x80\x01\xF0\x9F\x98\x80"),
          "\xC3\xA9");
    TAKES("(?:a|(?<n>b))*?\\.", ALL(".", "ab."), "a");
    TAKES("\\p{Lu}\\p{Ll}*\\P{L}", ALL("\xC3\x89t1"), "t1");
    TAKES("[\\b\\]\\\\^]]*", ALL("\b]]", "^"), "a");
    TAKES("a\\/b\\-c", ALL("a/b-c"), "ab");
    TAKES("x{", ALL("x{"), "x");
}

TEST(anchors_hold_at_the_ends_only)
{
    UNUSED_STATE;
    TAKES("^abc$", ALL("abc"), "abcd", "xabc");
    TAKES("(^a|b)c($|d)", ALL("ac", "bc", "bcd"), "a");
    TAKES("^(^a)$", ALL("a"), "");
    TAKES("^$", ALL(""), "a");
}

TEST(lookaheads_at_the_start_speak_of_the_whole)
{
    UNUSED_STATE;
    TAKES("^(?=.*[A-Z])(?=.*\\d).{3,5}$", ALL("aB1", "1Bxxx"), "ab1", "AB",
          "aBc");
    TAKES("(?!foo|bar$)[a-z]+", ALL("fox", "barn"), "foo", "food", "bar");
    TAKES("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", ALL("1.5", "-.5", "00"), "", "-",
          "+.", "1.5.5");
}

TEST(a_search_finds_a_match_anywhere)
{
    UNUSED_STATE;
    struct grammar_builder *b;
    static const struct {
        const char *pattern, *text;
        bool found;
    } rows[] = {
        {"b", "abc", true},       {"^b", "abc", false},
        {"c$", "abc", true},      {"^$", "", true},
        {"^a|c", "xc", true},     {"^a|c", "xa", false},
        {"\"", "say \\\"", true}, {"\n", "a\\nb", true},
        {"a$|^b", "ba", true},    {"(a$|b)c", "xbcx", true},
        {"\\\\", "\\\\", true},   {"^[^a]*$", "\\u0001", true},
    };
    assert_int_equal(grammar_builder_new(&b, NULL), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        gexpr x = regex_expr(b, rows[i].pattern, strlen(rows[i].pattern), true,
                             CHAR_JSON);
        if (grammar_matches(b, x, rows[i].text, strlen(rows[i].text)) !=
            rows[i].found)
            fail_msg("%s in %s", rows[i].pattern, rows[i].text);
    }
    assert_false(grammar_failed(b));
    grammar_builder_free(b);
}

TEST(what_is_no_regular_language_is_refused_by_name)
{
    UNUSED_STATE;
    static const struct {
        const char *pattern, *why;
    } rows[] = {
        {"a(?=x)", "lookahead"},
        {"^(?!a)b|c", "lookahead"},
        {"^(?=a)*b", "after a lookahead"},
        {"a(?!x)", "negative lookahead"},
        {"(?<=x)", "lookbehind"},
        {"(?<!x)", "lookbehind"},
        {"(a)\\1", "backreference"},
        {"\\k<n>", "backreference"},
        {"\\bx", "boundary"},
        {"(?i)x", "flag"},
        {"^*", "anchor"},
        {"*a", "nothing to repeat"},
        {"{2}", "nothing to repeat"},
        {"a**", "after a quantifier"},
        {"[z-a]", "backwards"},
        {"[a", "not closed"},
        {"(a", "not closed"},
        {"a)", "closes nothing"},
        {"\\p{", "without its }"},
        {"\\p{Latin}", "general categories"},
        {"\\", "backslash at its end"},
        {"\\x4", "hexadecimal"},
        {"\\ud800", "surrogate"},
        {"a{3,2}", "m above n"},
        {"\\q", "not known"},
        {"\xFF", "not UTF-8"},
        {"a{4000000000}", "repetition"},
        {"(((a{500}){500}){500})", "repeat less"},
        {"[^\\x00-\\u{10FFFF}]", "no finite text"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grammar *g;
        struct err err = {0};
        assert_true(grammar_from_regex(&g, rows[i].pattern,
                                       strlen(rows[i].pattern), &err) < 0);
        assert_null(g);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].pattern, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_have_the_texts_of_ecma_262),
        cmocka_unit_test(anchors_hold_at_the_ends_only),
        cmocka_unit_test(lookaheads_at_the_start_speak_of_the_whole),
        cmocka_unit_test(a_search_finds_a_match_anywhere),
        cmocka_unit_test(what_is_no_regular_language_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
