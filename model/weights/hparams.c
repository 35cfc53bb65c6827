/* hparams.c -- see hparams.h.
 *
 * Numbers are read from a table, which says the default and the bounds of each;
 * what two fields say together is checked after. */
#include "model/weights/hparams.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/weights/rope_freq.h"

#define MAX_CONFIG_BYTES (4u << 20)
#define MAX_CONFIG_NODES 100000u

struct int_field {
    const char *key;
    size_t offset; /* of a uint32_t in struct hparams */
    uint32_t fallback, low, high;
};

#define FIELD(member) offsetof(struct hparams, member)

static const struct int_field int_fields[] = {
    {"vocab_size", FIELD(n_vocab), 65536, 1, 1u << 20},
    {"hidden_size", FIELD(hidden), 2048, 1, 65536},
    {"num_hidden_layers", FIELD(n_layers), 32, 1, 1024},
    {"num_attention_heads", FIELD(n_heads), 32, 1, 1024},
    {"num_key_value_heads", FIELD(n_kv_heads), 8, 1, 1024},
    {"intermediate_size", FIELD(ffn_hidden), 7168, 0, 1u << 20},
    {"moe_intermediate_size", FIELD(moe_hidden), 1792, 0, 1u << 20},
    {"num_dense_layers", FIELD(n_dense_layers), 2, 0, 1024},
    {"num_experts_per_tok", FIELD(n_experts_used), 4, 0, 1024},
    {"conv_L_cache", FIELD(conv_width), 3, 1, 64},
    {"max_position_embeddings", FIELD(max_positions), 128000, 1, INT32_MAX},
};

static int read_uint(uint32_t *out, const json_t *config, const char *key,
                     uint32_t fallback, uint32_t low, uint32_t high,
                     struct err *err)
{
    int64_t value = fallback;
    int found = json_get_range(config, key, &value, low, high, "", err);
    if (found < 0)
        return found;
    *out = (uint32_t)value;
    return 0;
}

static int read_ints(struct hparams *hp, const json_t *config, struct err *err)
{
    for (size_t i = 0; i < sizeof int_fields / sizeof *int_fields; i++) {
        const struct int_field *f = &int_fields[i];
        uint32_t *out = (uint32_t *)(void *)((char *)hp + f->offset);
        int rc =
            read_uint(out, config, f->key, f->fallback, f->low, f->high, err);
        if (rc != 0)
            return rc;
    }
    /* Other families, and some conversions, call it num_local_experts. */
    bool local = json_object_get(config, "num_experts") == NULL &&
                 json_object_get(config, "num_local_experts") != NULL;
    int rc = read_uint(&hp->n_experts, config,
                       local ? "num_local_experts" : "num_experts", 32, 0, 1024,
                       err);
    if (rc != 0)
        return rc;
    return read_uint(&hp->head_dim, config, "head_dim",
                     hp->hidden / hp->n_heads, 2, 1024, err);
}

static int read_bools(struct hparams *hp, const json_t *config, struct err *err)
{
    hp->use_expert_bias = hp->norm_topk_prob = hp->tied = true;
    int found = json_get_bool(config, "conv_bias", &hp->conv_bias, "", err);
    if (found >= 0)
        found = json_get_bool(config, "use_expert_bias", &hp->use_expert_bias,
                              "", err);
    if (found >= 0)
        found = json_get_bool(config, "norm_topk_prob", &hp->norm_topk_prob, "",
                              err);
    if (found >= 0)
        found =
            json_get_bool(config, "tie_word_embeddings", &hp->tied, "", err);
    if (found >= 0) /* the older name wins where both are present */
        found = json_get_bool(config, "tie_embedding", &hp->tied, "", err);
    return found < 0 ? found : 0;
}

static int read_float(float *out, const json_t *config, const char *key,
                      double fallback, double low, struct err *err)
{
    double value = fallback;
    int found = json_get_number(config, key, &value, "", err);
    if (found < 0)
        return found;
    if (!(value >= low && value <= 1e6))
        return err_field(err, key, "%s is %g, but must be from %g to 1e6", key,
                         value, low);
    *out = (float)value;
    return 0;
}

