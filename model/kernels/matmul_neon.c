/* matmul_neon.c -- few rows times stored weights: the decode hot loop.
 *
 * The same shape as matmul_avx2.c with twice the registers of half the width:
 * for one token eight weight rows are read side by side, so that eight chains
 * of multiply-adds hide their latency; for more a tile of 6 weight rows x 4
 * tokens keeps 24 sums in registers, and its rows come from memory for the
 * first tile and from L1 for the others.
 *
 * Every output has one accumulator of four lanes that steps through k by four,
 * ends with one padded step and is added up pairwise, whatever the tile: so a
 * token's result is the same bits for every m and every slice. */
#include "model/kernels/kernels_fill.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "model/kernels/simd_neon.h"

#define MAX_ROWS 8u
#define TILE_ROWS 6u
#define TILE_TOKENS 4u

/* A tile's corner of the product. */
struct operands {
    float *y;
    size_t ldy;
    const float *x;
    size_t ldx;
    const char *w; /* first row of the tile */
    uint32_t k;
    size_t row_bytes;
};

/* The inputs are held in registers and the weights stream past them: 6 x 4 sums
 * + 4 inputs + 1 weight of the 32 there are. */
ALWAYS_INLINE void multiply_add(float32x4_t acc[MAX_ROWS][TILE_TOKENS],
                                const struct operands *o, uint32_t p,
                                enum dtype dtype, uint32_t rows,
                                uint32_t tokens)
{
    const char *w = o->w + p * dtype_bytes(dtype);
    float32x4_t held[TILE_TOKENS];

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        held[t] = vld1q_f32(o->x + t * o->ldx + p);
    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        float32x4_t ws = load_weights(w + r * o->row_bytes, dtype);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            acc[r][t] = vfmaq_f32(acc[r][t], ws, held[t]);
    }
}

/* The last k - p < 4 of every row. */
ALWAYS_INLINE void multiply_add_part(float32x4_t acc[MAX_ROWS][TILE_TOKENS],
                                     const struct operands *o, uint32_t p,
                                     enum dtype dtype, uint32_t rows,
                                     uint32_t tokens)
{
    uint32_t left = o->k - p;

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        const char *at = o->w + r * o->row_bytes + p * dtype_bytes(dtype);
        float32x4_t ws = load_weights_part(at, dtype, left);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            acc[r][t] = vfmaq_f32(acc[r][t], ws,
                                  load_part(o->x + t * o->ldx + p, left));
    }
}

/* rows x tokens outputs; both, and dtype, are constants after inlining. */
ALWAYS_INLINE void tile(const struct operands *o, enum dtype dtype,
                        uint32_t rows, uint32_t tokens)
{
    float32x4_t acc[MAX_ROWS][TILE_TOKENS];
    uint32_t p = 0;

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            acc[r][t] = vdupq_n_f32(0);
    }
    for (; o->k - p >= LANES; p += LANES)
        multiply_add(acc, o, p, dtype, rows, tokens);
    if (p < o->k)
        multiply_add_part(acc, o, p, dtype, rows, tokens);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t r = 0; r < rows; r++)
            o->y[t * o->ldy + r] = vaddvq_f32(acc[r][t]);
    }
}

/* `rows` weight rows against all m tokens; the first tile brings them in. */
ALWAYS_INLINE void strip(struct operands o, enum dtype dtype, uint32_t rows,
                         uint32_t m)
{
    for (; m >= TILE_TOKENS; m -= TILE_TOKENS) {
        tile(&o, dtype, rows, TILE_TOKENS);
        o.x += TILE_TOKENS * o.ldx;
        o.y += TILE_TOKENS * o.ldy;
    }
    if (m == 3)
        tile(&o, dtype, rows, 3);
    else if (m == 2)
        tile(&o, dtype, rows, 2);
    else if (m == 1)
        tile(&o, dtype, rows, 1);
}

ALWAYS_INLINE void next_rows(struct operands *o, uint32_t rows)
{
    o->w += rows * o->row_bytes;
    o->y += rows;
}

/* As many weight rows at a time as the registers hold for m tokens. */
ALWAYS_INLINE void matmul(struct operands o, enum dtype dtype, uint32_t m,
                          uint32_t n)
{
    if (m == 1) {
        for (; n >= MAX_ROWS; n -= MAX_ROWS) {
            tile(&o, dtype, MAX_ROWS, 1);
            next_rows(&o, MAX_ROWS);
        }
    } else {
        for (; n >= TILE_ROWS; n -= TILE_ROWS) {
            strip(o, dtype, TILE_ROWS, m);
            next_rows(&o, TILE_ROWS);
        }
    }
    for (; n > 0; n--) {
        strip(o, dtype, 1, m);
        next_rows(&o, 1);
    }
}

#define DEFINE_FOR(suffix, dtype)                                             \
    static void matmul_##suffix(                                              \
        float *restrict y, size_t ldy, const float *restrict x, size_t ldx,   \
        const void *restrict w, uint32_t m, uint32_t n, uint32_t k)           \
    {                                                                         \
        struct operands o = {y, ldy, x, ldx, w, k, k * dtype_bytes(dtype)};   \
                                                                              \
        matmul(o, dtype, m, n);                                               \
    }                                                                         \
                                                                              \
    static void widen_##suffix(float *restrict dst, const void *restrict src, \
                               size_t n)                                      \
    {                                                                         \
        const char *s = src;                                                  \
        size_t i = 0;                                                         \
                                                                              \
        for (; n - i >= LANES; i += LANES)                                    \
            vst1q_f32(dst + i,                                                \
                      load_weights(s + i * dtype_bytes(dtype), dtype));       \
        if (i < n) {                                                          \
            uint32_t left = (uint32_t)(n - i);                                \
                                                                              \
            store_part(                                                       \
                dst + i,                                                      \
                load_weights_part(s + i * dtype_bytes(dtype), dtype, left),   \
                left);                                                        \
        }                                                                     \
    }

DEFINE_FOR(f32, DTYPE_F32)
DEFINE_FOR(f16, DTYPE_F16)
DEFINE_FOR(bf16, DTYPE_BF16)

void matmul_fill_neon(struct kernels *k)
{
    k->matmul[DTYPE_F32] = matmul_f32;
    k->matmul[DTYPE_F16] = matmul_f16;
    k->matmul[DTYPE_BF16] = matmul_bf16;
    k->widen[DTYPE_F32] = widen_f32;
    k->widen[DTYPE_F16] = widen_f16;
    k->widen[DTYPE_BF16] = widen_bf16;
}

#else

void matmul_fill_neon(struct kernels *k)
{
    (void)k;
}

#endif
