/* qmatmul_panels.h -- one product as a walk over the panels of its weights, for
 * the x86 sets.
 *
 * Whoever includes it defines
 *
 *     panel_product(const struct job *j, const uint8_t *panel, float *y,
 *                   uint32_t n, const struct panel_format f)
 *
 * the product of all tokens with one panel of n <= PANEL_ROWS rows, whose
 * results begin at y; f is a constant after inlining.  Shapes as in kernels.h
 * (qmatmul); nothing is owned.
 *
 * Included by qmatmul_256.h and qmatmul_avx512vnni.c only. */
#ifndef LFMD_MODEL_KERNELS_QMATMUL_PANELS_H
#define LFMD_MODEL_KERNELS_QMATMUL_PANELS_H

#include <stddef.h>
#include <stdint.h>

#include "model/kernels/panel.h"

struct job {
    float *y;
    size_t ldy;
    const struct q8_block *x;
    const uint32_t *rows;
    uint32_t m, n_blocks;
    size_t scale_bytes;
};

#define DEFINE_FOR(name, suffix, bits, scales, zero)                      \
    static void qmatmul_##suffix(                                         \
        float *restrict y, size_t ldy, const struct q8_block *restrict x, \
        const uint32_t *restrict rows, const void *restrict panels,       \
        uint32_t m, uint32_t n, uint32_t n_blocks)                        \
    {                                                                     \
        static const struct panel_format f = {bits, scales, zero};        \
        const uint32_t cols = n_blocks * PANEL_BLOCK;                     \
        const uint8_t *panel = panels;                                    \
        const size_t each = panel_bytes(DTYPE_##name, cols);              \
        struct job j = {y,                                                \
                        ldy,                                              \
                        x,                                                \
                        rows,                                             \
                        m,                                                \
                        n_blocks,                                         \
                        panel_scale_bytes(DTYPE_##name, cols)};           \
                                                                          \
        for (uint32_t r = 0; r < n; r += PANEL_ROWS, panel += each)       \
            panel_product(&j, panel, y + r,                               \
                          n - r < PANEL_ROWS ? n - r : PANEL_ROWS, f);    \
    }

#endif
