/* sse.h -- Server-Sent Events framing.
 *
 * An event is "data: " and a line, then an empty line; a line break inside the
 * data begins another "data: " line, which the client joins again with \n.
 *
 * It does not know who reads or when.  Any thread. */
#ifndef LFMD_SERVER_HTTP_SSE_H
#define LFMD_SERVER_HTTP_SSE_H

#include <stddef.h>

struct buf;

#define SSE_CONTENT_TYPE "text/event-stream; charset=utf-8"
#define SSE_DONE "data: [DONE]\n\n"
#define SSE_PING ": ping\n\n" /* a comment: keeps proxies and clients awake */

/* Appends one event carrying `data`; \r, \n and \r\n all break lines. */
void sse_event(struct buf *out, const char *data, size_t n);

/* The same after a line "event: name"; NULL: without it. */
void sse_named_event(struct buf *out, const char *name, const char *data,
                     size_t n);

#endif
