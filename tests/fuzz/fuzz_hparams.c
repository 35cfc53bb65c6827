/* fuzz_hparams.c -- any JSON as config.json and as generation_config.json.
 *
 * What is accepted must be usable: every count within its bounds, every
 * rotation speed a number. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/weights/generation.h"
#include "model/weights/hparams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct hparams *hp)
{
    if (hp->n_layers == 0 ||
        hp->n_attn_layers + hp->n_conv_layers != hp->n_layers ||
        hp->n_heads % hp->n_kv_heads != 0 || hp->head_dim % 2 != 0 ||
        hp->n_experts_used > hp->n_experts || hp->n_eos > HPARAMS_MAX_EOS)
        abort();
    for (uint32_t i = 0; i < hp->head_dim / 2; i++)
        if (!isfinite(hp->inv_freq[i]))
            abort();
    if (!isfinite(hp->rope_attention_factor))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *config = NULL;
    struct err err;
    struct hparams hp;
    struct generation_defaults g;
    if (json_parse(&config, (const char *)data, size, JSON_DEPTH_DEFAULT, 10000,
                   &err) != 0)
        return 0;
    if (hparams_parse(&hp, config, &err) == 0) {
        check(&hp);
        hparams_deinit(&hp);
    }
    if (generation_parse(&g, config, &err) == 0 && g.has_top_p &&
        !(g.top_p > 0 && g.top_p <= 1))
        abort();
    json_decref(config);
    return 0;
}
