/* qmatmul_neon.c -- quantised weights by the dot-product instruction.
 *
 * A group of a panel is four vectors of 4 rows x 4 bytes, and vdotq_laneq_s32
 * multiplies one with 4 activations of a token: no shuffles, no sums of lanes.
 * It takes signed bytes.  Weights of 4 and 6 bits fit as they are stored, and
 * their zero is taken off through the sums of the activations (neg8sum); those
 * of 8 bits are stored as q + 128, so flipping the top bit gives q.
 *
 * A tile is a panel's 16 rows x 1 or 2 tokens, or 8 of its rows x 4 tokens: the
 * integer sums, the float sums and the activations then fit the 32 registers.
 * For 4 tokens a panel is walked twice, the second time out of the cache.
 *
 * Every output adds its blocks to one float in ascending order, one fused step
 * for the minimum and one for the products, whatever the tile: so a token's
 * result is the same bits for every m and every slice. */
#include "model/kernels/kernels_fill.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "model/kernels/qmatmul_formats.h"
#include "model/kernels/simd_neon.h"
#include "model/kernels/widen.h"

#define TILE_TOKENS 4u
#define VECTORS (PANEL_ROWS / LANES)
#define GROUPS 4u /* of one half of a block */
#define GROUP_BYTES (PANEL_ROWS * 4)
#define SUPER_BLOCKS (PANEL_SUPER / PANEL_BLOCK)

/* ---- activations ------------------------------------------------------- */

/* Returns the sum of q. */
ALWAYS_INLINE int32_t quantize_half(struct q8_block *dst, uint32_t h,
                                    const float *x)
{
    float32x4_t v[4];
    uint32x4_t largest = vdupq_n_u32(0); /* floats would pass over a NaN */
    float max, inverse;
    int16x4_t narrow[4];
    int8x16_t all;
    int32_t sum;

    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        v[i] = vld1q_f32(x + i * LANES);
        largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(v[i])));
    }
    max = float_from_bits(vmaxvq_u32(largest));
    inverse = max >= Q8_TINY ? 127.0f / max : 0;
    UNROLL
    for (uint32_t i = 0; i < 4; i++) {
        v[i] = vminnmq_f32(vdupq_n_f32(127), vmulq_n_f32(v[i], inverse));
        v[i] = vmaxnmq_f32(vdupq_n_f32(-127), v[i]);
        narrow[i] = vmovn_s32(vcvtnq_s32_f32(v[i]));
    }
    all = vcombine_s8(vmovn_s16(vcombine_s16(narrow[0], narrow[1])),
                      vmovn_s16(vcombine_s16(narrow[2], narrow[3])));
    vst1q_s8(dst->q + 16 * h, all);
    sum = vaddlvq_s8(all);
    dst->scale[h] = max / 127.0f;
    dst->neg8sum[h] = -8 * sum;
    return sum;
}

DEFINE_QUANTIZE

/* ---- weights ----------------------------------------------------------- */

/* The two high bits of group g of half h, at bits 4 and 5. */
ALWAYS_INLINE uint8x16_t high_bits(const uint8_t *high, uint32_t h, uint32_t g)
{
    uint8x16_t bits = vld1q_u8(high + g / 2 * GROUP_BYTES);

    if (g % 2 == 0)
        bits = h == 0 ? vshlq_n_u8(bits, 4) : vshlq_n_u8(bits, 2);
    else if (h != 0)
        bits = vshrq_n_u8(bits, 2);
    return vandq_u8(bits, vdupq_n_u8(0x30));
}

/* Group g of half h, 4 rows from row 4 v on. */
ALWAYS_INLINE int8x16_t load_group(const uint8_t *block, uint32_t bits,
                                   uint32_t h, uint32_t g, uint32_t v)
{
    uint8x16_t q;

    block += v * 16;
    if (bits == 8) {
        q = vld1q_u8(block + (h * GROUPS + g) * GROUP_BYTES);
        return vreinterpretq_s8_u8(veorq_u8(q, vdupq_n_u8(0x80)));
    }
    q = vld1q_u8(block + g * GROUP_BYTES);
    q = h == 0 ? vandq_u8(q, vdupq_n_u8(15)) : vshrq_n_u8(q, 4);
    if (bits == 6)
        q = vorrq_u8(q, high_bits(block + GROUPS * GROUP_BYTES, h, g));
    return vreinterpretq_s8_u8(q);
}

ALWAYS_INLINE int32x4_t dot_lane(int32x4_t acc, int8x16_t w, int8x16_t x,
                                 uint32_t g)
{
    switch (g) { /* the instruction holds the lane */
    case 0:
        return vdotq_laneq_s32(acc, w, x, 0);
    case 1:
        return vdotq_laneq_s32(acc, w, x, 1);
    case 2:
        return vdotq_laneq_s32(acc, w, x, 2);
    default:
        return vdotq_laneq_s32(acc, w, x, 3);
    }
}

