/* hparams_gguf.c -- see hparams_gguf.h. */
#include "model/weights/hparams_gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/base/log.h"
#include "model/base/utf8.h"

#define ARCH "lfm2moe."
#define MAX_LAYERS 1024u /* as hparams.c */

struct reader {
    const struct gguf *g;
    json_t *config; /* owned by the caller */
    uint32_t n_layers;
    bool failed; /* memory was short: a field is not there */
    struct err *err;
};

/* Integers that are the same in both, under another name. */
static const struct {
    const char *key, *field;
    bool required;
} ints[] = {
    {ARCH "block_count", "num_hidden_layers", true},
    {ARCH "embedding_length", "hidden_size", true},
    {ARCH "context_length", "max_position_embeddings", true},
    {ARCH "attention.head_count", "num_attention_heads", true},
    {ARCH "attention.key_length", "head_dim", false},
    {ARCH "expert_count", "num_experts", true},
    {ARCH "expert_used_count", "num_experts_per_tok", true},
    {ARCH "shortconv.l_cache", "conv_L_cache", true},
    {ARCH "leading_dense_block_count", "num_dense_layers", false},
    {ARCH "feed_forward_length", "intermediate_size", false},
    {ARCH "vocab_size", "vocab_size", false},
};

/* Fields that come from a key in another way, for messages. */
static const struct {
    const char *key, *field;
} others[] = {
    {ARCH "attention.head_count_kv", "num_key_value_heads"},
    {ARCH "expert_feed_forward_length", "moe_intermediate_size"},
    {ARCH "attention.layer_norm_rms_epsilon", "norm_eps"},
    {ARCH "expert_weights_scale", "routed_scaling_factor"},
};

static void set(struct reader *r, json_t *object, const char *field,
                json_t *value)
{
    r->failed |= json_object_set_new(object, field, value) != 0;
}

static void append(struct reader *r, json_t *list, json_t *value)
{
    r->failed |= json_array_append_new(list, value) != 0;
}

static void put(struct reader *r, const char *field, json_t *value)
{
    set(r, r->config, field, value);
}

static void put_int(struct reader *r, const char *field, uint64_t value)
{
    put(r, field, json_integer((json_int_t)value));
}

static int missing(struct reader *r, const char *key)
{
    return err_set(r->err, ERR_FORMAT, "there is no key %s", key);
}

static const struct gguf_tensor *layer_tensor(const struct gguf *g, uint32_t i,
                                              const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "blk.%" PRIu32 ".%s", i, name);
    return gguf_find(g, full);
}

/* ---- what it is -------------------------------------------------------- */

static int check_architecture(struct reader *r)
{
    struct gguf_text name;
    int found = gguf_text(r->g, "general.architecture", &name, r->err);
    if (found < 0)
        return found;
    if (found == 0)
        return missing(r, "general.architecture");
    if (name.n == 7 && memcmp(name.bytes, "lfm2moe", 7) == 0)
        return 0;
    if (name.n == 4 && memcmp(name.bytes, "lfm2", 4) == 0)
        return err_set(r->err, ERR_UNSUPPORTED,
                       "this is `lfm2`, the dense family; lfmd serves only "
                       "`lfm2moe`, the mixtures of experts");
    return err_set(r->err, ERR_UNSUPPORTED,
                   "this is `%.*s`; lfmd serves only `lfm2moe`",
                   name.n < 64 ? (int)name.n : 64, name.bytes);
}

static int check_gates(struct reader *r)
{
    uint32_t gating = 2;
    int found = gguf_u32(r->g, ARCH "expert_gating_func", &gating, r->err);
    if (found >= 0 && gating != 2)
        return err_set(r->err, ERR_UNSUPPORTED,
                       ARCH "expert_gating_func is %" PRIu32
                            ", but only 2, the sigmoid, is computed",
                       gating);
    return found < 0 ? found : 0;
}

/* ---- numbers ----------------------------------------------------------- */

static int read_ints(struct reader *r)
{
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        uint32_t value;
        int found = gguf_u32(r->g, ints[i].key, &value, r->err);
        if (found < 0)
            return found;
        if (found == 0 && ints[i].required)
            return missing(r, ints[i].key);
        if (found == 1)
            put_int(r, ints[i].field, value);
        if (found == 1 && strcmp(ints[i].field, "num_hidden_layers") == 0)
            r->n_layers = value;
    }
    if (r->n_layers > MAX_LAYERS)
        return err_set(r->err, ERR_LIMIT,
                       ARCH "block_count is %" PRIu32 ", but must be at most "
                            "%u",
                       r->n_layers, MAX_LAYERS);
    return 0;
}

static int read_floats(struct reader *r)
{
    double value;
    int found =
        gguf_f64(r->g, ARCH "attention.layer_norm_rms_epsilon", &value, r->err);
    if (found == 0)
        return missing(r, ARCH "attention.layer_norm_rms_epsilon");
    if (found == 1)
        put(r, "norm_eps", json_real(value));
    if (found >= 0)
        found = gguf_f64(r->g, ARCH "expert_weights_scale", &value, r->err);
    /* As in llama.cpp, 0 is "not given". */
    if (found == 1 && (value > 0 || value < 0))
        put(r, "routed_scaling_factor", json_real(value));
    bool norm = true;
    if (found >= 0)
        found = gguf_bool(r->g, ARCH "expert_weights_norm", &norm, r->err);
    put(r, "norm_topk_prob", json_boolean(norm));
    return found < 0 ? found : 0;
}

