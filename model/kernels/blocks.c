/* blocks.c -- the block formats of GGUF files, as their author decodes them.
 *
 * Source: ggml-common.h (layouts) and ggml-quants.c (dequantize_row_*,
 * quantize_row_*_ref) of llama.cpp; numbers are little-endian, halves are IEEE
 * binary16.
 *
 *     Q4_0  half d; u8 qs[16]           i and i + 16 share a byte, low first
 *     Q4_1  half d, m; u8 qs[16]
 *     Q5_0  half d; u8 qh[4], qs[16]    qh: the fifth bits, one a value
 *     Q5_1  half d, m; u8 qh[4], qs[16]
 *     Q8_0  half d; i8 qs[32]
 *     Q4_K  half d, dmin; u8 scales[12], qs[128]
 *     Q5_K  half d, dmin; u8 scales[12], qh[32], qs[128]
 *     Q6_K  u8 ql[128], qh[64]; i8 scales[16]; half d
 *
 * Any thread. */
#include "model/kernels/blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "model/kernels/widen.h"

struct info {
    const char *name;
    uint32_t values, bytes;
};

static const struct info infos[N_DTYPES] = {
    [DTYPE_F32] = {"F32", 1, 4},       [DTYPE_F16] = {"F16", 1, 2},
    [DTYPE_BF16] = {"BF16", 1, 2},     [DTYPE_Q4_0] = {"Q4_0", 32, 18},
    [DTYPE_Q4_1] = {"Q4_1", 32, 20},   [DTYPE_Q5_0] = {"Q5_0", 32, 22},
    [DTYPE_Q5_1] = {"Q5_1", 32, 24},   [DTYPE_Q8_0] = {"Q8_0", 32, 34},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144}, [DTYPE_Q5_K] = {"Q5_K", 256, 176},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210},
};

const char *dtype_name(enum dtype t)
{
    return infos[t].name;
}

uint32_t dtype_block_values(enum dtype t)
{
    return infos[t].values;
}

uint32_t dtype_block_bytes(enum dtype t)
{
    return infos[t].bytes;
}

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static float load_half(const uint8_t *p)
{
    return f16_widen(load_u16(p));
}

/* ---- decoding ---------------------------------------------------------- */

static void decode_one(enum dtype t, float *dst, const uint8_t *p)
{
    uint32_t bits;
    if (t == DTYPE_F32) {
        memcpy(&bits, p, sizeof bits);
        *dst = float_from_bits(bits);
    } else {
        *dst = t == DTYPE_F16 ? load_half(p) : bf16_widen(load_u16(p));
    }
}

/* Q4_0 and Q4_1, Q5_0 and Q5_1: without and with m. */
static void decode_nibbles(float *dst, const uint8_t *p, bool has_m, bool five)
{
    float d = load_half(p), m = has_m ? load_half(p + 2) : 0;
    const uint8_t *qh = p + (has_m ? 4 : 2);
    const uint8_t *qs = qh + (five ? 4 : 0);
    int zero = has_m ? 0 : five ? 16 : 8;
    for (uint32_t i = 0; i < 32; i++) {
        int q = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
        if (five)
            q |= (qh[i / 8] >> (i % 8) & 1) << 4;
        dst[i] = has_m ? (float)q * d + m : (float)(q - zero) * d;
    }
}

static void decode_q8_0(float *dst, const uint8_t *p)
{
    float d = load_half(p);
    for (uint32_t i = 0; i < 32; i++)
        dst[i] = (float)(int8_t)p[2 + i] * d;
}

