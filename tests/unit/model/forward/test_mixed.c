/* The pass on models whose every matrix has a format and a width of its own and
 * whose layers come in any order: each instruction set against the reference,
 * and each with itself, however the tokens are batched and the work is cut, and
 * whatever is asked of them. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/forward/forward.h"
#include "model/kernels/kernels.h"
#include "model/kernels/panel.h"
#include "model/kernels/widen.h"
#include "model/weights/weights.h"

enum { N_LAYERS = 4, N_SEQS = 3, N_TOKENS = 7, MAX_OWNED = 1024 };

/* All tokens of all sequences are fewer rows than OpenBLAS is given, whose sums
 * would depend on their number. */
enum { N_ALL = N_SEQS * N_TOKENS };

/* A model, and what must be freed. */
struct toy {
    struct hparams hp;
    struct weights w;
    struct layer_weights layers[N_LAYERS];
    enum layer_kind kinds[N_LAYERS];
    token_id tokens[N_SEQS][N_TOKENS];
    void *owned[MAX_OWNED], *panels[MAX_OWNED];
    uint32_t n_owned, n_panels;
    bool quantised;
    enum kv_format format;
};

static uint32_t seed_state;

static uint32_t below(uint32_t n)
{
    seed_state = seed_state * 1664525u + 1013904223u;
    return (seed_state >> 8) % n;
}

/* In [-1, 1). */
static float any(void)
{
    return (float)below(1u << 20) / (float)(1u << 19) - 1.0f;
}

static void *own(struct toy *t, void *p)
{
    assert_non_null(p);
    assert_true(t->n_owned < MAX_OWNED);
    t->owned[t->n_owned++] = p;
    return p;
}

static float *floats(struct toy *t, size_t n, float middle, float around)
{
    float *v = own(t, mem_alloc(n * sizeof *v));
    for (size_t i = 0; i < n; i++)
        v[i] = middle + around * any();
    return v;
}

/* ---- weights ----------------------------------------------------------- */

/* d, and what stands beside it, so that weights of random bits are about as
 * large as `size` and their mean is about zero; then where both lie. */
struct scales {
    float d, m;
    int d_at, m_at; /* m_at < 0: there is none */
};

static struct scales scales_of(enum dtype t, float size)
{
    switch (t) {
    case DTYPE_Q4_1:
        return (struct scales){size / 4.6f, -7.5f * size / 4.6f, 0, 2};
    case DTYPE_Q5_0:
        return (struct scales){size / 9.2f, 0, 0, -1};
    case DTYPE_Q5_1:
        return (struct scales){size / 9.2f, -15.5f * size / 9.2f, 0, 2};
    case DTYPE_Q4_K:
        return (struct scales){size / 143, 7.5f * size / 143, 0, 2};
    case DTYPE_Q5_K:
        return (struct scales){size / 285, 15.5f * size / 285, 0, 2};
    case DTYPE_Q6_K:
        return (struct scales){size / 1350, 0, 208, -1};
    default: /* Q4_0, Q8_0 */
        return (struct scales){size / (t == DTYPE_Q4_0 ? 4.6f : 74), 0, 0, -1};
    }
}

static void fill_blocks(uint8_t *p, enum dtype t, size_t n, float size)
{
    struct scales s = scales_of(t, size);
    uint32_t bytes = dtype_block_bytes(t);
    uint16_t d = f16_narrow(s.d), m = f16_narrow(s.m);
    for (size_t b = 0; b < n; b++, p += bytes) {
        for (uint32_t i = 0; i < bytes; i++)
            p[i] = (uint8_t)below(256);
        memcpy(p + s.d_at, &d, sizeof d);
        if (s.m_at >= 0)
            memcpy(p + s.m_at, &m, sizeof m);
    }
}