/* One value for each layer, of which those that are not zero are equal. */
static int common_value(struct reader *r, const char *key,
                        uint32_t list[MAX_LAYERS], uint32_t *value)
{
    int found = gguf_u32s(r->g, key, list, r->n_layers, r->err);
    *value = 0;
    if (found == 0)
        return missing(r, key);
    for (uint32_t i = 0; i < r->n_layers && found > 0; i++) {
        if (*value != 0 && list[i] != 0 && list[i] != *value)
            return err_set(r->err, ERR_UNSUPPORTED,
                           "key %s is %" PRIu32 " and %" PRIu32 ", but must "
                           "be the same for all layers that have it",
                           key, *value, list[i]);
        if (list[i] != 0)
            *value = list[i];
    }
    return found < 0 ? found : 0;
}

/* Layers without key-value heads are convolutions.  A scalar says nothing
 * about that: then the tensors do. */
static int read_kinds(struct reader *r)
{
    static const char key[] = ARCH "attention.head_count_kv";
    uint32_t list[MAX_LAYERS], heads = 0, plain = 0;
    int rc = common_value(r, key, list, &heads);
    if (rc != 0)
        return rc;
    bool scalar = gguf_u32(r->g, key, &plain, NULL) == 1;
    json_t *types = json_array();
    for (uint32_t i = 0; i < r->n_layers; i++) {
        bool attention =
            scalar ? layer_tensor(r->g, i, "attn_q.weight") != NULL ||
                         layer_tensor(r->g, i, "attn_qkv.weight") != NULL
                   : list[i] != 0;
        append(r, types, json_string(attention ? "full_attention" : "conv"));
    }
    put(r, "layer_types", types);
    put_int(r, "num_key_value_heads", heads != 0 ? heads : 1);
    return 0;
}

static int read_widths(struct reader *r)
{
    static const char dense[] = ARCH "leading_dense_block_count";
    uint32_t list[MAX_LAYERS], n_dense = 0, width = 0;
    int rc = common_value(r, ARCH "expert_feed_forward_length", list, &width);
    if (rc != 0)
        return rc;
    put_int(r, "moe_intermediate_size", width);
    int found = gguf_u32(r->g, dense, &n_dense, r->err);
    if (found < 0)
        return found;
    if (found == 0)
        while (n_dense < r->n_layers &&
               layer_tensor(r->g, n_dense, "ffn_gate.weight") != NULL)
            n_dense++;
    put_int(r, "num_dense_layers", n_dense);
    /* Files are about whose key is wrong. */
    const struct gguf_tensor *gate = layer_tensor(r->g, 0, "ffn_gate.weight");
    json_int_t says =
        json_integer_value(json_object_get(r->config, "intermediate_size"));
    if (n_dense == 0 || gate == NULL)
        return 0;
    if (gate->dims[1] != (uint64_t)says)
        log_at(LOG_WARN, "model",
               ARCH "feed_forward_length is %lld, but %s has %" PRIu64
                    " rows, which counts",
               (long long)says, gate->name, gate->dims[1]);
    put_int(r, "intermediate_size", gate->dims[1] & INT64_MAX);
    return 0;
}

/* The embedding counts where the key is not there; what is left out of
 * metadata is as it must be. */
static int read_head(struct reader *r)
{
    uint32_t key_length, length;
    const struct gguf_tensor *embed = gguf_find(r->g, "token_embd.weight");
    if (json_object_get(r->config, "vocab_size") == NULL && embed != NULL)
        put_int(r, "vocab_size", embed->dims[1] & INT64_MAX);
    put(r, "tie_word_embeddings",
        json_boolean(gguf_find(r->g, "output.weight") == NULL));
    json_t *given = json_object_get(r->config, "head_dim");
    uint32_t heads = (uint32_t)json_integer_value(
        json_object_get(r->config, "num_attention_heads"));
    uint32_t hidden =
        (uint32_t)json_integer_value(json_object_get(r->config, "hidden_size"));
    key_length = given != NULL ? (uint32_t)json_integer_value(given)
                 : heads != 0  ? hidden / heads
                               : 0;
    static const char *const same[] = {ARCH "attention.value_length",
                                       ARCH "rope.dimension_count"};
    for (size_t i = 0; i < 2; i++) {
        int found = gguf_u32(r->g, same[i], &length, r->err);
        if (found < 0)
            return found;
        if (found == 1 && length != key_length)
            return err_set(r->err, ERR_UNSUPPORTED,
                           "%s is %" PRIu32 ", but must be %" PRIu32 ", the "
                           "size of a head",
                           same[i], length, key_length);
    }
    return 0;
}

