/* stream.c -- bytes of an answer that wait for the socket.
 *
 * A flat buffer with a moving head, compacted when the tail meets the end: most
 * of the time one event is pushed and pulled before the next, so a ring would
 * buy nothing.  Loop thread only. */
#include "server/http/stream.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/err.h"

#define MOST_BYTES (SIZE_MAX / 8)
#define FIRST_BYTES 4096u

void stream_init(struct stream *s, size_t soft, size_t hard)
{
    *s = (struct stream){.soft = soft, .hard = hard};
}

void stream_deinit(struct stream *s)
{
    mem_free(s->bytes);
    s->bytes = NULL;
    s->head = s->len = s->cap = 0;
}

static int make_room(struct stream *s, size_t n)
{
    if (s->cap - s->head - s->len >= n)
        return 0;
    if (s->head > 0) {
        memmove(s->bytes, s->bytes + s->head, s->len);
        s->head = 0;
    }
    size_t cap = s->cap > 0 ? s->cap : FIRST_BYTES;
    while (cap - s->len < n)
        cap *= 2; /* bounded: both are at most MOST_BYTES */
    if (cap == s->cap)
        return 0;
    char *bytes = mem_realloc(s->bytes, cap);
    if (bytes == NULL)
        return -ERR_NOMEM;
    s->bytes = bytes;
    s->cap = cap;
    return 0;
}

int stream_push(struct stream *s, const void *bytes, size_t n, uint64_t now_ms)
{
    if (n == 0)
        return 0;
    if (s->len >= s->hard || n > MOST_BYTES || s->len > MOST_BYTES)
        return -ERR_LIMIT;
    if (make_room(s, n) != 0)
        return -ERR_NOMEM;
    if (s->len == 0)
        s->progress_ms = now_ms;
    memcpy(s->bytes + s->head + s->len, bytes, n);
    s->len += n;
    if (s->len >= s->soft)
        s->above_soft = true;
    return 0;
}

size_t stream_pull(struct stream *s, char *out, size_t max, uint64_t now_ms,
                   bool *drained)
{
    size_t n = s->len < max ? s->len : max;

    *drained = false;
    if (n == 0)
        return 0;
    memcpy(out, s->bytes + s->head, n);
    s->len -= n;
    s->head = s->len > 0 ? s->head + n : 0;
    s->progress_ms = now_ms;
    if (s->above_soft && s->len < s->soft) {
        s->above_soft = false;
        *drained = true;
    }
    return n;
}

bool stream_stalled(const struct stream *s, uint64_t now_ms, uint32_t stall_ms)
{
    return s->len > 0 && now_ms - s->progress_ms >= stall_ms;
}
