/* kernels.h -- the table of hot operations: op x instruction set.
 *
 * Every op works on one slice of the work, on the calling thread: it starts no
 * thread, allocates nothing, keeps no state and reports no error, because its
 * arguments were checked when the model was loaded.  Whoever calls decides who
 * computes which slice.
 *
 * The *_ref.c files are the specification.  They add up in double, so a
 * tolerance below bounds the error of the fast version alone; check_*.c hold
 * every instruction set to it.
 *
 * For all ops: pointers need the alignment of their element only; arrays do not
 * overlap unless the op says so; a length may be 0 unless the op says so.  The
 * result for one token is the same bits whatever else is in the batch, however
 * the rows, heads or channels are cut into slices, and wherever a run of tokens
 * is cut.  Bits differ between instruction sets.
 *
 * Any thread; the tables never change once kernels_select has returned. */
#ifndef LFMD_MODEL_KERNELS_KERNELS_H
#define LFMD_MODEL_KERNELS_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "model/kernels/blocks.h"
#include "model/kernels/kv_block.h"
#include "model/kernels/panel.h"

struct err;

/* Taps of the short convolution at most. */
#define KERNELS_MAX_CONV_WIDTH 16

/* Where the keys and values of one sequence lie, for one layer: KV head h of
 * position p is row p % KV_BLOCK_TOKENS of the part that starts at
 *
 *     base + blocks[p / KV_BLOCK_TOKENS] * block_bytes
 *          + h * kv_head_bytes(format, head_dim)
 *
 * and is laid out as kv_block.h says.  n_heads is a multiple of n_kv_heads;
 * query head i reads KV head i / (n_heads / n_kv_heads).  All borrowed. */
struct kv_view {
    const char *base;       /* the layer's in the pool */
    const uint32_t *blocks; /* [ceil(positions / KV_BLOCK_TOKENS)] */
    size_t block_bytes;     /* between one block and the next */
    enum kv_format format;
    uint32_t n_kv_heads, head_dim, n_heads;
};

static inline const char *kv_view_head(const struct kv_view *kv, uint32_t block,
                                       uint32_t kv_head)
{
    return kv->base + kv->blocks[block] * kv->block_bytes +
           kv_head * kv_head_bytes(kv->format, kv->head_dim);
}

/* Query rows, tokens times heads, of one attend at most. */
#define KERNELS_ATTEND_ROWS 64u

/* Attention of n_tokens consecutive tokens of one sequence, for query heads
 * [head0, head1) that read one KV head:
 *
 *     out[i][h] = sum_p softmax_p(scale * q[i][h] . key[p]) * value[p],
 *                 p <= position + i
 *
 * q and out point to head 0 of token 0; other heads are neither read nor
 * written.  `out` may be `q`. */
struct attend_run {
    float *out;     /* [n_tokens][ldo] */
    const float *q; /* [n_tokens][ldq] */
    size_t ldo, ldq;
    const struct kv_view *kv; /* keys and values of all tokens are in it */
    uint32_t n_tokens;        /* 1.., n_tokens * (head1 - head0) rows at most
                                 KERNELS_ATTEND_ROWS */
    uint32_t position;        /* of token 0 */
    uint32_t head0, head1;
    float scale;
    float *scratch; /* kernels_attend_scratch(kv->head_dim), the caller's */
};

/* Floats of scratch that one attend needs, whatever the positions: its rows of
 * queries, results, scores and sums, and one block widened. */
static inline size_t kernels_attend_scratch(uint32_t head_dim)
{
    size_t dim = kv_padded_dim(head_dim);

    return KERNELS_ATTEND_ROWS * (2 * dim + KV_BLOCK_TOKENS + 16) +
           2 * KV_BLOCK_TOKENS * dim;
}

