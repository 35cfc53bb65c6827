/* qmatmul_formats.h -- what every set of quantised products has: one function a
 * format, laid into the table, and quantize from its halves.
 *
 * The compiler must see the numbers of a format to build its product, so they
 * are a list of constants here; panel_format() answers from the same list.
 *
 * Included by panel.c and qmatmul_*.c only. */
#ifndef LFMD_MODEL_KERNELS_QMATMUL_FORMATS_H
#define LFMD_MODEL_KERNELS_QMATMUL_FORMATS_H

/* X(DTYPE_ name, suffix, bits, scales, zero): struct panel_format. */
#define PANEL_FORMATS(X)            \
    X(Q4_0, q4_0, 4, SCALES_D, 8)   \
    X(Q4_1, q4_1, 4, SCALES_DM, 0)  \
    X(Q5_0, q5_0, 6, SCALES_D, 16)  \
    X(Q5_1, q5_1, 6, SCALES_DM, 0)  \
    X(Q8_0, q8_0, 8, SCALES_D, 128) \
    X(Q4_K, q4_k, 4, SCALES_K, 0)   \
    X(Q5_K, q5_k, 6, SCALES_K, 0)   \
    X(Q6_K, q6_k, 6, SCALES_K6, 32)

/* In a fill function: k->qmatmul of every format. */
#define FILL_QMATMUL(name, suffix, bits, scales, zero) \
    k->qmatmul[DTYPE_##name] = qmatmul_##suffix;

/* quantize() from `int32_t quantize_half(struct q8_block *dst, uint32_t h,
 * const float *x)`, which fills half h and returns the sum of its q. */
#define DEFINE_QUANTIZE                                                    \
    static void quantize(struct q8_block *restrict dst,                    \
                         const float *restrict x, uint32_t n_blocks)       \
    {                                                                      \
        for (uint32_t b = 0; b < n_blocks; b++, dst++, x += PANEL_BLOCK) { \
            int32_t sum[2];                                                \
                                                                           \
            for (uint32_t h = 0; h < 2; h++)                               \
                sum[h] = quantize_half(dst, h, x + 16 * h);                \
            dst->sum = q8_sum(dst->scale, sum);                            \
        }                                                                  \
    }

#endif
