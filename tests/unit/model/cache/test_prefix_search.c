/* test_prefix_search.c -- the index among thousands of branches, against a look
 * at every one of them. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/cache/cache.h"
#include "model/cache/prefix.h"
#include "model/weights/hparams.h"

enum { N_NODES = 600, N_LETTERS = 3, N_SALTS = 3 };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Most texts begin alike: letter 0 is far more likely than the others. */
static void fill_random(token_id *tokens, uint32_t n, uint32_t *random)
{
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = next_random(random) % 12 != 0
                        ? 0
                        : (token_id)(next_random(random) % N_LETTERS);
}

/* ---- the slow reference: all nodes, one after another ---- */

static uint32_t common(const struct prefix_node *node, const token_id *tokens,
                       uint32_t n)
{
    uint32_t i = 0;
    while (i < n && i < node->n_tokens && node->tokens[i] == tokens[i])
        i++;
    return i;
}

static bool is_child(const struct prefix *p, uint32_t b, uint32_t parent,
                     uint64_t salt)
{
    return prefix_has(p, b) && p->nodes[b].parent == parent &&
           p->nodes[b].salt == salt;
}

static uint32_t most_common(const struct prefix *p, uint32_t parent,
                            uint64_t salt, const token_id *tokens, uint32_t n)
{
    uint32_t most = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        uint32_t k =
            is_child(p, b, parent, salt) ? common(&p->nodes[b], tokens, n) : 0;
        most = k > most ? k : most;
    }
    return most;
}

static bool is_covered(const struct prefix *p, uint32_t b, uint32_t parent,
                       uint64_t salt, const token_id *tokens, uint32_t n)
{
    const struct prefix_node *node = &p->nodes[b];
    return is_child(p, b, parent, salt) && node->unused && node->n_tokens < n &&
           common(node, tokens, n) == node->n_tokens;
}

static bool any_covered(const struct prefix *p, uint32_t parent, uint64_t salt,
                        const token_id *tokens, uint32_t n)
{
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (is_covered(p, b, parent, salt, tokens, n))
            return true;
    return false;
}

static void check_searches(const struct prefix *p, uint32_t parent,
                           uint64_t salt, const token_id *tokens, uint32_t n)
{
    uint32_t n_common;
    uint32_t b = prefix_best_child(p, parent, salt, tokens, n, &n_common);
    assert_int_equal(n_common, most_common(p, parent, salt, tokens, n));
    assert_int_equal(b == PREFIX_NONE, n_common == 0);
    if (b != PREFIX_NONE) {
        assert_true(is_child(p, b, parent, salt));
        assert_int_equal(common(&p->nodes[b], tokens, n), n_common);
    }
    uint32_t covered = prefix_covered(p, parent, salt, tokens, n);
    if (covered != PREFIX_NONE)
        assert_true(is_covered(p, covered, parent, salt, tokens, n));
    else
        assert_false(any_covered(p, parent, salt, tokens, n));
}

/* ---- random trees ---- */

static bool is_known(const struct prefix *p, uint32_t parent, uint64_t salt,
                     const token_id *tokens, uint32_t n)
{
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (is_child(p, b, parent, salt) && p->nodes[b].n_tokens == n &&
            common(&p->nodes[b], tokens, n) == n)
            return true;
    return false;
}

/* A full node in use, or PREFIX_NONE. */
static uint32_t random_parent(const struct prefix *p, uint32_t *random)
{
    uint32_t b = next_random(random) % p->n_blocks;
    const struct prefix_node *node = &p->nodes[b];
    return node->n_tokens == KV_BLOCK_TOKENS && !node->unused ? b : PREFIX_NONE;
}

