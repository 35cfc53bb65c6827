/* detok.c -- see detok.h. */
#include "model/text/detok.h"

#include <string.h>

#include "model/base/utf8.h"

static size_t put_replacement(char *out)
{
    memcpy(out, "\xEF\xBF\xBD", 3);
    return 3;
}

void detok_init(struct detok *d)
{
    memset(d, 0, sizeof *d);
}

/* One byte behind an unfinished character: completes it, keeps it waiting, or
 * ends it as U+FFFD; then the byte is not consumed and starts afresh. */
static size_t push_pending(struct detok *d, char byte, char *out, size_t *i)
{
    uint32_t cp;
    d->pending[d->n] = byte;
    int step = utf8_decode(d->pending, d->n + 1u, &cp);
    if (step < 0) {
        d->n = 0;
        return put_replacement(out);
    }
    ++*i;
    d->n++;
    if (step == 0)
        return 0;
    size_t len = d->n;
    memcpy(out, d->pending, len);
    d->n = 0;
    return len;
}

size_t detok_push(struct detok *d, const char *bytes, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        if (d->n > 0) {
            len += push_pending(d, bytes[i], out + len, &i);
            continue;
        }
        uint32_t cp;
        int step = utf8_decode(bytes + i, n - i, &cp);
        if (step > 0) {
            memcpy(out + len, bytes + i, (size_t)step);
            len += (size_t)step;
            i += (size_t)step;
        } else if (step < 0) {
            len += put_replacement(out + len);
            i += (size_t)-step;
        } else {
            d->n = (uint8_t)(n - i);
            memcpy(d->pending, bytes + i, n - i);
            i = n;
        }
    }
    return len;
}

size_t detok_finish(struct detok *d, char out[3])
{
    size_t len = d->n > 0 ? put_replacement(out) : 0;
    detok_init(d);
    return len;
}
