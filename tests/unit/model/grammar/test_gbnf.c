/* test_gbnf.c -- llama.cpp's notation. */
#include "tests/lib/test.h"

#include "model/grammar/gbnf.h"
#include "tests/lib/grammar_rig.h"

static struct grammar *gbnf(const char *text)
{
    struct grammar *g;
    struct err err = {0};
    if (grammar_from_gbnf(&g, text, strlen(text), &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return g;
}

TEST(a_grammar_has_the_texts_of_its_root)
{
    UNUSED_STATE;
    struct grammar *g = gbnf("# arithmetic, as in llama.cpp's examples\n"
                             "root  ::= (expr \"=\" term \"\\n\")+\n"
                             "expr  ::= term ([-+*/] term)*\n"
                             "term  ::= num | \"(\" expr \")\"\n"
                             "num   ::= [0-9]+ # digits\n");
    assert_true(rig_takes(g, "1+2=3\n"));
    assert_true(rig_takes(g, "(1+(2*3))/4=5\n6=6\n"));
    assert_false(rig_takes(g, "1+=3\n"));
    assert_false(rig_takes(g, ""));
    assert_true(rig_begins(g, "((((1"));
    grammar_unref(g);
}

TEST(repetition_classes_escapes_and_lines_are_read)
{
    UNUSED_STATE;
    struct grammar *g =
        gbnf("root ::= [^\"\\x00-\\x1F]{2} (\n  \"a\"\n  | \"\\u00e9\"\n)? .\n"
             "  \n\nother ::= root other | \"x\"\n");
    assert_true(rig_takes(g, "xxax"));
    assert_true(rig_takes(g, "\xC3\xA9x\xC3\xA9\xE4\xB8\xAD"));
    assert_true(rig_takes(g, "xx\""));
    assert_false(rig_takes(g, "\"xa"));
    grammar_unref(g);
    g = gbnf("root ::= a{1,2} b{,2} c{2,}\na ::= \"a\"\nb ::= |\n \"b\"\n"
             "c ::= \"c\"");
    assert_true(rig_takes(g, "aabbccc"));
    assert_true(rig_takes(g, "acc"));
    assert_false(rig_takes(g, "ac"));
    assert_false(rig_takes(g, "abbbcc"));
    grammar_unref(g);
}

TEST(right_recursion_needs_no_stack)
{
    UNUSED_STATE;
    struct grammar *g = gbnf("root ::= \"a\" root | \"b\"\n");
    char text[4001];
    memset(text, 'a', 4000);
    text[3999] = 'b';
    text[4000] = '\0';
    assert_true(rig_takes(g, text));
    grammar_unref(g);
}

TEST(what_cannot_be_followed_is_refused_with_its_line)
{
    UNUSED_STATE;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "no rule root"},
        {"expr ::= \"a\"", "no rule root"},
        {"root ::= a", "rule a is used but not defined"},
        {"root ::= root \"a\" | \"b\"", "left recursion"},
        {"root ::= a\na ::= b? root \"x\" | \"y\"\nb ::= \"b\"",
         "left recursion"},
        {"root ::= \"a\" root", "no finite text"},
        {"root ::= \"a", "end where more"},
        {"root ::= \"a\"\n\nroot ::= \"b\"", "defined twice in line 3"},
        {"root ::= (\"a\"", "not closed"},
        {"root ::= [a", "end where more"},
        {"root = \"a\"", "without ::="},
        {"root ::= \"a\" )", "no part of a rule"},
        {"root ::= <think>", "token terminal"},
        {"root ::= \"\\q\"", "escape that is not known"},
        {"root ::= a{2", "not closed"},
        {"root ::= \"\\U00110000\"", "no character"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grammar *g;
        struct err err = {0};
        int rc =
            grammar_from_gbnf(&g, rows[i].text, strlen(rows[i].text), &err);
        if (rc == 0)
            fail_msg("%s is taken", rows[i].text);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grammar_has_the_texts_of_its_root),
        cmocka_unit_test(repetition_classes_escapes_and_lines_are_read),
        cmocka_unit_test(right_recursion_needs_no_stack),
        cmocka_unit_test(what_cannot_be_followed_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
