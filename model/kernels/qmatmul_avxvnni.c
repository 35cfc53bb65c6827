/* qmatmul_avxvnni.c -- quantised products with the VEX form of vpdpbusd.
 *
 * For CPUs that have AVX-VNNI without AVX-512 (Alder Lake, Sierra Forest); the
 * instruction adds four products of unsigned and signed bytes to 32 bits, so
 * every format goes through it as it is. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__FMA__)
#include "model/kernels/qmatmul_256.h"

ALWAYS_INLINE void block_dots(__m256i dots[MAX_TOKENS][2], const uint8_t *block,
                              const struct q8_block *const x[MAX_TOKENS],
                              const struct panel_format f, uint32_t tokens)
{
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        dots[t][0] = neg_zero_sum(x[t], 0, f.zero);
        dots[t][1] = neg_zero_sum(x[t], 1, f.zero);
    }
    UNROLL
    for (uint32_t g = 0; g < 4; g++) {
        __m256i w[2];

        if (f.bits == 8) {
            w[0] = _mm256_loadu_si256((const void *)(block + g * 64));
            w[1] = _mm256_loadu_si256((const void *)(block + (g + 4) * 64));
        } else {
            unpack_pair(w, block, g, f.bits);
        }
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            dots[t][0] = _mm256_dpbusd_avx_epi32(dots[t][0], w[0],
                                                 broadcast4(x[t]->q + 4 * g));
            dots[t][1] = _mm256_dpbusd_avx_epi32(
                dots[t][1], w[1], broadcast4(x[t]->q + 16 + 4 * g));
        }
    }
}

PANEL_FORMATS(DEFINE_FOR)

void qmatmul_fill_avxvnni(struct kernels *k)
{
    PANEL_FORMATS(FILL_QMATMUL)
}

#else

void qmatmul_fill_avxvnni(struct kernels *k)
{
    (void)k;
}

#endif
