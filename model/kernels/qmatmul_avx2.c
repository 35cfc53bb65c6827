/* qmatmul_avx2.c -- quantised products by vpmaddubsw.
 *
 * The instruction multiplies unsigned by signed bytes and adds neighbours to 16
 * bits, saturating, so what may be added up before widening is counted:
 *
 *     4 bits   4 x 2 x 15 x 127 = 15,240: half a block
 *     6 bits   2 x 2 x 63 x 127 = 32,004: two groups
 *     8 bits   2 x 128 x 127 = 32,512 with |w| and the sign moved to the
 *              activation, so one group, and there is no zero point
 *
 * which rests on activations of -127 .. 127, whatever is quantised. */
#include "model/kernels/kernels_fill.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "model/kernels/qmatmul_256.h"
#include "model/kernels/widen.h"

ALWAYS_INLINE __m256i widen_sum(__m256i sum16)
{
    return _mm256_madd_epi16(sum16, _mm256_set1_epi16(1));
}

ALWAYS_INLINE void dots_of_4_bits(__m256i dots[MAX_TOKENS][2],
                                  const uint8_t *block,
                                  const struct q8_block *const x[MAX_TOKENS],
                                  uint32_t zero, uint32_t tokens)
{
    __m256i sum[MAX_TOKENS][2];

    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        sum[t][0] = sum[t][1] = _mm256_setzero_si256();
    UNROLL
    for (uint32_t g = 0; g < 4; g++) {
        __m256i w[2];

        unpack_pair(w, block, g, 4);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            UNROLL
            for (uint32_t h = 0; h < 2; h++)
                sum[t][h] = _mm256_add_epi16(
                    sum[t][h], _mm256_maddubs_epi16(
                                   w[h], broadcast4(x[t]->q + 16 * h + 4 * g)));
        }
    }
    UNROLL
    for (uint32_t t = 0; t < tokens; t++) {
        UNROLL
        for (uint32_t h = 0; h < 2; h++)
            dots[t][h] = _mm256_add_epi32(widen_sum(sum[t][h]),
                                          neg_zero_sum(x[t], h, zero));
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

PANEL_FORMATS(DEFINE_FOR)

/* Of sixteen numbers without a sign.  As integers, or the maximum would pass
 * over a NaN. */
ALWAYS_INLINE float largest(__m256 a, __m256 b)
{
    __m256i all =
        _mm256_max_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b));
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(all),
                              _mm256_extracti128_si256(all, 1));

    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
    return float_from_bits((uint32_t)_mm_cvtsi128_si32(m));
}

/* Returns the sum of q. */
ALWAYS_INLINE int32_t quantize_half(struct q8_block *dst, uint32_t h,
                                    const float *x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 v[2] = {_mm256_loadu_ps(x), _mm256_loadu_ps(x + LANES)};
    float max =
        largest(_mm256_andnot_ps(sign, v[0]), _mm256_andnot_ps(sign, v[1]));
    __m256 inverse = _mm256_set1_ps(max >= Q8_TINY ? 127.0f / max : 0);
    __m256i q[2], all;
    __m128i low, high;
    int32_t sum;

    UNROLL
    for (uint32_t i = 0; i < 2; i++) {
        /* min returns its second operand when one is NaN */
        v[i] =
            _mm256_min_ps(_mm256_mul_ps(v[i], inverse), _mm256_set1_ps(127.0f));
        q[i] = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_set1_ps(-127.0f), v[i]));
    }
    /* Packing works on the halves of a register: their order is put right. */
    all = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xd8);
    low = _mm256_castsi256_si128(all);
    high = _mm256_extracti128_si256(all, 1);
    _mm_storeu_si128((void *)(dst->q + 16 * h), _mm_packs_epi16(low, high));
    low = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
    low = _mm_hadd_epi32(low, low);
    sum = _mm_cvtsi128_si32(_mm_hadd_epi32(low, low));
    dst->scale[h] = max / 127.0f;
    dst->neg8sum[h] = -8 * sum;
    return sum;
}

DEFINE_QUANTIZE

void qmatmul_fill_avx2(struct kernels *k)
{
    k->quantize = quantize;
    PANEL_FORMATS(FILL_QMATMUL)
}

#else

void qmatmul_fill_avx2(struct kernels *k)
{
    (void)k;
}

#endif
