/* alloc.c -- malloc with a counter in front of it.
 *
 * The counters are relaxed atomics: they are read only by tests, when nothing
 * else runs.  The guard is one thread-local pointer. */
#include "model/base/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fault_in = -1; /* allocations left before the fault */
static atomic_long n_faults;
static atomic_size_t n_live;
static _Thread_local const char *forbidden_during;
static _Thread_local size_t n_failed;

static int may_allocate(void)
{
    if (forbidden_during != NULL) {
        fprintf(stderr, "lfmd: allocation during %s\n", forbidden_during);
        abort();
    }
    if (atomic_load_explicit(&fault_in, memory_order_relaxed) < 0)
        return 1;
    if (atomic_fetch_sub(&fault_in, 1) > 0)
        return 1;
    atomic_store(&fault_in, -1);
    atomic_fetch_add(&n_faults, 1);
    n_failed++;
    return 0;
}

static void *counted(void *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
    else
        n_failed++;
    return p;
}

void *mem_alloc(size_t n)
{
    return may_allocate() ? counted(malloc(n ? n : 1)) : NULL;
}

void *mem_calloc(size_t n, size_t size)
{
    if (n == 0 || size == 0)
        n = size = 1;
    return may_allocate() ? counted(calloc(n, size)) : NULL;
}

void *mem_realloc(void *p, size_t n)
{
    if (!may_allocate())
        return NULL;
    void *q = realloc(p, n ? n : 1);
    if (p == NULL)
        return counted(q);
    if (q == NULL)
        n_failed++;
    return q;
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return mem_realloc(p, bytes);
}

void *mem_alloc_aligned(size_t align, size_t n)
{
    size_t rounded;
    if (__builtin_add_overflow(n ? n : 1, align - 1, &rounded))
        return NULL;
    rounded &= ~(align - 1);
    return may_allocate() ? counted(aligned_alloc(align, rounded)) : NULL;
}

void mem_free(void *p)
{
    if (p == NULL)
        return;
    atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
    free(p);
}

void mem_free_aligned(void *p)
{
    mem_free(p);
}

char *mem_strndup(const char *s, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *copy = mem_alloc(n + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

size_t mem_n_failed(void)
{
    return n_failed;
}

void alloc_forbid(const char *what)
{
    forbidden_during = what;
}

void alloc_permit(void)
{
    forbidden_during = NULL;
}

void fault_alloc_at(long nth)
{
    atomic_store(&n_faults, 0);
    atomic_store(&fault_in, nth);
}

long fault_hits(void)
{
    return atomic_load(&n_faults);
}

size_t mem_live_count(void)
{
    return atomic_load(&n_live);
}
