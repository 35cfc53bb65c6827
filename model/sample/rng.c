/* rng.c -- see rng.h. */
#include "model/sample/rng.h"

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static uint64_t mix(uint64_t z)
{
    z += GOLDEN;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Each input goes through the mixer before the next is added: seeds that count
 * 1, 2, 3 and positions that count 0, 1, 2 must not meet. */
uint64_t rng_bits(uint64_t seed, uint32_t choice, uint32_t position)
{
    uint64_t z = mix(mix(seed));
    z = mix(z ^ ((uint64_t)choice << 32 | position));
    return mix(z);
}

double rng_uniform(uint64_t seed, uint32_t choice, uint32_t position)
{
    return (double)(rng_bits(seed, choice, position) >> 11) * 0x1.0p-53;
}
