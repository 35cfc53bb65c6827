/* The cache against a model that is too simple to be wrong: lists of what every
 * sequence holds. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/cache/conv_state.h"
#include "model/cache/kv_pool.h"
#include "model/weights/hparams.h"

enum { N_BLOCKS = 40, N_SLOTS = 6, N_SEQS = 9, MAX_TOKENS = 500 };

static const struct hparams tiny = {
    .hidden = 16,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 4,
    .conv_width = 3,
    .n_attn_layers = 2,
    .n_conv_layers = 3,
};

static struct cache *new_cache_of(enum kv_format format)
{
    struct cache *c = NULL;
    assert_int_equal(cache_new(&c, &tiny, format, N_BLOCKS, N_SLOTS, NULL), 0);
    return c;
}

static struct cache *new_cache(void)
{
    return new_cache_of(KV_F16);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Every held block is held by one sequence only, and the rest is free. */
static void check_conserved(const struct cache *c,
                            const struct cache_seq seqs[N_SEQS],
                            const uint32_t tokens[N_SEQS])
{
    bool held[N_BLOCKS] = {false}, taken[N_SLOTS] = {false};
    uint32_t n_held = 0, n_open = 0;
    for (int i = 0; i < N_SEQS; i++) {
        assert_int_equal(seqs[i].n_blocks, cache_blocks_for(tokens[i]));
        for (uint32_t b = 0; b < seqs[i].n_blocks; b++) {
            assert_false(held[seqs[i].blocks[b]]);
            held[seqs[i].blocks[b]] = true;
            n_held++;
        }
        if (seqs[i].slot == CACHE_NO_SLOT)
            continue;
        assert_false(taken[seqs[i].slot]);
        taken[seqs[i].slot] = true;
        n_open++;
    }
    assert_int_equal(cache_free_blocks(c), N_BLOCKS - n_held);
    assert_int_equal(cache_free_slots(c), N_SLOTS - n_open);
    assert_true(cache_validate(c));
}

static void random_reserve(struct cache *c, struct cache_seq *seq,
                           uint32_t *tokens, uint32_t wanted)
{
    uint32_t more = cache_blocks_for(wanted) > seq->n_blocks
                        ? cache_blocks_for(wanted) - seq->n_blocks
                        : 0;
    bool fits = more <= cache_free_blocks(c) &&
                cache_blocks_for(wanted) <= seq->cap_blocks;
    assert_int_equal(cache_reserve(c, seq, wanted),
                     fits ? CACHE_OK : CACHE_FULL);
    if (fits && wanted > *tokens)
        *tokens = wanted;
}

TEST(blocks_and_slots_are_conserved_whatever_is_asked)
{
    UNUSED_STATE;
    struct cache *c = new_cache();
    struct cache_seq seqs[N_SEQS];
    uint32_t tokens[N_SEQS] = {0}, random = 7;
    for (int i = 0; i < N_SEQS; i++)
        assert_int_equal(cache_seq_init(&seqs[i], MAX_TOKENS, NULL), 0);

    alloc_forbid("the cache at work");
    for (int turn = 0; turn < 20000; turn++) {
        uint32_t i = next_random(&random) % N_SEQS;
        uint32_t what = next_random(&random) % 8;
        if (what == 0) {
            cache_close(c, &seqs[i]);
            cache_close(c, &seqs[i]);
            tokens[i] = 0;
        } else if (seqs[i].slot == CACHE_NO_SLOT) {
            bool free_slot = cache_free_slots(c) > 0;
            assert_int_equal(cache_open(c, &seqs[i]),
                             free_slot ? CACHE_OK : CACHE_FULL);
        } else {
            random_reserve(c, &seqs[i], &tokens[i],
                           next_random(&random) % (MAX_TOKENS + 40));
        }
        check_conserved(c, seqs, tokens);
    }
    alloc_permit();
    for (int i = 0; i < N_SEQS; i++) {
        cache_close(c, &seqs[i]);
        cache_seq_deinit(&seqs[i]);
        cache_seq_deinit(&seqs[i]);
    }
    assert_int_equal(cache_free_blocks(c), N_BLOCKS);
    cache_free(c);
}

