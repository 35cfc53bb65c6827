/* test_stream.c -- the queue keeps order, its limits and its promises. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/err.h"
#include "server/http/stream.h"

TEST(bytes_come_out_in_the_order_they_went_in)
{
    struct stream s;
    unsigned char in = 0, out = 0, piece[700];
    uint32_t rnd = 1;
    bool drained;

    UNUSED_STATE;
    stream_init(&s, 8192, 65536);
    for (int round = 0; round < 5000; round++) {
        rnd = rnd * 1664525u + 1013904223u;
        size_t n = (rnd >> 8) % sizeof piece;
        if (s.len < 30000 && (rnd & 1)) {
            for (size_t i = 0; i < n; i++)
                piece[i] = in++;
            assert_int_equal(stream_push(&s, piece, n, 0), 0);
        } else {
            n = stream_pull(&s, (char *)piece, n, 0, &drained);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(piece[i], out++);
        }
    }
    stream_deinit(&s);
    assert_int_equal(mem_live_count(), 0);
}

TEST(at_the_hard_limit_nothing_is_taken)
{
    struct stream s;
    char bytes[5000] = {0};
    bool drained;

    UNUSED_STATE;
    stream_init(&s, 50, 100);
    assert_int_equal(stream_push(&s, bytes, (size_t)-1, 0), -ERR_LIMIT);
    assert_int_equal(stream_push(&s, bytes, 99, 0), 0);
    assert_int_equal(stream_push(&s, bytes, 5000, 0), 0); /* one may pass it */
    assert_int_equal(stream_push(&s, bytes, 1, 0), -ERR_LIMIT);
    assert_int_equal(s.len, 5099);
    assert_int_equal(stream_pull(&s, bytes, 5000, 0, &drained), 5000);
    assert_int_equal(stream_push(&s, bytes, 1, 0), 0);
    assert_int_equal(stream_push(&s, bytes, 1, 0), -ERR_LIMIT);
    stream_deinit(&s);
}

TEST(falling_below_soft_is_told_once)
{
    struct stream s;
    char bytes[100] = {0};
    bool drained;

    UNUSED_STATE;
    stream_init(&s, 50, 100);
    assert_int_equal(stream_push(&s, bytes, 49, 0), 0);
    stream_pull(&s, bytes, 10, 0, &drained);
    assert_false(drained);
    assert_int_equal(stream_push(&s, bytes, 41, 0), 0);
    stream_pull(&s, bytes, 20, 0, &drained);
    assert_false(drained);
    stream_pull(&s, bytes, 20, 0, &drained);
    assert_true(drained);
    stream_pull(&s, bytes, 20, 0, &drained);
    assert_false(drained);
    stream_deinit(&s);
}

TEST(a_stall_is_time_without_progress_while_bytes_wait)
{
    struct stream s;
    char bytes[10] = {0};
    bool drained;

    UNUSED_STATE;
    stream_init(&s, 50, 100);
    assert_false(stream_stalled(&s, 1000000, 30));
    assert_int_equal(stream_push(&s, bytes, 10, 1000), 0);
    assert_int_equal(stream_push(&s, bytes, 10, 1020), 0);
    assert_false(stream_stalled(&s, 1029, 30));
    assert_true(stream_stalled(&s, 1030, 30));
    stream_pull(&s, bytes, 5, 1030, &drained);
    assert_false(stream_stalled(&s, 1059, 30));
    assert_true(stream_stalled(&s, 1060, 30));
    stream_deinit(&s);
}

TEST(short_memory_leaves_the_queue_as_it_was)
{
    struct stream s;
    char bytes[5000] = {0};

    UNUSED_STATE;
    stream_init(&s, 50000, 100000);
    fault_alloc_at(0);
    assert_int_equal(stream_push(&s, bytes, 10, 0), -ERR_NOMEM);
    assert_int_equal(stream_push(&s, bytes, 4000, 0), 0);
    fault_alloc_at(0);
    assert_int_equal(stream_push(&s, bytes, 5000, 0), -ERR_NOMEM);
    fault_alloc_at(-1);
    assert_int_equal(s.len, 4000);
    stream_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(at_the_hard_limit_nothing_is_taken),
        cmocka_unit_test(falling_below_soft_is_told_once),
        cmocka_unit_test(a_stall_is_time_without_progress_while_bytes_wait),
        cmocka_unit_test(short_memory_leaves_the_queue_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
