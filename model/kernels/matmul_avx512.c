/* matmul_avx512.c -- stored weights times few rows and times many.
 *
 * Up to MAX_FEW rows of x the cost is reading the weights once: a few weight
 * rows are read side by side, widened on the way, and the lines that the next
 * ones will want are fetched meanwhile.  For one row of x two of them suffice
 * to hide the latency, and these and the next two stay in L1: bf16, K 2048, two
 * threads on a busy machine, 26 GB/s where four read 25 and eight 22.
 *
 * Beyond that the cost is arithmetic.  Six weight rows by BLOCK are widened
 * into a panel that stays in L1, interleaved so that it is read straight
 * through, and the rows of x stream past it from L2, four at a time: 24 sums,
 * ten loads for 24 multiply-adds.  Rows of x are taken CHUNK at a time so that
 * they stay in L2 while all weights go by.  Sums wait in memory, as vectors,
 * between one block of k and the next.
 *
 * There is no set with BF16 dot products: vdpbf16ps does 32 multiply-adds where
 * vfmadd does 16, but takes x in BF16 too.  x in two parts, high and low, costs
 * as much as widened weights do and is off by up to 2^-18 of each product,
 * which kernels.h does not allow; in three parts it costs half as much again.
 *
 * Every output has one accumulator of sixteen lanes that steps through k by
 * sixteen, ends with one masked step and is added up by sum_four, whatever the
 * tile: so a token's result is the same bits for every m and every slice. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__)
#include <stdbool.h>
#include <string.h>

#include "model/kernels/simd_avx512.h"

#define MAX_FEW 32u /* rows of x without a panel */
#define MAX_ROWS 8u
#define LINE_BYTES 64u

#define ROWS 6u /* of a panel */
#define TOKENS 4u
#define BLOCK 1024u
#define CHUNK 64u

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

/* y[0..rows) = the sums of acc[0..rows). */
ALWAYS_INLINE void store_sums(float *y, const __m512 *acc, uint32_t rows)
{
    UNROLL
    for (uint32_t r = 0; r < rows; r += 4) {
        uint32_t n = rows - r < 4 ? rows - r : 4;
        __m512 b = acc[n > 1 ? r + 1 : r], c = acc[n > 2 ? r + 2 : r];
        __m512 d = acc[n > 3 ? r + 3 : r];

        _mm_mask_storeu_ps(y + r, (__mmask8)((1u << n) - 1u),
                           sum_four(acc[r], b, c, d));
    }
}

/* ---- few rows of x ---- */

/* The smaller side of the tile is held in registers and the other streams past
 * it: 24 sums at most, 4 held, 1 passing. */
ALWAYS_INLINE void multiply_add(__m512 acc[TOKENS][MAX_ROWS],
                                const struct operands *o, uint32_t p,
                                enum dtype dtype, uint32_t rows,
                                uint32_t tokens)
{
    const char *w = o->w + p * dtype_bytes(dtype);
    const float *x = o->x + p;
    __m512 held[MAX_ROWS];

    if (tokens < rows) {
        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            held[t] = _mm512_loadu_ps(x + t * o->ldx);
        UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            __m512 ws = load_weights(w + r * o->row_bytes, dtype);

            UNROLL
            for (uint32_t t = 0; t < tokens; t++)
                acc[t][r] = _mm512_fmadd_ps(ws, held[t], acc[t][r]);
        }
        return;
    }
    UNROLL
    for (uint32_t r = 0; r < rows; r++)
        held[r] = load_weights(w + r * o->row_bytes, dtype);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        __m512 xs = _mm512_loadu_ps(x + t * o->ldx);

        UNROLL
        for (uint32_t r = 0; r < rows; r++)
            acc[t][r] = _mm512_fmadd_ps(held[r], xs, acc[t][r]);
    }
}

/* The last k - p < 16 of every row. */
ALWAYS_INLINE void multiply_add_part(__m512 acc[TOKENS][MAX_ROWS],
                                     const struct operands *o, uint32_t p,
                                     enum dtype dtype, uint32_t rows,
                                     uint32_t tokens)
{
    __mmask16 mask = lane_mask(o->k - p);

    UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        const char *at = o->w + r * o->row_bytes + p * dtype_bytes(dtype);
        __m512 ws = load_weights_part(at, dtype, mask);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            __m512 xs = _mm512_maskz_loadu_ps(mask, o->x + t * o->ldx + p);

            acc[t][r] = _mm512_fmadd_ps(ws, xs, acc[t][r]);
        }
    }
}

/* rows x tokens outputs; both, and dtype and fetch, are constants after
 * inlining.
 *
 * With `fetch` the rows of the next tile are asked for, line after line in the
 * order of memory: see tile in matmul_avx2.c. */
