/* text.c -- see text.h. */
#define _GNU_SOURCE /* memmem: linear, whatever is sought in whatever */
#include "model/template/text.h"

#include <string.h>

#include "model/base/utf8.h"
#include "model/template/unicode.h"

bool text_is(uint32_t cp, enum text_class c)
{
    const struct unicode_class *k = &unicode_classes[c];
    uint32_t low = 0, high = k->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (cp > k->ranges[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->n && cp >= k->ranges[low].first;
}

bool text_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x1f);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

bool text_is_line_end(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 ||
           cp == 0x2028 || cp == 0x2029;
}

void text_put_cp(struct buf *b, uint32_t cp)
{
    char bytes[4];
    int n = utf8_encode(cp, bytes);
    if (n > 0)
        buf_put(b, bytes, (size_t)n);
}

static bool put_many(struct buf *b, uint32_t cp, const struct unicode_case *k)
{
    uint32_t low = 0, high = k->n_many;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (k->many[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == k->n_many || k->many[low].cp != cp)
        return false;
    for (unsigned i = 0; i < 3 && k->many[low].to[i] != 0; i++)
        text_put_cp(b, k->many[low].to[i]);
    return true;
}

void text_put_case(struct buf *b, uint32_t cp, enum text_case to)
{
    const struct unicode_case *k = &unicode_cases[to];
    uint32_t low = 0, high = k->n_runs;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (k->runs[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < k->n_runs && cp >= k->runs[low].first &&
        (cp - k->runs[low].first) % k->runs[low].step == 0) {
        text_put_cp(b, (uint32_t)((int64_t)cp + k->runs[low].delta));
        return;
    }
    if (cp >= 0x80 && put_many(b, cp, k))
        return;
    text_put_cp(b, cp);
}

uint32_t text_next(const char *s, size_t n, size_t *len)
{
    unsigned char c = (unsigned char)s[0];
    if (c < 0x80) {
        *len = 1;
        return c;
    }
    uint32_t cp = 0;
    int k = utf8_decode(s, n, &cp);
    if (k <= 0) { /* cannot happen: strings are checked when they come in */
        *len = 1;
        return 0xfffd;
    }
    *len = (size_t)k;
    return cp;
}

size_t text_offset(const char *s, size_t n, size_t n_chars)
{
    size_t at = 0;
    while (n_chars > 0 && at < n) {
        at++;
        while (at < n && ((unsigned char)s[at] & 0xc0) == 0x80)
            at++;
        n_chars--;
    }
    return at;
}

size_t text_count(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

size_t text_space_front(const char *s, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t len;
        if (!text_is_space(text_next(s + at, n - at, &len)))
            break;
        at += len;
    }
    return at;
}

size_t text_space_back(const char *s, size_t n)
{
    size_t end = n;
    while (end > 0) {
        size_t at = end - 1, len;
        while (at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80)
            at--;
        if (!text_is_space(text_next(s + at, end - at, &len)))
            break;
        end = at;
    }
    return n - end;
}

size_t text_find(const char *s, size_t n, const char *needle, size_t n_needle,
                 size_t from)
{
    if (from > n || n_needle > n - from)
        return SIZE_MAX;
    if (n_needle == 0)
        return from;
    const char *p = memmem(s + from, n - from, needle, n_needle);
    return p != NULL ? (size_t)(p - s) : SIZE_MAX;
}

size_t text_rfind(const char *s, size_t n, const char *needle, size_t n_needle)
{
    if (n_needle > n)
        return SIZE_MAX;
    if (n_needle == 0)
        return n;
    for (size_t at = n - n_needle + 1; at-- > 0;)
        if (s[at] == needle[0] && memcmp(s + at, needle, n_needle) == 0)
            return at;
    return SIZE_MAX;
}
