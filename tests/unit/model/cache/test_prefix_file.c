/* test_prefix_file.c -- what is saved is what is read, or nothing is. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/hash.h"
#include "model/cache/cache_state.h"
#include "model/cache/prefix_file.h"
#include "model/weights/hparams.h"

enum { N_BLOCKS = 24, N_SLOTS = 2, MAX_TOKENS = 320, N_VOCAB = 1000 };
#define PRINT UINT64_C(0x1234)

static const struct hparams tiny = {
    .hidden = 4,
    .n_heads = 1,
    .n_kv_heads = 1,
    .head_dim = 2,
    .conv_width = 3,
    .n_attn_layers = 2,
    .n_conv_layers = 1,
};

static char path[64], part[80];
static token_id text[MAX_TOKENS];
static struct err err;

static int set_up(void **state)
{
    UNUSED_STATE;
    snprintf(path, sizeof path, "/tmp/lfmd-prefix-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    snprintf(part, sizeof part, "%s.part", path);
    return 0;
}

static int tear_down(void **state)
{
    UNUSED_STATE;
    unlink(path);
    assert_int_not_equal(access(part, F_OK), 0);
    return 0;
}

static struct cache *cache_of(uint32_t n_blocks)
{
    struct cache *c;
    assert_int_equal(cache_new(&c, &tiny, KV_F16, n_blocks, N_SLOTS, NULL), 0);
    return c;
}

static uint16_t *row_of(struct cache *c, const struct cache_seq *seq,
                        uint32_t layer, uint32_t position)
{
    return (uint16_t *)(void *)(kv_pool_layer(&c->kv, layer) +
                                seq->blocks[position / KV_BLOCK_TOKENS] *
                                    c->kv.block_bytes) +
           position % KV_BLOCK_TOKENS;
}

/* What a key would be: of all the tokens so far. */
static uint16_t key_of(uint32_t layer, uint32_t position)
{
    return (uint16_t)hash_bytes(text, (position + 1) * sizeof *text, layer);
}

static void open_and_compute(struct cache *c, struct cache_seq *seq, uint32_t n,
                             uint64_t salt)
{
    assert_int_equal(cache_seq_init(seq, MAX_TOKENS, NULL), 0);
    assert_int_equal(cache_open(c, seq), CACHE_OK);
    assert_int_equal(cache_reserve(c, seq, n), CACHE_OK);
    for (uint32_t p = 0; p < n; p++)
        for (uint32_t l = 0; l < 2; l++)
            *row_of(c, seq, l, p) = key_of(l, p);
    cache_remember(c, seq, text, n, salt);
}

static void end(struct cache *c, struct cache_seq *seq)
{
    cache_close(c, seq);
    cache_seq_deinit(seq);
    assert_true(cache_validate(c));
}

static void leave(struct cache *c, uint32_t n, uint64_t salt)
{
    struct cache_seq seq;
    open_and_compute(c, &seq, n, salt);
    end(c, &seq);
}

/* How much is known of `text`; its keys are right. */
static uint32_t known(struct cache *c, uint32_t n, uint64_t salt)
{
    struct cache_seq seq;
    assert_int_equal(cache_seq_init(&seq, MAX_TOKENS, NULL), 0);
    uint32_t found = cache_match(c, &seq, text, n, salt);
    for (uint32_t p = 0; p < seq.n_blocks * KV_BLOCK_TOKENS; p++)
        for (uint32_t l = 0; l < 2; l++)
            assert_int_equal(*row_of(c, &seq, l, p), key_of(l, p));
    if (found > seq.n_blocks * KV_BLOCK_TOKENS) {
        uint32_t p = found - 1;
        struct cache_seq tail = {.blocks = &seq.tail};
        uint16_t *row = row_of(c, &tail, 1, p % KV_BLOCK_TOKENS);
        assert_int_equal(*row, key_of(1, p));
    }
    end(c, &seq);
    return found;
}