static struct matrix quantised(struct toy *t, enum dtype dtype, uint32_t rows,
                               uint32_t cols)
{
    size_t n = (size_t)rows * cols / dtype_block_values(dtype);
    uint8_t *file = mem_alloc(n * dtype_block_bytes(dtype));
    void *panels = mem_alloc_aligned(64, panel_matrix_bytes(dtype, rows, cols));
    assert_non_null(file);
    assert_non_null(panels);
    assert_true(t->n_panels < MAX_OWNED);
    fill_blocks(file, dtype, n, 1.0f / sqrtf((float)cols));
    panel_pack(panels, file, dtype, rows, cols, 0, panel_count(rows));
    mem_free(file);
    t->panels[t->n_panels++] = panels;
    t->quantised = true;
    return (struct matrix){panels, dtype, rows, cols};
}

/* Of a format that the width allows; `same` keeps experts alike. */
static enum dtype any_dtype(uint32_t cols, bool floats_only)
{
    uint32_t n = cols % 256 == 0  ? N_DTYPES
                 : cols % 32 == 0 ? DTYPE_Q8_0 + 1
                                  : N_FLOAT_DTYPES;
    return (enum dtype)below(floats_only ? N_FLOAT_DTYPES : n);
}

static struct matrix matrix_as(struct toy *t, enum dtype dtype, uint32_t rows,
                               uint32_t cols)
{
    if (dtype_is_quantised(dtype))
        return quantised(t, dtype, rows, cols);
    size_t n = (size_t)rows * cols;
    float *v = floats(t, n, 0, 1.7f / sqrtf((float)cols));
    uint16_t *half = (uint16_t *)(void *)v;
    for (size_t i = 0; i < n && dtype != DTYPE_F32; i++) {
        uint16_t bits = dtype == DTYPE_F16
                            ? f16_narrow(v[i])
                            : (uint16_t)(float_to_bits(v[i]) >> 16);
        memcpy(&half[i], &bits, sizeof bits);
    }
    return (struct matrix){v, dtype, rows, cols};
}

static struct matrix matrix(struct toy *t, uint32_t rows, uint32_t cols)
{
    return matrix_as(t, any_dtype(cols, false), rows, cols);
}

/* One format for all: what decides which rows the experts are given. */
static struct matrix *experts(struct toy *t, uint32_t rows, uint32_t cols)
{
    enum dtype dtype = any_dtype(cols, false);
    uint32_t n = t->hp.n_experts;
    struct matrix *list = own(t, mem_calloc(n, sizeof *list));
    for (uint32_t e = 0; e < n; e++)
        list[e] = matrix_as(t, dtype, rows, cols);
    return list;
}

static void make_operator(struct toy *t, struct layer_weights *l, bool attends)
{
    const struct hparams *hp = &t->hp;
    uint32_t h = hp->hidden, q = hp->n_heads * hp->head_dim;
    uint32_t kv = hp->n_kv_heads * hp->head_dim;
    l->operator_norm = floats(t, h, 1, 0.2f);
    if (attends) {
        l->wq = matrix(t, q, h);
        l->wk = matrix(t, kv, h);
        l->wv = matrix(t, kv, h);
        l->wo = matrix(t, h, q);
        l->q_norm = floats(t, hp->head_dim, 1, 0.2f);
        l->k_norm = floats(t, hp->head_dim, 1, 0.2f);
        return;
    }
    l->in_proj = matrix(t, 3 * h, h);
    l->out_proj = matrix(t, h, h);
    l->conv = floats(t, (size_t)h * hp->conv_width, 0, 1);
    if (hp->conv_bias) {
        l->conv_bias = floats(t, h, 0, 0.5f);
        l->in_bias = floats(t, (size_t)3 * h, 0, 0.5f);
        l->out_bias = floats(t, h, 0, 0.5f);
    }
}

/* The bias decides alone which experts are chosen: a token on the edge between
 * two would go where rounding sends it. */
