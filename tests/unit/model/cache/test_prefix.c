/* test_prefix.c -- what is remembered of sequences that have ended, against a
 * list of all that was ever remembered. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/cache/kv_pool.h"
#include "model/cache/prefix.h"
#include "model/weights/hparams.h"

enum { N_BLOCKS = 12, N_SLOTS = 4, MAX_TOKENS = 320 };

static const struct hparams tiny = {
    .hidden = 16,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 4,
    .conv_width = 3,
    .n_attn_layers = 2,
    .n_conv_layers = 3,
};

static struct cache *cache;
static struct cache_seq seqs[N_SLOTS];
static token_id text[MAX_TOKENS];

static int set_up(void **state)
{
    UNUSED_STATE;
    for (int i = 0; i < MAX_TOKENS; i++)
        text[i] = i;
    assert_int_equal(cache_new(&cache, &tiny, KV_F16, N_BLOCKS, N_SLOTS, NULL),
                     0);
    for (int i = 0; i < N_SLOTS; i++)
        assert_int_equal(cache_seq_init(&seqs[i], MAX_TOKENS, NULL), 0);
    alloc_forbid("prefixes at work");
    return 0;
}

static int tear_down(void **state)
{
    UNUSED_STATE;
    alloc_permit();
    for (int i = 0; i < N_SLOTS; i++) {
        cache_close(cache, &seqs[i]);
        cache_seq_deinit(&seqs[i]);
    }
    assert_true(cache_validate(cache));
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS);
    cache_forget(cache);
    assert_int_equal(cache_unused_blocks(cache), 0);
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS);
    cache_free(cache);
    return 0;
}

/* The first key of every position says which token it is. */
static char *row_of(const struct cache_seq *seq, uint32_t position)
{
    const struct kv_pool *pool = cache_kv(cache);
    return kv_pool_layer(pool, 1) +
           seq->blocks[position / KV_BLOCK_TOKENS] * pool->block_bytes +
           position % KV_BLOCK_TOKENS * sizeof(uint16_t);
}

static void compute(struct cache_seq *seq, uint32_t from, uint32_t to)
{
    assert_int_equal(cache_reserve(cache, seq, to), CACHE_OK);
    for (uint32_t p = from; p < to; p++)
        memcpy(row_of(seq, p), &(uint16_t){(uint16_t)text[p]}, 2);
}

static void check_rows(const struct cache_seq *seq, uint32_t n)
{
    for (uint32_t p = 0; p < n; p++) {
        uint16_t got;
        memcpy(&got, row_of(seq, p), 2);
        assert_int_equal(got, text[p]);
    }
}

static uint32_t match(struct cache_seq *seq, uint32_t n, uint64_t salt)
{
    uint32_t found = cache_match(cache, seq, text, n, salt);
    assert_true(cache_validate(cache));
    return found;
}

/* A sequence of n tokens comes, is remembered, and goes. */
static void leave(struct cache_seq *seq, uint32_t n, uint64_t salt)
{
    assert_int_equal(cache_open(cache, seq), CACHE_OK);
    compute(seq, 0, n);
    cache_remember(cache, seq, text, n, salt);
    assert_true(cache_validate(cache));
    cache_close(cache, seq);
    assert_true(cache_validate(cache));
}

TEST(a_prefix_is_cut_at_any_token)
{
    UNUSED_STATE;
    leave(&seqs[0], 75, 0);
    assert_int_equal(cache_unused_blocks(cache), 3);
    for (uint32_t n = 0; n <= 100; n++) {
        assert_int_equal(match(&seqs[1], n, 0), n < 75 ? n : 75);
        cache_close(cache, &seqs[1]);
    }
    for (uint32_t cut = 1; cut < 75; cut++) {
        text[cut] += 1000;
        assert_int_equal(match(&seqs[1], 100, 0), cut);
        assert_int_equal(cache_open(cache, &seqs[1]), CACHE_OK);
        assert_int_equal(cache_reserve(cache, &seqs[1], 100), CACHE_OK);
        check_rows(&seqs[1], cut);
        cache_close(cache, &seqs[1]);
        text[cut] -= 1000;
    }
    assert_int_equal(match(&seqs[1], 100, 1), 0);
    assert_int_equal(match(&seqs[2], 75, 0), 75);
    check_rows(&seqs[2], 64);
}

TEST(a_copy_leaves_the_original_alone)
{
    UNUSED_STATE;
    leave(&seqs[0], 60, 0);
    text[50] += 1000;
    assert_int_equal(match(&seqs[1], 60, 0), 50);
    assert_int_equal(cache_open(cache, &seqs[1]), CACHE_OK);
    compute(&seqs[1], 50, 90);
    check_rows(&seqs[1], 90);
    cache_remember(cache, &seqs[1], text, 90, 0);
    text[50] -= 1000;
    assert_int_equal(match(&seqs[2], 90, 0), 60);
    assert_int_equal(cache_open(cache, &seqs[2]), CACHE_OK);
    assert_int_equal(cache_reserve(cache, &seqs[2], 61), CACHE_OK);
    check_rows(&seqs[2], 60);
    assert_int_equal(seqs[1].blocks[0], seqs[2].blocks[0]);
    assert_int_equal(cache_n_shared(cache, &seqs[2]), 1);
}

