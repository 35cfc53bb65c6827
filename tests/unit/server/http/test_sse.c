/* test_sse.c -- an event can carry anything and never ends early. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "server/http/sse.h"

static void check(const char *data, const char *wire)
{
    struct buf b;

    buf_init(&b, 0);
    sse_event(&b, data, strlen(data));
    assert_string_equal(buf_str(&b), wire);
    buf_deinit(&b);
}

TEST(an_event_is_a_data_line_and_an_empty_line)
{
    UNUSED_STATE;
    check("{\"a\":1}", "data: {\"a\":1}\n\n");
    check("", "data: \n\n");
}

TEST(line_breaks_become_data_lines)
{
    UNUSED_STATE;
    check("a\nb", "data: a\ndata: b\n\n");
    check("a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n");
    check("\n\n", "data: \ndata: \ndata: \n\n");
}

TEST(a_full_buffer_is_remembered)
{
    struct buf b;

    UNUSED_STATE;
    buf_init(&b, 8);
    sse_event(&b, "0123456789", 10);
    assert_false(buf_ok(&b));
    buf_deinit(&b);
    assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_a_data_line_and_an_empty_line),
        cmocka_unit_test(line_breaks_become_data_lines),
        cmocka_unit_test(a_full_buffer_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