static void make_ffn(struct toy *t, struct layer_weights *l, bool dense)
{
    const struct hparams *hp = &t->hp;
    uint32_t h = hp->hidden;
    l->ffn_norm = floats(t, h, 1, 0.2f);
    if (dense) {
        l->w1 = matrix(t, hp->ffn_hidden, h);
        l->w3 = matrix(t, hp->ffn_hidden, h);
        l->w2 = matrix(t, h, hp->ffn_hidden);
        return;
    }
    l->router = matrix_as(t, any_dtype(h, true), hp->n_experts, h);
    l->expert_bias = floats(t, hp->n_experts, 0, 100);
    l->ew1 = experts(t, hp->moe_hidden, h);
    l->ew3 = experts(t, hp->moe_hidden, h);
    l->ew2 = experts(t, h, hp->moe_hidden);
}

/* ---- the model --------------------------------------------------------- */

static uint32_t one_of(const uint32_t *list, uint32_t n)
{
    return list[below(n)];
}

/* Bit i: layer i attends. */
static void make_kinds(struct toy *t)
{
    static const uint32_t orders[] = {0xa, 0x0, 0xf, 0x5, 0x9, 0x6, 0x3, 0x2};
    uint32_t attends = orders[below(8)];
    struct hparams *hp = &t->hp;
    hp->kinds = t->kinds;
    for (uint32_t i = 0; i < N_LAYERS; i++) {
        bool attention = (attends >> i & 1) != 0;
        t->kinds[i] = attention ? LAYER_ATTENTION : LAYER_CONV;
        hp->n_attn_layers += attention;
        hp->n_conv_layers += !attention;
    }
}

static void make_shape(struct toy *t)
{
    static const uint32_t widths[] = {32, 40, 48, 64, 80, 96, 256};
    static const uint32_t inner[] = {1, 24, 32, 70, 96, 160, 256, 300};
    static const uint32_t dims[] = {2, 6, 8, 16, 20, 32, 40, 64};
    static const uint32_t groups[] = {1, 1, 2, 3, 4, 5};
    struct hparams *hp = &t->hp;
    hp->n_vocab = 17 + below(60);
    hp->hidden = one_of(widths, 7);
    hp->n_layers = N_LAYERS;
    hp->n_kv_heads = 1 + below(3);
    hp->n_heads = hp->n_kv_heads * one_of(groups, 6);
    hp->head_dim = one_of(dims, 8);
    hp->ffn_hidden = one_of(inner, 8);
    hp->moe_hidden = one_of(inner, 8);
    hp->n_dense_layers = 1 + below(2);
    hp->n_experts = 1 + below(5);
    hp->n_experts_used = 1 + below(hp->n_experts);
    hp->conv_width = 1 + below(5);
    hp->max_positions = 512;
    hp->conv_bias = below(2) != 0;
    hp->use_expert_bias = hp->norm_topk_prob = true;
    hp->routed_scaling = 1;
    hp->norm_eps = 1e-5f;
    hp->rope_attention_factor = 1;
    hp->inv_freq = floats(t, hp->head_dim / 2, 0.5f, 0.5f);
    make_kinds(t);
}

static struct toy *toy_new(uint32_t seed)
{
    struct toy *t = mem_calloc(1, sizeof *t);
    assert_non_null(t);
    seed_state = seed;
    make_shape(t);
    const struct hparams *hp = &t->hp;
    t->format = (enum kv_format)below(N_KV_FORMATS);
    t->w.layers = t->layers;
    t->w.embed = matrix(t, hp->n_vocab, hp->hidden);
    t->w.head = below(2) == 0 ? t->w.embed : matrix(t, hp->n_vocab, hp->hidden);
    t->w.final_norm = floats(t, hp->hidden, 1, 0.2f);
    for (uint32_t i = 0; i < N_LAYERS; i++) {
        make_operator(t, &t->layers[i], t->kinds[i] == LAYER_ATTENTION);
        make_ffn(t, &t->layers[i], i < hp->n_dense_layers);
    }
    for (uint32_t s = 0; s < N_SEQS; s++)
        for (uint32_t i = 0; i < N_TOKENS; i++)
            t->tokens[s][i] = (token_id)below(hp->n_vocab);
    return t;
}

static void toy_free(struct toy *t)
{
    for (uint32_t i = 0; i < t->n_owned; i++)
        mem_free(t->owned[i]);
    for (uint32_t i = 0; i < t->n_panels; i++)
        mem_free_aligned(t->panels[i]);
    mem_free(t);
}

