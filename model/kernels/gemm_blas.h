/* gemm_blas.h -- x times transposed weights, for any number of rows.
 *
 * Few rows go to the table's matmul, which reads weights at the speed of
 * memory; many go to OpenBLAS's sgemm, F16 and BF16 widened a panel at a time
 * into the caller's scratch.  The crossover per instruction set and format is
 * measured; where matmul wins at any size there is none.
 *
 * OpenBLAS runs single-threaded inside the caller's slice: the workers are
 * ours, and two pools on the same cores starve each other.
 *
 * Results of the two paths, and of sgemm for different m, agree to rounding
 * only: sgemm picks its kernel, and with it the order of summation, by shape.
 * Below the crossover a row is the same bits for every m. */
#ifndef LFMD_MODEL_KERNELS_GEMM_BLAS_H
#define LFMD_MODEL_KERNELS_GEMM_BLAS_H

#include <stddef.h>
#include <stdint.h>

#include "model/kernels/blocks.h"

struct err;
struct kernels;

/* Floats of scratch that a thread lends to gemm; 64-byte alignment helps.
 * 1 MiB is 128 rows of 2048: bf16, 512 tokens, one thread gave 111, 116, 126
 * and 120 GFLOP/s with a quarter, a half, all and twice of it. */
#define GEMM_PANEL_FLOATS (256u * 1024u)

/* Pins OpenBLAS to one thread; first of all gemm_* calls, before threads use
 * it.  Repeats do nothing. */
void gemm_init(void);

/* Has OpenBLAS take the buffers of n_threads calls at once (128 MB of addresses
 * each, of which little is touched), where gemm uses it with these kernels.
 * Without one at hand a call asks the kernel for it, and as long as memory is
 * short does so for ever.  At boot, after gemm_init. */
void gemm_reserve(const struct kernels *kernels, uint32_t n_threads);

/* y[i * ldy + j] = sum_k x[i * ldx + k] * w[j][k] for i < m and rows j of `w`
 * in [row0, row1); `y` is indexed from row 0 of `w`, so slices of one product
 * share it.  ldx >= w.cols, ldy >= row1.  y overlaps nothing.
 * |y - exact| <= 1e-6 * sqrt(k) * sum |x * w|.  Any thread, several at once,
 * each with its own panel; no allocation of ours (OpenBLAS reuses its own). */
void gemm(const struct kernels *kernels, float *y, size_t ldy, const float *x,
          size_t ldx, struct matrix w, uint32_t row0, uint32_t row1, uint32_t m,
          float *panel);

/* The OpenBLAS side of gemm, whatever m >= 1 is: how the crossover is measured.
 * 1 <= w.cols <= GEMM_PANEL_FLOATS and row0 < row1. */
void gemm_wide(const struct kernels *kernels, float *y, size_t ldy,
               const float *x, size_t ldx, struct matrix w, uint32_t row0,
               uint32_t row1, uint32_t m, float *panel);

/* The fewest rows m that gemm gives to OpenBLAS; UINT32_MAX: it gives none. */
uint32_t gemm_crossover(const struct kernels *kernels, enum dtype dtype);

/* Proves on this machine that the sgemm which OpenBLAS chose by itself computes
 * right, on a handful of awkward shapes against sums in double; milliseconds.
 * -ERR_INTERNAL names the core and the way out; -ERR_NOMEM.  Run at boot. */
int gemm_self_test(struct err *err);

const char *gemm_core_name(void); /* "SkylakeX", "Haswell", ...; static */
const char *gemm_config(void);    /* OpenBLAS's version and build; static */

#endif
