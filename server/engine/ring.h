/* ring.h -- records from one thread to one other, in a fixed piece of memory.
 *
 * A record lies in one piece, so what it points to inside itself can be used
 * where it is until ring_pop.  A record that does not fit before the end of the
 * memory starts at its beginning, and the rest of the end is wasted.
 *
 * One producer thread, one consumer thread; each function says whose it is.
 * Head and tail are sequentially consistent: engine.c's "blocked" handshake
 * rests on it. */
#ifndef LFMD_SERVER_ENGINE_RING_H
#define LFMD_SERVER_ENGINE_RING_H

#include <stdatomic.h>
#include <stddef.h>

#include "model/base/err.h"

struct ring {
    char *bytes;        /* [cap], owned, 16-aligned */
    size_t cap;         /* a power of two */
    atomic_size_t head; /* consumer: bytes ever popped */
    atomic_size_t tail; /* producer: bytes ever published */
};

/* Holds at least `bytes`.  -ERR_NOMEM, -ERR_LIMIT. */
int ring_init(struct ring *r, size_t bytes, struct err *err);
void ring_deinit(struct ring *r); /* zeroed is fine */

/* What a payload of n bytes takes. */
size_t ring_record_bytes(size_t n);

/* Producer: bytes not in use.  The consumer can only make it more. */
size_t ring_free(const struct ring *r);

/* Producer: room for a payload of n bytes, 16-aligned, or NULL.  It is sure to
 * succeed while ring_free() is at least twice ring_record_bytes(n). */
void *ring_claim(struct ring *r, size_t n);

/* Producer: the claimed record is complete. */
void ring_publish(struct ring *r);

/* Consumer: the oldest record or NULL; it stays until popped. */
const void *ring_peek(struct ring *r);
void ring_pop(struct ring *r);

#endif
