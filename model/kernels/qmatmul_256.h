/* qmatmul_256.h -- quantised products, 8 rows an instruction: what AVX2 and
 * AVX-VNNI share.
 *
 * A panel of 16 rows is worked on as two halves of 8, each against up to 4
 * tokens.  The including file says how the bytes of a block are multiplied
 * (block_dots); scales, loops and stores are here.
 *
 * Included only by qmatmul_avx2.c and qmatmul_avxvnni.c, once each. */
#ifndef LFMD_MODEL_KERNELS_QMATMUL_256_H
#define LFMD_MODEL_KERNELS_QMATMUL_256_H

#include "model/kernels/kernels.h"
#include "model/kernels/qmatmul_formats.h"
#include "model/kernels/qmatmul_panels.h"
#include "model/kernels/simd_avx2.h"

#define MAX_TOKENS 4u
#define HALF_ROWS 8u
#define SUPER_BLOCKS (PANEL_SUPER / PANEL_BLOCK)
#define LINE_BYTES 64u

/* The integer sums of a block with each token's activations, minus zero times
 * the activations: dots[t][0] of the first 16 values, dots[t][1] of the others.
 * `block` points to the first of the 8 rows in the block's first group.  f and
 * tokens are constants after inlining. */
ALWAYS_INLINE void block_dots(__m256i dots[MAX_TOKENS][2], const uint8_t *block,
                              const struct q8_block *const x[MAX_TOKENS],
                              const struct panel_format f, uint32_t tokens);

/* Two groups of a 4- or 6-bit block, g and g + 4, as bytes q >= 0. */
ALWAYS_INLINE void unpack_pair(__m256i pair[2], const uint8_t *block,
                               uint32_t g, uint32_t bits)
{
    const __m256i low4 = _mm256_set1_epi8(15);
    const __m256i bits45 = _mm256_set1_epi8(0x30);
    __m256i both = _mm256_loadu_si256((const void *)(block + g * 64));
    __m256i high;

    pair[0] = _mm256_and_si256(both, low4);
    pair[1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low4);
    if (bits == 4)
        return;
    high = _mm256_loadu_si256((const void *)(block + 256 + g / 2 * 64));
    if (g % 2 == 0) {
        pair[0] = _mm256_or_si256(
            pair[0], _mm256_and_si256(_mm256_slli_epi16(high, 4), bits45));
        pair[1] = _mm256_or_si256(
            pair[1], _mm256_and_si256(_mm256_slli_epi16(high, 2), bits45));
    } else {
        pair[0] = _mm256_or_si256(pair[0], _mm256_and_si256(high, bits45));
        pair[1] = _mm256_or_si256(
            pair[1], _mm256_and_si256(_mm256_srli_epi16(high, 2), bits45));
    }
}

ALWAYS_INLINE __m256i broadcast4(const int8_t *q)
{
    int32_t four;

    memcpy(&four, q, sizeof(four));
    return _mm256_set1_epi32(four);
}

/* -zero times the sum of a half's activations. */
ALWAYS_INLINE __m256i neg_zero_sum(const struct q8_block *x, uint32_t half,
                                   uint32_t zero)
{
    __m256i sum;

    if (zero == 0)
        return _mm256_setzero_si256();
    sum = _mm256_set1_epi32(x->neg8sum[half]);
    if (zero == 16)
        return _mm256_slli_epi32(sum, 1);
    if (zero == 32)
        return _mm256_slli_epi32(sum, 2);
    return zero == 128 ? _mm256_slli_epi32(sum, 4) : sum;
}

/* What a block's integers are multiplied by, and what is subtracted. */
struct scales {
    __m256 s[2]; /* of the halves along k; equal but in K6 */
    __m256 m;
};

ALWAYS_INLINE __m256 load_halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

ALWAYS_INLINE __m256 load_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
}

ALWAYS_INLINE __m256 load_signed_bytes(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}