ALWAYS_INLINE float32x4_t load_halves(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

/* Four bytes as numbers. */
ALWAYS_INLINE int32x4_t load_bytes(const uint8_t *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof(word));
    return vreinterpretq_s32_u32(vmovl_u16(
        vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(word))))));
}

/* ---- one block --------------------------------------------------------- */

typedef int32x4_t dots[TILE_TOKENS][VECTORS];
typedef float32x4_t sums[TILE_TOKENS][VECTORS];

/* A tile's shape and the numbers of panel_format.  Passed by value, so that all
 * of it is constant after inlining. */
struct shape {
    uint32_t bits;
    enum panel_scales scales;
    uint32_t zero;
    uint32_t vectors; /* of 4 rows */
    uint32_t tokens;
};

/* What a tile reads. */
struct tile {
    const struct q8_block *x[TILE_TOKENS];
    const uint8_t *scales, *blocks; /* of its panel */
    uint32_t v0;                    /* its first vector of the panel */
};

/* acc = the products of half h of block b. */
ALWAYS_INLINE void dot_half(dots acc, const struct tile *o, uint32_t b,
                            const uint8_t *block, struct shape f, uint32_t h)
{
    int8x16_t x[TILE_TOKENS];

    UNROLL
    for (uint32_t t = 0; t < f.tokens; t++) {
        int32_t start = 0;

        x[t] = vld1q_s8(o->x[t][b].q + 16 * h);
        if (f.bits != 8)
            start = o->x[t][b].neg8sum[h] * (int32_t)(f.zero / 8);
        UNROLL
        for (uint32_t v = 0; v < f.vectors; v++)
            acc[t][v] = vdupq_n_s32(start);
    }
    UNROLL
    for (uint32_t g = 0; g < GROUPS; g++) {
        UNROLL
        for (uint32_t v = 0; v < f.vectors; v++) {
            int8x16_t w = load_group(block, f.bits, h, g, o->v0 + v);

            UNROLL
            for (uint32_t t = 0; t < f.tokens; t++)
                acc[t][v] = dot_lane(acc[t][v], w, x[t], g);
        }
    }
}

/* Where the scales of block b lie for rows from 4 v on: `at` the halves, `own`
 * the bytes of the K formats. */
struct scales {
    const uint8_t *at, *own;
};

ALWAYS_INLINE struct scales find_scales(const struct tile *o, uint32_t b,
                                        uint32_t v, struct shape f)
{
    const uint32_t d = f.scales == SCALES_D || f.scales == SCALES_K6 ? 2 : 4;
    struct scales s = {o->scales, o->scales};

    if (f.scales == SCALES_D || f.scales == SCALES_DM)
        s.at += b * d * PANEL_ROWS;
    else
        s.at += b / SUPER_BLOCKS * (d + 2 * SUPER_BLOCKS) * PANEL_ROWS;
    s.own = s.at + d * PANEL_ROWS + b % SUPER_BLOCKS * 2 * PANEL_ROWS + v * 4;
    s.at += v * 8;
    return s;
}

/* What half h of a block is multiplied by. */
ALWAYS_INLINE float32x4_t load_scale(struct scales s, uint32_t h,
                                     struct shape f)
{
    float32x4_t d = load_halves(s.at);

    if (f.scales == SCALES_K)
        return vmulq_f32(d, vcvtq_f32_s32(load_bytes(s.own)));
    if (f.scales == SCALES_K6)
        return vmulq_f32(
            d, vcvtq_f32_s32(load_signed_bytes(s.own + h * PANEL_ROWS)));
    return d;
}

/* What is added once for every activation. */
ALWAYS_INLINE float32x4_t load_min(struct scales s, struct shape f)
{
    float32x4_t m = load_halves(s.at + 2 * PANEL_ROWS);

    if (f.scales == SCALES_DM)
        return m;
    return vmulq_f32(vnegq_f32(m),
                     vcvtq_f32_s32(load_bytes(s.own + PANEL_ROWS)));
}