/* One run of tokens of one sequence through the causal depthwise convolution,
 * on channels [c0, c1).  Pointers are to channel 0.
 *
 *     y[t][c] = bias[c] + sum_j weights[c][j] * column(t - (width - 1) + j)[c]
 *
 * where column(t) is bx[t] for t >= 0 and state[width - 1 + t] for t < 0.  Then
 * state holds the last width - 1 columns.  `y` may be `bx`. */
struct conv_run {
    float *y;             /* [n_tokens][ldy]         */
    const float *bx;      /* [n_tokens][ldbx]        */
    float *state;         /* [width - 1][hidden], oldest first; updated */
    const float *weights; /* [hidden][width]         */
    const float *bias;    /* [hidden], or NULL       */
    size_t ldy, ldbx;     /* floats between tokens   */
    uint32_t n_tokens, hidden, width; /* width 1..KERNELS_MAX_CONV_WIDTH */
    uint32_t c0, c1;
};

/* y[i * ldy + j] = sum_p x[i * ldx + p] * w[j * k + p], for n rows of stored
 * weights and m rows of x; k is a row's length, also the distance between rows.
 *
 * Right for any m, and quick for few, where reading w is the cost; from how
 * many on OpenBLAS is quicker, if ever, gemm_blas.c knows.  A slice starts at
 * any row: pass matrix_row(w, r0) and y + r0.  k = 0 gives zeros.  The order of
 * summation along k depends on k only, never on m or n.
 *
 * |y - y_ref| <= 1e-6 * sqrt(k) * sum |x * w|. */
typedef void matmul_fn(float *restrict y, size_t ldy, const float *restrict x,
                       size_t ldx, const void *restrict w, uint32_t m,
                       uint32_t n, uint32_t k);

/* 16 activations whose largest is below this are quantised to zeros: 127 / x
 * would leave the floats. */
#define Q8_TINY 1e-30f

/* 32 quantised activations of one token, in two halves of 16: x[i] is about
 * scale[i / 16] * q[i].  With a scale for 16 instead of 32 the error's variance
 * is a quarter smaller, and so is the divergence of what the model says. */
struct q8_block {
    float scale[2];     /* largest |x| of the half / 127 */
    float sum;          /* of scale * q, over both */
    int32_t neg8sum[2]; /* -8 * the sum of the half's q */
    int8_t q[PANEL_BLOCK];
};

/* `sum`, the same bits whatever the compiler fuses. */
static inline float q8_sum(const float scale[2], const int32_t sum[2])
{
    return fmaf(scale[1], (float)sum[1], scale[0] * (float)sum[0]);
}

/* dst[b] = x[32 b .. 32 b + 32), rounded to nearest, ties to even;
 * zeros for a half below Q8_TINY.  Every instruction set gives the same bits
 * while x is finite.  A NaN or an infinity makes the scale of its half one, so
 * that no product hides it; q is unspecified then, but in -127 .. 127. */
typedef void quantize_fn(struct q8_block *restrict dst, const float *restrict x,
                         uint32_t n_blocks);

/* y[i * ldy + j] = sum_k x[r(i)][k] * w[j][k] for m tokens and n rows of a
 * quantised matrix; `panels` is panel_at of its first row, r(i) is rows[i], or
 * i when rows is NULL; token t of x starts at x + t * n_blocks.
 *
 * w.cols is n_blocks * PANEL_BLOCK.  Products inside a block are exact
 * integers, blocks are added up in float in ascending order whatever m and n
 * are.  With s, q, m as in panel.h
 * |y - y_ref| <= 1e-6 * sqrt(n_blocks) * sum over blocks of
 *                (|s| * sum |q| * 127 + |m| * sum |x|) * the larger x.scale. */
typedef void qmatmul_fn(float *restrict y, size_t ldy,
                        const struct q8_block *restrict x,
                        const uint32_t *restrict rows,
                        const void *restrict panels, uint32_t m, uint32_t n,
                        uint32_t n_blocks);

/* dst[i] = (float)src[i]; exact, NaN stays NaN. */
typedef void widen_fn(float *restrict dst, const void *restrict src, size_t n);

