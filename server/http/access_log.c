/* access_log.c -- one line per exchange.
 *
 * The path is the client's: bytes that could forge a line or move a terminal's
 * cursor are shown as '?', and a long one is cut.  Loop thread only. */
#include "server/http/access_log.h"

#include <inttypes.h>

#include "model/base/log.h"

#define SHOWN_BYTES 128

static const char *shown(const char *s, char out[SHOWN_BYTES])
{
    int i = 0;

    for (; s[i] != '\0' && i < SHOWN_BYTES - 1; i++)
        out[i] = s[i] > 0x20 && s[i] < 0x7f ? s[i] : '?';
    out[i] = '\0';
    return out;
}

void access_log(const struct access *a)
{
    enum log_level level = a->quiet ? LOG_DEBUG : LOG_INFO;
    char method[SHOWN_BYTES], path[SHOWN_BYTES];

    if (!log_enabled(level))
        return;
    log_at(level, "http",
           "%s %s status=%d bytes=%" PRIu64 " ms=%" PRIu64 " id=%s%s",
           shown(a->method, method), shown(a->path, path), a->status,
           a->bytes_out, a->ms, a->request_id, a->gone ? " gone=1" : "");
}
