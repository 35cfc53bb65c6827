/* test_thinking.c -- every word a request has about thoughts. */
#include "tests/lib/test.h"

#include "api/request/thinking.h"

static json_t *object(const char *text)
{
    json_t *v;
    struct err err = {0};
    if (json_parse(&v, text, strlen(text), 16, 100, &err) != 0)
        fail_msg("%s", err.text);
    return v;
}

/* With `kwargs` from the client, or NULL. */
static struct thinking parse(const char *body, const char *kwargs)
{
    struct thinking t;
    struct err err = {0};
    json_t *k = kwargs != NULL ? object(kwargs) : NULL, *b = object(body);
    if (thinking_parse(&t, &k, b, &err) != 0)
        fail_msg("%s: %s", body, err.text);
    json_decref(k);
    json_decref(b);
    return t;
}

TEST(silence_lets_it_think_and_shows_it_apart)
{
    UNUSED_STATE;
    struct thinking t = parse("{}", NULL);
    assert_false(t.off);
    assert_int_equal(t.budget, THINKING_FREE);
    assert_int_equal(t.shown, THINKING_APART);
    t = parse("{\"reasoning_effort\":null,\"thinking_token_budget\":null,"
              "\"reasoning_format\":null,\"separate_reasoning\":null,"
              "\"include_reasoning\":null}",
              "{\"enable_thinking\":null}");
    assert_false(t.off);
    assert_int_equal(t.budget, THINKING_FREE);
    assert_int_equal(t.shown, THINKING_APART);
}

TEST(it_is_switched_off_by_any_of_its_switches)
{
    UNUSED_STATE;
    static const char none[] = "{\"reasoning_effort\":\"none\"}";
    assert_true(parse(none, NULL).off);
    assert_true(parse(none, "{\"enable_thinking\":null}").off);
    assert_true(parse("{}", "{\"enable_thinking\":false}").off);
    assert_true(parse("{}", "{\"thinking\":false}").off);
    assert_false(parse("{}", "{\"thinking\":true}").off);
    assert_false(parse(none, "{\"enable_thinking\":true}").off);
    assert_false(parse("{\"reasoning_effort\":\"minimal\"}", NULL).off);
}

TEST(the_budget_has_three_names)
{
    UNUSED_STATE;
    assert_int_equal(parse("{\"thinking_token_budget\":0}", NULL).budget, 0);
    assert_int_equal(parse("{\"reasoning_budget_tokens\":7}", NULL).budget, 7);
    assert_int_equal(
        parse("{\"thinking_budget_tokens\":2147483647}", NULL).budget,
        INT32_MAX);
    assert_int_equal(parse("{\"thinking_budget_tokens\":-1}", NULL).budget,
                     THINKING_FREE);
}

TEST(where_thoughts_are_shown_has_three_names_too)
{
    UNUSED_STATE;
    static const struct {
        const char *body;
        enum thinking_shown shown;
    } cases[] = {
        {"{\"reasoning_format\":\"auto\"}", THINKING_APART},
        {"{\"reasoning_format\":\"deepseek\"}", THINKING_APART},
        {"{\"reasoning_format\":\"none\"}", THINKING_INLINE},
        {"{\"reasoning_format\":\"deepseek-legacy\"}", THINKING_APART},
        {"{\"reasoning_format\":\"deepseek-legacy\",\"stream\":true}",
         THINKING_INLINE},
        {"{\"separate_reasoning\":true}", THINKING_APART},
        {"{\"separate_reasoning\":false}", THINKING_INLINE},
        {"{\"include_reasoning\":true}", THINKING_APART},
        {"{\"include_reasoning\":false}", THINKING_HIDDEN},
        {"{\"include_reasoning\":false,\"separate_reasoning\":false}",
         THINKING_HIDDEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(parse(cases[i].body, NULL).shown, cases[i].shown);
}

TEST(a_wrong_value_is_refused_by_name)
{
    UNUSED_STATE;
    static const char *const keys[] = {
        "reasoning_effort",        "thinking_token_budget",
        "reasoning_budget_tokens", "thinking_budget_tokens",
        "reasoning_format",        "separate_reasoning",
        "include_reasoning"};
    static const char *const wrong[] = {"-2", "0.5", "2147483648", "\"\"",
                                        "[]", "{}",  "\"low \""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++) {
            char body[128];
            struct thinking t;
            struct err err = {0};
            json_t *kwargs = NULL;
            snprintf(body, sizeof body, "{\"%s\":%s}", keys[i], wrong[j]);
            json_t *b = object(body);
            assert_int_equal(thinking_parse(&t, &kwargs, b, &err),
                             -ERR_INVALID);
            assert_string_equal(err.param, keys[i]);
            json_decref(kwargs);
            json_decref(b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_lets_it_think_and_shows_it_apart),
        cmocka_unit_test(it_is_switched_off_by_any_of_its_switches),
        cmocka_unit_test(the_budget_has_three_names),
        cmocka_unit_test(where_thoughts_are_shown_has_three_names_too),
        cmocka_unit_test(a_wrong_value_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