/* Null and, as older conversions write it, -1 are no token. */
static int read_token(token_id *out, const json_t *config, const char *key,
                      token_id fallback, struct err *err)
{
    int64_t value = fallback;
    if (json_is_null(json_object_get(config, key)) &&
        json_object_get(config, key) != NULL)
        value = TOKEN_NONE;
    int found =
        json_get_range(config, key, &value, TOKEN_NONE, INT32_MAX, "", err);
    if (found < 0)
        return found;
    *out = (token_id)value;
    return 0;
}

int hparams_token_list(const json_t *obj, const char *key,
                       token_id out[HPARAMS_MAX_EOS], uint32_t *n,
                       struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    bool list = json_is_array(v);
    size_t count = list ? json_array_size(v) : 1;
    if (count > HPARAMS_MAX_EOS)
        return err_field(err, key, "%s has %zu ids, more than the %u accepted",
                         key, count, HPARAMS_MAX_EOS);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = list ? json_array_get(v, i) : v;
        char text[64];
        if (!json_is_integer(id) || json_integer_value(id) < TOKEN_NONE ||
            json_integer_value(id) > INT32_MAX)
            return err_field(err, key,
                             "%s must be a token id or a list of them, not %s",
                             key, json_describe(id, text));
        out[i] = (token_id)json_integer_value(id);
    }
    *n = (uint32_t)count;
    return 1;
}

void hparams_drop_tokens(token_id *ids, uint32_t *n, uint32_t n_vocab,
                         const char *what)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n; i++) {
        if (ids[i] >= 0 && ids[i] < (token_id)n_vocab) {
            ids[kept++] = ids[i];
            continue;
        }
        if (ids[i] != TOKEN_NONE)
            log_at(LOG_WARN, "model",
                   "%s names token %d, but vocab_size is %u: it is ignored",
                   what, (int)ids[i], (unsigned)n_vocab);
    }
    *n = kept;
}

static int read_tokens(struct hparams *hp, const json_t *config,
                       struct err *err)
{
    int rc = read_token(&hp->bos, config, "bos_token_id", 1, err);
    if (rc == 0)
        rc = read_token(&hp->pad, config, "pad_token_id", 0, err);
    if (rc != 0)
        return rc;
    if (json_object_get(config, "eos_token_id") == NULL) {
        hp->eos[0] = 2;
        hp->n_eos = 1;
        return 0;
    }
    int found =
        hparams_token_list(config, "eos_token_id", hp->eos, &hp->n_eos, err);
    return found < 0 ? found : 0;
}

/* The older way to say it, of the dense family: the attention layers' numbers.
 */
static int kinds_from_indices(struct hparams *hp, const json_t *list,
                              struct err *err)
{
    const char *key = "full_attn_idxs";
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        json_int_t at = json_is_integer(v) ? json_integer_value(v) : -1;
        char text[64];
        if (at < 0 || at >= (json_int_t)hp->n_layers)
            return err_field(err, key,
                             "%s[%zu] must be the number of one of the %u "
                             "layers, not %s",
                             key, i, hp->n_layers, json_describe(v, text));
        hp->kinds[at] = LAYER_ATTENTION;
    }
    return 0;
}

static int kinds_from_names(struct hparams *hp, const json_t *types,
                            struct err *err)
{
    if (json_array_size(types) != hp->n_layers)
        return err_field(err, "layer_types",
                         "layer_types has %zu entries, but num_hidden_layers "
                         "is %u",
                         json_array_size(types), hp->n_layers);
    for (uint32_t i = 0; i < hp->n_layers; i++) {
        const char *name = json_string_value(json_array_get(types, i));
        if (name != NULL && strcmp(name, "conv") == 0)
            hp->kinds[i] = LAYER_CONV;
        else if (name != NULL && (strcmp(name, "full_attention") == 0 ||
                                  strcmp(name, "attention") == 0))
            hp->kinds[i] = LAYER_ATTENTION;
        else
            return err_field(err, "layer_types",
                             "layer_types[%u] is \"%.32s\", but must be "
                             "\"conv\" or \"full_attention\"",
                             i, name != NULL ? name : "(not a string)");
    }
    return 0;
}

