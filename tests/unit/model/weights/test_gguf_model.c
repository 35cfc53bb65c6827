/* A GGUF file as a model: its numbers, its sampling, its tensors in panels. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/kernels/panel.h"
#include "model/weights/generation.h"
#include "model/weights/hparams_gguf.h"
#include "model/weights/weights.h"

#define MIXED "tests/oracle/gguf/mixed.gguf"
#define ALIASES "tests/oracle/gguf/aliases.gguf"
#define HUB "tests/oracle/checkpoints/hub-bf16"

/* ---- files that differ a little ---------------------------------------- */

struct bytes {
    char *p; /* owned */
    size_t n;
};

static struct bytes read_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    struct bytes b = {mem_alloc(2u << 20), 0};
    b.n = fread(b.p, 1, 2u << 20, in);
    fclose(in);
    return b;
}

static struct bytes read_mixed(void)
{
    return read_file(MIXED);
}

/* The place of `key` in the file, for overwriting. */
static char *place(struct bytes b, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n <= b.n; i++)
        if (memcmp(b.p + i, key, n) == 0)
            return b.p + i;
    fail_msg("no %s", key);
    return NULL;
}

/* The bytes of the value of a scalar. */
static char *value(struct bytes b, const char *key)
{
    return place(b, key) + strlen(key) + 4;
}

