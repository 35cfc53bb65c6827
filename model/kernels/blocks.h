/* blocks.h -- the number formats that weights come in.
 *
 * BF16 is the upper half of a float32; F16 is IEEE binary16.  The quantised
 * ones are blocks along a row: small integers with one or two scales.  Source:
 * ggml-common.h and ggml-quants.c of llama.cpp; the layouts are in blocks.c.
 *
 * Kernels read float formats as they lie in the file, row by row, and quantised
 * ones as panels (panel.h), into which they are put at load. */
#ifndef LFMD_MODEL_KERNELS_BLOCKS_H
#define LFMD_MODEL_KERNELS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    N_FLOAT_DTYPES, /* below: numbers one by one; from here on: blocks */
    DTYPE_Q4_0 = N_FLOAT_DTYPES,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q8_0,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    N_DTYPES
};

static inline bool dtype_is_quantised(enum dtype t)
{
    return t >= N_FLOAT_DTYPES;
}

const char *dtype_name(enum dtype t); /* "BF16", "Q4_K" */

/* Values in one block (1 for floats) and the bytes it takes in a file. */
uint32_t dtype_block_values(enum dtype t);
uint32_t dtype_block_bytes(enum dtype t);

/* Bytes of one number of a float format. */
static inline size_t dtype_bytes(enum dtype t)
{
    return t == DTYPE_F32 ? 4 : 2;
}

/* dst[0 .. n) = the numbers that the blocks in `src` stand for; n is a multiple
 * of dtype_block_values.  All formats; exact in the order of operations of
 * ggml's dequantize_row_*.  Any alignment. */
void blocks_decode(enum dtype t, float *dst, const void *src, size_t n);

/* Quantises n floats (a multiple of 32, all finite) as ggml's
 * quantize_row_q4_0_ref and q8_0_ref do; t is DTYPE_Q4_0 or DTYPE_Q8_0. */
void blocks_encode(enum dtype t, void *dst, const float *src, size_t n);

/* A weight matrix [rows = outputs, cols = inputs], borrowed from the weights.
 * Float formats: row-major, aligned to the element.  Quantised: panels,
 * 64-byte aligned. */
struct matrix {
    const void *data;
    enum dtype dtype;
    uint32_t rows, cols;
};

/* The address of row `r` of a float matrix. */
static inline const void *matrix_row(struct matrix w, uint32_t r)
{
    return (const char *)w.data + (size_t)r * w.cols * dtype_bytes(w.dtype);
}

#endif