/* ---- one way to run it ------------------------------------------------- */

struct way {
    const char *isa;
    uint32_t n_threads;
    uint32_t n_seqs;  /* in one batch: 1 or all */
    uint32_t n_piece; /* tokens of a sequence in one batch */
};

/* What runs it. */
struct rig {
    struct cache *cache;
    struct forward *forward;
    struct batch *batch;
    struct cache_seq seqs[N_SEQS];
};

static void rig_init(struct rig *r, const struct toy *t, const struct way *way)
{
    const struct hparams *hp = &t->hp;
    assert_int_equal(cache_new(&r->cache, hp, t->format, 8, N_SEQS, NULL), 0);
    const struct forward_parts parts = {
        hp, &t->w, kernels_select(way->isa, NULL), r->cache};
    const struct forward_limits limits = {way->n_threads, N_ALL, N_ALL};
    assert_int_equal(forward_new(&r->forward, &parts, &limits, NULL), 0);
    assert_int_equal(forward_bytes(r->forward),
                     forward_bytes_needed(hp, &limits, t->quantised));
    assert_int_equal(
        batch_new(&r->batch, N_ALL, N_SEQS, N_ALL, hp->n_vocab, NULL), 0);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        assert_int_equal(cache_seq_init(&r->seqs[s], 64, NULL), 0);
        assert_int_equal(cache_open(r->cache, &r->seqs[s]), CACHE_OK);
        assert_int_equal(cache_reserve(r->cache, &r->seqs[s], N_TOKENS),
                         CACHE_OK);
    }
}

static void rig_deinit(struct rig *r)
{
    for (uint32_t s = 0; s < N_SEQS; s++) {
        cache_close(r->cache, &r->seqs[s]);
        cache_seq_deinit(&r->seqs[s]);
    }
    batch_free(r->batch);
    forward_free(r->forward);
    cache_free(r->cache);
}

/* Tokens [i, i + n) of n_seqs sequences from s0 on; out is for all. */
static void run_piece(struct rig *r, const struct toy *t, float *out,
                      uint32_t s0, uint32_t n_seqs, uint32_t i, uint32_t n)
{
    size_t row = t->hp.n_vocab;
    struct batch *b = r->batch;
    batch_clear(b);
    for (uint32_t s = s0; s < s0 + n_seqs; s++)
        assert_true(batch_add(b, &r->seqs[s], t->tokens[s] + i, n, i, n));
    forward_run(r->forward, b);
    for (uint32_t k = 0; k < n_seqs; k++)
        memcpy(out + ((s0 + k) * N_TOKENS + i) * row,
               batch_logits(b, &b->slices[k], 0), n * row * sizeof *out);
}

/* Logits of all tokens: [N_SEQS][N_TOKENS][n_vocab], the caller's. */
static float *logits_of(const struct toy *t, const struct way *way)
{
    struct rig r = {0};
    float *out = mem_calloc((size_t)N_ALL * t->hp.n_vocab, sizeof *out);
    assert_non_null(out);
    rig_init(&r, t, way);
    for (uint32_t s = 0; s < N_SEQS; s += way->n_seqs)
        for (uint32_t i = 0; i < N_TOKENS; i += way->n_piece) {
            uint32_t left = N_TOKENS - i;
            run_piece(&r, t, out, s, way->n_seqs, i,
                      left < way->n_piece ? left : way->n_piece);
        }
    rig_deinit(&r);
    return out;
}

static void describe(const struct toy *t, uint32_t seed, const struct way *way)
{
    const struct hparams *hp = &t->hp;
    print_message("seed %u, %s, %u threads, %u sequences, pieces of %u: hidden "
                  "%u, heads %u/%u of %u, ffn %u, experts %u/%u of %u, taps "
                  "%u, format %u\n",
                  seed, way->isa, way->n_threads, way->n_seqs, way->n_piece,
                  hp->hidden, hp->n_heads, hp->n_kv_heads, hp->head_dim,
                  hp->ffn_hidden, hp->n_experts_used, hp->n_experts,
                  hp->moe_hidden, hp->conv_width, (unsigned)t->format);
}

