/* test_weights.c -- every oracle checkpoint binds; what does not fit its
 * config.json is named. */
#define _XOPEN_SOURCE 700
#include "tests/lib/test.h"

#include <math.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/weights/safetensors.h"
#include "model/weights/weights.h"

#define ORACLE "tests/oracle/checkpoints/"
#define HUB ORACLE "hub-bf16"

static void load_hparams(struct hparams *hp, const char *dir)
{
    struct err err = {0};
    if (hparams_load(hp, dir, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- the checkpoints as they are ---------------------------------------- */

static int64_t golden_params(const char *name)
{
    char path[256];
    json_t *golden = NULL;
    snprintf(path, sizeof path, ORACLE "%s/golden.json", name);
    assert_int_equal(json_parse_file(&golden, path, 1 << 20, 100000, NULL), 0);
    int64_t n = json_integer_value(json_object_get(golden, "n_params"));
    json_decref(golden);
    return n;
}

static void open_and_close(const char *name)
{
    char dir[256];
    struct hparams hp;
    struct weights *w = NULL;
    struct err err = {0};
    size_t live = mem_live_count();
    snprintf(dir, sizeof dir, ORACLE "%s", name);
    load_hparams(&hp, dir);
    if (weights_open(&w, dir, &hp, NULL, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(w->n_params, golden_params(name));
    assert_true(w->n_params_active <= w->n_params);
    for (uint32_t i = 0; i < hp.n_layers; i++) {
        const struct layer_weights *l = &w->layers[i];
        bool attention = hp.kinds[i] == LAYER_ATTENTION;
        assert_int_equal(l->wq.data != NULL, attention);
        assert_int_equal(l->conv != NULL, !attention);
        assert_int_equal(l->in_bias != NULL, !attention && hp.conv_bias);
        assert_int_equal(l->ew1 != NULL, i >= hp.n_dense_layers);
        assert_int_equal(l->w1.data != NULL, i < hp.n_dense_layers);
    }
    assert_int_equal(w->head.data == w->embed.data, hp.tied);
    weights_close(w);
    hparams_deinit(&hp);
    assert_int_equal(mem_live_count(), live);
}

TEST(every_oracle_checkpoint_opens_and_closes_without_a_leak)
{
    UNUSED_STATE;
    static const char *const names[] = {
        "hub-bf16",
        "fused-bias-mqa-f32",
        "sharded-nonorm-f16",
        "linear-sharded-fused-bf16",
        "llama3-untied-bf16",
        "yarn-gqa4-f32",
        "yarn-options-attention-only-bf16",
        "conv-only-f16",
        "dense-only-bare-bf16",
        "mixed-dtypes",
        "defaults",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        open_and_close(names[i]);
}

/* 2 of 4 experts, 3 routed layers, 3 matrices of 24 x 48 each. */
TEST(active_parameters_leave_out_the_experts_not_chosen)
{
    UNUSED_STATE;
    struct hparams hp;
    struct weights *w = NULL;
    load_hparams(&hp, HUB);
    assert_int_equal(weights_open(&w, HUB, &hp, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(w->n_params - w->n_params_active, 3 * 2 * 3 * 24 * 48);
    weights_close(w);
    hparams_deinit(&hp);
}

/* ---- config.json that does not fit --------------------------------------- */

static void expect_misfit(const char *dir, struct hparams *hp, const char *says)
{
    struct weights *w = NULL;
    struct err err = {0};
    size_t live = mem_live_count();
    int rc = weights_open(&w, dir, hp, NULL, NULL, NULL, &err);
    if (rc != -ERR_FORMAT || strstr(err.text, says) == NULL)
        fail_msg("%d \"%s\", wanted \"%s\"", rc, err.text, says);
    assert_null(w);
    assert_int_equal(mem_live_count(), live);
    hparams_deinit(hp);
    load_hparams(hp, dir);
}

TEST(shapes_that_differ_are_named_with_both_sides)
{
    UNUSED_STATE;
    struct hparams hp;
    load_hparams(&hp, HUB);
    hp.moe_hidden = 26;
    expect_misfit(HUB, &hp,
                  "layer 2: feed_forward.experts.0.w1.weight is [24, 48], but "
                  "config.json says [26, 48]");
    hp.n_vocab = 321;
    expect_misfit(HUB, &hp,
                  "embed_tokens.weight is [320, 48], but config.json "
                  "says [321, 48]");
    hp.conv_width = 4;
    expect_misfit(HUB, &hp,
                  "layer 0: conv.conv.weight is [48, 1, 3], but "
                  "config.json says [48, 1, 4]");
    hp.n_kv_heads = 1;
    expect_misfit(HUB, &hp, "layer 2: self_attn.k_proj.weight is [24, 48]");
    hp.head_dim = 10;
    expect_misfit(HUB, &hp, "layer 2: self_attn.q_proj.weight is [48, 48]");
    hp.ffn_hidden = 65;
    expect_misfit(HUB, &hp, "layer 0: feed_forward.w1.weight is [64, 48]");
    hp.hidden = 50;
    expect_misfit(HUB, &hp, "embed_tokens.weight is [320, 48]");
    hparams_deinit(&hp);
    load_hparams(&hp, ORACLE "fused-bias-mqa-f32");
    hp.n_experts = 5;
    expect_misfit(ORACLE "fused-bias-mqa-f32", &hp,
                  "layer 0: feed_forward.gate.weight is [4, 40]");
    hp.moe_hidden = 25;
    expect_misfit(ORACLE "fused-bias-mqa-f32", &hp,
                  "feed_forward.experts.gate_up_proj is [4, 48, 40], but "
                  "config.json says [4, 50, 40]");
    hparams_deinit(&hp);
}

static void expect_opens(const char *dir, const struct hparams *hp)
{
    struct weights *w;
    struct err err = {0};
    log_set_level(LOG_ERROR);
    if (weights_open(&w, dir, hp, NULL, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    log_set_level(LOG_INFO);
    weights_close(w);
}

TEST(missing_tensors_are_named_and_unexpected_ones_ignored)
{
    UNUSED_STATE;
    struct hparams hp;
    load_hparams(&hp, HUB);
    hp.conv_bias = true;
    expect_misfit(HUB, &hp,
                  "layer 0: conv.conv.bias is missing: no file has "
                  "model.layers.0.conv.conv.bias");
    hp.tied = false;
    expect_misfit(HUB, &hp, "lm_head.weight is missing");
    hp.kinds[0] = LAYER_ATTENTION;
    expect_misfit(HUB, &hp, "layer 0: self_attn.q_proj.weight is missing");
    hp.n_dense_layers = 3;
    expect_misfit(HUB, &hp, "layer 2: feed_forward.w1.weight is missing");
    hparams_deinit(&hp);
    load_hparams(&hp, HUB);
    hp.use_expert_bias = false;
    expect_opens(HUB, &hp);
    hp.n_layers = 4;
    expect_opens(HUB, &hp);
    hparams_deinit(&hp);
}

TEST(short_memory_is_reported_at_every_step)
{
    UNUSED_STATE;
    struct hparams hp;
    load_hparams(&hp, ORACLE "linear-sharded-fused-bf16");
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct weights *w = NULL;
        fault_alloc_at(nth);
        int rc = weights_open(&w, ORACLE "linear-sharded-fused-bf16", &hp, NULL,
                              NULL, NULL, NULL);
        long hits = fault_hits();
        fault_alloc_at(-1);
        weights_close(w);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
        assert_int_equal(rc, -ERR_NOMEM);
    }
    hparams_deinit(&hp);
}

/* ---- a file that was changed --------------------------------------------- */

struct file {
    unsigned char *bytes; /* owned */
    size_t n, n_header;
};

static char dir[64], file_path[128];

static int make_dir(void **state)
{
    UNUSED_STATE;
    strcpy(dir, "/tmp/lfmd-weights-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(file_path, sizeof file_path, "%s/model.safetensors", dir);
    return 0;
}

static int remove_dir(void **state)
{
    UNUSED_STATE;
    unlink(file_path);
    return rmdir(dir);
}

static struct file read_hub(void)
{
    struct file f = {0};
    FILE *in = fopen(HUB "/model.safetensors", "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    f.n = (size_t)ftell(in);
    rewind(in);
    f.bytes = malloc(f.n);
    assert_non_null(f.bytes);
    assert_int_equal(fread(f.bytes, 1, f.n, in), f.n);
    fclose(in);
    f.n_header = f.bytes[0] | (size_t)f.bytes[1] << 8;
    return f;
}

/* Writes the file with `pad` spaces more in its header and `extra` behind its
 * data, then frees it. */
static void write_changed(struct file f, size_t pad, const void *extra,
                          size_t n_extra)
{
    FILE *out = fopen(file_path, "wb");
    assert_non_null(out);
    size_t len = f.n_header + pad;
    unsigned char head[8] = {(unsigned char)len, (unsigned char)(len >> 8)};
    fwrite(head, 1, 8, out);
    fwrite(f.bytes + 8, 1, f.n_header, out);
    for (size_t i = 0; i < pad; i++)
        fputc(' ', out);
    fwrite(f.bytes + 8 + f.n_header, 1, f.n - 8 - f.n_header, out);
    if (n_extra > 0)
        fwrite(extra, 1, n_extra, out);
    assert_int_equal(fclose(out), 0);
    free(f.bytes);
}

static unsigned char *data_of(struct file f, const char *name, size_t *n)
{
    struct safetensors *st = NULL;
    assert_int_equal(safetensors_parse(&st, f.bytes, f.n, f.n, NULL), 0);
    const struct safetensor *t = safetensors_find(st, name);
    assert_non_null(t);
    unsigned char *p = f.bytes + st->data_offset + t->begin;
    *n = (size_t)(t->end - t->begin);
    safetensors_free(st);
    return p;
}

static void expect_changed(const char *says)
{
    struct hparams hp;
    struct weights *w = NULL;
    struct err err = {0};
    load_hparams(&hp, HUB);
    size_t live = mem_live_count();
    int rc = weights_open(&w, dir, &hp, NULL, NULL, NULL, &err);
    if (rc != -ERR_FORMAT || strstr(err.text, says) == NULL)
        fail_msg("%d \"%s\", wanted \"%s\"", rc, err.text, says);
    assert_int_equal(mem_live_count(), live);
    hparams_deinit(&hp);
}

TEST(a_norm_that_is_not_finite_is_refused)
{
    UNUSED_STATE;
    static const unsigned char nan[] = {0xC0, 0x7F}, inf[] = {0x80, 0xFF};
    size_t n;
    struct file f = read_hub();
    memcpy(data_of(f, "model.layers.3.ffn_norm.weight", &n) + 10, nan, 2);
    write_changed(f, 0, NULL, 0);
    expect_changed("layer 3: ffn_norm.weight holds a value that is not finite, "
                   "at element 5");
    f = read_hub();
    memcpy(data_of(f, "model.layers.0.conv.conv.weight", &n), inf, 2);
    write_changed(f, 0, NULL, 0);
    expect_changed("layer 0: conv.conv.weight holds a value");
}

/* The same width under another name: BF16 -> "I16" with a space behind. */
TEST(weights_of_another_type_are_refused)
{
    UNUSED_STATE;
    struct file f = read_hub();
    char *header = (char *)f.bytes + 8;
    char *entry = strstr(header, "\"model.embed_tokens.weight\"");
    assert_non_null(entry);
    char *type = strstr(entry, "\"BF16\"");
    assert_non_null(type);
    memcpy(type, "\"I16\" ", 6);
    write_changed(f, 0, NULL, 0);
    expect_changed(
        "embed_tokens.weight is I16, but must be F64, F32, F16 or BF16");
}

TEST(a_file_with_a_tail_or_cut_short_is_refused)
{
    UNUSED_STATE;
    struct file f = read_hub();
    write_changed(f, 0, "x", 1);
    expect_changed("bytes of data");
    f = read_hub();
    f.n--;
    write_changed(f, 0, NULL, 0);
    expect_changed("do not lie in the file");
}

static void same_matrix(struct matrix a, struct matrix b)
{
    assert_int_equal((uintptr_t)b.data % dtype_bytes(b.dtype), 0);
    assert_int_equal(a.rows, b.rows);
    assert_memory_equal(a.data, b.data,
                        (size_t)a.rows * a.cols * dtype_bytes(a.dtype));
}

TEST(data_that_is_not_aligned_is_copied)
{
    UNUSED_STATE;
    struct hparams hp;
    struct weights *a = NULL, *b = NULL;
    load_hparams(&hp, HUB);
    size_t live = mem_live_count();
    write_changed(read_hub(), 1, NULL, 0);
    assert_int_equal(weights_open(&a, HUB, &hp, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(weights_open(&b, dir, &hp, NULL, NULL, NULL, NULL), 0);
    same_matrix(a->embed, b->embed);
    same_matrix(a->layers[2].ew2[3], b->layers[2].ew2[3]);
    same_matrix(a->layers[2].wo, b->layers[2].wo);
    assert_memory_equal(a->final_norm, b->final_norm,
                        hp.hidden * sizeof(float));
    assert_memory_equal(a->layers[2].expert_bias, b->layers[2].expert_bias,
                        hp.n_experts * sizeof(float));
    weights_close(a);
    weights_close(b);
    assert_int_equal(mem_live_count(), live);
    hparams_deinit(&hp);
}

/* Appends a lm_head to the file: its entry to the header, `rows` to the data.
 */
static void write_with_head(const unsigned char *rows, size_t n)
{
    struct file f = read_hub();
    struct file g = {.n = f.n + 120};
    char entry[121];
    size_t n_data = f.n - 8 - f.n_header, brace = 8 + f.n_header;
    while (f.bytes[brace - 1] != '}')
        brace--;
    int len = snprintf(entry, sizeof entry,
                       ",\"lm_head.weight\":{\"dtype\":\"BF16\",\"shape\":"
                       "[320,48],\"data_offsets\":[%zu,%zu]}}",
                       n_data, n_data + n);
    g.n_header = brace - 1 - 8 + (size_t)len;
    g.n = 8 + g.n_header + n_data;
    g.bytes = malloc(g.n);
    assert_non_null(g.bytes);
    memcpy(g.bytes, f.bytes, brace - 1);
    memcpy(g.bytes + brace - 1, entry, (size_t)len);
    memcpy(g.bytes + 8 + g.n_header, f.bytes + 8 + f.n_header, n_data);
    free(f.bytes);
    write_changed(g, g.n_header % 2, rows, n);
}

TEST(a_head_beside_a_tied_embedding_counts_only_if_it_differs)
{
    UNUSED_STATE;
    struct hparams hp;
    struct weights *w = NULL;
    struct err err = {0};
    size_t n;
    struct file f = read_hub();
    unsigned char *rows = data_of(f, "model.embed_tokens.weight", &n);
    load_hparams(&hp, HUB);
    write_with_head(rows, n);
    if (weights_open(&w, dir, &hp, NULL, NULL, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_ptr_equal(w->head.data, w->embed.data);
    uint64_t n_params = w->n_params;
    weights_close(w);
    rows[n - 1] ^= 0x80;
    write_with_head(rows, n);
    assert_int_equal(weights_open(&w, dir, &hp, NULL, NULL, NULL, NULL), 0);
    assert_ptr_not_equal(w->head.data, w->embed.data);
    assert_int_equal(w->n_params, n_params + 320 * 48);
    weights_close(w);
    hparams_deinit(&hp);
    free(f.bytes);
}

/* Every half against the value worked out from its fields. */
TEST(vectors_become_float32)
{
    UNUSED_STATE;
    struct hparams hp;
    struct weights *w = NULL;
    struct file f = read_hub();
    size_t n;
    unsigned char *p = data_of(f, "model.embedding_norm.weight", &n);
    load_hparams(&hp, HUB);
    assert_int_equal(weights_open(&w, HUB, &hp, NULL, NULL, NULL, NULL), 0);
    for (uint32_t i = 0; i < hp.hidden; i++) {
        uint32_t bits = (uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16;
        float want;
        memcpy(&want, &bits, 4);
        assert_true(w->final_norm[i] == want);
    }
    weights_close(w);
    hparams_deinit(&hp);
    free(f.bytes);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_oracle_checkpoint_opens_and_closes_without_a_leak),
        cmocka_unit_test(active_parameters_leave_out_the_experts_not_chosen),
        cmocka_unit_test(shapes_that_differ_are_named_with_both_sides),
        cmocka_unit_test(missing_tensors_are_named_and_unexpected_ones_ignored),
        cmocka_unit_test(short_memory_is_reported_at_every_step),
        IN_DIR(a_norm_that_is_not_finite_is_refused),
        IN_DIR(weights_of_another_type_are_refused),
        IN_DIR(a_file_with_a_tail_or_cut_short_is_refused),
        IN_DIR(data_that_is_not_aligned_is_copied),
        IN_DIR(a_head_beside_a_tied_embedding_counts_only_if_it_differs),
        cmocka_unit_test(vectors_become_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
