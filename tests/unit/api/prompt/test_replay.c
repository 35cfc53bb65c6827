/* test_replay.c -- what is remembered of replies, how much, and for whom. */
#include "tests/lib/test.h"

#include "api/prompt/replay.h"

static const struct speech_options options = {.calls = true};

static void name(char id[IDS_BYTES], unsigned i)
{
    memset(id, 0, IDS_BYTES);
    snprintf(id, IDS_BYTES, "call_%u", i);
}

static void put(struct replay *r, uint64_t tenant, unsigned i, size_t n)
{
    char id[IDS_BYTES], said[256];
    name(id, i);
    memset(said, 'a' + (int)(i % 26), sizeof said);
    replay_put(r, tenant, id, 1, said, n, &options);
}

static bool has(struct replay *r, uint64_t tenant, unsigned i, uint32_t n_ids)
{
    char id[IDS_BYTES];
    struct buf ids = {0}, said = {0};
    struct speech_options o;
    name(id, i);
    bool found = replay_get(r, tenant, id, n_ids, &ids, &said, &o);
    if (found) {
        assert_true(o.calls);
        assert_string_equal(ids.data, id);
        assert_int_equal(buf_str(&said)[0], 'a' + (int)(i % 26));
    }
    buf_deinit(&ids);
    buf_deinit(&said);
    return found;
}

TEST(what_was_not_wanted_for_longest_is_forgotten)
{
    UNUSED_STATE;
    struct replay *r;
    assert_int_equal(replay_new(&r, 4, 1u << 20, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        put(r, 0, i, 10);
    assert_true(has(r, 0, 0, 1));
    put(r, 0, 4, 10);
    assert_true(has(r, 0, 0, 1));
    assert_false(has(r, 0, 1, 1));
    assert_true(has(r, 0, 2, 1));
    replay_free(r);
}

TEST(neither_replies_nor_bytes_exceed_their_bounds)
{
    UNUSED_STATE;
    struct replay *r;
    size_t n_bytes;
    assert_int_equal(replay_new(&r, 50, 4000, NULL), 0);
    for (unsigned i = 0; i < 20000; i++) {
        put(r, 0, i, 1 + i * 7 % 250);
        assert_in_range(replay_count(r, &n_bytes), 1, 50);
        assert_in_range(n_bytes, 1, 4000);
        assert_true(has(r, 0, i, 1));
    }
    uint32_t n = replay_count(r, &n_bytes);
    char id[IDS_BYTES] = "call_big", big[4096] = {0};
    replay_put(r, 0, id, 1, big, sizeof big, &options);
    assert_int_equal(replay_count(r, &n_bytes), n);
    replay_free(r);
}

TEST(another_tenant_or_another_number_of_calls_gets_nothing)
{
    UNUSED_STATE;
    struct replay *r;
    assert_int_equal(replay_new(&r, 50, 4000, NULL), 0);
    put(r, 7, 1, 10);
    assert_true(has(r, 7, 1, 1));
    assert_false(has(r, 8, 1, 1));
    assert_false(has(r, 7, 1, 2));
    assert_false(has(r, 7, 2, 1));
    replay_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_wanted_for_longest_is_forgotten),
        cmocka_unit_test(neither_replies_nor_bytes_exceed_their_bounds),
        cmocka_unit_test(
            another_tenant_or_another_number_of_calls_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