/* One half after the other: the sums of both would not fit the registers. */
ALWAYS_INLINE void add_block(sums sum, const struct tile *o, uint32_t b,
                             const uint8_t *block, struct shape f)
{
    UNROLL
    for (uint32_t h = 0; h < 2; h++) {
        dots acc;

        dot_half(acc, o, b, block, f, h);
        UNROLL
        for (uint32_t v = 0; v < f.vectors; v++) {
            struct scales at = find_scales(o, b, o->v0 + v, f);
            float32x4_t s = load_scale(at, h, f);

            UNROLL
            for (uint32_t t = 0; t < f.tokens; t++)
                sum[t][v] = vfmaq_f32(sum[t][v], vcvtq_f32_s32(acc[t][v]),
                                      vmulq_n_f32(s, o->x[t][b].scale[h]));
        }
    }
    if (f.scales != SCALES_DM && f.scales != SCALES_K)
        return;
    UNROLL
    for (uint32_t v = 0; v < f.vectors; v++) {
        float32x4_t m = load_min(find_scales(o, b, o->v0 + v, f), f);

        UNROLL
        for (uint32_t t = 0; t < f.tokens; t++)
            sum[t][v] = vfmaq_n_f32(sum[t][v], m, o->x[t][b].sum);
    }
}

/* ---- the whole --------------------------------------------------------- */

/* The first n of the tile's rows to y. */
ALWAYS_INLINE void run_tile(float *const y[TILE_TOKENS], const struct tile *o,
                            struct shape f, uint32_t n, uint32_t n_blocks)
{
    const uint8_t *block = o->blocks;
    sums sum;

    UNROLL
    for (uint32_t t = 0; t < f.tokens; t++) {
        UNROLL
        for (uint32_t v = 0; v < f.vectors; v++)
            sum[t][v] = vdupq_n_f32(0);
    }
    for (uint32_t b = 0; b < n_blocks; b++) {
        add_block(sum, o, b, block, f);
        block += PANEL_ROWS * PANEL_BLOCK / 8 * f.bits;
    }
    UNROLL
    for (uint32_t t = 0; t < f.tokens; t++) {
        float row[PANEL_ROWS];

        UNROLL
        for (uint32_t v = 0; v < f.vectors; v++)
            vst1q_f32(row + v * LANES, sum[t][v]);
        memcpy(y[t], row, n * sizeof(float));
    }
}

/* What one call multiplies. */
struct product {
    float *y;
    size_t ldy;
    const struct q8_block *x;
    const uint32_t *rows;
    uint32_t m, n, n_blocks;
};

/* Tokens i .. i + tokens of the panel in o, whose rows are columns j on. */
ALWAYS_INLINE void some_tokens(const struct product *p, struct tile *o,
                               struct shape f, uint32_t tokens, uint32_t i,
                               uint32_t j)
{
    uint32_t n = p->n - j < PANEL_ROWS ? p->n - j : PANEL_ROWS;
    float *y[TILE_TOKENS];

    f.tokens = tokens;
    f.vectors = tokens > 2 ? VECTORS / 2 : VECTORS;
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        size_t at = p->rows != NULL ? p->rows[i + t] : i + t;

        o->x[t] = p->x + at * p->n_blocks;
        y[t] = p->y + (i + t) * p->ldy + j;
    }
    for (uint32_t row = 0; row < n; row += f.vectors * LANES) {
        uint32_t here = n - row;

        here = here < f.vectors * LANES ? here : f.vectors * LANES;
        o->v0 = row / LANES;
        run_tile(y, o, f, here, p->n_blocks);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            y[t] += here;
    }
}

ALWAYS_INLINE void qmatmul(const struct product *p, const void *panels,
                           enum dtype dtype, struct shape f)
{
    uint32_t cols = p->n_blocks * PANEL_BLOCK;
    size_t scale_bytes = panel_scale_bytes(dtype, cols);
    size_t each = panel_bytes(dtype, cols);
    struct tile o = {.scales = panels};

    for (uint32_t j = 0; j < p->n; j += PANEL_ROWS, o.scales += each) {
        uint32_t i = 0;

        o.blocks = o.scales + scale_bytes;
        for (; p->m - i >= 4; i += 4)
            some_tokens(p, &o, f, 4, i, j);
        if (p->m - i >= 2) {
            some_tokens(p, &o, f, 2, i, j);
            i += 2;
        }
        if (i < p->m)
            some_tokens(p, &o, f, 1, i, j);
    }
}

#define DEFINE_FOR(name, suffix, bits, scales, zero)                      \
    static void qmatmul_##suffix(                                         \
        float *restrict y, size_t ldy, const struct q8_block *restrict x, \
        const uint32_t *restrict rows, const void *restrict panels,       \
        uint32_t m, uint32_t n, uint32_t n_blocks)                        \
    {                                                                     \
        struct product p = {y, ldy, x, rows, m, n, n_blocks};             \
        struct shape f = {bits, scales, zero, 0, 0};                      \
                                                                          \
        qmatmul(&p, panels, DTYPE_##name, f);                             \
    }

PANEL_FORMATS(DEFINE_FOR)

void qmatmul_fill_neon(struct kernels *k)
{
    k->quantize = quantize;
    PANEL_FORMATS(FILL_QMATMUL)
}

#else

void qmatmul_fill_neon(struct kernels *k)
{
    (void)k;
}

#endif
