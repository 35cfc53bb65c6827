/* buf.c -- see buf.h.  Grows by doubling from 256 bytes. */
#include "model/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"

void buf_init(struct buf *b, size_t limit)
{
    memset(b, 0, sizeof *b);
    b->limit = limit;
}

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    memset(b, 0, sizeof *b);
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    size_t need;
    if (__builtin_add_overflow(b->len, n, &need) || need > SIZE_MAX / 4 ||
        (b->limit != 0 && need > b->limit)) {
        b->failed = true;
        return NULL;
    }
    if (need + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < need + 1)
            cap *= 2;
        char *data = mem_realloc(b->data, cap);
        if (data == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_put(struct buf *b, const void *bytes, size_t n)
{
    char *room = buf_room(b, n);
    if (room == NULL)
        return;
    if (n > 0)
        memcpy(room, bytes, n);
    buf_added(b, n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *room = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (room != NULL) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        buf_added(b, (size_t)n);
    }
    va_end(again);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

void buf_drop(struct buf *b, size_t n)
{
    if (n == 0 || b->data == NULL)
        return;
    if (n > b->len)
        n = b->len;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

bool buf_ok(const struct buf *b)
{
    return !b->failed;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b, size_t *len)
{
    if (b->failed || buf_room(b, 0) == NULL)
        return NULL;
    char *data = b->data;
    data[b->len] = '\0';
    if (len != NULL)
        *len = b->len;
    size_t limit = b->limit;
    memset(b, 0, sizeof *b);
    b->limit = limit;
    return data;
}
