/* blocks.h -- the number formats that weights keep in memory.
 *
 * BF16 is the upper half of a float32; F16 is IEEE binary16.  Kernels read
 * stored weights as they are and compute in float32. */
#ifndef LFMD_MODEL_KERNELS_BLOCKS_H
#define LFMD_MODEL_KERNELS_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, N_DTYPES };

static inline size_t dtype_bytes(enum dtype t)
{
    return t == DTYPE_F32 ? 4 : 2;
}

/* A weight matrix: row-major [rows = outputs, cols = inputs], borrowed from the
 * weights, aligned to its element. */
struct matrix {
    const void *data;
    enum dtype dtype;
    uint32_t rows, cols;
};

/* The address of row `r`. */
static inline const void *matrix_row(struct matrix w, uint32_t r)
{
    return (const char *)w.data + (size_t)r * w.cols * dtype_bytes(w.dtype);
}

#endif
