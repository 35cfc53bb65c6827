/* test_hparams.c -- which config.json is taken, which is refused and with what
 * words; rotation speeds against transformers' own (golden.json). */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/base/log.h"
#include "model/weights/hparams.h"

#define ORACLE "tests/oracle/checkpoints/"

static const char base[] =
    "{\"model_type\": \"lfm2_moe\", \"architectures\": "
    "[\"Lfm2MoeForCausalLM\"], \"num_hidden_layers\": 3, \"hidden_size\": 64,"
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
    "\"layer_types\": [\"conv\", \"full_attention\", \"conv\"]}";

/* The base with the fields of `patch` put over it; a field "-name" in the
 * patch takes `name` out. */
static int parse(struct hparams *hp, const char *patch, struct err *err)
{
    json_t *config = NULL, *changes = NULL, *value;
    const char *key;
    assert_int_equal(json_parse(&config, base, strlen(base), 64, 10000, err),
                     0);
    assert_int_equal(json_parse(&changes, patch, strlen(patch), 64, 10000, err),
                     0);
    json_object_foreach(changes, key, value) if (key[0] == '-')
        json_object_del(config, key + 1);
    else json_object_set(config, key, value);
    int rc = hparams_parse(hp, config, err);
    json_decref(config);
    json_decref(changes);
    return rc;
}

TEST(absent_fields_have_the_defaults_of_the_class)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(parse(&hp, "{}", &err), 0);
    assert_int_equal(hp.n_vocab, 65536);
    assert_int_equal(hp.head_dim, 16);
    assert_int_equal(hp.ffn_hidden, 7168);
    assert_int_equal(hp.moe_hidden, 1792);
    assert_int_equal(hp.n_dense_layers, 2);
    assert_int_equal(hp.n_experts, 32);
    assert_int_equal(hp.n_experts_used, 4);
    assert_int_equal(hp.conv_width, 3);
    assert_int_equal(hp.max_positions, 128000);
    assert_false(hp.conv_bias);
    assert_true(hp.use_expert_bias && hp.norm_topk_prob && hp.tied);
    assert_true(fabsf(hp.norm_eps - 1e-5f) < 1e-12f);
    assert_true(hp.routed_scaling == 1.0f && hp.rope_theta == 1e6);
    assert_int_equal(hp.bos, 1);
    assert_int_equal(hp.pad, 0);
    assert_int_equal(hp.n_eos, 1);
    assert_int_equal(hp.eos[0], 2);
    assert_int_equal(hp.n_attn_layers, 1);
    assert_int_equal(hp.n_conv_layers, 2);
    assert_int_equal(hp.kinds[1], LAYER_ATTENTION);
    hparams_deinit(&hp);
}

TEST(tokens_may_be_null_an_id_or_a_list)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(parse(&hp,
                           "{\"eos_token_id\": [7, 2, 9], "
                           "\"bos_token_id\": null, "
                           "\"pad_token_id\": null}",
                           &err),
                     0);
    assert_int_equal(hp.n_eos, 3);
    assert_int_equal(hp.eos[2], 9);
    assert_int_equal(hp.bos, TOKEN_NONE);
    assert_int_equal(hp.pad, TOKEN_NONE);
    hparams_deinit(&hp);
    assert_int_equal(parse(&hp, "{\"eos_token_id\": null}", &err), 0);
    assert_int_equal(hp.n_eos, 0);
    hparams_deinit(&hp);
}

TEST(older_spellings_mean_the_same)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(parse(&hp,
                           "{\"tie_embedding\": false, "
                           "\"tie_word_embeddings\": true, "
                           "\"num_local_experts\": 8}",
                           &err),
                     0);
    assert_false(hp.tied);
    assert_int_equal(hp.n_experts, 8);
    hparams_deinit(&hp);
    assert_int_equal(parse(&hp,
                           "{\"rope_theta\": 5000, \"rope_parameters\": "
                           "{\"rope_theta\": 7000.5}}",
                           &err),
                     0);
    assert_true(hp.rope_theta == 7000.5);
    hparams_deinit(&hp);
    assert_int_equal(parse(&hp,
                           "{\"rope_theta\": 5000, \"rope_parameters\": "
                           "{\"rope_type\": \"default\"}}",
                           &err),
                     0);
    assert_true(hp.rope_theta == 5000);
    hparams_deinit(&hp);
}

