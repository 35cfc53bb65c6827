/* sse.c -- Server-Sent Events framing.
 *
 * Rests on the client's rule that the data lines of one event are joined by
 * \n, so any line break in the data becomes a new data line and never ends the
 * event early.  Any thread. */
#include "server/http/sse.h"

#include <string.h>

#include "model/base/buf.h"

void sse_event(struct buf *out, const char *data, size_t n)
{
    size_t at = 0;

    for (;;) {
        size_t end = at;
        while (end < n && data[end] != '\n' && data[end] != '\r')
            end++;
        buf_put(out, "data: ", 6);
        buf_put(out, data + at, end - at);
        buf_putc(out, '\n');
        if (end == n)
            break;
        at = end + 1;
        if (data[end] == '\r' && at < n && data[at] == '\n')
            at++;
    }
    buf_putc(out, '\n');
}

void sse_named_event(struct buf *out, const char *name, const char *data,
                     size_t n)
{
    if (name != NULL) {
        buf_puts(out, "event: ");
        buf_puts(out, name);
        buf_putc(out, '\n');
    }
    sse_event(out, data, n);
}
