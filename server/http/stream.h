/* stream.h -- bytes of an answer that wait for the socket.
 *
 * A queue that grows by doubling, written by the handler and read by MHD.  Two
 * marks: at `soft` the writer should pause, and is told once when the queue is
 * below it again; at `hard` the reader is too slow.  One write may be of any
 * size (the last event of a response says all of it once more, and that is not
 * the reader's fault), so at most `hard` and one write wait.
 * Progress is a time: the last moment at which the queue was empty or read.
 *
 * It does not know connections or who is woken.  Loop thread only. */
#ifndef LFMD_SERVER_HTTP_STREAM_H
#define LFMD_SERVER_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    char *bytes; /* owned, [cap]; those in use are [head, head + len) */
    size_t head, len, cap;
    size_t soft, hard;
    uint64_t progress_ms;
    bool above_soft; /* reached soft and not yet fallen below */
};

void stream_init(struct stream *s, size_t soft, size_t hard);
void stream_deinit(struct stream *s);

/* All or nothing: -ERR_LIMIT when `hard` bytes wait already, -ERR_NOMEM. */
int stream_push(struct stream *s, const void *bytes, size_t n, uint64_t now_ms);

/* Moves up to `max` bytes out; sets `*drained` when this took the queue below
 * soft after it had been there.  Returns how many. */
size_t stream_pull(struct stream *s, char *out, size_t max, uint64_t now_ms,
                   bool *drained);

bool stream_stalled(const struct stream *s, uint64_t now_ms, uint32_t stall_ms);

#endif