TEST(tokens_without_a_logit_are_no_tokens)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    log_set_level(LOG_ERROR);
    assert_int_equal(parse(&hp,
                           "{\"bos_token_id\": 65536, \"pad_token_id\": -1, "
                           "\"eos_token_id\": [65536, 7, -1, 65535]}",
                           &err),
                     0);
    log_set_level(LOG_INFO);
    assert_int_equal(hp.bos, TOKEN_NONE);
    assert_int_equal(hp.pad, TOKEN_NONE);
    assert_int_equal(hp.n_eos, 2);
    assert_int_equal(hp.eos[0], 7);
    assert_int_equal(hp.eos[1], 65535);
    hparams_deinit(&hp);
}

TEST(attention_layers_may_be_numbered_instead_of_named)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(
        parse(&hp, "{\"-layer_types\": 1, \"full_attn_idxs\": [2, 0, 2]}",
              &err),
        0);
    assert_int_equal(hp.n_attn_layers, 2);
    assert_int_equal(hp.n_conv_layers, 1);
    assert_int_equal(hp.kinds[0], LAYER_ATTENTION);
    assert_int_equal(hp.kinds[1], LAYER_CONV);
    hparams_deinit(&hp);
}

TEST(a_model_of_dense_layers_has_no_experts)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(parse(&hp, "{\"num_dense_layers\": 9}", &err), 0);
    assert_int_equal(hp.n_dense_layers, 3);
    assert_int_equal(hp.n_experts, 0);
    hparams_deinit(&hp);
}

struct refusal {
    const char *patch, *says;
};

