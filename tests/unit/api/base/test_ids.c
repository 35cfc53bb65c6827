/* test_ids.c -- ids have their shape and do not repeat. */
#include "tests/lib/test.h"

#include "api/base/ids.h"

TEST(ids_are_a_prefix_and_24_letters_or_digits)
{
    UNUSED_STATE;
    static const char *const prefixes[] = {IDS_CHAT, IDS_COMPLETION, IDS_CALL,
                                           IDS_REQUEST};
    for (size_t i = 0; i < 4; i++) {
        char id[IDS_BYTES];
        size_t n = strlen(prefixes[i]);
        ids_new(id, prefixes[i]);
        assert_int_equal(strlen(id), n + 24);
        assert_memory_equal(id, prefixes[i], n);
        assert_int_equal(strspn(id + n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "abcdefghijklmnopqrstuvwxyz0123456789"),
                         24);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

TEST(ten_thousand_ids_differ)
{
    UNUSED_STATE;
    static char ids[10000][IDS_BYTES];
    for (size_t i = 0; i < 10000; i++)
        ids_new(ids[i], IDS_CALL);
    qsort(ids, 10000, sizeof *ids, compare);
    for (size_t i = 1; i < 10000; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
    assert_true(ids_random() != ids_random());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_a_prefix_and_24_letters_or_digits),
        cmocka_unit_test(ten_thousand_ids_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