/* The 6-bit scale and minimum of sub-block j. */
static void k_scale(const uint8_t *s, uint32_t j, int *sc, int *m)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *m = s[j + 4] & 63;
    } else {
        *sc = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *m = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void decode_k(float *dst, const uint8_t *p, bool five)
{
    float d = load_half(p), dmin = load_half(p + 2);
    const uint8_t *qh = p + 16, *qs = p + (five ? 48 : 16);
    for (uint32_t j = 0; j < 8; j++) {
        int sc, m;
        k_scale(p + 4, j, &sc, &m);
        float scale = d * (float)sc, min = dmin * (float)m;
        for (uint32_t i = 0; i < 32; i++) {
            int q = qs[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
            if (five)
                q |= (qh[i] >> j & 1) << 4;
            dst[32 * j + i] = scale * (float)q - min;
        }
    }
}

static void decode_q6_k(float *dst, const uint8_t *p)
{
    float d = load_half(p + 208);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t half = i / 128, quarter = i % 128 / 32, l = i % 32;
        int low = p[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
        int high = p[128 + half * 32 + l] >> (quarter * 2) & 3;
        int scale = (int8_t)p[192 + i / 16];
        dst[i] = d * (float)scale * (float)((low | high << 4) - 32);
    }
}

void blocks_decode(enum dtype t, float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    uint32_t values = infos[t].values, bytes = infos[t].bytes;
    for (size_t i = 0; i < n; i += values, dst += values, p += bytes) {
        switch (t) {
        case DTYPE_Q4_0:
        case DTYPE_Q4_1:
            decode_nibbles(dst, p, t == DTYPE_Q4_1, false);
            break;
        case DTYPE_Q5_0:
        case DTYPE_Q5_1:
            decode_nibbles(dst, p, t == DTYPE_Q5_1, true);
            break;
        case DTYPE_Q8_0:
            decode_q8_0(dst, p);
            break;
        case DTYPE_Q4_K:
        case DTYPE_Q5_K:
            decode_k(dst, p, t == DTYPE_Q5_K);
            break;
        case DTYPE_Q6_K:
            decode_q6_k(dst, p);
            break;
        default:
            decode_one(t, dst, p);
        }
    }
}

/* ---- encoding ---------------------------------------------------------- */

static void store_half(uint8_t *p, float v)
{
    uint16_t h = f16_narrow(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

/* The largest magnitude of a block, as bits, which order as the numbers do. */
static uint32_t largest_bits(const float *x)
{
    uint32_t max = 0, bits[32];
    memcpy(bits, x, sizeof bits);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t size = bits[i] & 0x7fffffffu;
        max = size > max ? size : max;
    }
    return max;
}

/* 0 for what a half has no scale for anyway, and 1 / d would be infinite. */
static float inverse_of(float d)
{
    return fabsf(d) >= FLT_MIN ? 1 / d : 0;
}

/* The value of largest magnitude, the first of them, becomes -8, sign and all.
 */
static void encode_q4_0(uint8_t *p, const float *x)
{
    uint32_t max = largest_bits(x), at = 0;
    while ((float_to_bits(x[at]) & 0x7fffffffu) != max)
        at++;
    float d = x[at] / -8, inverse = inverse_of(d);
    store_half(p, d);
    for (uint32_t i = 0; i < 16; i++) {
        int low = (int)(x[i] * inverse + 8.5f);
        int high = (int)(x[i + 16] * inverse + 8.5f);
        low = low < 15 ? low : 15;
        high = high < 15 ? high : 15;
        p[2 + i] = (uint8_t)(low | high << 4);
    }
}

static void encode_q8_0(uint8_t *p, const float *x)
{
    float d = float_from_bits(largest_bits(x)) / 127, inverse = inverse_of(d);
    store_half(p, d);
    for (uint32_t i = 0; i < 32; i++) { /* roundf, without its call */
        float v = x[i] * inverse;
        int whole = (int)v;
        float rest = v - (float)whole;
        whole += (rest >= 0.5f) - (rest <= -0.5f);
        p[2 + i] = (uint8_t)(int8_t)whole;
    }
}

void blocks_encode(enum dtype t, void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += 32, p += infos[t].bytes) {
        if (t == DTYPE_Q4_0)
            encode_q4_0(p, src + i);
        else
            encode_q8_0(p, src + i);
    }
}
