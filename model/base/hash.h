/* hash.h -- 64-bit hash of bytes, for tables in memory (XXH3).
 *
 * Not for secrets, and not stable across versions of lfmd.  Any thread. */
#ifndef LFMD_MODEL_BASE_HASH_H
#define LFMD_MODEL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed);

#endif