/* Which layers are attention: the class has no default for it. */
static int read_kinds(struct hparams *hp, const json_t *config, struct err *err)
{
    json_t *types = NULL, *indices = NULL;
    int found = json_get_array(config, "layer_types", &types, "", err);
    if (found == 0)
        found = json_get_array(config, "full_attn_idxs", &indices, "", err);
    if (found < 0)
        return found;
    if (found == 0)
        return err_field(err, "layer_types",
                         "layer_types is missing: it must list \"conv\" or "
                         "\"full_attention\" for each of the %u layers",
                         hp->n_layers);
    hp->kinds = mem_calloc(hp->n_layers, sizeof *hp->kinds);
    if (hp->kinds == NULL)
        return err_nomem(err, "the list of layers");
    int rc = types != NULL ? kinds_from_names(hp, types, err)
                           : kinds_from_indices(hp, indices, err);
    for (uint32_t i = 0; i < hp->n_layers; i++)
        hp->n_attn_layers += hp->kinds[i] == LAYER_ATTENTION;
    hp->n_conv_layers = hp->n_layers - hp->n_attn_layers;
    return rc;
}

/* Widths that some layer needs; the others may be anything. */
static int check_widths(struct hparams *hp, struct err *err)
{
    if (hp->n_dense_layers >= hp->n_layers) {
        hp->n_dense_layers = hp->n_layers;
        hp->n_experts = hp->n_experts_used = 0;
    } else if (hp->n_experts == 0 || hp->n_experts_used == 0 ||
               hp->moe_hidden == 0) {
        const char *key = hp->n_experts == 0    ? "num_experts"
                          : hp->moe_hidden == 0 ? "moe_intermediate_size"
                                                : "num_experts_per_tok";
        return err_field(err, key,
                         "%s is 0, but must be at least 1 while "
                         "num_dense_layers (%u) is below num_hidden_layers "
                         "(%u)",
                         key, hp->n_dense_layers, hp->n_layers);
    }
    if (hp->n_dense_layers > 0 && hp->ffn_hidden == 0)
        return err_field(err, "intermediate_size",
                         "intermediate_size is 0, but must be at least 1 for "
                         "the %u dense layers",
                         hp->n_dense_layers);
    if (hp->n_experts_used > hp->n_experts)
        return err_field(err, "num_experts_per_tok",
                         "num_experts_per_tok is %u, more than num_experts, %u",
                         hp->n_experts_used, hp->n_experts);
    return 0;
}

static int check_together(struct hparams *hp, struct err *err)
{
    if (hp->n_heads % hp->n_kv_heads != 0)
        return err_field(err, "num_key_value_heads",
                         "num_attention_heads is %u, which is not a multiple "
                         "of num_key_value_heads, %u",
                         hp->n_heads, hp->n_kv_heads);
    if (hp->head_dim < 2 || hp->head_dim > 1024 || hp->head_dim % 2 != 0)
        return err_field(err, "head_dim",
                         "head_dim is %u (hidden_size %u, %u heads), but must "
                         "be even and from 2 to 1024",
                         hp->head_dim, hp->hidden, hp->n_heads);
    /* Whoever masks or draws these indexes logits with them. */
    uint32_t n_bos = 1;
    hparams_drop_tokens(&hp->bos, &n_bos, hp->n_vocab, "bos_token_id");
    if (n_bos == 0)
        hp->bos = TOKEN_NONE;
    hparams_drop_tokens(hp->eos, &hp->n_eos, hp->n_vocab, "eos_token_id");
    return check_widths(hp, err);
}

static bool names_us(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s != NULL && strcmp(s, "Lfm2MoeForCausalLM") == 0)
            return true;
    }
    return false;
}

