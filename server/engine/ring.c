/* ring.c -- see ring.h. */
#include "server/engine/ring.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "model/base/alloc.h"

#define ALIGN ((size_t)16)
#define MAX_BYTES ((size_t)1 << 30)

/* In front of every payload. */
struct header {
    uint64_t bytes; /* of the record, this header included */
    uint64_t skip;  /* 1: no payload, the next record is at the beginning */
};

int ring_init(struct ring *r, size_t bytes, struct err *err)
{
    if (bytes > MAX_BYTES)
        return err_set(err, ERR_LIMIT,
                       "ring: %zu bytes for undelivered events, at most %zu "
                       "are given",
                       bytes, MAX_BYTES);
    size_t cap = ALIGN;
    while (cap < bytes)
        cap *= 2;
    r->bytes = mem_alloc_aligned(ALIGN, cap);
    if (r->bytes == NULL)
        return err_nomem(err, "a job's event ring");
    r->cap = cap;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    return 0;
}

void ring_deinit(struct ring *r)
{
    mem_free_aligned(r->bytes);
    r->bytes = NULL;
}

size_t ring_record_bytes(size_t n)
{
    return (sizeof(struct header) + n + ALIGN - 1) & ~(ALIGN - 1);
}

size_t ring_free(const struct ring *r)
{
    return r->cap - (atomic_load(&r->tail) - atomic_load(&r->head));
}

static struct header *header_at(const struct ring *r, size_t at)
{
    return (struct header *)(void *)(r->bytes + (at & (r->cap - 1)));
}

void *ring_claim(struct ring *r, size_t n)
{
    const size_t need = ring_record_bytes(n);
    size_t tail = atomic_load(&r->tail);
    size_t to_end = r->cap - (tail & (r->cap - 1));
    size_t unused = ring_free(r);
    if (to_end < need) {
        if (unused < to_end)
            return NULL;
        /* Published at once: a record that only says "go on at 0" may be seen
         * whether or not anything follows. */
        *header_at(r, tail) = (struct header){to_end, 1};
        atomic_store(&r->tail, tail += to_end);
        unused -= to_end;
    }
    if (unused < need)
        return NULL;
    struct header *h = header_at(r, tail);
    *h = (struct header){need, 0};
    return h + 1;
}

void ring_publish(struct ring *r)
{
    size_t tail = atomic_load(&r->tail);
    atomic_store(&r->tail, tail + header_at(r, tail)->bytes);
}

const void *ring_peek(struct ring *r)
{
    for (;;) {
        size_t head = atomic_load(&r->head);
        if (head == atomic_load(&r->tail))
            return NULL;
        const struct header *h = header_at(r, head);
        if (h->skip == 0)
            return h + 1;
        atomic_store(&r->head, head + h->bytes);
    }
}

void ring_pop(struct ring *r)
{
    size_t head = atomic_load(&r->head);
    atomic_store(&r->head, head + header_at(r, head)->bytes);
}
