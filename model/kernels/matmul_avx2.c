/* matmul_avx2.c -- few rows times stored weights: the decode hot loop.
 *
 * For one row the cost is reading the weights once, so eight weight rows are
 * read side by side: eight chains of multiply-adds hide their latency, and the
 * lines that the next eight rows will want are fetched meanwhile.  For more
 * rows a tile of 3 weight rows x 4 tokens keeps 12 sums in registers, and the
 * three rows come from memory for the first tile and from L1 for the others.
 *
 * Every output has one accumulator of eight lanes that steps through k by
 * eight, ends with one masked step and is added up by sum_lanes, whatever the
 * tile: so a token's result is the same bits for every m and every slice. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <stdbool.h>

#include "model/kernels/simd_avx2.h"

#define MAX_ROWS 8u
#define TILE_TOKENS 4u
#define LINE_BYTES 64u

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

/* The smaller side of the tile is held in registers and the other streams past
 * it: 3 x 4 sums + 3 weights + 1 input are exactly the 16 there are. */
ALWAYS_INLINE void multiply_add(__m256 acc[MAX_ROWS][TILE_TOKENS],
                                const struct operands *o, uint32_t p,
                                enum dtype dtype, uint32_t rows,
                                uint32_t tokens)
{
    const char *w = o->w + p * dtype_bytes(dtype);
    const float *x = o->x + p;
    __m256 held[TILE_TOKENS];

    if (tokens < rows) {
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            held[t] = _mm256_loadu_ps(x + t * o->ldx);
        UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            __m256 ws = load_weights(w + r * o->row_bytes, dtype);

            UNROLL
            for (uint32_t t = 0; t < tokens; t++)
                acc[r][t] = _mm256_fmadd_ps(ws, held[t], acc[r][t]);
        }
        return;
    }
    UNROLL
    for (uint32_t r = 0; r < rows; r++)
        held[r] = load_weights(w + r * o->row_bytes, dtype);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        __m256 xs = _mm256_loadu_ps(x + t * o->ldx);

        UNROLL
        for (uint32_t r = 0; r < rows; r++)
            acc[r][t] = _mm256_fmadd_ps(held[r], xs, acc[r][t]);
    }
}

/* The last k - p < 8 of every row. */
ALWAYS_INLINE void multiply_add_part(__m256 acc[MAX_ROWS][TILE_TOKENS],
                                     const struct operands *o, uint32_t p,
                                     enum dtype dtype, uint32_t rows,
                                     uint32_t tokens)
{
    __m256i mask = lane_mask(o->k - p);

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        const char *at = o->w + r * o->row_bytes + p * dtype_bytes(dtype);
        __m256 ws = load_weights_part(at, dtype, o->k - p);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            __m256 xs = load_part(o->x + t * o->ldx + p, mask);

            acc[r][t] = _mm256_fmadd_ps(ws, xs, acc[r][t]);
        }
    }
}

/* rows x tokens outputs; both, and dtype and fetch, are constants after
 * inlining.
 *
 * With `fetch` the rows of the next tile are asked for, line after line in the
 * order of memory.  The tile itself reads its rows side by side, which neither
 * the pages of memory nor the hardware's guesses like.  bf16, one row of x, K
 * 2048, one thread of Zen 5: 29 GB/s, where asking 1 KiB ahead in each row
 * gives 21-25, asking for nothing 19-22, and a plain sum reads 30. */
ALWAYS_INLINE void tile(const struct operands *o, enum dtype dtype,
                        uint32_t rows, uint32_t tokens, bool fetch)
{
    const uint32_t line = LINE_BYTES / (uint32_t)dtype_bytes(dtype);
    const char *next = o->w + rows * o->row_bytes;
    __m256 acc[MAX_ROWS][TILE_TOKENS];
    uint32_t p = 0;

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            acc[r][t] = _mm256_setzero_ps();
    }
    for (; o->k - p >= line; p += line) {
        if (fetch) {
            UNROLL
            for (uint32_t r = 0; r < rows; r++)
                _mm_prefetch(next + r * LINE_BYTES, _MM_HINT_T0);
            next += rows * LINE_BYTES;
        }
        UNROLL
        for (uint32_t step = 0; step < line; step += LANES)
            multiply_add(acc, o, p + step, dtype, rows, tokens);
    }
    for (; o->k - p >= LANES; p += LANES)
        multiply_add(acc, o, p, dtype, rows, tokens);
    if (p < o->k)
        multiply_add_part(acc, o, p, dtype, rows, tokens);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t r = 0; r < rows; r++)
            o->y[t * o->ldy + r] = sum_lanes(acc[r][t]);
    }
}