TEST(a_refused_reservation_leaves_the_sequence_as_it_was)
{
    UNUSED_STATE;
    struct cache *c = new_cache();
    struct cache_seq a, b;
    assert_int_equal(cache_seq_init(&a, 10000, NULL), 0);
    assert_int_equal(cache_seq_init(&b, 64, NULL), 0);
    assert_int_equal(cache_open(c, &a), CACHE_OK);
    assert_int_equal(cache_open(c, &b), CACHE_OK);
    assert_int_equal(cache_reserve(c, &a, 30 * KV_BLOCK_TOKENS), CACHE_OK);
    assert_int_equal(cache_reserve(c, &a, 41 * KV_BLOCK_TOKENS), CACHE_FULL);
    assert_int_equal(a.n_blocks, 30);
    assert_int_equal(cache_reserve(c, &b, 65), CACHE_FULL); /* its own bound */
    assert_int_equal(cache_reserve(c, &b, 33), CACHE_OK);
    assert_int_equal(b.n_blocks, 2);
    assert_int_equal(cache_free_blocks(c), 8);
    cache_close(c, &a);
    cache_close(c, &b);
    cache_seq_deinit(&a);
    cache_seq_deinit(&b);
    cache_free(c);
}

static void check_poison(enum kv_format format)
{
    struct cache *c = new_cache_of(format);
    struct cache_seq seq;
    assert_int_equal(cache_seq_init(&seq, 64, NULL), 0);
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(cache_open(c, &seq), CACHE_OK);
        float *columns = conv_state_columns(cache_conv(c), seq.slot, 0);
        for (size_t i = 0; i < 3 * 2 * 16; i++) {
            assert_true(columns[i] == 0.0f);
            columns[i] = 1.0f;
        }
        assert_int_equal(cache_reserve(c, &seq, 1), CACHE_OK);
        uint32_t block = seq.blocks[0];
        struct kv_pool *pool = cache_kv(c);
        char *head = kv_pool_layer(pool, 1) + block * pool->block_bytes;
        memset(head, 0, pool->head_bytes);
        assert_true(kv_key(head, format, 4, 31, 0) == 0.0f);
        cache_close(c, &seq);
        for (uint32_t row = 0; row < KV_BLOCK_TOKENS; row++)
            assert_true(isnan(kv_key(head, format, 4, row, 0)));
        assert_true(isnan(kv_value(head, format, 4, 0, 3)));
        assert_true(isnan(columns[0]));
    }
    cache_seq_deinit(&seq);
    cache_free(c);
}

TEST(opening_zeroes_the_columns_and_freed_memory_is_poisoned)
{
    UNUSED_STATE;
    check_poison(KV_F16);
    check_poison(KV_F32);
    check_poison(KV_Q8);
}

TEST(a_block_costs_what_its_format_takes)
{
    UNUSED_STATE;
    struct hparams hp = tiny;
    hp.head_dim = 64;
    /* keys and values, layers, KV heads, positions, dimensions */
    uint64_t n = 2ull * 2 * 2 * 32 * 64;
    assert_int_equal(cache_block_bytes(&hp, KV_F32), 4 * n);
    assert_int_equal(cache_block_bytes(&hp, KV_F16), 2 * n);
    assert_int_equal(cache_block_bytes(&hp, KV_Q8), n + n / 64 * 4);
}

TEST(formats_go_by_the_names_that_others_give_them)
{
    UNUSED_STATE;
    static const struct {
        const char *name;
        enum kv_format format;
    } known[] = {{NULL, KV_F16},  {"", KV_F16},  {"f16", KV_F16},
                 {"f32", KV_F32}, {"q8", KV_Q8}, {"q8_0", KV_Q8}};
    enum kv_format format;
    struct err err = {0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(cache_parse_format(&format, known[i].name, &err), 0);
        assert_int_equal(format, known[i].format);
    }
    assert_int_equal(cache_parse_format(&format, "q4_0", &err),
                     -ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"q4_0\""));
}

