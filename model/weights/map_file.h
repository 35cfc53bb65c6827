/* map_file.h -- a file's bytes, mapped read-only, and what the kernel is told.
 *
 * The length is checked before the mapping, so that a file that was cut is
 * refused and no fault.  One that shrinks while mapped raises SIGBUS, which is
 * not handled.  Source: mmap(2), madvise(2).
 *
 * It knows nothing of what the bytes mean.  Any thread. */
#ifndef LFMD_MODEL_WEIGHTS_MAP_FILE_H
#define LFMD_MODEL_WEIGHTS_MAP_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/base/err.h"

struct mapping {
    const char *base; /* [bytes]; NULL is none */
    size_t bytes;
};

/* A regular file of at least `least` bytes; errors name the path. */
int map_file(struct mapping *out, const char *path, size_t least,
             struct err *err);
void map_close(struct mapping *m); /* zeroed or closed is fine */

/* About [at, at + n): its pages will be read soon; none of them is needed in
 * memory any more (a neighbour on a shared page is read again from the file:
 * for mappings of files only). */
void map_will_need(const void *at, size_t n);
void map_release(const void *at, size_t n);

/* Brings [at, at + n) into memory, waiting for the disk, at the speed of the
 * page cache where the kernel can (MADV_POPULATE_READ, Linux 5.14).  There it
 * is false, instead of a signal, when the file does not reach so far any more
 * or cannot be read. */
bool map_touch(const void *at, size_t n);

#endif