static void random_add(struct prefix *p, uint32_t block, uint32_t *random)
{
    token_id tokens[KV_BLOCK_TOKENS];
    uint32_t parent = random_parent(p, random);
    uint64_t salt = parent != PREFIX_NONE ? p->nodes[parent].salt
                                          : next_random(random) % N_SALTS;
    uint32_t n = next_random(random) % 4 == 0
                     ? KV_BLOCK_TOKENS
                     : 1 + next_random(random) % KV_BLOCK_TOKENS;
    fill_random(tokens, n, random);
    check_searches(p, parent, salt, tokens, n);
    if (is_known(p, parent, salt, tokens, n))
        return;
    prefix_add(p, block, parent, salt, tokens, n);
    check_searches(p, parent, salt, tokens, n);
}

static void random_extend(struct prefix *p, uint32_t block, uint32_t *random)
{
    const struct prefix_node *node = &p->nodes[block];
    token_id tokens[KV_BLOCK_TOKENS];
    uint32_t had = node->n_tokens;
    uint32_t n = had + 1 + next_random(random) % (KV_BLOCK_TOKENS - had);
    fill_random(tokens, n, random);
    memcpy(tokens, node->tokens, had * sizeof *tokens);
    if (!is_known(p, node->parent, node->salt, tokens, n))
        prefix_extend(p, block, tokens, n);
}

static bool has_used_child(const struct prefix *p, uint32_t block)
{
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (prefix_has(p, b) && p->nodes[b].parent == block &&
            !p->nodes[b].unused)
            return true;
    return false;
}

static void random_change(struct prefix *p, uint32_t *random)
{
    uint32_t b = next_random(random) % p->n_blocks;
    const struct prefix_node *node = &p->nodes[b];
    uint32_t what = next_random(random) % 3;
    if (!prefix_has(p, b))
        random_add(p, b, random);
    else if (what == 0 && node->children == PREFIX_NONE)
        prefix_remove(p, b);
    else if (what == 1 && !node->unused && node->n_tokens < KV_BLOCK_TOKENS)
        random_extend(p, b, random);
    else if (!node->unused && !has_used_child(p, b))
        prefix_unuse(p, b);
    else if (node->unused &&
             (node->parent == PREFIX_NONE || !p->nodes[node->parent].unused))
        prefix_use(p, b);
}

TEST(searches_of_random_trees_find_what_a_look_at_every_node_finds)
{
    UNUSED_STATE;
    struct prefix p;
    uint32_t random = 5;
    assert_int_equal(prefix_init(&p, N_NODES, NULL), 0);
    alloc_forbid("an index at work");
    for (int turn = 0; turn < 60000; turn++) {
        random_change(&p, &random);
        if (turn % 100 == 0)
            assert_true(prefix_validate(&p));
    }
    alloc_permit();
    prefix_deinit(&p);
}

/* ---- sequences ---- */

enum { N_BRANCHES = 3000, N_STEM = 80, MAX_TOKENS = 160 };

static const struct hparams tiny = {
    .hidden = 16,
    .n_heads = 4,
    .n_kv_heads = 2,
    .head_dim = 4,
    .conv_width = 3,
    .n_attn_layers = 2,
    .n_conv_layers = 3,
};

static struct {
    token_id tokens[MAX_TOKENS];
    uint32_t n;
    uint64_t salt;
} remembered[N_BRANCHES];

static uint32_t longest_common(const token_id *tokens, uint32_t n,
                               uint64_t salt, uint32_t n_remembered)
{
    uint32_t most = 0;
    for (uint32_t r = 0; r < n_remembered; r++) {
        uint32_t i = 0;
        while (remembered[r].salt == salt && i < n && i < remembered[r].n &&
               remembered[r].tokens[i] == tokens[i])
            i++;
        most = i > most ? i : most;
    }
    return most;
}

/* A stem that all have, then a text of its own, or another's up to a token. */
static uint32_t random_branch(token_id *tokens, uint32_t r, uint32_t *random)
{
    uint32_t n = N_STEM + 1 + next_random(random) % (MAX_TOKENS - N_STEM);
    for (uint32_t i = 0; i < MAX_TOKENS; i++)
        tokens[i] = (token_id)(i < N_STEM ? i : next_random(random) % 5);
    if (r > 0 && next_random(random) % 2 == 0) {
        uint32_t of = next_random(random) % r;
        uint32_t to = next_random(random) % MAX_TOKENS;
        memcpy(tokens, remembered[of].tokens, to * sizeof *tokens);
    }
    return n;
}