static int save(struct cache *c, uint64_t print, uint32_t *n_blocks)
{
    struct cache_snapshot *s;
    struct prefix_file_stats stats;
    assert_int_equal(cache_snapshot_new(&s, c, NULL), 0);
    alloc_forbid("a snapshot");
    cache_snapshot_take(c, s);
    alloc_permit();
    assert_true(cache_validate(c));
    int rc = prefix_file_write(s, path, print, &stats, &err);
    alloc_forbid("a snapshot");
    cache_snapshot_drop(c, s);
    alloc_permit();
    assert_true(cache_validate(c));
    cache_snapshot_free(s);
    if (n_blocks != NULL)
        *n_blocks = stats.n_blocks;
    return rc;
}

static int load(struct cache *c, uint32_t n_vocab,
                struct prefix_file_stats *stats)
{
    struct prefix_file_stats own;
    int rc = prefix_file_read(c, path, PRINT, n_vocab,
                              stats != NULL ? stats : &own, &err);
    assert_true(cache_validate(c));
    assert_int_equal(cache_free_blocks(c), cache_total_blocks(c));
    if (rc != 0)
        assert_int_equal(c->prefix.n_nodes, 0);
    return rc;
}

static void new_text(uint32_t seed)
{
    for (uint32_t i = 0; i < MAX_TOKENS; i++)
        text[i] = (token_id)((seed * 7919 + i * 31) % N_VOCAB);
}

static uint8_t *slurp(size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    uint8_t *bytes = mem_alloc((size_t)st.st_size);
    *n = (size_t)st.st_size;
    assert_int_equal(read(fd, bytes, *n), st.st_size);
    close(fd);
    return bytes;
}

