/* checkpoints.h -- every checkpoint that the oracle made, one after the other.
 *
 * Those are the directories with a golden.json; the test fails when they are
 * fewer than ten, since then some are missing. */
#ifndef LFMD_TESTS_LIB_CHECKPOINTS_H
#define LFMD_TESTS_LIB_CHECKPOINTS_H

#include <stdint.h>

/* `number` counts from 0; the paths are good during the call. */
typedef void checkpoint_fn(void *user, const char *path, const char *golden,
                           uint32_t number);

void each_checkpoint(checkpoint_fn *fn, void *user);

#endif