/* Of rows [r, r + 8). */
ALWAYS_INLINE struct scales load_scales(const uint8_t *scales,
                                        enum panel_scales kind, uint32_t b,
                                        uint32_t r)
{
    struct scales out = {.m = _mm256_setzero_ps()};
    const uint8_t *own;

    switch (kind) {
    case SCALES_D:
        out.s[0] = out.s[1] = load_halves(scales + (size_t)b * 32 + 2 * r);
        break;
    case SCALES_DM:
        scales += (size_t)b * 64 + 2 * r;
        out.s[0] = out.s[1] = load_halves(scales);
        out.m = _mm256_sub_ps(out.m, load_halves(scales + 32));
        break;
    case SCALES_K:
        scales += (size_t)(b / SUPER_BLOCKS) * 320;
        own = scales + 64 + b % SUPER_BLOCKS * 32 + r;
        scales += 2 * r;
        out.s[0] = out.s[1] =
            _mm256_mul_ps(load_halves(scales), load_bytes(own));
        out.m = _mm256_mul_ps(load_halves(scales + 32), load_bytes(own + 16));
        break;
    case SCALES_K6:
        scales += (size_t)(b / SUPER_BLOCKS) * 288;
        own = scales + 32 + b % SUPER_BLOCKS * 32 + r;
        scales += 2 * r;
        out.s[0] = _mm256_mul_ps(load_halves(scales), load_signed_bytes(own));
        out.s[1] =
            _mm256_mul_ps(load_halves(scales), load_signed_bytes(own + 16));
        break;
    }
    return out;
}

/* In the same order of operations as the other instruction sets. */
ALWAYS_INLINE __m256 add_block(__m256 acc, const __m256i dots[2],
                               const struct scales *s, const struct q8_block *x,
                               const struct panel_format f)
{
    UNROLL
    for (uint32_t h = 0; h < 2; h++)
        acc = _mm256_fmadd_ps(
            _mm256_cvtepi32_ps(dots[h]),
            _mm256_mul_ps(s->s[h], _mm256_broadcast_ss(&x->scale[h])), acc);
    if (f.scales == SCALES_DM || f.scales == SCALES_K)
        acc = _mm256_fnmadd_ps(s->m, _mm256_broadcast_ss(&x->sum), acc);
    return acc;
}

/* Rows [r, r + 8) of a panel against `tokens` tokens.  With `fetch` the same
 * place of the next panel is asked for meanwhile. */
ALWAYS_INLINE void tile(__m256 acc[MAX_TOKENS], const struct job *j,
                        const uint8_t *panel, uint32_t r,
                        const struct q8_block *x[MAX_TOKENS],
                        const struct panel_format f, uint32_t tokens,
                        bool fetch)
{
    const uint32_t block_bytes = PANEL_ROWS * PANEL_BLOCK / 8 * f.bits;
    const uint8_t *blocks = panel + j->scale_bytes + 4 * r;
    const uint8_t *next =
        panel + j->scale_bytes + (size_t)j->n_blocks * block_bytes;

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        acc[t] = _mm256_setzero_ps();
    for (uint32_t b = 0; b < j->n_blocks; b++) {
        struct scales s = load_scales(panel, f.scales, b, r);
        __m256i dots[MAX_TOKENS][2];

        if (fetch) {
            UNROLL
            for (uint32_t line = 0; line < block_bytes / LINE_BYTES + 1; line++)
                _mm_prefetch((const char *)next + line * LINE_BYTES,
                             _MM_HINT_T0);
            next += block_bytes + 32;
        }
        block_dots(dots, blocks, x, f, tokens);
        blocks += block_bytes;
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            acc[t] = add_block(acc[t], dots[t], &s, x[t], f);
            x[t]++;
        }
    }
}

ALWAYS_INLINE void store_rows(float *y, __m256 v, uint32_t n)
{
    if (n >= HALF_ROWS)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, lane_mask(n), v);
}

/* Tokens [t0, t0 + tokens) of one panel of n <= 16 rows. */
ALWAYS_INLINE void tokens_of_panel(const struct job *j, const uint8_t *panel,
                                   float *y, uint32_t t0, uint32_t n,
                                   const struct panel_format f, uint32_t tokens)
{
    for (uint32_t r = 0; r < n; r += HALF_ROWS) {
        const struct q8_block *x[MAX_TOKENS];
        __m256 acc[MAX_TOKENS];

        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            size_t at = j->rows != NULL ? j->rows[t0 + t] : t0 + t;

            x[t] = j->x + at * j->n_blocks;
        }
        tile(acc, j, panel, r, x, f, tokens, t0 == 0 && r == 0);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            store_rows(y + (t0 + t) * j->ldy + r, acc[t], n - r);
    }
}

ALWAYS_INLINE void panel_product(const struct job *j, const uint8_t *panel,
                                 float *y, uint32_t n,
                                 const struct panel_format f)
{
    uint32_t t = 0;

    for (; j->m - t >= 4; t += 4)
        tokens_of_panel(j, panel, y, t, n, f, 4);
    if (j->m - t >= 2) {
        tokens_of_panel(j, panel, y, t, n, f, 2);
        t += 2;
    }
    if (t < j->m)
        tokens_of_panel(j, panel, y, t, n, f, 1);
}

#endif
