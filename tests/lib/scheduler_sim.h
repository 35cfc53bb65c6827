/* scheduler_sim.h -- plays a string of bytes as operations on a scheduler and
 * checks after every plan what scheduler.h promises.  For the unit test and
 * the fuzzer. */
#ifndef LFMD_TESTS_LIB_SCHEDULER_SIM_H
#define LFMD_TESTS_LIB_SCHEDULER_SIM_H

#include <stddef.h>
#include <stdint.h>

/* NULL, or the promise that was broken. */
const char *scheduler_sim_run(const uint8_t *bytes, size_t n);

#endif
