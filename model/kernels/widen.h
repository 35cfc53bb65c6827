/* widen.h -- one stored number as a float, and a float as F16.
 *
 * BF16 is the upper half of a float32.  F16 is taken apart: subnormals are
 * scaled, infinities and NaN keep their meaning.  Widening is exact; narrowing
 * rounds to nearest, ties to even, as vcvtps2ph does. */
#ifndef LFMD_MODEL_KERNELS_WIDEN_H
#define LFMD_MODEL_KERNELS_WIDEN_H

#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline float bf16_widen(uint16_t h)
{
    return float_from_bits((uint32_t)h << 16);
}

static inline float f16_widen(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = h >> 10 & 0x1fu;
    uint32_t fraction = h & 0x3ffu;

    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        float f = (float)fraction * 0x1p-24f;

        return sign != 0 ? -f : f;
    }
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | fraction << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline uint32_t float_to_bits(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static inline uint16_t f16_narrow(float f)
{
    uint32_t bits = float_to_bits(f);
    uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    uint32_t rounded;

    if (size > 0x7f800000u) /* NaN: quiet */
        return (uint16_t)(sign | 0x7e00u | (size >> 13 & 0x3ffu));
    if (size >= 0x477ff000u) /* 65520 and more */
        return (uint16_t)(sign | 0x7c00u);
    if (size < 0x38800000u) { /* below 2^-14: a multiple of 2^-24 */
        /* Adding 0.5 leaves the multiple, rounded, in the low bits. */
        rounded = float_to_bits(float_from_bits(size) + 0.5f);
        return (uint16_t)(sign | (rounded - 0x3f000000u));
    }
    rounded = size + 0xfffu + (size >> 13 & 1u);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

#endif
