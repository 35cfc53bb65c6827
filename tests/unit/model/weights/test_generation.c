/* test_generation.c -- the sampling a checkpoint recommends. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/weights/generation.h"

static int parse(struct generation_defaults *g, const char *text,
                 struct err *err)
{
    json_t *config = NULL;
    assert_int_equal(json_parse(&config, text, strlen(text), 64, 10000, err),
                     0);
    int rc = generation_parse(g, config, err);
    json_decref(config);
    return rc;
}

TEST(what_the_file_says_is_set_and_the_rest_is_not)
{
    UNUSED_STATE;
    struct generation_defaults g;
    struct err err = {0};
    assert_int_equal(parse(&g,
                           "{\"temperature\": 0.3, \"min_p\": 0.15, "
                           "\"repetition_penalty\": 1.05, \"top_k\": 50, "
                           "\"eos_token_id\": [7, 2], \"do_sample\": true,"
                           "\"max_new_tokens\": \"ignored\"}",
                           &err),
                     0);
    assert_true(g.found && !g.greedy);
    assert_true(g.has_temperature && fabsf(g.temperature - 0.3f) < 1e-7f);
    assert_true(g.has_min_p && g.has_repetition_penalty && g.has_top_k);
    assert_false(g.has_top_p);
    assert_int_equal(g.top_k, 50);
    assert_int_equal(g.n_eos, 2);
    assert_int_equal(g.eos[1], 2);
}

TEST(do_sample_false_is_greedy_and_absence_is_not)
{
    UNUSED_STATE;
    struct generation_defaults g;
    struct err err = {0};
    assert_int_equal(parse(&g, "{\"do_sample\": false}", &err), 0);
    assert_true(g.greedy);
    assert_int_equal(parse(&g, "{\"do_sample\": null, \"top_p\": null}", &err),
                     0);
    assert_false(g.greedy || g.has_top_p);
}

TEST(wrong_types_and_ranges_are_refused)
{
    UNUSED_STATE;
    static const char *const texts[][2] = {
        {"[]", "must be an object"},
        {"{\"do_sample\": 1}", "do_sample must be"},
        {"{\"temperature\": \"0.3\"}", "temperature must be a number"},
        {"{\"temperature\": -0.1}", "temperature is -0.1"},
        {"{\"top_p\": 0}", "top_p is 0"},
        {"{\"top_p\": 1.01}", "top_p is 1.01"},
        {"{\"min_p\": 1.5}", "min_p is 1.5"},
        {"{\"top_k\": 1.5}", "top_k must be an integer"},
        {"{\"top_k\": -2}", "top_k must be"},
        {"{\"repetition_penalty\": 0}", "repetition_penalty is 0"},
        {"{\"eos_token_id\": {}}", "eos_token_id must be"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct generation_defaults g;
        struct err err = {0};
        if (parse(&g, texts[i][0], &err) >= 0 ||
            strstr(err.text, texts[i][1]) == NULL)
            fail_msg("%s: \"%s\"", texts[i][0], err.text);
    }
}

TEST(no_file_is_no_error)
{
    UNUSED_STATE;
    struct generation_defaults g;
    struct err err = {0};
    assert_int_equal(generation_load(&g, "tests/oracle", &err), 0);
    assert_false(g.found);
    assert_int_equal(
        generation_load(&g, "tests/oracle/checkpoints/hub-bf16", &err), 0);
    assert_true(g.found && g.has_temperature);
    assert_int_equal(g.eos[0], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_says_is_set_and_the_rest_is_not),
        cmocka_unit_test(do_sample_false_is_greedy_and_absence_is_not),
        cmocka_unit_test(wrong_types_and_ranges_are_refused),
        cmocka_unit_test(no_file_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