static const struct refusal refusals[] = {
    {"{\"model_type\": \"llama\", \"architectures\": "
     "[\"LlamaForCausalLM\"]}",
     "this is `llama` (LlamaForCausalLM); lfmd serves only "
     "Lfm2MoeForCausalLM"},
    {"{\"model_type\": \"lfm2\", \"architectures\": [\"Lfm2ForCausalLM\"]}",
     "this is `lfm2`"},
    {"{\"-model_type\": 1, \"architectures\": [\"X\"]}", "`?` (X)"},
    {"{\"-model_type\": 1, \"-architectures\": 1}", "neither model_type nor"},
    {"{\"model_type\": 7}", "model_type must be a string"},
    {"{\"architectures\": \"Lfm2MoeForCausalLM\"}", "architectures must be"},
    {"{\"quantization_config\": {\"quant_method\": \"fp8\"}}", "GGUF"},
    {"{\"quantization_config\": {}}", "GGUF"},
    {"{\"vocab_size\": 0}", "vocab_size must be"},
    {"{\"vocab_size\": 1048577}", "vocab_size must be"},
    {"{\"vocab_size\": 320.0}", "vocab_size must be an integer"},
    {"{\"vocab_size\": \"320\"}", "vocab_size must be an integer"},
    {"{\"vocab_size\": -5}", "vocab_size must be"},
    {"{\"hidden_size\": 65537}", "hidden_size must be"},
    {"{\"hidden_size\": 9223372036854775807}", "hidden_size must be"},
    {"{\"num_hidden_layers\": 1025}", "num_hidden_layers must be"},
    {"{\"num_hidden_layers\": 4}", "layer_types has 3 entries"},
    {"{\"num_attention_heads\": 0}", "num_attention_heads must be"},
    {"{\"num_attention_heads\": 1025}", "num_attention_heads must be"},
    {"{\"num_key_value_heads\": 3}", "not a multiple"},
    {"{\"num_attention_heads\": 64, \"head_dim\": null}", "head_dim is 1"},
    {"{\"head_dim\": 15}", "must be even"},
    {"{\"head_dim\": 1026}", "head_dim must be"},
    {"{\"hidden_size\": 36}", "head_dim is 9"},
    {"{\"intermediate_size\": 1048577}", "intermediate_size must be"},
    {"{\"moe_intermediate_size\": 0}", "moe_intermediate_size is 0"},
    {"{\"intermediate_size\": 0}", "intermediate_size is 0"},
    {"{\"num_experts\": 0}", "num_experts is 0"},
    {"{\"num_experts\": 1025}", "num_experts must be"},
    {"{\"num_experts\": 3}", "more than num_experts, 3"},
    {"{\"num_experts_per_tok\": 33}", "more than num_experts, 32"},
    {"{\"num_experts_per_tok\": 0}", "num_experts_per_tok is 0"},
    {"{\"num_dense_layers\": -1}", "num_dense_layers must be"},
    {"{\"conv_L_cache\": 0}", "conv_L_cache must be"},
    {"{\"conv_L_cache\": 65}", "conv_L_cache must be"},
    {"{\"max_position_embeddings\": 2147483648}", "max_position_embeddings"},
    {"{\"conv_bias\": 0}", "conv_bias must be true or false"},
    {"{\"use_expert_bias\": \"yes\"}", "use_expert_bias must be"},
    {"{\"norm_topk_prob\": 1}", "norm_topk_prob must be"},
    {"{\"tie_word_embeddings\": 1}", "tie_word_embeddings must be"},
    {"{\"tie_embedding\": []}", "tie_embedding must be"},
    {"{\"norm_eps\": -1e-5}", "norm_eps is"},
    {"{\"norm_eps\": 2e6}", "norm_eps is"},
    {"{\"routed_scaling_factor\": -2e6}", "routed_scaling_factor is"},
    {"{\"-layer_types\": 1, \"full_attn_idxs\": [0, 3]}",
     "full_attn_idxs[1] must be the number of one of the 3 layers, not 3"},
    {"{\"-layer_types\": 1, \"full_attn_idxs\": [\"0\"]}",
     "full_attn_idxs[0] must be"},
    {"{\"-layer_types\": 1}", "layer_types is missing"},
    {"{\"layer_types\": \"conv\"}", "layer_types must be an array"},
    {"{\"layer_types\": [\"conv\", \"conv\", 3]}", "(not a string)"},
    {"{\"layer_types\": [\"conv\", \"mamba\", \"conv\"]}",
     "layer_types[1] is \"mamba\""},
    {"{\"bos_token_id\": -2}", "bos_token_id must be"},
    {"{\"eos_token_id\": \"7\"}", "eos_token_id must be a token id"},
    {"{\"eos_token_id\": [7, -2]}", "not -2"},
    {"{\"eos_token_id\": [7, 4294967296]}", "eos_token_id must be"},
    {"{\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
     "17 ids"},
    {"{\"rope_theta\": 0}", "rope_theta is 0"},
    {"{\"rope_theta\": 1e-300}", "rotation that is not finite"},
    {"{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 1e-300}}",
     "rotation that is not finite"},
    {"{\"rope_theta\": \"1e6\"}", "rope_theta must be a number"},
    {"{\"rope_parameters\": 3}", "rope_parameters must be an object"},
    {"{\"rope_parameters\": {\"rope_type\": \"dynamic\"}}",
     "rope_parameters.factor is missing"},
    {"{\"rope_theta\": 1, \"rope_parameters\": {\"rope_type\": \"yarn\", "
     "\"factor\": 4}}",
     "yarn needs one above 1"},
    {"{\"rope_parameters\": {\"rope_type\": \"longrope\"}}", "\"longrope\""},
    {"{\"rope_scaling\": {\"type\": \"su\"}}", "rope_scaling.rope_type"},
    {"{\"rope_parameters\": {\"rope_type\": \"linear\"}}",
     "rope_parameters.factor is missing"},
    {"{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 0}}",
     "rope_parameters.factor is 0"},
    {"{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": \"4\"}}",
     "rope_parameters.factor must be a number"},
    {"{\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8}}",
     "low_freq_factor is missing"},
    {"{\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, "
     "\"low_freq_factor\": 4, \"high_freq_factor\": 4}}",
     "must be above low_freq_factor"},
    {"{\"rope_parameters\": {\"rope_type\": \"yarn\"}}", "factor is missing"},
    {"{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4, "
     "\"truncate\": 1}}",
     "truncate must be"},
    {"{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4, "
     "\"beta_fast\": -1}}",
     "beta_fast is -1"},
    {"{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4, "
     "\"original_max_position_embeddings\": 0}}",
     "original_max_position_embeddings is 0"},
    {"{\"partial_rotary_factor\": 0.5, \"rope_scaling\": "
     "{\"rope_type\": \"linear\", \"factor\": 2}}",
     "partial_rotary_factor is 0.5"},
    {"{\"rope_parameters\": {\"partial_rotary_factor\": 0.25, "
     "\"rope_type\": \"linear\", \"factor\": 2}}",
     "partial_rotary_factor is 0.25"},
    {"{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5}}}",
     "differs by layer type"},
};