/* Root mean square of a - b over that of b; NaN stays NaN. */
static double distance(const float *a, const float *b, size_t n)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        off += d * d;
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(off / size);
}

enum { N_MODELS = 40 };

/* Sums are rounded otherwise, and now and then an activation to the next of its
 * 255 numbers, or a key to the next of its format's. */
TEST(every_instruction_set_computes_what_the_reference_does)
{
    UNUSED_STATE;
    for (uint32_t seed = 1; seed <= N_MODELS; seed++) {
        struct toy *t = toy_new(seed);
        size_t n = (size_t)N_ALL * t->hp.n_vocab;
        struct way way = {"ref", 2, N_SEQS, N_TOKENS};
        float *want = logits_of(t, &way);
        double most = t->quantised || t->format != KV_F32 ? 2e-2 : 1e-5;
        for (uint32_t i = 1; kernels_isa(i) != NULL; i++) {
            way.isa = kernels_isa(i);
            float *got = logits_of(t, &way);
            double off = distance(got, want, n);
            if (!(off <= most)) {
                describe(t, seed, &way);
                fail_msg("off by %g, expected %g at most", off, most);
            }
            mem_free(got);
        }
        mem_free(want);
        toy_free(t);
    }
}

TEST(a_token_has_the_same_bits_however_it_is_batched_and_cut)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t seed = 1; seed <= N_MODELS; seed++) {
            const struct way ways[] = {{kernels_isa(i), 1, 1, 1},
                                       {kernels_isa(i), 3, N_SEQS, 1},
                                       {kernels_isa(i), 5, N_SEQS, N_TOKENS},
                                       {kernels_isa(i), 2, 1, 3}};
            struct toy *t = toy_new(seed);
            size_t n = (size_t)N_ALL * t->hp.n_vocab;
            float *want = logits_of(t, &ways[0]);
            for (uint32_t w = 1; w < 4; w++) {
                float *got = logits_of(t, &ways[w]);
                if (memcmp(got, want, n * sizeof *got) != 0) {
                    describe(t, seed, &ways[w]);
                    fail_msg("off by %g, expected the same bits",
                             distance(got, want, n));
                }
                mem_free(got);
            }
            mem_free(want);
            toy_free(t);
        }
    }
}

/* ---- asked for less ---------------------------------------------------- */

/* Sequences on their way from wherever they start; those that share a prefix
 * know the keys and values of their first n_known tokens. */
struct trip {
    uint32_t at[N_SEQS], n_known[N_SEQS];
};

static uint32_t at_most(uint32_t n, uint32_t most)
{
    return n < most ? n : most;
}

/* Adds the next n tokens of sequence s. */
static void add_next(struct rig *r, const struct toy *t, struct trip *trip,
                     uint32_t s, uint32_t n, uint32_t n_logits)
{
    uint32_t at = trip->at[s];
    uint32_t known = trip->n_known[s] > at ? trip->n_known[s] - at : 0;
    assert_true(batch_add_resumed(r->batch, &r->seqs[s], t->tokens[s] + at, n,
                                  at, n_logits, at_most(known, n)));
    trip->at[s] += n;
}

/* Everything at once, to `out` as logits_of has it. */
static void travel_whole(struct rig *r, const struct toy *t, struct trip *trip,
                         float *out)
{
    size_t row = t->hp.n_vocab;
    batch_clear(r->batch);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        uint32_t n = N_TOKENS - trip->at[s];
        add_next(r, t, trip, s, n, n);
    }
    forward_run(r->forward, r->batch);
    for (uint32_t s = 0; s < N_SEQS; s++) {
        const struct batch_slice *x = &r->batch->slices[s];
        memcpy(out + (s * N_TOKENS + x->position) * row,
               batch_logits(r->batch, x, 0), x->n_tokens * row * sizeof *out);
    }
}