ALWAYS_INLINE void next_rows(struct operands *o, uint32_t rows)
{
    o->w += rows * o->row_bytes;
    o->y += rows;
}

ALWAYS_INLINE void next_tokens(struct operands *o)
{
    o->x += TILE_TOKENS * o->ldx;
    o->y += TILE_TOKENS * o->ldy;
}

/* `rows` weight rows against all m tokens; the first tile brings them in. */
ALWAYS_INLINE void strip(struct operands o, enum dtype dtype, uint32_t rows,
                         uint32_t m)
{
    bool fetch = true;

    if (m >= TILE_TOKENS) {
        tile(&o, dtype, rows, TILE_TOKENS, fetch);
        fetch = false;
        m -= TILE_TOKENS;
        next_tokens(&o);
    }
    for (; m >= TILE_TOKENS; m -= TILE_TOKENS) {
        tile(&o, dtype, rows, TILE_TOKENS, false);
        next_tokens(&o);
    }
    if (m == 3)
        tile(&o, dtype, rows, 3, fetch);
    else if (m == 2)
        tile(&o, dtype, rows, 2, fetch);
    else if (m == 1)
        tile(&o, dtype, rows, 1, fetch);
}

/* As many weight rows at a time as the registers hold for m tokens. */
ALWAYS_INLINE void matmul(struct operands o, enum dtype dtype, uint32_t m,
                          uint32_t n)
{
    if (m == 1) {
        for (; n >= 8; n -= 8) {
            tile(&o, dtype, 8, 1, true);
            next_rows(&o, 8);
        }
    } else if (m == 2) {
        for (; n >= 6; n -= 6) {
            tile(&o, dtype, 6, 2, true);
            next_rows(&o, 6);
        }
    } else if (m == 3) {
        for (; n >= 4; n -= 4) {
            tile(&o, dtype, 4, 3, true);
            next_rows(&o, 4);
        }
    } else {
        for (; n >= 3; n -= 3) {
            strip(o, dtype, 3, m);
            next_rows(&o, 3);
        }
    }
    for (; n > 0; n--) {
        strip(o, dtype, 1, m);
        next_rows(&o, 1);
    }
}

#define DEFINE_FOR(suffix, dtype)                                              \
    static void matmul_##suffix(                                               \
        float *restrict y, size_t ldy, const float *restrict x, size_t ldx,    \
        const void *restrict w, uint32_t m, uint32_t n, uint32_t k)            \
    {                                                                          \
        struct operands o = {y, ldy, x, ldx, w, k, k * dtype_bytes(dtype)};    \
                                                                               \
        matmul(o, dtype, m, n);                                                \
    }                                                                          \
                                                                               \
    static void widen_##suffix(float *restrict dst, const void *restrict src,  \
                               size_t n)                                       \
    {                                                                          \
        const char *s = src;                                                   \
        size_t i = 0;                                                          \
                                                                               \
        for (; n - i >= LANES; i += LANES)                                     \
            _mm256_storeu_ps(dst + i,                                          \
                             load_weights(s + i * dtype_bytes(dtype), dtype)); \
        if (i < n) {                                                           \
            uint32_t left = (uint32_t)(n - i);                                 \
                                                                               \
            _mm256_maskstore_ps(                                               \
                dst + i, lane_mask(left),                                      \
                load_weights_part(s + i * dtype_bytes(dtype), dtype, left));   \
        }                                                                      \
    }

DEFINE_FOR(f32, DTYPE_F32)
DEFINE_FOR(f16, DTYPE_F16)
DEFINE_FOR(bf16, DTYPE_BF16)

void matmul_fill_avx2(struct kernels *k)
{
    k->matmul[DTYPE_F32] = matmul_f32;
    k->matmul[DTYPE_F16] = matmul_f16;
    k->matmul[DTYPE_BF16] = matmul_bf16;
    k->widen[DTYPE_F32] = widen_f32;
    k->widen[DTYPE_F16] = widen_f16;
    k->widen[DTYPE_BF16] = widen_bf16;
}

#else

void matmul_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
