/* fuzz_scheduler.c -- operations on the scheduler, from bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/scheduler_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *broken = size < 2000 ? scheduler_sim_run(data, size) : NULL;
    if (broken != NULL) {
        fprintf(stderr, "the scheduler %s\n", broken);
        abort();
    }
    return 0;
}