/* y = x * (1 / sqrt(mean(x^2) + eps)) * w, n >= 1; `y` may be `x`.
 * |y - y_ref| <= 2e-6 * |y_ref|. */
typedef void rmsnorm_fn(float *y, const float *x, const float *restrict w,
                        uint32_t n, float eps);

/* y = gate / (1 + exp(-gate)) * up; `y` may be `gate` or `up`.
 * |y - y_ref| <= 2e-6 * |y_ref| + 1e-30 * |up|. */
typedef void silu_mul_fn(float *y, const float *gate, const float *up,
                         uint32_t n);

/* y += x: exact. */
typedef void add_fn(float *restrict y, const float *restrict x, uint32_t n);

/* y = a * b: exact; `y` may be `a` or `b`. */
typedef void mul_fn(float *y, const float *a, const float *b, uint32_t n);

/* y += a * x: |y - y_ref| <= 2e-7 * (|y_old| + |a * x|). */
typedef void axpy_fn(float *restrict y, float a, const float *restrict x,
                     uint32_t n);

/* Rotates one head in place, its halves paired (neox, HF's rotate_half): for
 * i < head_dim / 2
 *
 *     x[i]            = x[i] * cos[i] - x[i + head_dim / 2] * sin[i]
 *     x[i + head_dim / 2] = x[i + head_dim / 2] * cos[i] + x[i] * sin[i]
 *
 * cos, sin: [head_dim / 2], head_dim even.
 * |x - x_ref| <= 3e-7 * (|x[i]| + |x[i + head_dim / 2]|). */
typedef void rope_fn(float *restrict x, const float *restrict cos,
                     const float *restrict sin, uint32_t head_dim);

/* See struct attend_run.  One pass over the blocks with a running maximum.
 *
 * A row's bits depend on its query and on what is stored for the positions up
 * to its own, never on the other rows of the run (as long as the values that
 * those see are finite): a prompt cut into other runs gives the same.  What
 * lies behind the last position may be anything.
 *
 * |out - out_ref| <= 4e-5 * max_p |value[p]| while scores are below 30 and
 * positions below 10,000. */
typedef void attend_fn(const struct attend_run *run);

/* Stores one position's key and value of one KV head in row `row` of the
 * block's part `head`.  F16: to nearest, ties to even, at most 65504 in size.
 * Q8: scale is largest |x| / 127, elements to nearest of x * (127 / largest).
 * NaN stays NaN (in Q8 the scale does).  All sets give the same bits. */
typedef void kv_store_fn(char *restrict head, enum kv_format format,
                         uint32_t head_dim, uint32_t row,
                         const float *restrict key,
                         const float *restrict value);

/* See struct conv_run.
 * |y - y_ref| <= 4e-7 * width * (|bias| + sum |weight * column|). */
typedef void conv_fn(const struct conv_run *run);

struct kernels {
    const char *name; /* as kernels_select knows it */
    matmul_fn *matmul[N_FLOAT_DTYPES];
    widen_fn *widen[N_FLOAT_DTYPES];
    quantize_fn *quantize;
    qmatmul_fn *qmatmul[N_DTYPES]; /* of the quantised ones */
    rmsnorm_fn *rmsnorm;
    silu_mul_fn *silu_mul;
    add_fn *add;
    mul_fn *mul;
    axpy_fn *axpy;
    rope_fn *rope;
    attend_fn *attend;
    kv_store_fn *kv_store;
    conv_fn *conv;
};

/* The table for an instruction set by name; NULL or "best" is the best this CPU
 * has.  NULL with ERR_UNSUPPORTED in `err` when the CPU lacks it or there is no
 * such name.  The table is static and never freed.  Any thread. */
const struct kernels *kernels_select(const char *isa, struct err *err);

/* The names that kernels_select accepts on this machine, slowest first: the
 * i-th, or NULL after the last. */
const char *kernels_isa(uint32_t i);

#endif
