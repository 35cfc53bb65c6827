/* pack.h -- matrices from a file into panels, on several threads.
 *
 * Binding makes a list of jobs, one for each tensor, and no byte of a matrix is
 * read before the whole list is known to fit the model.  Then it is run: memory
 * is taken, and threads of its own, which end before it returns, take a piece
 * of about a megabyte at a time: they bring it into memory, pack it and give
 * the file's pages back, so that no more is resident than the panels and a
 * piece for each thread.  A job whose matrix stays in the file is brought into
 * memory only.
 *
 * It knows nothing of names or layers. */
#ifndef LFMD_MODEL_WEIGHTS_PACK_H
#define LFMD_MODEL_WEIGHTS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/kernels/blocks.h"

struct pack_job {
    struct matrix *out; /* [n] of one shape and dtype; data is set by the run
                         * where dtype is quantised, and is there before where
                         * it is not */
    uint32_t n;
    const char *src;  /* the first matrix' rows, as they lie in the file */
    size_t stride;    /* bytes from one matrix' first row to the next one's */
    enum dtype from;  /* what src is: out's dtype, or a float format */
    bool mapped;      /* src is in a mapping of a file */
    const char *name; /* of the tensor, for messages; outlives the run */
};

/* The bytes of panels that the job makes; 0 for one that makes none, and
 * UINT64_MAX for one beyond 64 bits. */
uint64_t pack_bytes(const struct pack_job *job);

/* The bytes of its rows in the file. */
uint64_t pack_source_bytes(const struct pack_job *job);

typedef void pack_progress_fn(void *user, size_t done_bytes,
                              size_t total_bytes);

/* Runs all jobs.  slabs[i] becomes the memory of job i, mem_free_aligned by the
 * caller on refusal too, or NULL.  `progress` (or NULL) is called on this
 * thread, at most every hundredth of the whole, and last with done == total. */
int pack_run(const struct pack_job *jobs, size_t n, void **slabs,
             uint32_t n_threads, pack_progress_fn *progress, void *user,
             struct err *err);

#endif
