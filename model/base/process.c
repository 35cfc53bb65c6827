/* process.c -- see process.h. */
#include "model/base/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double cpu_seconds(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* statm: "size resident shared ...", in pages. */
static void read_memory(struct process_usage *out)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size, resident;
    if (f == NULL)
        return;
    if (fscanf(f, "%llu %llu", &size, &resident) == 2) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        out->virtual_bytes = size * page;
        out->resident_bytes = resident * page;
    }
    fclose(f);
}

static uint32_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint32_t n = 0;
    if (d == NULL)
        return 0;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n > 0 ? n - 1 : 0; /* one is the folder's own */
}

void process_usage(struct process_usage *out)
{
    struct rlimit limit;
    *out = (struct process_usage){
        .cpu_seconds = cpu_seconds(),
        .open_fds = count_fds(),
    };
    read_memory(out);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_fds =
            limit.rlim_cur < UINT32_MAX ? (uint32_t)limit.rlim_cur : UINT32_MAX;
}
