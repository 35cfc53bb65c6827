/* machine.c -- see machine.h.  A file that is missing or odd limits nothing:
 * guessing too high is slow, refusing to start is worse. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "model/forward/machine.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool read_line(const char *path, const char *prefix, char *out,
                      size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool found = false;
    while (!found && fgets(out, (int)size, f) != NULL)
        found = strncmp(out, prefix, strlen(prefix)) == 0;
    fclose(f);
    if (found)
        out[strcspn(out, "\n")] = '\0';
    return found;
}

uint32_t machine_parse_cpu_max(const char *text)
{
    unsigned long long quota, period;
    if (sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0 ||
        quota == 0)
        return UINT32_MAX;
    unsigned long long cores = quota / period + (quota % period != 0);
    return cores < UINT32_MAX ? (uint32_t)cores : UINT32_MAX;
}

uint64_t machine_parse_memory_max(const char *text)
{
    unsigned long long bytes;
    if (sscanf(text, "%llu", &bytes) != 1)
        return UINT64_MAX;
    return bytes;
}

/* Calls `see` with the text of `file` in our cgroup and in all above it.  In a
 * container the path may not exist under the mount: then only the root does,
 * and it is ours. */
typedef void see_fn(void *user, const char *text);

static void each_level(const char *file, see_fn *see, void *user)
{
    char line[PATH_MAX], path[2 * PATH_MAX], text[128];
    if (!read_line("/proc/self/cgroup", "0::", line, sizeof line))
        return;
    char *group = line + 3;
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", CGROUP_ROOT, group, file);
        if (read_line(path, "", text, sizeof text))
            see(user, text);
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static void see_cpu(void *user, const char *text)
{
    uint32_t *cores = user;
    uint32_t here = machine_parse_cpu_max(text);
    if (here < *cores)
        *cores = here;
}

static void see_memory(void *user, const char *text)
{
    uint64_t *bytes = user;
    uint64_t here = machine_parse_memory_max(text);
    if (here < *bytes)
        *bytes = here;
}

uint32_t machine_cores(void)
{
    uint32_t cores = 1;
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = (uint32_t)CPU_COUNT(&set);
    else if (online > 0) /* more cores than cpu_set_t has bits */
        cores = (uint32_t)online;
    each_level("cpu.max", see_cpu, &cores);
    return cores > 0 ? cores : 1;
}

uint64_t machine_memory_bytes(void)
{
    uint64_t bytes = UINT64_MAX;
    char line[128];
    unsigned long long kib;
    if (read_line("/proc/meminfo", "MemAvailable:", line, sizeof line) &&
        sscanf(line, "MemAvailable: %llu", &kib) == 1)
        bytes = (uint64_t)kib * 1024;
    each_level("memory.max", see_memory, &bytes);
    return bytes;
}