/* Random pieces of random sequences, of which a random number of rows is
 * asked, most often none or one; all have the bits they have in `want`. */
static bool travel_asking_less(struct rig *r, const struct toy *t,
                               struct trip *trip, const float *want)
{
    size_t row = t->hp.n_vocab;
    uint32_t of_slice[N_SEQS], left = N_SEQS;
    bool same = true;
    while (left > 0) {
        batch_clear(r->batch);
        left = 0;
        for (uint32_t s = 0; s < N_SEQS; s++) {
            uint32_t to_go = N_TOKENS - trip->at[s];
            left += to_go > 0;
            if (to_go == 0 || below(4) == 0)
                continue;
            uint32_t n = 1 + below(to_go);
            of_slice[r->batch->n_slices] = s;
            add_next(r, t, trip, s, n, below(4) == 0 ? below(n + 1) : below(2));
        }
        forward_run(r->forward, r->batch);
        for (uint32_t i = 0; i < r->batch->n_slices; i++) {
            const struct batch_slice *x = &r->batch->slices[i];
            uint32_t first = x->position + x->n_tokens - x->n_logits;
            const float *expected =
                want + (of_slice[i] * N_TOKENS + first) * row;
            same &= memcmp(batch_logits(r->batch, x, 0), expected,
                           x->n_logits * row * sizeof *want) == 0;
        }
    }
    return same;
}

/* All sequences again, with what is remembered of their first tokens. */
static void resume(struct rig *r, const struct toy *t, const struct trip *trip)
{
    for (uint32_t s = 0; s < N_SEQS; s++) {
        cache_close(r->cache, &r->seqs[s]);
        assert_int_equal(cache_match(r->cache, &r->seqs[s], t->tokens[s],
                                     trip->n_known[s], s),
                         trip->n_known[s]);
        assert_int_equal(cache_open(r->cache, &r->seqs[s]), CACHE_OK);
        assert_int_equal(cache_reserve(r->cache, &r->seqs[s], N_TOKENS),
                         CACHE_OK);
    }
}

/* From the start, and then from the middle with columns that are zero: right
 * or wrong, what is computed is the same. */
static bool asked_less_is_the_same(const struct toy *t, const struct way *way,
                                   float *want)
{
    struct rig r = {0};
    struct trip trip = {0};
    rig_init(&r, t, way);
    bool same = travel_asking_less(&r, t, &trip, want);
    for (uint32_t s = 0; s < N_SEQS; s++)
        cache_remember(r.cache, &r.seqs[s], t->tokens[s], N_TOKENS, s);
    for (uint32_t i = 0; i < 3; i++) {
        struct trip start;
        for (uint32_t s = 0; s < N_SEQS; s++) {
            start.n_known[s] = 1 + below(N_TOKENS);
            start.at[s] = below(at_most(start.n_known[s] + 1, N_TOKENS));
        }
        resume(&r, t, &start);
        trip = start;
        travel_whole(&r, t, &trip, want);
        resume(&r, t, &start);
        trip = start;
        same &= travel_asking_less(&r, t, &trip, want);
    }
    rig_deinit(&r);
    return same;
}

TEST(a_token_has_the_same_bits_however_many_rows_are_asked_for)
{
    UNUSED_STATE;
    for (uint32_t i = 0; kernels_isa(i) != NULL; i++) {
        for (uint32_t seed = 1; seed <= N_MODELS; seed++) {
            const struct way way = {kernels_isa(i), 1 + seed % 3, 0, 0};
            const struct way all = {kernels_isa(i), 1, N_SEQS, N_TOKENS};
            struct toy *t = toy_new(seed);
            float *want = logits_of(t, &all);
            if (!asked_less_is_the_same(t, &way, want)) {
                describe(t, seed, &way);
                fail_msg("other bits than when all rows are asked for");
            }
            mem_free(want);
            toy_free(t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_instruction_set_computes_what_the_reference_does),
        cmocka_unit_test(
            a_token_has_the_same_bits_however_it_is_batched_and_cut),
        cmocka_unit_test(
            a_token_has_the_same_bits_however_many_rows_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