ALWAYS_INLINE void tile(const struct operands *o, enum dtype dtype,
                        uint32_t rows, uint32_t tokens, bool fetch)
{
    const uint32_t line = LINE_BYTES / (uint32_t)dtype_bytes(dtype);
    const char *next = o->w + rows * o->row_bytes;
    __m512 acc[TOKENS][MAX_ROWS];
    uint32_t p = 0;

    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t r = 0; r < rows; r++)
            acc[t][r] = _mm512_setzero_ps();
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
    for (uint32_t t = 0; t < tokens; t++)
        store_sums(o->y + t * o->ldy, acc[t], rows);
}

/* `rows` weight rows against m rows of x; the first tile brings them in. */
ALWAYS_INLINE void few_strip(struct operands o, enum dtype dtype, uint32_t rows,
                             uint32_t m)
{
    bool fetch = true;

    for (; m >= TOKENS; m -= TOKENS) {
        if (fetch)
            tile(&o, dtype, rows, TOKENS, true);
        else
            tile(&o, dtype, rows, TOKENS, false);
        fetch = false;
        o.x += TOKENS * o.ldx;
        o.y += TOKENS * o.ldy;
    }
    if (m == 3)
        tile(&o, dtype, rows, 3, fetch);
    else if (m == 2)
        tile(&o, dtype, rows, 2, fetch);
    else if (m == 1)
        tile(&o, dtype, rows, 1, fetch);
}

/* All n weight rows, `rows` at a time and then one by one. */
ALWAYS_INLINE void few(struct operands o, enum dtype dtype, uint32_t rows,
                       uint32_t m, uint32_t n)
{
    for (; n >= rows; n -= rows) {
        few_strip(o, dtype, rows, m);
        o.w += rows * o.row_bytes;
        o.y += rows;
    }
    for (; n > 0; n--) {
        few_strip(o, dtype, 1, m);
        o.w += o.row_bytes;
        o.y += 1;
    }
}

/* ---- many rows of x ---- */

struct scratch {
    float panel[BLOCK / LANES][ROWS][LANES];
    float sums[CHUNK][ROWS][LANES]; /* of a token, so far */
};

/* One panel and where it lies in the product. */
struct strip {
    struct operands o; /* at the panel's first row and column */
    struct scratch *s;
    uint32_t width;   /* columns of the panel */
    uint32_t rows;    /* 1..ROWS; the panel's others are zero */
    uint32_t m;       /* <= CHUNK */
    bool first, last; /* block of k */
};

/* Widens; columns beyond the last are zero up to a whole vector. */
ALWAYS_INLINE void fill_panel(const struct strip *s, enum dtype dtype)
{
    uint32_t steps = (s->width + LANES - 1) / LANES;

    for (uint32_t r = 0; r < s->rows; r++) {
        const char *w = s->o.w + r * s->o.row_bytes;
        uint32_t i = 0;

        for (; (i + 1) * LANES <= s->width;
             i++, w += LANES * dtype_bytes(dtype))
            _mm512_store_ps(s->s->panel[i][r], load_weights(w, dtype));
        if (i < steps)
            _mm512_store_ps(
                s->s->panel[i][r],
                load_weights_part(w, dtype, lane_mask(s->width - i * LANES)));
    }
    for (uint32_t r = s->rows; r < ROWS; r++) {
        for (uint32_t i = 0; i < steps; i++)
            _mm512_store_ps(s->s->panel[i][r], _mm512_setzero_ps());
    }
}

/* One step of k: 6 weights from the panel, `tokens` rows of x. */
ALWAYS_INLINE void panel_step(__m512 acc[TOKENS][ROWS], const float *w,
                              const float *x, size_t ldx, __mmask16 mask,
                              uint32_t tokens)
{
    __m512 xs[TOKENS];

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        xs[t] = _mm512_maskz_loadu_ps(mask, x + t * ldx);
    UNROLL
    for (uint32_t r = 0; r < ROWS; r++) {
        __m512 ws = _mm512_load_ps(w + r * LANES);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++)
            acc[t][r] = _mm512_fmadd_ps(ws, xs[t], acc[t][r]);
    }
}

/* Tokens [t0, t0 + tokens) against the panel; `tokens` is a constant after
 * inlining. */
ALWAYS_INLINE void panel_tile(const struct strip *s, uint32_t t0,
                              uint32_t tokens)
{
    const float *x = s->o.x + t0 * s->o.ldx;
    float(*sums)[ROWS][LANES] = s->s->sums + t0;
    __m512 acc[TOKENS][ROWS];
    uint32_t steps = s->width / LANES, left = s->width % LANES;

    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t r = 0; r < ROWS; r++)
            acc[t][r] =
                s->first ? _mm512_setzero_ps() : _mm512_load_ps(sums[t][r]);
    }
    for (uint32_t i = 0; i < steps; i++)
        panel_step(acc, s->s->panel[i][0], x + i * LANES, s->o.ldx, ALL,
                   tokens);
    if (left != 0)
        panel_step(acc, s->s->panel[steps][0], x + steps * LANES, s->o.ldx,
                   lane_mask(left), tokens);
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t r = 0; r < ROWS; r++)
            _mm512_store_ps(sums[t][r], acc[t][r]);
    }
    if (!s->last)
        return;
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        float *y = s->o.y + (t0 + t) * s->o.ldy;

        if (s->rows == ROWS) {
            store_sums(y, acc[t], ROWS);
        } else {
            float six[8];

            store_sums(six, acc[t], ROWS);
            memcpy(y, six, s->rows * sizeof(float));
        }
    }
}