TEST(what_we_do_not_compute_is_refused_in_a_sentence)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct hparams hp;
        struct err err = {0};
        int rc = parse(&hp, refusals[i].patch, &err);
        if (rc >= 0 || strstr(err.text, refusals[i].says) == NULL)
            fail_msg("%s: %d \"%s\"", refusals[i].patch, rc, err.text);
        assert_int_equal(rc, -(int)err.class_);
        assert_int_equal(mem_live_count(), live);
    }
}

TEST(every_limit_itself_is_accepted)
{
    UNUSED_STATE;
    static const char *const patches[] = {
        "{\"vocab_size\": 1048576, \"hidden_size\": 65536, \"head_dim\": 2}",
        "{\"num_attention_heads\": 1024, \"head_dim\": 1024}",
        "{\"num_experts\": 1024, \"num_experts_per_tok\": 1024}",
        "{\"conv_L_cache\": 64}",
        "{\"conv_L_cache\": 1}",
        "{\"max_position_embeddings\": 2147483647}",
        "{\"num_dense_layers\": 0, \"intermediate_size\": 0}",
        "{\"num_dense_layers\": 3, \"num_experts\": 0, "
        "\"moe_intermediate_size\": 0}",
        "{\"routed_scaling_factor\": -1.5}",
        "{\"partial_rotary_factor\": 0.5}",
        "{\"head_dim\": 2}",
        "{\"norm_eps\": 0}",
        "{\"num_dense_layers\": 0}",
        "{\"partial_rotary_factor\": 1.0}",
        "{\"rope_scaling\": null}",
        "{\"rope_scaling\": {}}",
        "{\"torch_dtype\": \"float16\"}",
    };
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        struct hparams hp;
        struct err err = {0};
        if (parse(&hp, patches[i], &err) != 0)
            fail_msg("%s: %s", patches[i], err.text);
        hparams_deinit(&hp);
    }
}

static void compare_rope(const char *name)
{
    char path[256];
    struct hparams hp;
    struct err err = {0};
    json_t *golden = NULL;
    snprintf(path, sizeof path, ORACLE "%s/golden.json", name);
    if (json_parse_file(&golden, path, 1 << 20, 100000, &err) != 0)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, ORACLE "%s", name);
    if (hparams_load(&hp, path, &err) != 0)
        fail_msg("%s", err.text);
    json_t *rope = json_object_get(golden, "rope");
    json_t *speeds = json_object_get(rope, "inv_freq");
    assert_int_equal(json_array_size(speeds), hp.head_dim / 2);
    for (uint32_t i = 0; i < hp.head_dim / 2; i++) {
        double want = json_number_value(json_array_get(speeds, i));
        if (fabs((double)hp.inv_freq[i] - want) > 3e-7 * want)
            fail_msg("%s: inv_freq[%u] is %.9g, not %.9g", name, i,
                     (double)hp.inv_freq[i], want);
    }
    double factor =
        json_number_value(json_object_get(rope, "attention_factor"));
    assert_true(fabs((double)hp.rope_attention_factor - factor) < 1e-6);
    json_decref(golden);
    hparams_deinit(&hp);
}

TEST(rotation_speeds_are_those_of_transformers)
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
        "defaults",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        compare_rope(names[i]);
}

TEST(a_directory_without_config_is_an_error_that_names_the_file)
{
    UNUSED_STATE;
    struct hparams hp;
    struct err err = {0};
    assert_int_equal(hparams_load(&hp, "tests/oracle", &err), -ERR_IO);
    assert_non_null(strstr(err.text, "tests/oracle/config.json"));
    hparams_deinit(&hp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_fields_have_the_defaults_of_the_class),
        cmocka_unit_test(tokens_may_be_null_an_id_or_a_list),
        cmocka_unit_test(older_spellings_mean_the_same),
        cmocka_unit_test(tokens_without_a_logit_are_no_tokens),
        cmocka_unit_test(attention_layers_may_be_numbered_instead_of_named),
        cmocka_unit_test(a_model_of_dense_layers_has_no_experts),
        cmocka_unit_test(what_we_do_not_compute_is_refused_in_a_sentence),
        cmocka_unit_test(every_limit_itself_is_accepted),
        cmocka_unit_test(rotation_speeds_are_those_of_transformers),
        cmocka_unit_test(
            a_directory_without_config_is_an_error_that_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
