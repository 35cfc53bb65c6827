/* panel.h -- quantised weights as the kernels want them: 16 rows side by side.
 *
 * A panel holds 16 consecutive rows of a matrix; rows beyond the last have
 * scales of zero.  Along a row, 32 values are a block.  The 4 values that one
 * byte-dot-product instruction takes are kept together, row after row, so that
 * one load of 64 bytes feeds 16 rows and an activation is one broadcast of 4
 * bytes:
 *
 *     group g of a block:  | row 0: k 4g..4g+3 | row 1: ... | ... | row 15 |
 *
 * All formats store q >= 0 and mean w = s * (q - zero) or w = s * q - m:
 *
 *     bits  per block of 16 rows                                     formats
 *     4     [4][16][4]: byte = q of group g | q of group g + 4 << 4  Q4_*
 *     6     the same, then [2][16][4]: 2 high bits each of groups    Q5_*, Q6_K
 *           2h, 2h + 4, 2h + 1, 2h + 5, from bit 0 up
 *     8     [8][16][4]                                               Q8_0
 *
 *     scales                                      w                  formats
 *     D     [block][16] f16 d                     d * (q - zero)     Q4_0 Q5_0
 *                                                                    Q8_0
 *     DM    [block][2][16] f16 d, m               d * q + m          Q4_1 Q5_1
 *     K     [super][ 16 f16 d, 16 f16 dmin,       d * sc * q         Q4_K Q5_K
 *             [8][2][16] u8 sc, m ]                   - dmin * m
 *     K6    [super][ 16 f16 d, [8][2][16] i8 sc ] d * sc * (q - 32)  Q6_K
 *
 * where a super block is 8 blocks, and in K6 a block has two scales, one for
 * its first and one for its second half.  In memory a panel is all its scales,
 * padded to 64 bytes, then all its blocks: two streams, each read forward.
 *
 * Pure layout: any thread. */
#ifndef LFMD_MODEL_KERNELS_PANEL_H
#define LFMD_MODEL_KERNELS_PANEL_H

#include <stddef.h>
#include <stdint.h>

#include "model/kernels/blocks.h"

#define PANEL_ROWS 16u
#define PANEL_BLOCK 32u  /* values along k */
#define PANEL_SUPER 256u /* values along k under one d of the K formats */

enum panel_scales { SCALES_D, SCALES_DM, SCALES_K, SCALES_K6 };

struct panel_format {
    uint32_t bits; /* 4, 6 or 8 */
    enum panel_scales scales;
    uint32_t zero; /* 0, 8, 16, 32 or 128 */
};

/* dtype_is_quantised(t). */
struct panel_format panel_format(enum dtype t);

/* Bytes of the scales of one panel (padded), and of its blocks; cols is a
 * multiple of dtype_block_values(t). */
size_t panel_scale_bytes(enum dtype t, uint32_t cols);
size_t panel_block_bytes(enum dtype t);          /* one block of 16 rows */
size_t panel_bytes(enum dtype t, uint32_t cols); /* one panel, whole */

static inline uint32_t panel_count(uint32_t rows)
{
    return rows / PANEL_ROWS + (rows % PANEL_ROWS != 0);
}

/* Bytes of the whole matrix; 0 when they do not fit size_t. */
size_t panel_matrix_bytes(enum dtype t, uint32_t rows, uint32_t cols);

/* The panel that row r lies in, r a multiple of PANEL_ROWS. */
static inline const void *panel_at(struct matrix w, uint32_t r)
{
    return (const char *)w.data +
           (size_t)(r / PANEL_ROWS) * panel_bytes(w.dtype, w.cols);
}

/* Puts panels [p0, p1) of a matrix whose rows of file blocks start at `src`
 * (any alignment, row after row) to dst, where panel 0 would begin.  Slices of
 * one matrix may be packed by several threads. */
void panel_pack(void *dst, const void *src, enum dtype t, uint32_t rows,
                uint32_t cols, uint32_t p0, uint32_t p1);

/* One block of one row as numbers: w = s[k / 16] * q[k] - m, the zero of the
 * format already taken off. */
struct panel_values {
    int16_t q[PANEL_BLOCK];
    float s[2], m;
};

/* Block b of row r < PANEL_ROWS of a panel that is cols wide; slow and plain:
 * the meaning of the layout above. */
void panel_read(struct panel_values *v, const void *panel, enum dtype t,
                uint32_t cols, uint32_t r, uint32_t b);

/* dst[0 .. cols) = row r, the same numbers as blocks_decode gave before
 * packing. For looking up embeddings: some hundred MB/s. */
void panel_row(float *dst, struct matrix w, uint32_t r);

#endif