/* "this is `llama` (LlamaForCausalLM); lfmd serves only Lfm2MoeForCausalLM" */
static int check_architecture(const json_t *config, struct err *err)
{
    const char *type = NULL;
    json_t *list = NULL;
    if (json_get_string(config, "model_type", &type, "", err) < 0 ||
        json_get_array(config, "architectures", &list, "", err) < 0)
        return -ERR_INVALID;
    if (type == NULL && list == NULL)
        return err_set(err, ERR_UNSUPPORTED,
                       "names neither model_type nor architectures; lfmd "
                       "serves only Lfm2MoeForCausalLM");
    bool type_ok = type == NULL || strcmp(type, "lfm2_moe") == 0;
    bool list_ok = list == NULL || json_array_size(list) == 0 || names_us(list);
    if (type_ok && list_ok)
        return 0;
    const char *first = json_string_value(json_array_get(list, 0));
    return err_set(err, ERR_UNSUPPORTED,
                   "this is `%.64s` (%.64s); lfmd serves only "
                   "Lfm2MoeForCausalLM",
                   type != NULL ? type : "?", first != NULL ? first : "?");
}

static int check_quantization(const json_t *config, struct err *err)
{
    json_t *q = NULL;
    int found = json_get_object(config, "quantization_config", &q, "", err);
    if (found <= 0)
        return found;
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    return err_set(err, ERR_UNSUPPORTED,
                   "the weights are quantised (%.32s), a format for GPUs; use "
                   "the BF16 checkpoint, or a GGUF file for smaller weights",
                   method != NULL ? method : "quantization_config");
}

static int read_rope(struct hparams *hp, const json_t *config, struct err *err)
{
    hp->inv_freq = mem_calloc(hp->head_dim / 2, sizeof *hp->inv_freq);
    if (hp->inv_freq == NULL)
        return err_nomem(err, "the rotation speeds");
    struct rope_freq rope = {.inv_freq = hp->inv_freq};
    int rc =
        rope_freq_compute(&rope, config, hp->head_dim, hp->max_positions, err);
    hp->rope_theta = rope.theta;
    hp->rope_attention_factor = rope.attention_factor;
    return rc;
}

static int parse_fields(struct hparams *hp, const json_t *config,
                        struct err *err)
{
    int rc = check_architecture(config, err);
    if (rc == 0)
        rc = check_quantization(config, err);
    if (rc == 0)
        rc = read_ints(hp, config, err);
    if (rc == 0)
        rc = read_bools(hp, config, err);
    if (rc == 0)
        rc = read_float(&hp->norm_eps, config, "norm_eps", 1e-5, 0, err);
    if (rc == 0)
        rc = read_float(&hp->routed_scaling, config, "routed_scaling_factor",
                        1.0, -1e6, err);
    if (rc == 0)
        rc = read_tokens(hp, config, err);
    if (rc == 0)
        rc = check_together(hp, err);
    if (rc == 0)
        rc = read_kinds(hp, config, err);
    if (rc == 0)
        rc = read_rope(hp, config, err);
    return rc;
}

int hparams_parse(struct hparams *hp, const json_t *config, struct err *err)
{
    char text[64];
    *hp = (struct hparams){0};
    if (!json_is_object(config))
        return err_set(err, ERR_FORMAT, "must be an object, not %s",
                       json_describe(config, text));
    int rc = parse_fields(hp, config, err);
    if (rc != 0)
        hparams_deinit(hp);
    return rc;
}

int hparams_file_error(int rc, const char *path, struct err *err)
{
    if (rc == 0)
        return 0;
    err_wrap(err, "%s", path);
    if (rc != -ERR_INVALID)
        return rc;
    if (err != NULL)
        err->class_ = ERR_FORMAT;
    return -ERR_FORMAT;
}

int hparams_load(struct hparams *hp, const char *dir, struct err *err)
{
    struct buf path = {0};
    json_t *config = NULL;
    *hp = (struct hparams){0};
    buf_printf(&path, "%s/config.json", dir);
    int rc = buf_ok(&path)
                 ? json_parse_file(&config, buf_str(&path), MAX_CONFIG_BYTES,
                                   MAX_CONFIG_NODES, err)
                 : err_nomem(err, "a path");
    if (rc == 0) {
        rc = hparams_file_error(hparams_parse(hp, config, err), buf_str(&path),
                                err);
    }
    json_decref(config);
    buf_deinit(&path);
    return rc;
}

void hparams_deinit(struct hparams *hp)
{
    mem_free(hp->inv_freq);
    mem_free(hp->kinds);
    *hp = (struct hparams){0};
}