TEST(what_another_computed_before_replaces_ones_own)
{
    UNUSED_STATE;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cache_open(cache, &seqs[i]), CACHE_OK);
        compute(&seqs[i], 0, 70);
    }
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS - 6);
    cache_remember(cache, &seqs[0], text, 70, 0);
    cache_remember(cache, &seqs[1], text, 70, 0);
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS - 4);
    assert_int_equal(seqs[0].blocks[1], seqs[1].blocks[1]);
    assert_int_not_equal(seqs[0].blocks[2], seqs[1].blocks[2]);
    assert_int_equal(cache_n_shared(cache, &seqs[0]), 2);
    for (int i = 0; i < 2; i++) { /* they go on, through a block's end */
        compute(&seqs[i], 70, 100);
        cache_remember(cache, &seqs[i], text, 100, 0);
        assert_true(cache_validate(cache));
    }
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS - 5);
    cache_close(cache, &seqs[0]);
    cache_close(cache, &seqs[1]);
    assert_int_equal(cache_unused_blocks(cache), 4);
}

TEST(what_was_not_used_for_longest_is_forgotten_its_end_first)
{
    UNUSED_STATE;
    leave(&seqs[0], 128, 1);
    leave(&seqs[0], 128, 2);
    assert_int_equal(match(&seqs[0], 128, 1), 128); /* now 2 is the oldest */
    cache_close(cache, &seqs[0]);
    assert_int_equal(cache_open(cache, &seqs[3]), CACHE_OK);
    for (uint32_t n = 4; n <= 10; n++) {
        assert_int_equal(cache_reserve(cache, &seqs[3], n * KV_BLOCK_TOKENS),
                         CACHE_OK);
        uint32_t left = 12 - n;
        assert_int_equal(match(&seqs[1], 200, 1),
                         (left < 4 ? left : 4) * KV_BLOCK_TOKENS);
        cache_close(cache, &seqs[1]);
        assert_int_equal(cache_n_forgotten(cache), n - 4);
    }
    assert_int_equal(match(&seqs[1], 200, 2), 0);
}

TEST(what_is_held_is_neither_free_nor_forgotten)
{
    UNUSED_STATE;
    leave(&seqs[0], 75, 0);
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS);
    assert_int_equal(match(&seqs[1], 74, 0), 74);
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS - 3);
    assert_int_equal(cache_open(cache, &seqs[2]), CACHE_OK);
    assert_int_equal(cache_reserve(cache, &seqs[2], 10 * KV_BLOCK_TOKENS),
                     CACHE_FULL);
    assert_int_equal(cache_match_whole_blocks(cache, &seqs[1]), 64);
    assert_int_equal(cache_free_blocks(cache), N_BLOCKS - 2);
    assert_int_equal(cache_reserve(cache, &seqs[2], 10 * KV_BLOCK_TOKENS),
                     CACHE_OK);
    cache_forget(cache);
    check_rows(&seqs[1], 64);
    cache_close(cache, &seqs[1]);
    assert_int_equal(match(&seqs[1], 74, 0), 64);
}

TEST(a_longer_end_replaces_a_shorter_one)
{
    UNUSED_STATE;
    leave(&seqs[0], 40, 0);
    leave(&seqs[0], 50, 0);
    assert_int_equal(cache_unused_blocks(cache), 2);
    leave(&seqs[0], 45, 0);
    assert_int_equal(cache_unused_blocks(cache), 2);
    assert_int_equal(match(&seqs[1], 64, 0), 50);
    cache_close(cache, &seqs[1]);
    leave(&seqs[0], 64, 0);
    assert_int_equal(cache_unused_blocks(cache), 2);
}

TEST(an_end_that_another_copies_may_be_replaced)
{
    UNUSED_STATE;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cache_open(cache, &seqs[i]), CACHE_OK);
        compute(&seqs[i], 0, 40);
        cache_remember(cache, &seqs[i], text, i == 0 ? 40 : 35, 0);
        text[39] += 1000;
    }
    text[39] -= 2000;
    assert_int_equal(match(&seqs[2], 40, 0), 40); /* it pins the first's end */
    compute(&seqs[1], 35, 64);
    cache_remember(cache, &seqs[1], text, 64, 0);
    compute(&seqs[0], 40, 64);
    cache_remember(cache, &seqs[0], text, 64, 0);
    assert_int_equal(seqs[0].blocks[1], seqs[1].blocks[1]);
    assert_int_equal(cache_open(cache, &seqs[2]), CACHE_OK);
    assert_int_equal(cache_reserve(cache, &seqs[2], 41), CACHE_OK);
    check_rows(&seqs[2], 40);
}

#define TEST_IN_CACHE(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_CACHE(a_prefix_is_cut_at_any_token),
        TEST_IN_CACHE(a_copy_leaves_the_original_alone),
        TEST_IN_CACHE(what_another_computed_before_replaces_ones_own),
        TEST_IN_CACHE(what_was_not_used_for_longest_is_forgotten_its_end_first),
        TEST_IN_CACHE(what_is_held_is_neither_free_nor_forgotten),
        TEST_IN_CACHE(a_longer_end_replaces_a_shorter_one),
        TEST_IN_CACHE(an_end_that_another_copies_may_be_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
