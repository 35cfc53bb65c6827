/* process.h -- what this process uses, as Linux tells it in /proc.
 *
 * Any thread; a few small reads, well under a millisecond. */
#ifndef LFMD_MODEL_BASE_PROCESS_H
#define LFMD_MODEL_BASE_PROCESS_H

#include <stdint.h>

struct process_usage {
    double cpu_seconds; /* user and system, of all threads */
    uint64_t resident_bytes, virtual_bytes;
    uint32_t open_fds, max_fds;
};

/* What cannot be read is 0. */
void process_usage(struct process_usage *out);

#endif
