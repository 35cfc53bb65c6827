/* test_dialect.c -- markers are found by their text.  Run from the root. */
#include "tests/lib/test.h"

#include "model/dialect/dialect.h"
#include "model/text/tokenizer.h"

TEST(the_demo_model_speaks_with_lfm2s_markers)
{
    UNUSED_STATE;
    struct tokenizer *t;
    struct err err = {0};
    struct dialect d;
    token_id keep[DIALECT_MARKERS];
    if (tokenizer_load(&t, "model/demo", &err) != 0)
        fail_msg("%s", err.text);
    dialect_init(&d, t);
    assert_int_equal(d.turn_end, 7);
    assert_int_equal(d.call_start, 10);
    assert_int_equal(d.call_end, 11);
    assert_true(d.calls);
    uint32_t n = dialect_keep(&d, keep);
    assert_int_equal(n, d.thinks ? 4 : 2);
    for (uint32_t i = 0; i < n; i++)
        assert_int_not_equal(keep[i], TOKEN_NONE);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_model_speaks_with_lfm2s_markers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