static void refused(struct bytes b, const char *why)
{
    struct gguf *g;
    struct hparams hp;
    struct err err = {0};
    if (gguf_parse(&g, b.p, b.n, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(hparams_from_gguf(&hp, g, &err) < 0);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    gguf_close(g);
    mem_free(b.p);
}

static void put_u32(char *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

/* ---- numbers ----------------------------------------------------------- */

static void load_numbers(struct hparams *hp, struct gguf **g)
{
    struct err err = {0};
    if (gguf_open(g, MIXED, &err) != 0 || hparams_from_gguf(hp, *g, &err) != 0)
        fail_msg("%s", err.text);
}

TEST(the_keys_are_the_models_numbers)
{
    UNUSED_STATE;
    struct gguf *g;
    struct hparams hp;
    load_numbers(&hp, &g);
    assert_int_equal(hp.n_vocab, 320);
    assert_int_equal(hp.hidden, 256);
    assert_int_equal(hp.n_layers, 3);
    assert_int_equal(hp.n_heads, 4);
    assert_int_equal(hp.n_kv_heads, 2);
    assert_int_equal(hp.head_dim, 64);
    assert_int_equal(hp.ffn_hidden, 256);
    assert_int_equal(hp.moe_hidden, 32);
    assert_int_equal(hp.n_dense_layers, 1);
    assert_int_equal(hp.n_experts, 4);
    assert_int_equal(hp.n_experts_used, 2);
    assert_int_equal(hp.conv_width, 3);
    assert_int_equal(hp.max_positions, 512);
    assert_true(hp.tied && hp.norm_topk_prob && hp.use_expert_bias);
    assert_false(hp.conv_bias);
    assert_true(hp.rope_theta > 9999 && hp.rope_theta < 10001);
    assert_true(hp.norm_eps > 0.9e-5f && hp.norm_eps < 1.1e-5f);
    assert_true(hp.routed_scaling > 0.99f && hp.routed_scaling < 1.01f);
    assert_int_equal(hp.kinds[0], LAYER_CONV);
    assert_int_equal(hp.kinds[1], LAYER_ATTENTION);
    assert_int_equal(hp.bos, 1);
    assert_int_equal(hp.n_eos, 1);
    assert_int_equal(hp.eos[0], 7);
    hparams_deinit(&hp);
    gguf_close(g);
}

TEST(other_models_and_wrong_numbers_are_refused)
{
    UNUSED_STATE;
    struct bytes b = read_mixed();
    memcpy(place(b, "lfm2moe"), "llama16", 7);
    refused(b, "this is `llama16`; lfmd serves only `lfm2moe`");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.expert_gating_func"), 1);
    refused(b, "only 2, the sigmoid");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.embedding_length"), 0);
    refused(b, "lfm2moe.embedding_length: hidden_size");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.block_count"), 5000);
    refused(b, "block_count is 5000");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.block_count"), 4);
    refused(b, "head_count_kv has 3 elements");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.attention.head_count_kv") + 12 + 4, 3);
    refused(b, "head_count_kv: num_attention_heads is 4");
    b = read_mixed();
    memcpy(place(b, "lfm2moe.context_length"), "lfm2moe.context_lengtH", 22);
    refused(b, "there is no key lfm2moe.context_length");
    b = read_mixed();
    put_u32(value(b, "lfm2moe.expert_used_count"), 9);
    refused(b, "more than num_experts");
}

TEST(the_tensor_is_right_about_the_dense_width)
{
    UNUSED_STATE;
    struct bytes b = read_mixed();
    struct gguf *g;
    struct hparams hp;
    put_u32(value(b, "lfm2moe.feed_forward_length"), 12288);
    assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
    assert_int_equal(hparams_from_gguf(&hp, g, NULL), 0);
    assert_int_equal(hp.ffn_hidden, 256);
    hparams_deinit(&hp);
    gguf_close(g);
    mem_free(b.p);
}

TEST(the_recommended_sampling_is_read)
{
    UNUSED_STATE;
    struct gguf *g;
    struct generation_defaults d;
    assert_int_equal(gguf_open(&g, MIXED, NULL), 0);
    assert_int_equal(generation_from_gguf(&d, g, NULL), 0);
    assert_true(d.found && !d.greedy);
    assert_true(d.has_temperature && d.temperature > 0.249f &&
                d.temperature < 0.251f);
    assert_true(d.has_top_k && d.top_k == 50);
    assert_false(d.has_top_p);
    assert_true(d.has_min_p && d.has_repetition_penalty);
    gguf_close(g);
    assert_int_equal(gguf_open(&g, "tests/oracle/gguf/blocks.gguf", NULL), 0);
    assert_int_equal(generation_from_gguf(&d, g, NULL), 0);
    assert_false(d.found);
    gguf_close(g);
}

TEST(sampling_out_of_range_goes_by_the_name_of_its_key)
{
    UNUSED_STATE;
    struct bytes b = read_mixed();
    struct gguf *g;
    struct generation_defaults d;
    struct err err = {0};
    const float hot = 1e6f;
    memcpy(value(b, "general.sampling.temp"), &hot, sizeof hot);
    assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
    assert_int_equal(generation_from_gguf(&d, g, &err), -ERR_FORMAT);
    assert_non_null(strstr(err.text, "general.sampling.temp: temperature is "
                                     "1e+06"));
    gguf_close(g);
    mem_free(b.p);
}

/* ---- tensors ----------------------------------------------------------- */

/* All rows of a bound matrix are those of the tensor, from row `first` on. */
static void same_rows(struct matrix m, const struct gguf_tensor *t,
                      uint64_t first)
{
    assert_non_null(t);
    assert_int_equal(m.dtype, t->dtype);
    assert_int_equal(m.cols, t->dims[0]);
    size_t row =
        m.cols / dtype_block_values(t->dtype) * dtype_block_bytes(t->dtype);
    float is[512], wanted[512];
    for (uint32_t r = 0; r < m.rows; r++) {
        blocks_decode(t->dtype, wanted,
                      (const char *)t->data + (first + r) * row, m.cols);
        if (dtype_is_quantised(m.dtype))
            panel_row(is, m, r);
        else
            blocks_decode(m.dtype, is, matrix_row(m, r), m.cols);
        for (uint32_t c = 0; c < m.cols; c++)
            assert_true(is[c] >= wanted[c] && is[c] <= wanted[c]);
    }
}

static void rising(void *user, size_t done, size_t total)
{
    size_t *last = user;
    assert_true(done > *last && done <= total);
    *last = done;
}

static void check_bound(const struct weights *w, const struct gguf *g)
{
    const struct layer_weights *l = w->layers;
    same_rows(w->embed, gguf_find(g, "token_embd.weight"), 0);
    assert_ptr_equal(w->head.data, w->embed.data);
    same_rows(l[0].in_proj, gguf_find(g, "blk.0.shortconv.in_proj.weight"), 0);
    same_rows(l[0].w2, gguf_find(g, "blk.0.ffn_down.weight"), 0);
    same_rows(l[1].wv, gguf_find(g, "blk.1.attn_v.weight"), 0);
    for (uint32_t e = 0; e < 4; e++) {
        same_rows(l[1].ew1[e], gguf_find(g, "blk.1.ffn_gate_exps.weight"),
                  e * 32);
        same_rows(l[1].ew3[e], gguf_find(g, "blk.1.ffn_up_exps.weight"),
                  e * 32);
        same_rows(l[1].ew2[e], gguf_find(g, "blk.1.ffn_down_exps.weight"),
                  e * 256);
        same_rows(l[2].ew1[e], gguf_find(g, "blk.2.ffn_gate_exps.weight"),
                  e * 32);
        assert_int_equal((uintptr_t)l[1].ew1[e].data % 64, 0);
    }
    const float *conv = gguf_find(g, "blk.0.shortconv.conv.weight")->data;
    assert_memory_equal(l[0].conv, conv, 3 * 256 * sizeof *conv);
    assert_int_equal(l[1].router.dtype, DTYPE_F32);
}

TEST(every_tensor_is_where_the_pass_looks_for_it)
{
    UNUSED_STATE;
    for (uint32_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct gguf *g;
        struct hparams hp;
        struct weights *w;
        struct err err = {0};
        struct weights_need need;
        const struct weights_options options = {.n_threads = n_threads};
        size_t last = 0;
        load_numbers(&hp, &g);
        assert_int_equal(weights_bytes_needed_gguf(&need, g, &hp, NULL, &err),
                         0);
        /* Panels take what blocks do, but for padding. */
        assert_true(need.packed_bytes > 600000 && need.packed_bytes < 850000);
        assert_true(need.mapped_bytes > 2 * 4 * 32 * 256 * 2);
        if (weights_open_gguf(&w, g, &hp, &options, rising, &last, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(w->n_files, 1);
        assert_true(last > 0 && w->bytes > 800000);
        check_bound(w, g);
        weights_close(w);
        hparams_deinit(&hp);
    }
}

TEST(what_other_writers_call_it_is_found)
{
    UNUSED_STATE;
    struct gguf *g;
    struct hparams hp;
    struct weights *w;
    struct err err = {0};
    if (gguf_open(&g, ALIASES, &err) != 0 ||
        hparams_from_gguf(&hp, g, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(hp.n_vocab, 20);
    assert_int_equal(hp.n_dense_layers, 1);
    assert_int_equal(hp.n_kv_heads, 1);
    assert_int_equal(hp.moe_hidden, 32);
    assert_int_equal(hp.kinds[0], LAYER_CONV);
    assert_int_equal(hp.kinds[1], LAYER_ATTENTION);
    assert_int_equal(hp.n_eos, 2);
    assert_int_equal(hp.eos[1], 2);
    assert_false(hp.tied || hp.use_expert_bias);
    assert_true(hp.inv_freq[0] > 0.249f && hp.inv_freq[0] < 0.251f);
    if (weights_open_gguf(&w, g, &hp, NULL, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    const struct gguf_tensor *qkv = gguf_find(g, "blk.1.attn_qkv.weight");
    same_rows(w->layers[1].wq, qkv, 0);
    same_rows(w->layers[1].wk, qkv, 32);
    same_rows(w->layers[1].wv, qkv, 48);
    same_rows(w->head, gguf_find(g, "output.weight"), 0);
    assert_memory_equal(w->final_norm, gguf_find(g, "output_norm.weight")->data,
                        32 * 4);
    float router[64];
    blocks_decode(DTYPE_Q8_0, router,
                  gguf_find(g, "blk.1.ffn_gate_inp.weight")->data, 64);
    assert_int_equal(w->layers[1].router.dtype, DTYPE_F32);
    assert_memory_equal(w->layers[1].router.data, router, sizeof router);
    weights_close(w);
    hparams_deinit(&hp);
}

TEST(a_tensor_that_is_not_there_is_named)
{
    UNUSED_STATE;
    struct bytes b = read_mixed();
    struct gguf *g;
    struct hparams hp;
    struct weights *w;
    struct err err = {0};
    memcpy(place(b, "token_embd_norm.weight"), "token_embd_norm.weighT", 22);
    assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
    assert_int_equal(hparams_from_gguf(&hp, g, NULL), 0);
    assert_true(weights_open_gguf(&w, g, &hp, NULL, NULL, NULL, &err) < 0);
    assert_null(w);
    assert_non_null(strstr(err.text, "token_embd_norm.weight is missing"));
    hparams_deinit(&hp);
    mem_free(b.p);
}

TEST(a_shape_that_the_numbers_do_not_give_is_refused)
{
    UNUSED_STATE;
    struct bytes b = read_mixed();
    struct gguf *g;
    struct hparams hp;
    struct weights *w;
    struct err err = {0};
    put_u32(value(b, "lfm2moe.expert_count"), 5);
    assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
    assert_int_equal(hparams_from_gguf(&hp, g, NULL), 0);
    assert_true(weights_open_gguf(&w, g, &hp, NULL, NULL, NULL, &err) < 0);
    assert_non_null(strstr(
        err.text, "layer 1: ffn_gate_inp.weight is [4, 256], but the file's "
                  "metadata says [5, 256]"));
    hparams_deinit(&hp);
    mem_free(b.p);
}

TEST(short_memory_is_an_error_and_no_leak)
{
    UNUSED_STATE;
    size_t before = mem_live_count();
    for (long nth = 0;; nth++) {
        struct gguf *g;
        struct hparams hp;
        struct weights *w = NULL;
        load_numbers(&hp, &g);
        fault_alloc_at(nth);
        int rc = weights_open_gguf(&w, g, &hp, NULL, NULL, NULL, NULL);
        long hits = fault_hits();
        fault_alloc_at(-1);
        weights_close(w);
        hparams_deinit(&hp);
        assert_int_equal(mem_live_count(), before);
        if (hits == 0) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ERR_NOMEM);
    }
}

/* ---- quantising at load ------------------------------------------------ */

#define DEMO "model/demo"

static void quantised(enum dtype t)
{
    struct hparams hp;
    struct weights *plain = NULL, *w = NULL;
    struct weights_need need;
    struct err err = {0};
    const struct weights_options options = {true, t, 2};
    if (hparams_load(&hp, DEMO, &err) != 0 ||
        weights_open(&plain, DEMO, &hp, NULL, NULL, NULL, &err) != 0 ||
        weights_bytes_needed(&need, DEMO, &hp, &options, &err) != 0 ||
        weights_open(&w, DEMO, &hp, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    struct matrix m = w->layers[0].out_proj, p = plain->layers[0].out_proj;
    bool fits = hp.hidden % 32 == 0;
    assert_int_equal(m.dtype, fits ? t : p.dtype);
    assert_int_equal(w->embed.dtype, fits ? DTYPE_Q8_0 : p.dtype);
    assert_ptr_equal(w->head.data, w->embed.data);
    assert_int_equal(need.packed_bytes > 0, fits);
    float wide[4096], is[4096], wanted[4096];
    uint8_t blocks[4096];
    for (uint32_t r = 0; fits && r < m.rows; r++) {
        blocks_decode(p.dtype, wide, matrix_row(p, r), p.cols);
        blocks_encode(t, blocks, wide, p.cols);
        blocks_decode(t, wanted, blocks, p.cols);
        panel_row(is, m, r);
        for (uint32_t c = 0; c < m.cols; c++)
            assert_true(is[c] >= wanted[c] && is[c] <= wanted[c]);
    }
    for (uint32_t i = 0; i < hp.n_layers; i++)
        assert_false(w->layers[i].router.data != NULL &&
                     dtype_is_quantised(w->layers[i].router.dtype));
    weights_close(w);
    weights_close(plain);
    hparams_deinit(&hp);
}

TEST(floats_are_quantised_when_asked)
{
    UNUSED_STATE;
    quantised(DTYPE_Q4_0);
    quantised(DTYPE_Q8_0);
}

TEST(what_is_not_finite_cannot_be_quantised)
{
    UNUSED_STATE;
    struct bytes b = read_file(ALIASES);
    struct gguf *g;
    struct hparams hp;
    struct weights *w;
    struct err err = {0};
    const struct weights_options options = {true, DTYPE_Q4_0, 2};
    const uint32_t infinite = 0x7F800000;
    assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
    assert_int_equal(hparams_from_gguf(&hp, g, NULL), 0);
    const struct gguf_tensor *t =
        gguf_find(g, "blk.0.shortconv.out_proj.weight");
    memcpy(b.p + ((const char *)t->data - b.p) + 400, &infinite, 4);
    assert_int_equal(weights_open_gguf(&w, g, &hp, &options, NULL, NULL, &err),
                     -ERR_FORMAT);
    assert_non_null(strstr(err.text, "blk.0.shortconv.out_proj.weight holds a "
                                     "value that is not finite"));
    hparams_deinit(&hp);
    mem_free(b.p);
}

TEST(what_no_scale_reaches_cannot_be_quantised)
{
    UNUSED_STATE;
    const struct {
        enum dtype to;
        float value;
        bool fits;
    } cases[] = {
        {DTYPE_Q4_0, 524032.0f, true},
        {DTYPE_Q4_0, -530000.0f, false},
        {DTYPE_Q8_0, -8319008.0f, true},
        {DTYPE_Q8_0, 8400000.0f, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes b = read_file(ALIASES);
        struct gguf *g;
        struct hparams hp;
        struct weights *w = NULL;
        struct err err = {0};
        const struct weights_options options = {true, cases[i].to, 2};
        assert_int_equal(gguf_parse(&g, b.p, b.n, NULL), 0);
        assert_int_equal(hparams_from_gguf(&hp, g, NULL), 0);
        const struct gguf_tensor *t =
            gguf_find(g, "blk.0.shortconv.out_proj.weight");
        memcpy(b.p + ((const char *)t->data - b.p) + 400, &cases[i].value, 4);
        int rc = weights_open_gguf(&w, g, &hp, &options, NULL, NULL, &err);
        assert_int_equal(rc, cases[i].fits ? 0 : -ERR_FORMAT);
        if (!cases[i].fits)
            assert_non_null(strstr(err.text, "too large for a scale"));
        float row[32];
        for (uint32_t r = 0; w != NULL && r < 32; r++) {
            panel_row(row, w->layers[0].out_proj, r);
            for (uint32_t c = 0; c < 32; c++)
                assert_true(row[c] - row[c] == 0); /* finite */
        }
        weights_close(w);
        hparams_deinit(&hp);
        mem_free(b.p);
    }
}

TEST(rows_that_are_no_whole_blocks_stay)
{
    UNUSED_STATE; /* HUB has rows of 48 and 24 */
    struct hparams hp;
    struct weights *w = NULL;
    struct err err = {0};
    const struct weights_options options = {true, DTYPE_Q8_0, 2};
    if (hparams_load(&hp, HUB, &err) != 0 ||
        weights_open(&w, HUB, &hp, &options, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(w->embed.dtype, DTYPE_BF16);
    assert_int_equal(w->layers[0].w2.dtype, DTYPE_Q8_0); /* [48, 64] */
    assert_int_equal(w->layers[0].w1.dtype, DTYPE_BF16);
    weights_close(w);
    hparams_deinit(&hp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keys_are_the_models_numbers),
        cmocka_unit_test(other_models_and_wrong_numbers_are_refused),
        cmocka_unit_test(the_tensor_is_right_about_the_dense_width),
        cmocka_unit_test(the_recommended_sampling_is_read),
        cmocka_unit_test(sampling_out_of_range_goes_by_the_name_of_its_key),
        cmocka_unit_test(every_tensor_is_where_the_pass_looks_for_it),
        cmocka_unit_test(what_other_writers_call_it_is_found),
        cmocka_unit_test(a_tensor_that_is_not_there_is_named),
        cmocka_unit_test(a_shape_that_the_numbers_do_not_give_is_refused),
        cmocka_unit_test(short_memory_is_an_error_and_no_leak),
        cmocka_unit_test(floats_are_quantised_when_asked),
        cmocka_unit_test(what_is_not_finite_cannot_be_quantised),
        cmocka_unit_test(what_no_scale_reaches_cannot_be_quantised),
        cmocka_unit_test(rows_that_are_no_whole_blocks_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