static void spill(const uint8_t *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static uint32_t draw(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + 1;
    return (uint32_t)(*random >> 33);
}

/* Texts from a small tree: a branch point every 20 tokens. */
static void branching_text(uint32_t branches)
{
    for (uint32_t i = 0, branch = 0; i < MAX_TOKENS; i++) {
        if (i % 20 == 0)
            branch = branch * 3 + (branches >> (i / 20) * 2 & 1);
        text[i] = (token_id)((branch * 131 + i) % N_VOCAB);
    }
}

/* Two caches that forget in the same order are of one age. */
static void compare_ages(struct cache *a, struct cache *b, uint32_t *queries)
{
    while (a->prefix.n_nodes > 0 && b->prefix.n_nodes > 0) {
        const struct prefix_node *x = &a->prefix.nodes[a->prefix.unused.oldest];
        const struct prefix_node *y = &b->prefix.nodes[b->prefix.unused.oldest];
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_int_equal(x->salt, y->salt);
        assert_memory_equal(x->tokens, y->tokens,
                            x->n_tokens * sizeof *x->tokens);
        struct cache_seq s[2];
        struct cache *both[2] = {a, b};
        for (int i = 0; i < 2; i++) {
            uint32_t n_free = both[i]->kv.n_free;
            assert_int_equal(cache_seq_init(&s[i], 1 << 20, NULL), 0);
            assert_int_equal(cache_open(both[i], &s[i]), CACHE_OK);
            assert_int_equal(
                cache_reserve(both[i], &s[i], (n_free + 1) * KV_BLOCK_TOKENS),
                CACHE_OK);
            end(both[i], &s[i]);
        }
        ++*queries;
    }
    assert_int_equal(a->prefix.n_nodes, b->prefix.n_nodes);
}

TEST(random_trees_come_back_with_keys_and_ages)
{
    UNUSED_STATE;
    uint64_t random = 1;
    uint32_t n_compared = 0;
    for (int round = 0; round < 60; round++) {
        struct cache *a = cache_of(N_BLOCKS), *b = cache_of(N_BLOCKS);
        for (uint32_t i = 0; i < 8; i++) {
            branching_text(draw(&random));
            leave(a, 1 + draw(&random) % 200, draw(&random) % 2);
        }
        uint32_t n_nodes = a->prefix.n_nodes, n_saved;
        assert_int_equal(save(a, PRINT, &n_saved), 0);
        assert_int_equal(n_saved, n_nodes);
        assert_int_equal(a->prefix.n_nodes, n_nodes);
        struct prefix_file_stats stats;
        assert_int_equal(load(b, N_VOCAB, &stats), 0);
        assert_true(stats.n_blocks <= n_nodes);
        assert_int_equal(stats.n_left, 0);
        /* Who asks makes younger, so it is one or the other. */
        for (uint32_t i = 0; round % 2 == 0 && i < 20; i++) {
            branching_text(draw(&random));
            uint64_t salt = draw(&random) % 3;
            assert_int_equal(known(b, 250, salt), known(a, 250, salt));
        }
        if (round % 2 == 1 && stats.n_blocks == n_nodes)
            compare_ages(a, b, &n_compared);
        cache_free(a);
        cache_free(b);
    }
    assert_true(n_compared > 100);
}

TEST(a_smaller_cache_keeps_what_was_used_last)
{
    UNUSED_STATE;
    struct cache *a = cache_of(N_BLOCKS), *b = cache_of(6);
    for (uint32_t i = 0; i < 4; i++) {
        new_text(i);
        leave(a, 100, 0); /* 4 blocks */
    }
    assert_int_equal(save(a, PRINT, NULL), 0);
    struct prefix_file_stats stats;
    assert_int_equal(load(b, N_VOCAB, &stats), 0);
    assert_int_equal(stats.n_blocks, 6);
    assert_int_equal(stats.n_left, 10);
    assert_int_equal(known(b, 200, 0), 100);
    new_text(2);
    assert_int_equal(known(b, 200, 0), 64);
    new_text(1);
    assert_int_equal(known(b, 200, 0), 0);
    cache_free(a);
    cache_free(b);
}

TEST(what_runs_is_saved_but_for_its_end)
{
    UNUSED_STATE;
    struct cache *a = cache_of(N_BLOCKS), *b = cache_of(N_BLOCKS);
    struct cache_seq seq;
    new_text(1);
    leave(a, 40, 0);
    new_text(0);
    open_and_compute(a, &seq, 100, 0);
    uint32_t n;
    assert_int_equal(save(a, PRINT, &n), 0);
    assert_int_equal(n, 2 + 3);
    end(a, &seq);
    assert_int_equal(load(b, N_VOCAB, NULL), 0);
    assert_int_equal(known(b, 200, 0), 96);
    new_text(1);
    assert_int_equal(known(b, 200, 0), 40);
    cache_free(a);
    cache_free(b);
}

TEST(what_is_being_saved_stays_and_is_not_free)
{
    UNUSED_STATE;
    struct cache *c = cache_of(6);
    struct cache_snapshot *s;
    struct cache_seq seq;
    new_text(0);
    leave(c, 100, 0); /* 4 blocks */
    assert_int_equal(cache_snapshot_new(&s, c, NULL), 0);
    cache_snapshot_take(c, s);
    assert_int_equal(cache_free_blocks(c), 2);
    cache_forget(c);
    assert_int_equal(c->prefix.n_nodes, 4);
    /* A longer branch makes the end worthless, but not now. */
    open_and_compute(c, &seq, 64, 0);
    assert_int_equal(cache_n_shared(c, &seq), 2);
    assert_int_equal(cache_free_blocks(c), 2);
    end(c, &seq);
    assert_int_equal(cache_free_blocks(c), 2);
    assert_int_equal(known(c, 200, 0), 100);
    new_text(5);
    leave(c, 40, 0);
    leave(c, 64, 0);
    assert_int_equal(cache_unused_blocks(c), 2);
    cache_snapshot_drop(c, s);
    cache_snapshot_free(s);
    assert_int_equal(cache_free_blocks(c), 6);
    assert_true(cache_validate(c));
    /* Ages are as if nothing had been saved: the first text is older. */
    new_text(9);
    leave(c, 128, 0);
    new_text(5);
    assert_int_equal(known(c, 64, 0), 64);
    new_text(0);
    assert_int_equal(known(c, 200, 0), 0);
    cache_free(c);
}

TEST(every_truncation_and_every_flipped_bit_is_noticed)
{
    UNUSED_STATE;
    struct cache *a = cache_of(4), *b = cache_of(4);
    size_t n;
    new_text(0);
    leave(a, 40, 7); /* a full block and a part */
    assert_int_equal(save(a, PRINT, NULL), 0);
    uint8_t *bytes = slurp(&n);
    assert_true(n > 1000 && n < 5000);
    for (size_t cut = 0; cut < n; cut++) {
        spill(bytes, cut);
        assert_int_equal(load(b, N_VOCAB, NULL), -ERR_FORMAT);
    }
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        spill(bytes, n);
        assert_int_equal(load(b, N_VOCAB, NULL), -ERR_FORMAT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    spill(bytes, n);
    assert_int_equal(load(b, N_VOCAB, NULL), 0);
    assert_int_equal(known(b, 200, 7), 40);
    mem_free(bytes);
    cache_free(a);
    cache_free(b);
}

TEST(records_in_another_order_are_noticed)
{
    UNUSED_STATE;
    struct cache *a = cache_of(4), *b = cache_of(4);
    size_t n;
    for (uint32_t i = 0; i < 2; i++) {
        new_text(i);
        leave(a, 32, 0);
    }
    assert_int_equal(save(a, PRINT, NULL), 0);
    uint8_t *bytes = slurp(&n), *other = mem_alloc(n);
    size_t record = (n - 72) / 2;
    memcpy(other, bytes, 72);
    memcpy(other + 72, bytes + 72 + record, record);
    memcpy(other + 72 + record, bytes + 72, record);
    spill(other, n);
    assert_int_equal(load(b, N_VOCAB, NULL), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "record 1 does not match its hash"));
    mem_free(bytes);
    mem_free(other);
    cache_free(a);
    cache_free(b);
}

TEST(a_file_of_other_keys_is_refused)
{
    UNUSED_STATE;
    struct cache *a = cache_of(4), *b;
    new_text(0);
    leave(a, 40, 0);
    assert_int_equal(save(a, PRINT + 1, NULL), 0);
    b = cache_of(4);
    assert_int_equal(load(b, N_VOCAB, NULL), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "another model"));
    assert_int_equal(save(a, PRINT, NULL), 0);
    assert_int_equal(load(b, 100, NULL), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "outside the vocabulary"));
    cache_free(b);
    assert_int_equal(cache_new(&b, &tiny, KV_F32, 4, 2, NULL), 0);
    assert_int_equal(load(b, N_VOCAB, NULL), -ERR_FORMAT);
    cache_free(b);
    cache_free(a);
}

