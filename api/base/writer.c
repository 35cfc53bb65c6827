/* writer.c -- see writer.h. */
#include "api/base/writer.h"

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

/* a, 1e-4 to 1e7, in `digits` digits: as *n / 10^decimals.  False if that reads
 * back as another float.  Both are integers below 2^53, so the quotient here is
 * the very double that a reader of the text gets. */
static bool round_to(float a, int digits, uint64_t *n, int *decimals)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
                                    1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    int before = 0; /* digits before the point, if negative zeros after it */
    while (before < 7 && (double)a >= powers[before])
        before++;
    while (before <= 0 && before > -3 && (double)a * powers[1 - before] < 1.0)
        before--;
    *decimals = digits - before;
    const double scale = powers[*decimals];
    *n = (uint64_t)((double)a * scale + 0.5);
    return (float)((double)*n / scale) == a;
}

/* Writes *n / 10^decimals without zeros at its end, but for one. */
static size_t put_decimal(char *out, uint64_t n, int decimals)
{
    char text[32];
    size_t at = sizeof text, n_out = 0;
    for (; decimals > 1 && n % 10 == 0; decimals--)
        n /= 10;
    for (int i = 0; n > 0 || i <= decimals; i++, n /= 10) {
        if (i == decimals)
            text[--at] = '.';
        text[--at] = (char)('0' + n % 10);
    }
    for (; at < sizeof text; at++)
        out[n_out++] = text[at];
    return n_out;
}

/* Most floats need eight digits or nine. */
static void put_float(struct writer *w, float v)
{
    const float a = fabsf(v);
    uint64_t n;
    int decimals;
    if (!(a >= 1e-4f && a < 1e7f) ||
        (!round_to(a, 8, &n, &decimals) && !round_to(a, 9, &n, &decimals))) {
        writer_float(w, v);
        return;
    }
    before(w);
    char *out = buf_room(w->out, WRITER_FLOAT_BYTES);
    if (out == NULL)
        return;
    const size_t sign = v < 0;
    *out = '-';
    buf_added(w->out, sign + put_decimal(out + sign, n, decimals));
}

void writer_floats(struct writer *w, const float *v, size_t n)
{
    writer_array(w);
    for (size_t i = 0; i < n; i++)
        put_float(w, v[i]);
    writer_end_array(w);
}

static uint32_t byte_of(const float *v, size_t n, size_t i)
{
    uint32_t bits;
    if (i / 4 >= n)
        return 0;
    memcpy(&bits, &v[i / 4], sizeof bits);
    return bits >> (8 * (i % 4)) & 0xFF;
}

void writer_floats_base64(struct writer *w, const float *v, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq"
                                  "rstuvwxyz0123456789+/";
    const size_t n_bytes = 4 * n, n_groups = (n_bytes + 2) / 3;
    before(w);
    char *out = buf_room(w->out, 4 * n_groups + 2), *at = out;
    if (out == NULL)
        return;
    *at++ = '"';
    for (size_t i = 0; i < n_bytes; i += 3) {
        uint32_t group = byte_of(v, n, i) << 16 | byte_of(v, n, i + 1) << 8 |
                         byte_of(v, n, i + 2);
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = letters[group >> shift & 63];
    }
    for (size_t pad = 3 * n_groups - n_bytes; pad > 0; pad--)
        at[-(ptrdiff_t)pad] = '=';
    *at++ = '"';
    buf_added(w->out, (size_t)(at - out));
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

void writer_key_float(struct writer *w, const char *key, float v)
{
    writer_key(w, key);
    writer_float(w, v);
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