TEST(a_shared_block_is_freed_by_its_last_holder)
{
    UNUSED_STATE;
    struct cache *c = new_cache();
    struct cache_seq seq;
    assert_int_equal(cache_seq_init(&seq, 64, NULL), 0);
    assert_int_equal(cache_open(c, &seq), CACHE_OK);
    assert_int_equal(cache_reserve(c, &seq, 64), CACHE_OK);
    uint32_t block = seq.blocks[1];
    struct cache_seq other;
    assert_int_equal(cache_seq_init(&other, 64, NULL), 0);
    assert_int_equal(cache_open(c, &other), CACHE_OK);
    cache_adopt(c, &other, &block, 1);
    cache_close(c, &seq);
    assert_int_equal(cache_free_blocks(c), N_BLOCKS - 1);
    assert_true(cache_validate(c));
    cache_close(c, &other);
    cache_seq_deinit(&other);
    assert_int_equal(cache_free_blocks(c), N_BLOCKS);
    assert_true(cache_validate(c));
    cache_seq_deinit(&seq);
    cache_free(c);
}

TEST(an_adopted_block_has_two_holders)
{
    UNUSED_STATE;
    struct cache *c = new_cache();
    struct cache_seq a, b;
    assert_int_equal(cache_seq_init(&a, 128, NULL), 0);
    assert_int_equal(cache_seq_init(&b, 128, NULL), 0);
    assert_int_equal(cache_open(c, &a), CACHE_OK);
    assert_int_equal(cache_open(c, &b), CACHE_OK);
    assert_int_equal(cache_reserve(c, &a, 70), CACHE_OK);
    cache_adopt(c, &b, a.blocks, 2);
    assert_int_equal(cache_reserve(c, &b, 65), CACHE_OK);
    assert_int_equal(b.blocks[1], a.blocks[1]);
    assert_int_not_equal(b.blocks[2], a.blocks[2]);
    assert_int_equal(cache_free_blocks(c), N_BLOCKS - 4);
    cache_close(c, &a);
    assert_int_equal(cache_free_blocks(c), N_BLOCKS - 3);
    assert_true(cache_validate(c));
    cache_close(c, &b);
    assert_int_equal(cache_free_blocks(c), N_BLOCKS);
    cache_seq_deinit(&a);
    cache_seq_deinit(&b);
    cache_free(c);
}

TEST(a_cache_survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct cache *c = NULL;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = cache_new(&c, &tiny, KV_F16, N_BLOCKS, N_SLOTS, &err);
        bool hit = fault_hits() > 0;
        fault_alloc_at(-1);
        if (hit) {
            assert_int_equal(rc, -ERR_NOMEM);
            assert_null(c);
        } else {
            assert_int_equal(rc, 0);
            cache_free(c);
        }
        assert_int_equal(mem_live_count(), live);
        if (!hit)
            return;
    }
}

TEST(a_size_that_overflows_is_refused)
{
    UNUSED_STATE;
    struct hparams huge = tiny;
    huge.n_kv_heads = 1u << 20;
    huge.head_dim = 1u << 15;
    struct cache *c = NULL;
    struct err err = {0};
    assert_int_equal(cache_new(&c, &huge, KV_F16, UINT32_MAX / 32, 1, &err),
                     -ERR_LIMIT);
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_slots_are_conserved_whatever_is_asked),
        cmocka_unit_test(a_refused_reservation_leaves_the_sequence_as_it_was),
        cmocka_unit_test(
            opening_zeroes_the_columns_and_freed_memory_is_poisoned),
        cmocka_unit_test(a_block_costs_what_its_format_takes),
        cmocka_unit_test(formats_go_by_the_names_that_others_give_them),
        cmocka_unit_test(a_shared_block_is_freed_by_its_last_holder),
        cmocka_unit_test(an_adopted_block_has_two_holders),
        cmocka_unit_test(a_cache_survives_the_failure_of_every_allocation),
        cmocka_unit_test(a_size_that_overflows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
