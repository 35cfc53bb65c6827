/* kv_store_walk.h -- where a key and a value go in their block.
 *
 * The layout is kv_block.h's; how numbers become F16 or bytes is the includer's
 * store_f16 and store_q8, which put n elements `step` elements apart.
 *
 * Included by attend_avx2.c and attend_neon.c, after attend_walk.h. */
#ifndef LFMD_MODEL_KERNELS_KV_STORE_WALK_H
#define LFMD_MODEL_KERNELS_KV_STORE_WALK_H

#include <string.h>

#include "model/kernels/kernels.h"

static void kv_store(char *restrict head, enum kv_format format,
                     uint32_t head_dim, uint32_t row, const float *restrict key,
                     const float *restrict value)
{
    size_t pad = kv_padded_dim(head_dim), bytes = kv_element_bytes(format);
    char *keys = head + row * bytes;
    char *values = head + kv_values_at(format, head_dim) + row * pad * bytes;

    memset(values + head_dim * bytes, 0, (pad - head_dim) * bytes);
    if (format == KV_F16) {
        store_f16(keys, BLOCK, key, head_dim);
        store_f16(values, 1, value, head_dim);
    } else if (format == KV_F32) {
        for (uint32_t d = 0; d < head_dim; d++)
            memcpy(keys + d * BLOCK * bytes, &key[d], sizeof(float));
        memcpy(values, value, head_dim * sizeof(float));
    } else {
        char *scales = head + kv_scales_at(format, head_dim);
        float key_scale = store_q8(keys, BLOCK, key, head_dim);
        float value_scale = store_q8(values, 1, value, head_dim);

        memcpy(scales + row * sizeof(float), &key_scale, sizeof(float));
        memcpy(scales + (BLOCK + row) * sizeof(float), &value_scale,
               sizeof(float));
    }
}

#endif
