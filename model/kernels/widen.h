/* widen.h -- one stored number as a float.
 *
 * BF16 is the upper half of a float32.  F16 is taken apart: subnormals are
 * scaled, infinities and NaN keep their meaning.  Both are exact. */
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

#endif
