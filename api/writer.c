/* writer.c -- see writer.h. */
#include "api/writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/json.h"

static bool in_object(const struct writer *w)
{
    return w->depth > 0 && (w->objects >> (w->depth - 1) & 1u) != 0;
}

static void comma(struct writer *w)
{
    if (w->depth == 0)
        return;
    uint32_t bit = 1u << (w->depth - 1);
    if (w->filled & bit)
        buf_putc(w->out, ',');
    w->filled |= bit;
}

/* In front of every value. */
static void before(struct writer *w)
{
    assert(w->after_key == in_object(w));
    if (!w->after_key)
        comma(w);
    w->after_key = false;
}

static void open_level(struct writer *w, bool object)
{
    before(w);
    assert(w->depth < WRITER_DEPTH_MAX);
    uint32_t bit = 1u << w->depth++;
    w->filled &= ~bit;
    w->objects = object ? w->objects | bit : w->objects & ~bit;
    buf_putc(w->out, object ? '{' : '[');
}

static void close_level(struct writer *w, bool object)
{
    assert(w->depth > 0 && in_object(w) == object && !w->after_key);
    w->depth--;
    buf_putc(w->out, object ? '}' : ']');
}

void writer_init(struct writer *w, struct buf *out)
{
    memset(w, 0, sizeof *w);
    w->out = out;
}

void writer_object(struct writer *w)
{
    open_level(w, true);
}

void writer_end_object(struct writer *w)
{
    close_level(w, true);
}

void writer_array(struct writer *w)
{
    open_level(w, false);
}

void writer_end_array(struct writer *w)
{
    close_level(w, false);
}

void writer_key(struct writer *w, const char *key)
{
    assert(in_object(w) && !w->after_key);
    comma(w);
    buf_putc(w->out, '"');
    buf_puts(w->out, key);
    buf_put(w->out, "\":", 2);
    w->after_key = true;
}

void writer_null(struct writer *w)
{
    before(w);
    buf_put(w->out, "null", 4);
}

void writer_bool(struct writer *w, bool v)
{
    before(w);
    buf_puts(w->out, v ? "true" : "false");
}

void writer_int(struct writer *w, int64_t v)
{
    before(w);
    buf_printf(w->out, "%" PRId64, v);
}

void writer_uint(struct writer *w, uint64_t v)
{
    before(w);
    buf_printf(w->out, "%" PRIu64, v);
}

void writer_float(struct writer *w, float v)
{
    char text[32];
    before(w);
    if (isnan(v)) {
        buf_put(w->out, "null", 4);
        return;
    }
    if (isinf(v)) {
        buf_puts(w->out, v > 0 ? "3.4028235e38" : "-3.4028235e38");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    if (strpbrk(text, ".e") == NULL)
        strcat(text, ".0");
    buf_puts(w->out, text);
}

void writer_string_n(struct writer *w, const char *s, size_t n)
{
    before(w);
    json_quote(w->out, s, n);
}

void writer_string(struct writer *w, const char *s)
{
    if (s == NULL)
        writer_null(w);
    else
        writer_string_n(w, s, strlen(s));
}

void writer_raw(struct writer *w, const char *json, size_t n)
{
    before(w);
    buf_put(w->out, json, n);
}

void writer_members(struct writer *w, const char *json, size_t n)
{
    assert(in_object(w) && !w->after_key);
    if (n == 0)
        return;
    comma(w);
    buf_put(w->out, json, n);
}

void writer_key_string(struct writer *w, const char *key, const char *s)
{
    writer_key(w, key);
    writer_string(w, s);
}

void writer_key_int(struct writer *w, const char *key, int64_t v)
{
    writer_key(w, key);
    writer_int(w, v);
}

void writer_key_bool(struct writer *w, const char *key, bool v)
{
    writer_key(w, key);
    writer_bool(w, v);
}

void writer_key_null(struct writer *w, const char *key)
{
    writer_key(w, key);
    writer_null(w);
}
