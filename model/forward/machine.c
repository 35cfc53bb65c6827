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

uint64_t machine_headroom(uint64_t limit, uint64_t used, uint64_t file_pages)
{
    uint64_t held = used > file_pages ? used - file_pages : 0;
    return limit > held ? limit - held : 0;
}

/* Where a controller's groups are mounted, and our path below. */
struct group {
    char path[2 * PATH_MAX];
    size_t n_root;
    bool v1;
};

/* Is `name` one of the comma-separated `list`, of n bytes? */
static bool is_listed(const char *list, size_t n, const char *name)
{
    size_t n_name = strlen(name);
    for (size_t i = 0; i + n_name <= n; i++)
        if ((i == 0 || list[i - 1] == ',') &&
            (i + n_name == n || list[i + n_name] == ',') &&
            memcmp(list + i, name, n_name) == 0)
            return true;
    return false;
}

/* Version 1 if it has the controller, else version 2: on a mixed machine a
 * controller is in one of them only. */
static bool find_group(struct group *g, const char *controller)
{
    char line[PATH_MAX];
    bool found = false;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':');
        char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL)
            continue;
        bool v1 = is_listed(list + 1, (size_t)(path - list - 1), controller);
        if (!v1 && (found || strncmp(line, "0::", 3) != 0))
            continue;
        int n = snprintf(g->path, sizeof g->path, "%s%s%s", CGROUP_ROOT,
                         v1 ? "/" : "", v1 ? controller : "");
        g->n_root = (size_t)n;
        snprintf(g->path + n, sizeof g->path - (size_t)n, "%s", path + 1);
        g->v1 = v1;
        found = true;
        if (v1)
            break;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static bool read_number(const struct group *g, const char *file,
                        const char *prefix, uint64_t *out)
{
    char path[2 * PATH_MAX + 64], text[128];
    snprintf(path, sizeof path, "%s/%s", g->path, file);
    if (!read_line(path, prefix, text, sizeof text))
        return false;
    *out = machine_parse_memory_max(text + strlen(prefix));
    return true;
}

/* Calls `see` for our cgroup and all above it.  In a container the path may not
 * exist under the mount: then only the root does, and it is ours. */
typedef void see_fn(void *user, const struct group *g);

static void each_level(const char *controller, see_fn *see, void *user)
{
    struct group g;
    if (!find_group(&g, controller))
        return;
    for (;;) {
        see(user, &g);
        char *slash = strrchr(g.path, '/');
        if (slash == NULL || (size_t)(slash - g.path) < g.n_root)
            return;
        *slash = '\0';
    }
}

static void see_cpu(void *user, const struct group *g)
{
    uint32_t *cores = user;
    uint32_t here = UINT32_MAX;
    char path[2 * PATH_MAX + 64], text[64];
    uint64_t quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", g->path);
    if (!g->v1 && read_line(path, "", text, sizeof text)) {
        here = machine_parse_cpu_max(text);
    } else if (g->v1 && read_number(g, "cpu.cfs_quota_us", "", &quota) &&
               read_number(g, "cpu.cfs_period_us", "", &period)) {
        snprintf(text, sizeof text, "%llu %llu", (unsigned long long)quota,
                 (unsigned long long)period);
        here = machine_parse_cpu_max(text); /* -1, no quota, was read as huge */
    }
    if (here < *cores)
        *cores = here;
}

static void see_memory(void *user, const struct group *g)
{
    uint64_t *bytes = user;
    uint64_t limit, used = 0, inactive = 0, active = 0;
    if (!read_number(g, g->v1 ? "memory.limit_in_bytes" : "memory.max", "",
                     &limit) ||
        limit == UINT64_MAX)
        return;
    (void)read_number(g, g->v1 ? "memory.usage_in_bytes" : "memory.current", "",
                      &used);
    (void)read_number(g, "memory.stat",
                      g->v1 ? "total_inactive_file " : "inactive_file ",
                      &inactive);
    (void)read_number(g, "memory.stat",
                      g->v1 ? "total_active_file " : "active_file ", &active);
    uint64_t here = machine_headroom(limit, used, inactive + active);
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
    each_level("cpu", see_cpu, &cores);
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
    each_level("memory", see_memory, &bytes);
    return bytes;
}
