/* buf.h -- growable bytes, and the one way text is put together.
 *
 * Failure is sticky: when memory or `limit` runs out the buffer keeps what it
 * had, ignores all that follows and remembers; so a writer appends freely and
 * asks buf_ok() once at the end.  The bytes are always followed by a NUL that
 * is not counted.
 *
 * One thread at a time.  The caller owns the struct; the struct owns `data`. */
#ifndef LFMD_MODEL_BASE_BUF_H
#define LFMD_MODEL_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;   /* owned; NULL while empty and never grown */
    size_t len;   /* bytes in use */
    size_t cap;   /* bytes allocated, the NUL included */
    size_t limit; /* most bytes it may hold; 0 is no limit */
    bool failed;
};

/* A zeroed struct is an empty buffer without limit. */
void buf_init(struct buf *b, size_t limit);
void buf_deinit(struct buf *b);

void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for `n` more bytes, to be filled and then counted with buf_added; NULL
 * when it cannot be had. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);

void buf_clear(struct buf *b);          /* empty, keeps its memory */
void buf_drop(struct buf *b, size_t n); /* forgets the first n bytes */
bool buf_ok(const struct buf *b);
const char *buf_str(const struct buf *b); /* never NULL */

/* Hands the bytes to the caller, who frees them with mem_free; the buffer is
 * empty afterwards.  NULL if it had failed. */
char *buf_take(struct buf *b, size_t *len);

#endif
