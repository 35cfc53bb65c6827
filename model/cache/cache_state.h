/* cache_state.h -- what the files of the cache share: cache.c, which serves
 * sequences, and prefix_file.c, which saves what is remembered.
 *
 * Private to model/cache; inference thread only. */
#ifndef LFMD_MODEL_CACHE_CACHE_STATE_H
#define LFMD_MODEL_CACHE_CACHE_STATE_H

#include <stdint.h>

#include "model/cache/cache.h"
#include "model/cache/conv_state.h"
#include "model/cache/kv_pool.h"
#include "model/cache/prefix.h"

struct cache {
    struct kv_pool kv;
    struct conv_state conv;
    struct prefix prefix;
    uint64_t n_forgotten;
    uint64_t bytes;
};

#endif