TEST(no_file_a_directory_and_no_memory_leave_the_cache_empty)
{
    UNUSED_STATE;
    struct cache *c = cache_of(4);
    struct prefix_file_stats stats;
    assert_int_equal(load(c, N_VOCAB, &stats), 0);
    assert_int_equal(stats.bytes, 0);
    uint32_t n;
    assert_int_equal(save(c, PRINT, &n), 0); /* nothing to save: no file */
    assert_int_equal(n, 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load(c, N_VOCAB, NULL), -ERR_FORMAT);
    new_text(0);
    leave(c, 40, 0);
    assert_int_equal(save(c, PRINT, NULL), -ERR_IO); /* cannot replace it */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    cache_forget(c);
    assert_int_equal(load(c, N_VOCAB, NULL), -ERR_FORMAT);
    unlink(path);
    leave(c, 40, 0);
    assert_int_equal(save(c, PRINT, NULL), 0);
    cache_forget(c);
    fault_alloc_at(0);
    assert_int_equal(load(c, N_VOCAB, NULL), -ERR_NOMEM);
    fault_alloc_at(-1);
    cache_free(c);
}

TEST(an_unfinished_file_of_the_dead_is_taken_over)
{
    UNUSED_STATE;
    struct cache *c = cache_of(4);
    int fd = open(part, O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, "rubbish", 7), 7);
    close(fd);
    new_text(0);
    leave(c, 40, 0);
    assert_int_equal(save(c, PRINT, NULL), 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    cache_forget(c);
    assert_int_equal(load(c, N_VOCAB, NULL), 0);
    assert_int_equal(known(c, 200, 0), 40);
    cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(random_trees_come_back_with_keys_and_ages),
        CASE(a_smaller_cache_keeps_what_was_used_last),
        CASE(what_runs_is_saved_but_for_its_end),
        CASE(what_is_being_saved_stays_and_is_not_free),
        CASE(every_truncation_and_every_flipped_bit_is_noticed),
        CASE(records_in_another_order_are_noticed),
        CASE(a_file_of_other_keys_is_refused),
        CASE(no_file_a_directory_and_no_memory_leave_the_cache_empty),
        CASE(an_unfinished_file_of_the_dead_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