/* ---- rope -------------------------------------------------------------- */

static const struct {
    const char *key, *field;
} rope_floats[] = {
    {ARCH "rope.scaling.factor", "factor"},
    {ARCH "rope.scaling.attn_factor", "attention_factor"},
    {ARCH "rope.scaling.yarn_beta_fast", "beta_fast"},
    {ARCH "rope.scaling.yarn_beta_slow", "beta_slow"},
};

static int read_scaling(struct reader *r, json_t *rope)
{
    struct gguf_text type = {"none", 4};
    uint32_t length;
    double value;
    int found = gguf_text(r->g, ARCH "rope.scaling.type", &type, r->err);
    if (found <= 0 || (type.n == 4 && memcmp(type.bytes, "none", 4) == 0))
        return found < 0 ? found : 0;
    if (!utf8_valid(type.bytes, type.n))
        return err_set(r->err, ERR_FORMAT,
                       "key " ARCH "rope.scaling.type is not UTF-8");
    set(r, rope, "rope_type", json_stringn(type.bytes, type.n));
    found = gguf_u32(r->g, ARCH "rope.scaling.original_context_length", &length,
                     r->err);
    if (found == 1)
        set(r, rope, "original_max_position_embeddings", json_integer(length));
    for (size_t i = 0; i < sizeof rope_floats / sizeof *rope_floats; i++) {
        if (found >= 0)
            found = gguf_f64(r->g, rope_floats[i].key, &value, r->err);
        if (found == 1)
            set(r, rope, rope_floats[i].field, json_real(value));
    }
    return found < 0 ? found : 0;
}

static int read_rope(struct reader *r)
{
    double theta;
    int found = gguf_f64(r->g, ARCH "rope.freq_base", &theta, r->err);
    if (found <= 0)
        return found < 0 ? found : missing(r, ARCH "rope.freq_base");
    json_t *rope = json_object();
    set(r, rope, "rope_theta", json_real(theta));
    set(r, rope, "rope_type", json_string("default"));
    int rc = read_scaling(r, rope);
    put(r, "rope_parameters", rope);
    return rc;
}

/* ---- tokens ------------------------------------------------------------ */

static int read_token(struct reader *r, const char *key, const char *field)
{
    uint32_t id;
    int found = gguf_u32(r->g, key, &id, r->err);
    /* -1 as a u32 is how converters write "none". */
    bool none = found != 1 || id > INT32_MAX;
    put(r, field, none ? json_null() : json_integer(id));
    return found < 0 ? found : 0;
}

static int read_tokens(struct reader *r)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id"};
    int rc = read_token(r, "tokenizer.ggml.bos_token_id", "bos_token_id");
    if (rc == 0)
        rc = read_token(r, "tokenizer.ggml.padding_token_id", "pad_token_id");
    if (rc != 0)
        return rc;
    json_t *list = json_array();
    uint32_t last = UINT32_MAX;
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        uint32_t id = UINT32_MAX;
        int found = gguf_u32(r->g, ends[i], &id, r->err);
        if (found == 1 && id <= INT32_MAX && id != last)
            append(r, list, json_integer(id));
        last = id;
        rc = found < 0 ? found : 0;
    }
    put(r, "eos_token_id", list); /* last: a failure frees it */
    return rc;
}

/* ---- the whole --------------------------------------------------------- */

static int translate(struct reader *r)
{
    static int (*const steps[])(struct reader *) = {
        check_architecture, check_gates, read_ints, read_floats, read_kinds,
        read_widths,        read_head,   read_rope, read_tokens,
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && rc == 0; i++)
        rc = steps[i](r);
    put(r, "model_type", json_string("lfm2_moe"));
    char name[64];
    uint64_t n_dense = (uint64_t)json_integer_value(
        json_object_get(r->config, "num_dense_layers"));
    snprintf(name, sizeof name, "blk.%" PRIu64 ".exp_probs_b.bias", n_dense);
    put(r, "use_expert_bias", json_boolean(gguf_find(r->g, name) != NULL));
    return rc == 0 && r->failed ? err_nomem(r->err, "the model's numbers") : rc;
}

/* The refused field goes by the name of its key. */
static void name_key(struct err *err)
{
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (strcmp(err->param, ints[i].field) == 0) {
            err_wrap(err, "%s", ints[i].key);
            return;
        }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(err->param, others[i].field) == 0) {
            err_wrap(err, "%s", others[i].key);
            return;
        }
}

int hparams_from_gguf(struct hparams *hp, const struct gguf *g, struct err *err)
{
    struct err own = {0};
    struct reader r = {.g = g, .config = json_object(), .err = &own};
    *hp = (struct hparams){0};
    int rc = r.config != NULL ? translate(&r)
                              : err_nomem(&own, "the model's numbers");
    if (rc == 0) {
        rc = hparams_parse(hp, r.config, &own);
        if (rc != 0)
            name_key(&own);
    }
    rc = hparams_file_error(rc, gguf_file_name(g), &own);
    if (rc != 0 && err != NULL)
        *err = own;
    json_decref(r.config);
    return rc;
}
