/* arena.h -- bump memory with one owner: a request, a load, a render.
 *
 * Everything taken from an arena dies with it, at once; nothing is freed alone.
 * Blocks start at 4 KiB and double to 1 MiB; a larger piece gets its own block.
 * `limit` bounds the sum, so that a request cannot grow without end.
 *
 * One thread at a time (it may be handed on). */
#ifndef LFMD_MODEL_BASE_ARENA_H
#define LFMD_MODEL_BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(size_t limit); /* 0 is no limit; NULL when short */
void arena_free(struct arena *a);      /* NULL is fine */

/* Aligned for any type, zeroed; NULL when memory or the limit runs out, or the
 * product overflows. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_calloc(struct arena *a, size_t n, size_t size);
void *arena_dup(struct arena *a, const void *bytes, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);

size_t arena_bytes(const struct arena *a); /* taken so far */

#endif
