/* arena.c -- see arena.h. */
#include "model/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "model/base/alloc.h"

#define FIRST_BLOCK ((size_t)4096)
#define LARGEST_BLOCK ((size_t)1 << 20)

struct block {
    struct block *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct block *blocks; /* owned; the first is the one in use */
    size_t limit, taken;
    size_t next_cap;
};

struct arena *arena_new(size_t limit)
{
    struct arena *a = mem_calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->limit = limit;
    a->next_cap = FIRST_BLOCK;
    return a;
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    for (struct block *b = a->blocks; b != NULL;) {
        struct block *next = b->next;
        mem_free(b);
        b = next;
    }
    mem_free(a);
}

static struct block *add_block(struct arena *a, size_t n)
{
    size_t cap = n > a->next_cap ? n : a->next_cap;
    struct block *b = mem_alloc(sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->used = 0;
    b->cap = cap;
    if (a->blocks != NULL && n > a->next_cap) {
        b->next = a->blocks->next; /* a large piece does not end the block */
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
        if (a->next_cap < LARGEST_BLOCK)
            a->next_cap *= 2;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + align - 1) & ~(align - 1);
    if (a->limit != 0 && (n > a->limit || a->taken > a->limit - n))
        return NULL;
    struct block *b = a->blocks;
    if (b == NULL || b->cap - b->used < n) {
        b = add_block(a, n);
        if (b == NULL)
            return NULL;
    }
    void *p = b->bytes + b->used;
    b->used += n;
    a->taken += n;
    memset(p, 0, n);
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return arena_alloc(a, bytes);
}

void *arena_dup(struct arena *a, const void *bytes, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p != NULL && n > 0)
        memcpy(p, bytes, n);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *p = arena_alloc(a, n + 1);
    if (p != NULL && n > 0)
        memcpy(p, s, n);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

size_t arena_bytes(const struct arena *a)
{
    return a->taken;
}