/* Asks for lines [from, to) of the panel that comes `ROWS` rows further on, row
 * by row: its widening would wait for memory otherwise. */
ALWAYS_INLINE void fetch_next(const struct strip *s, uint32_t per_row,
                              uint32_t from, uint32_t to)
{
    const char *next = s->o.w + ROWS * s->o.row_bytes;

    for (uint32_t i = from; i < to; i++)
        _mm_prefetch(next + i / per_row * s->o.row_bytes +
                         i % per_row * LINE_BYTES,
                     _MM_HINT_T1);
}

ALWAYS_INLINE void multiply_strip(const struct strip *s, enum dtype dtype)
{
    uint32_t per_row =
        (s->width * (uint32_t)dtype_bytes(dtype) + LINE_BYTES - 1) / LINE_BYTES;
    uint32_t n_tiles = (s->m + TOKENS - 1) / TOKENS;
    uint32_t share = (ROWS * per_row + n_tiles - 1) / n_tiles;
    uint32_t t = 0, line = 0;

    for (; s->m - t >= TOKENS; t += TOKENS, line += share) {
        fetch_next(s, per_row, line, line + share);
        panel_tile(s, t, TOKENS);
    }
    if (s->m - t == 3)
        panel_tile(s, t, 3);
    else if (s->m - t == 2)
        panel_tile(s, t, 2);
    else if (s->m - t == 1)
        panel_tile(s, t, 1);
}

/* `m` <= CHUNK rows of x against all n weight rows. */
ALWAYS_INLINE void chunk(const struct operands *o, enum dtype dtype, uint32_t m,
                         uint32_t n, struct scratch *scratch)
{
    for (uint32_t j = 0; j < n; j += ROWS) {
        struct strip s = {.s = scratch, .m = m};

        s.rows = n - j < ROWS ? n - j : ROWS;
        for (uint32_t p = 0; p == 0 || p < o->k; p += BLOCK) {
            s.o = *o;
            s.o.y += j;
            s.o.x += p;
            s.o.w += j * o->row_bytes + p * dtype_bytes(dtype);
            s.width = o->k - p < BLOCK ? o->k - p : BLOCK;
            s.first = p == 0;
            s.last = o->k - p <= BLOCK;
            fill_panel(&s, dtype);
            multiply_strip(&s, dtype);
        }
    }
}

/* Chunks of about the same size: each reads all weights. */
ALWAYS_INLINE void many(struct operands o, enum dtype dtype, uint32_t m,
                        uint32_t n)
{
    _Alignas(64) struct scratch scratch;
    uint32_t n_chunks = (m + CHUNK - 1) / CHUNK;
    uint32_t size = (m + n_chunks - 1) / n_chunks;

    size = (size + TOKENS - 1) / TOKENS * TOKENS;
    while (m > 0) {
        uint32_t some = m < size ? m : size;

        chunk(&o, dtype, some, n, &scratch);
        o.x += some * o.ldx;
        o.y += some * o.ldy;
        m -= some;
    }
}

/* ---- the table ---- */

ALWAYS_INLINE void matmul(struct operands o, enum dtype dtype, uint32_t m,
                          uint32_t n)
{
    if (m == 1)
        few(o, dtype, 2, 1, n);
    else if (m == 2)
        few(o, dtype, 4, 2, n);
    else if (m == 3)
        few(o, dtype, 8, 3, n);
    else if (m <= MAX_FEW)
        few(o, dtype, ROWS, m, n);
    else
        many(o, dtype, m, n);
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
            _mm512_storeu_ps(dst + i,                                          \
                             load_weights(s + i * dtype_bytes(dtype), dtype)); \
        if (i < n) {                                                           \
            __mmask16 mask = lane_mask((uint32_t)(n - i));                     \
                                                                               \
            _mm512_mask_storeu_ps(                                             \
                dst + i, mask,                                                 \
                load_weights_part(s + i * dtype_bytes(dtype), dtype, mask));   \
        }                                                                      \
    }

DEFINE_FOR(f32, DTYPE_F32)
DEFINE_FOR(f16, DTYPE_F16)
DEFINE_FOR(bf16, DTYPE_BF16)

void matmul_fill_avx512(struct kernels *k)
{
    k->matmul[DTYPE_F32] = matmul_f32;
    k->matmul[DTYPE_F16] = matmul_f16;
    k->matmul[DTYPE_BF16] = matmul_bf16;
    k->widen[DTYPE_F32] = widen_f32;
    k->widen[DTYPE_F16] = widen_f16;
    k->widen[DTYPE_BF16] = widen_bf16;
}

#else

void matmul_fill_avx512(struct kernels *k)
{
    (void)k;
}

#endif
