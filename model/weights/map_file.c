/* map_file.c -- see map_file.h. */
#define _GNU_SOURCE /* madvise */
#include "model/weights/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u /* the smallest there is: more touches harm nothing */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int open_checked(int *fd, size_t *bytes, const char *path, size_t least,
                        struct err *err)
{
    struct stat st;
    /* Not to wait for a writer should it be a pipe. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return err_errno(err, "open", path);
    if (fstat(*fd, &st) != 0)
        return err_errno(err, "stat", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "%s is not a regular file", path);
    if (st.st_size < 0 || (uint64_t)st.st_size > SIZE_MAX / 2 ||
        (size_t)st.st_size < least)
        return err_set(err, ERR_FORMAT,
                       "%s has %lld bytes, too few to be what it should", path,
                       (long long)st.st_size);
    *bytes = (size_t)st.st_size;
    return 0;
}

int map_file(struct mapping *out, const char *path, size_t least,
             struct err *err)
{
    int fd = -1;
    size_t bytes = 0;
    *out = (struct mapping){0};
    int rc = open_checked(&fd, &bytes, path, least > 0 ? least : 1, err);
    if (rc == 0) {
        void *base = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (base == MAP_FAILED)
            rc = err_errno(err, "map", path);
        else
            *out = (struct mapping){base, bytes};
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

void map_close(struct mapping *m)
{
    if (m->base != NULL)
        munmap((void *)(uintptr_t)m->base, m->bytes);
    *m = (struct mapping){0};
}

static uintptr_t page_mask(void)
{
    return (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
}

/* All pages that hold a byte of it. */
static int advise_all(const void *at, size_t n, int advice)
{
    uintptr_t mask = page_mask(), begin = (uintptr_t)at & ~mask;
    size_t len = n + (size_t)((uintptr_t)at - begin);
    return n == 0 ? 0 : madvise((void *)begin, len, advice);
}

void map_will_need(const void *at, size_t n)
{
    (void)advise_all(at, n, MADV_WILLNEED);
}

void map_release(const void *at, size_t n)
{
    (void)advise_all(at, n, MADV_DONTNEED);
}

bool map_touch(const void *at, size_t n)
{
    if (advise_all(at, n, MADV_POPULATE_READ) == 0)
        return true;
    if (errno == EFAULT || errno == EHWPOISON)
        return false;
    for (size_t i = 0; i < n; i += PAGE)
        (void)*((const volatile char *)at + i);
    if (n > 0)
        (void)*((const volatile char *)at + n - 1);
    return true;
}
