/* rng.h -- chance as a function: the same (seed, choice, position) always
 * gives the same number, so a reply depends neither on the jobs beside it nor
 * on having been preempted and recomputed.
 *
 * Two rounds of the SplitMix64 finaliser (Steele, Lea, Flood 2014) per input.
 * Not for secrets.  Pure, any thread. */
#ifndef LFMD_MODEL_SAMPLE_RNG_H
#define LFMD_MODEL_SAMPLE_RNG_H

#include <stdint.h>

uint64_t rng_bits(uint64_t seed, uint32_t choice, uint32_t position);

/* In [0, 1), 53 bits. */
double rng_uniform(uint64_t seed, uint32_t choice, uint32_t position);

#endif