TEST(a_match_is_the_longest_prefix_of_all_that_is_remembered)
{
    UNUSED_STATE;
    struct cache *c = NULL;
    struct cache_seq seq;
    uint32_t random = 11;
    assert_int_equal(cache_new(&c, &tiny, KV_F16, 4 * N_BRANCHES, 1, NULL), 0);
    assert_int_equal(cache_seq_init(&seq, MAX_TOKENS, NULL), 0);
    for (uint32_t r = 0; r < N_BRANCHES; r++) {
        token_id *tokens = remembered[r].tokens;
        uint32_t n = random_branch(tokens, r, &random);
        uint64_t salt = next_random(&random) % 8 == 0;
        assert_int_equal(cache_match(c, &seq, tokens, n, salt),
                         longest_common(tokens, n, salt, r));
        assert_int_equal(cache_open(c, &seq), CACHE_OK);
        assert_int_equal(cache_reserve(c, &seq, n), CACHE_OK);
        cache_remember(c, &seq, tokens, n / 2, salt);
        cache_remember(c, &seq, tokens, n, salt);
        cache_close(c, &seq);
        remembered[r].n = n;
        remembered[r].salt = salt;
        if (r % 200 == 0)
            assert_true(cache_validate(c));
    }
    assert_int_equal(cache_n_forgotten(c), 0);
    cache_seq_deinit(&seq);
    cache_free(c);
}

/* A match makes one of many equal ends the newest: which is not said. */
TEST(what_is_forgotten_among_many_branches_is_an_old_end)
{
    UNUSED_STATE;
    enum { BLOCKS = 1000, STEM_BLOCKS = N_STEM / KV_BLOCK_TOKENS };
    struct cache *c = NULL;
    struct cache_seq seq;
    token_id tokens[MAX_TOKENS];
    assert_int_equal(cache_new(&c, &tiny, KV_F16, BLOCKS, 1, NULL), 0);
    assert_int_equal(cache_seq_init(&seq, MAX_TOKENS, NULL), 0);
    for (token_id i = 0; i < MAX_TOKENS; i++)
        tokens[i] = i;
    for (token_id r = 0; r < N_BRANCHES; r++) {
        tokens[N_STEM + 1] = 1000 + r;
        assert_int_equal(cache_match(c, &seq, tokens, N_STEM + 2, 0),
                         r > 0 ? N_STEM + 1 : 0);
        assert_int_equal(cache_open(c, &seq), CACHE_OK);
        assert_int_equal(cache_reserve(c, &seq, N_STEM + 2), CACHE_OK);
        cache_remember(c, &seq, tokens, N_STEM + 2, 0);
        cache_close(c, &seq);
    }
    assert_true(cache_validate(c));
    assert_int_equal(cache_unused_blocks(c), BLOCKS);
    uint32_t n_kept = 0;
    for (token_id r = 0; r < N_BRANCHES; r++) {
        tokens[N_STEM + 1] = 1000 + r;
        uint32_t n = cache_match(c, &seq, tokens, N_STEM + 2, 0);
        assert_in_range(n, N_STEM + 1, N_STEM + 2);
        n_kept += n - (N_STEM + 1);
        if (r >= N_BRANCHES - BLOCKS / 2)
            assert_int_equal(n, N_STEM + 2);
        cache_close(c, &seq);
    }
    assert_int_equal(n_kept, BLOCKS - STEM_BLOCKS);
    cache_seq_deinit(&seq);
    cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            searches_of_random_trees_find_what_a_look_at_every_node_finds),
        cmocka_unit_test(
            a_match_is_the_longest_prefix_of_all_that_is_remembered),
        cmocka_unit_test(what_is_forgotten_among_many_branches_is_an_old_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
