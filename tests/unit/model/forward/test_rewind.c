/* test_rewind.c -- tokens that turn out to be wrong leave no trace: over every
 * oracle checkpoint, drafted, taken back to each length, and gone on with,
 * against the same tokens without drafts. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/cache/conv_state.h"
#include "model/forward/forward.h"
#include "model/model.h"
#include "model/sample/rng.h"
#include "tests/lib/checkpoints.h"

#define N_BEFORE 45u
#define N_DRAFT 7u
#define N_AFTER 6u
#define N_ALL (N_BEFORE + 1 + N_DRAFT + N_AFTER)

/* As of another way to run the same in test_oracle.c. */
#define SAME 1e-4f

struct bed {
    struct model *m;
    struct batch *batch;
    token_id right[N_ALL], wrong[N_ALL];
    float *plain;     /* [N_ALL][n_vocab]: each row alone */
    float *columns;   /* [N_ALL][slot_floats] after each token */
    uint32_t n_worse; /* rows whose columns differed without the rewind */
};

static void bed_init(struct bed *b, const char *path, uint32_t n_threads)
{
    struct err err = {0};
    const struct model_options options = {
        .path = path,
        .cache_type = "f32",
        .n_threads = n_threads,
        .max_batch_tokens = 64,
        .max_slices = BATCH_MAX_DRAFTS + 1,
        .max_logit_rows = 64,
        .ctx_tokens = N_ALL,
        .cache_bytes = (uint64_t)8 << 20,
    };
    *b = (struct bed){0};
    if (model_open(&b->m, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    uint32_t n_vocab = b->m->hp.n_vocab;
    assert_int_equal(
        batch_new(&b->batch, 64, BATCH_MAX_DRAFTS + 1, 64, n_vocab, NULL), 0);
    for (uint32_t i = 0; i < N_ALL; i++) {
        b->right[i] = (token_id)(rng_bits(1, 2, i) % n_vocab);
        b->wrong[i] = (token_id)(((uint32_t)b->right[i] + 1) % n_vocab);
    }
    size_t slot = cache_conv(b->m->cache)->slot_floats;
    b->plain = mem_calloc((size_t)N_ALL * n_vocab, sizeof(float));
    b->columns = mem_calloc(N_ALL * slot + 1, sizeof(float));
}

static void bed_deinit(struct bed *b)
{
    mem_free(b->plain);
    mem_free(b->columns);
    batch_free(b->batch);
    model_close(b->m);
}

static void open_seq(struct bed *b, struct cache_seq *seq)
{
    memset(seq, 0, sizeof *seq);
    assert_int_equal(cache_seq_init(seq, N_ALL, NULL), 0);
    assert_int_equal(cache_open(b->m->cache, seq), CACHE_OK);
    assert_int_equal(cache_reserve(b->m->cache, seq, N_ALL), CACHE_OK);
}

static void close_seq(struct bed *b, struct cache_seq *seq)
{
    cache_close(b->m->cache, seq);
    cache_seq_deinit(seq);
}

static void run(struct bed *b, struct cache_seq *seq, uint32_t from, uint32_t n)
{
    batch_clear(b->batch);
    assert_true(batch_add(b->batch, seq, b->right + from, n, from, n));
    model_forward(b->m, b->batch);
}

static const float *columns_of(struct bed *b, const struct cache_seq *seq)
{
    return conv_state_columns(cache_conv(b->m->cache), seq->slot, 0);
}

static float furthest(const float *a, const float *b, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

/* Token for token, without drafts. */
static void run_plain(struct bed *b)
{
    uint32_t n_vocab = b->m->hp.n_vocab;
    size_t slot = cache_conv(b->m->cache)->slot_floats;
    struct cache_seq seq;
    open_seq(b, &seq);
    for (uint32_t i = 0; i < N_ALL; i++) {
        run(b, &seq, i, 1);
        memcpy(b->plain + (size_t)i * n_vocab, b->batch->logits,
               n_vocab * sizeof(float));
        memcpy(b->columns + i * slot, columns_of(b, &seq),
               slot * sizeof(float));
    }
    close_seq(b, &seq);
}

static void check_rows(struct bed *b, const struct batch_slice *s, uint32_t n)
{
    uint32_t n_vocab = b->m->hp.n_vocab;
    for (uint32_t i = 0; i < n; i++)
        assert_true(furthest(batch_logits(b->batch, s, i),
                             b->plain + (size_t)(s->position + i) * n_vocab,
                             n_vocab) <= SAME);
}

/* Of a draft of n_draft tokens the first n_right are right; others draft beside
 * it. */
static void check_draft(struct bed *b, uint32_t n_draft, uint32_t n_right,
                        uint32_t n_others)
{
    size_t slot = cache_conv(b->m->cache)->slot_floats;
    token_id tokens[1 + N_DRAFT];
    struct cache_seq seqs[BATCH_MAX_DRAFTS], *seq = &seqs[n_others];
    uint32_t after = N_BEFORE + 1 + n_right;
    for (uint32_t i = 0; i <= n_others; i++) {
        open_seq(b, &seqs[i]);
        run(b, &seqs[i], 0, N_BEFORE);
    }
    for (uint32_t i = 0; i <= n_draft; i++)
        tokens[i] = (i <= n_right ? b->right : b->wrong)[N_BEFORE + i];
    batch_clear(b->batch);
    for (uint32_t i = 0; i <= n_others; i++)
        assert_true(
            batch_add_draft(b->batch, &seqs[i], tokens, 1 + n_draft, N_BEFORE));
    model_forward(b->m, b->batch);
    const struct batch_slice *s = &b->batch->slices[n_others];
    check_rows(b, s, 1 + n_right);
    const float *want = b->columns + (after - 1) * slot;
    b->n_worse +=
        n_right < n_draft && furthest(columns_of(b, seq), want, slot) > SAME;
    forward_rewind(b->m->forward, s, 1 + n_right);
    assert_true(furthest(columns_of(b, seq), want, slot) <= SAME);
    run(b, seq, after, N_AFTER);
    check_rows(b, &b->batch->slices[0], N_AFTER);
    for (uint32_t i = 0; i <= n_others; i++)
        close_seq(b, &seqs[i]);
}

static void check_model(const char *path, uint32_t n_threads)
{
    struct bed b;
    bed_init(&b, path, n_threads);
    run_plain(&b);
    for (uint32_t n = 1; n <= N_DRAFT; n++)
        for (uint32_t right = 0; right <= n; right++)
            check_draft(&b, n, right, (n + right) % BATCH_MAX_DRAFTS);
    if (b.m->hp.n_conv_layers > 0)
        assert_int_equal(b.n_worse, N_DRAFT * (N_DRAFT + 1) / 2);
    bed_deinit(&b);
}

static void check_checkpoint(void *user, const char *path, const char *golden,
                             uint32_t number)
{
    (void)user, (void)golden, (void)number;
    check_model(path, 1);
}

TEST(a_draft_taken_back_to_any_length_leaves_no_trace)
{
    UNUSED_STATE;
    each_checkpoint(check_checkpoint, NULL);
    check_model("model/demo", 2);
}

TEST(a_step_has_places_for_so_many_drafts)
{
    UNUSED_STATE;
    struct bed b;
    struct cache_seq seqs[BATCH_MAX_DRAFTS + 1];
    bed_init(&b, "model/demo", 1);
    for (uint32_t i = 0; i <= BATCH_MAX_DRAFTS; i++)
        open_seq(&b, &seqs[i]);
    for (int turn = 0; turn < 2; turn++) {
        batch_clear(b.batch);
        for (uint32_t i = 0; i < BATCH_MAX_DRAFTS; i++)
            assert_true(batch_add_draft(b.batch, &seqs[i], b.right, 2, 0));
        uint32_t n = b.batch->n_tokens;
        assert_false(
            batch_add_draft(b.batch, &seqs[BATCH_MAX_DRAFTS], b.right, 2, 0));
        assert_int_equal(b.batch->n_tokens, n);
        assert_true(
            batch_add(b.batch, &seqs[BATCH_MAX_DRAFTS], b.right, 2, 0, 1));
    }
    for (uint32_t i = 0; i <= BATCH_MAX_DRAFTS; i++)
        close_seq(&b, &seqs[i]);
    bed_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draft_taken_back_to_any_length_leaves_no_trace),
        cmocka_unit_test(a_step_has_places_for_so_many_drafts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
