/* alloc.h -- the only door to the heap.
 *
 * Every allocation of lfmd's own code passes through here, so that tests can
 * fail the Nth one, count what leaked, and prove that a hot step allocates
 * nothing.  Libraries keep their own doors (json_load.c points jansson at this
 * one).
 *
 * It knows nothing of lifetimes: see arena.h for memory with one owner.
 * Any thread. */
#ifndef LFMD_MODEL_BASE_ALLOC_H
#define LFMD_MODEL_BASE_ALLOC_H

#include <stddef.h>

/* All return NULL when memory is short or a product overflows; the caller
 * turns that into -ERR_NOMEM.  Zero bytes give a pointer that can be freed. */
void *mem_alloc(size_t n);
void *mem_calloc(size_t n, size_t size);
void *mem_realloc(void *p, size_t n);
void *mem_realloc_array(void *p, size_t n, size_t size);

/* `align` is a power of two; freed with mem_free_aligned, never mem_free. */
void *mem_alloc_aligned(size_t align, size_t n);
void mem_free_aligned(void *p);

char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
void mem_free(void *p); /* NULL is fine */

/* How many allocations of this thread have failed: who has a limit of its own
 * tells by the difference whether that was reached or memory was short. */
size_t mem_n_failed(void);

/* Between these two an allocation by the calling thread is a bug: a build with
 * assertions aborts and names `what`.  They do not nest. */
void alloc_forbid(const char *what);
void alloc_permit(void);

/* Tests only.  The allocation number `nth` from now on (0 is the next one)
 * fails, once; -1 turns faults off.  Not for use with several threads. */
void fault_alloc_at(long nth);
long fault_hits(void);       /* faults delivered since fault_alloc_at */
size_t mem_live_count(void); /* blocks allocated and not yet freed */

#endif
