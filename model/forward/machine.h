/* machine.h -- how many cores and how much memory we may use.
 *
 * A container sees the whole machine in /proc and is throttled or killed at a
 * limit written elsewhere, so both are the smallest of what the kernel, the
 * affinity mask and the cgroup (version 1 or 2, every level up to the root)
 * say. Reads files; for start only, any thread. */
#ifndef LFMD_MODEL_FORWARD_MACHINE_H
#define LFMD_MODEL_FORWARD_MACHINE_H

#include <stdint.h>

/* Cores this process may keep busy, at least 1: a fraction in cpu.max counts as
 * a whole core. */
uint32_t machine_cores(void);

/* Bytes that could be used now, page cache counted as free: the smaller of
 * MemAvailable and what the cgroups' limits leave beside what they hold;
 * UINT64_MAX when nothing says. */
uint64_t machine_memory_bytes(void);

/* What a group with this limit has left: pages of files are given up before
 * anything is refused, those used lately too (a model that was copied or
 * checked before it is served), so they count as free. */
uint64_t machine_headroom(uint64_t limit, uint64_t used, uint64_t file_pages);

/* The two files that a cgroup limits with, parsed; for tests.  cpu.max is
 * "max 100000" or "150000 100000": cores rounded up, UINT32_MAX for no limit.
 * memory.max is "max" or bytes.  Nonsense is no limit. */
uint32_t machine_parse_cpu_max(const char *text);
uint64_t machine_parse_memory_max(const char *text);

#endif
