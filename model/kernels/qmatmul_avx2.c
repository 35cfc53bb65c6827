/* qmatmul_avx2.c -- quantised products by vpmaddubsw.
 *
 * The instruction multiplies unsigned by signed bytes and adds neighbours to 16
 * bits, saturating, so what may be added up before widening is counted:
 *
 *     4 bits   8 x 2 x 15 x 127 = 30,480: a whole block
 *     6 bits   2 x 2 x 63 x 127 = 32,004: two groups
 *     8 bits   2 x 128 x 127 = 32,512 with |w| and the sign moved to the
 *              activation, so one group, and there is no zero point */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "model/kernels/qmatmul_256.h"

ALWAYS_INLINE __m256i widen_sum(__m256i sum16)
{
    return _mm256_madd_epi16(sum16, _mm256_set1_epi16(1));
}

ALWAYS_INLINE void dots_of_4_bits(__m256i dots[MAX_TOKENS][2],
                                  const uint8_t *block,
                                  const struct q8_block *const x[MAX_TOKENS],
                                  uint32_t zero, uint32_t tokens)
{
    __m256i sum[MAX_TOKENS];

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        sum[t] = _mm256_setzero_si256();
    UNROLL
    for (uint32_t g = 0; g < 4; g++) {
        __m256i w[2];

        unpack_pair(w, block, g, 4);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            __m256i a = _mm256_maddubs_epi16(w[0], broadcast4(x[t]->q + 4 * g));
            __m256i b =
                _mm256_maddubs_epi16(w[1], broadcast4(x[t]->q + 16 + 4 * g));

            sum[t] = _mm256_add_epi16(sum[t], _mm256_add_epi16(a, b));
        }
    }
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        dots[t][0] =
            _mm256_add_epi32(widen_sum(sum[t]), neg_zero_sum(x[t], 0, zero));
        dots[t][1] = neg_zero_sum(x[t], 1, zero);
    }
}

ALWAYS_INLINE void dots_of_6_bits(__m256i dots[MAX_TOKENS][2],
                                  const uint8_t *block,
                                  const struct q8_block *const x[MAX_TOKENS],
                                  uint32_t zero, uint32_t tokens)
{
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        dots[t][0] = neg_zero_sum(x[t], 0, zero);
        dots[t][1] = neg_zero_sum(x[t], 1, zero);
    }
    UNROLL
    for (uint32_t g = 0; g < 4; g += 2) {
        __m256i w[2], v[2];

        unpack_pair(w, block, g, 6);
        unpack_pair(v, block, g + 1, 6);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            const int8_t *q = x[t]->q + 4 * g;

            for (uint32_t half = 0; half < 2; half++, q += 16) {
                __m256i sum = _mm256_add_epi16(
                    _mm256_maddubs_epi16(w[half], broadcast4(q)),
                    _mm256_maddubs_epi16(v[half], broadcast4(q + 4)));

                dots[t][half] = _mm256_add_epi32(dots[t][half], widen_sum(sum));
            }
        }
    }
}

ALWAYS_INLINE void dots_of_8_bits(__m256i dots[MAX_TOKENS][2],
                                  const uint8_t *block,
                                  const struct q8_block *const x[MAX_TOKENS],
                                  uint32_t tokens)
{
    const __m256i flip = _mm256_set1_epi8((char)0x80);

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        dots[t][0] = dots[t][1] = _mm256_setzero_si256();
    UNROLL
    for (uint32_t g = 0; g < 8; g++) {
        __m256i w = _mm256_xor_si256(
            _mm256_loadu_si256((const void *)(block + g * 64)), flip);
        __m256i size = _mm256_sign_epi8(w, w);

        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            __m256i v = _mm256_sign_epi8(broadcast4(x[t]->q + 4 * g), w);

            dots[t][g / 4] = _mm256_add_epi32(
                dots[t][g / 4], widen_sum(_mm256_maddubs_epi16(size, v)));
        }
    }
}

ALWAYS_INLINE void block_dots(__m256i dots[MAX_TOKENS][2], const uint8_t *block,
                              const struct q8_block *const x[MAX_TOKENS],
                              const struct panel_format f, uint32_t tokens)
{
    if (f.bits == 4)
        dots_of_4_bits(dots, block, x, f.zero, tokens);
    else if (f.bits == 6)
        dots_of_6_bits(dots, block, x, f.zero, tokens);
    else
        dots_of_8_bits(dots, block, x, tokens);
}

DEFINE_ALL

static void quantize(struct q8_block *restrict dst, const float *restrict x,
                     uint32_t n_blocks)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 most = _mm256_set1_ps(127.0f);
    const __m256 least = _mm256_set1_ps(-127.0f);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i ones16 = _mm256_set1_epi16(1);
    const __m256i ones8 = _mm256_set1_epi8(1);

    for (; n_blocks > 0; n_blocks--, dst++, x += PANEL_BLOCK) {
        __m256 v[4], max = _mm256_setzero_ps(), inverse;
        __m256i i[4], bytes, fours;
        __m128i low, high;
        float largest;
        int32_t sum[2];

        UNROLL
        for (uint32_t j = 0; j < 4; j++) {
            v[j] = _mm256_loadu_ps(x + j * LANES);
            max = _mm256_max_ps(max, _mm256_andnot_ps(sign, v[j]));
        }
        largest = max_lanes(max);
        inverse = _mm256_set1_ps(largest >= Q8_TINY ? 127.0f / largest : 0);
        UNROLL
        for (uint32_t j = 0; j < 4; j++) {
            __m256 s = _mm256_mul_ps(v[j], inverse);

            i[j] = _mm256_cvtps_epi32(
                _mm256_max_ps(least, _mm256_min_ps(most, s)));
        }
        bytes = _mm256_packs_epi16(_mm256_packs_epi32(i[0], i[1]),
                                   _mm256_packs_epi32(i[2], i[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, order);
        _mm256_storeu_si256((void *)dst->q, bytes);
        fours = _mm256_madd_epi16(_mm256_maddubs_epi16(ones8, bytes), ones16);
        low = _mm256_castsi256_si128(fours);
        high = _mm256_extracti128_si256(fours, 1);
        low = _mm_hadd_epi32(low, high);
        low = _mm_hadd_epi32(low, low);
        sum[0] = _mm_extract_epi32(low, 0);
        sum[1] = _mm_extract_epi32(low, 1);
        dst->scale = largest / 127.0f;
        dst->sum = dst->scale * (float)(sum[0] + sum[1]);
        dst->neg8sum[0] = -8 * sum[0];
        dst->neg8sum[1] = -8 * sum[1];
    }
}

void qmatmul_fill_avx2(struct kernels *k)
{
    k->quantize = quantize;
    fill_products(k);
}

#else

void qmatmul_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
