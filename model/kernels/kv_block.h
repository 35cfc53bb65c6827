/* kv_block.h -- how keys and values of one KV head lie in one block.
 *
 * A block holds KV_BLOCK_TOKENS positions of every KV head of one layer, head
 * after head; a head's part is
 *
 *     keys          [head_dim][KV_BLOCK_TOKENS]   elements
 *     values        [KV_BLOCK_TOKENS][padded dim] elements
 *     key scales    [KV_BLOCK_TOKENS]             float, KV_Q8 only
 *     value scales  [KV_BLOCK_TOKENS]             float, KV_Q8 only
 *
 * Keys are transposed, so that one vector holds one dimension of many positions
 * and a score needs no sum across lanes.  Value rows end in zeros up to a
 * multiple of KV_PAD.  A stored Q8 element stands for element * scale of its
 * position.
 *
 * It does not know blocks of whom, nor how many.  Any thread. */
#ifndef LFMD_MODEL_KERNELS_KV_BLOCK_H
#define LFMD_MODEL_KERNELS_KV_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "model/kernels/widen.h"

/* Positions in one block, of every attention layer. */
#define KV_BLOCK_TOKENS 32u
#define KV_PAD 16u

/* float16, float32, or int8 with a float32 scale for each position and head. */
enum kv_format { KV_F16, KV_F32, KV_Q8, N_KV_FORMATS };

static inline size_t kv_element_bytes(enum kv_format format)
{
    return format == KV_F32 ? 4 : format == KV_F16 ? 2 : 1;
}

static inline size_t kv_padded_dim(uint32_t head_dim)
{
    return ((size_t)head_dim + KV_PAD - 1) / KV_PAD * KV_PAD;
}

/* From a head's part to its values. */
static inline size_t kv_values_at(enum kv_format format, uint32_t head_dim)
{
    return (size_t)head_dim * KV_BLOCK_TOKENS * kv_element_bytes(format);
}

/* To its key scales; value scales follow them. */
static inline size_t kv_scales_at(enum kv_format format, uint32_t head_dim)
{
    return kv_values_at(format, head_dim) +
           kv_padded_dim(head_dim) * KV_BLOCK_TOKENS * kv_element_bytes(format);
}

/* One head's part: a multiple of 64. */
static inline size_t kv_head_bytes(enum kv_format format, uint32_t head_dim)
{
    size_t n = kv_scales_at(format, head_dim);

    if (format == KV_Q8)
        n += 2 * KV_BLOCK_TOKENS * sizeof(float);
    return (n + 63) / 64 * 64;
}

/* Element i of keys or values without its scale. */
static inline float kv_element(const char *elements, enum kv_format format,
                               size_t i)
{
    uint16_t half;
    float f;

    if (format == KV_Q8)
        return (float)(signed char)elements[i];
    if (format == KV_F16) {
        memcpy(&half, elements + i * sizeof(half), sizeof(half));
        return f16_widen(half);
    }
    memcpy(&f, elements + i * sizeof(f), sizeof(f));
    return f;
}

/* The scale of row's key (which 0) or value (which 1). */
static inline float kv_scale(const char *head, enum kv_format format,
                             uint32_t head_dim, uint32_t row, uint32_t which)
{
    float scale = 1;

    if (format == KV_Q8)
        memcpy(&scale,
               head + kv_scales_at(format, head_dim) +
                   (which * KV_BLOCK_TOKENS + row) * sizeof(scale),
               sizeof(scale));
    return scale;
}

/* What is stored for dimension d of a row, as a number; not for hot code. */
static inline float kv_key(const char *head, enum kv_format format,
                           uint32_t head_dim, uint32_t row, uint32_t d)
{
    return kv_element(head, format, (size_t)d * KV_BLOCK_TOKENS + row) *
           kv_scale(head, format, head_dim, row, 0);
}

static inline float kv_value(const char *head, enum kv_format format,
                             uint32_t head_dim, uint32_t row, uint32_t d)
{
    return kv_element(head + kv_values_at(format, head_dim), format,
                      row * kv_padded_dim(head_dim) + d) *
           kv_scale(head, format, head_dim, row, 1);
}

#endif
