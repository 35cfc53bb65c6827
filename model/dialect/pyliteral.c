/* pyliteral.c -- see pyliteral.h. */
#include "model/dialect/pyliteral.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/utf8.h"

#define HEX_DIGITS_MAX 15 /* what fits an int64 for sure */

/* A cursor over borrowed bytes. */
struct in {
    const char *p, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '_' || (unsigned char)c >= 0x80;
}

bool pyliteral_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool pyliteral_is_name(char c, bool dotted)
{
    return is_word(c) || c == '-' || (dotted && c == '.');
}

bool pyliteral_is_scalar(char c)
{
    return is_word(c) || c == '.' || c == '+' || c == '-';
}

static char peek(const struct in *in)
{
    return in->p < in->end ? *in->p : '\0';
}

/* ---- escapes ---- */

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Reads up to `digits` hexadecimal digits at s[0..n); returns how many. */
static size_t take_hex(const char *s, size_t n, size_t digits, uint32_t *out)
{
    size_t i = 0;
    for (*out = 0; i < digits && i < n && hex_value(s[i]) >= 0; i++)
        *out = *out * 16 + (uint32_t)hex_value(s[i]);
    return i;
}

static void put_code_point(struct buf *text, uint32_t cp)
{
    char bytes[4];
    int n = utf8_encode(cp, bytes);
    if (n == 0)
        n = utf8_encode(0xFFFD, bytes);
    buf_put(text, bytes, (size_t)n);
}

/* The second half of a surrogate pair, when JSON's habits leak into Python:
 * \ud83d was read and s[6] is next.  As pyliteral_escape. */
static size_t utf16(const char *s, size_t n, bool whole, uint32_t high,
                    struct buf *text)
{
    uint32_t low = 0;
    size_t digits = n > 8 ? take_hex(s + 8, n - 8, 4, &low) : 0;
    bool may = (n < 7 || s[6] == '\\') && (n < 8 || s[7] == 'u') &&
               (n < 9 || digits == (n > 12 ? 12 : n) - 8);
    if (may && n < 12 && !whole)
        return 0;
    bool pair = may && n >= 12 && low >= 0xDC00 && low < 0xE000;
    put_code_point(
        text, pair ? 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00) : high);
    return pair ? 12 : 6;
}

/* \x41, \u00e9, \U0001F600. */
static size_t hex_escape(const char *s, size_t n, bool whole, struct buf *text)
{
    size_t digits = s[1] == 'x' ? 2 : s[1] == 'u' ? 4 : 8;
    uint32_t cp;
    size_t got = take_hex(s + 2, n - 2, digits, &cp);
    if (got < digits && n == 2 + got && !whole)
        return 0;
    if (got < digits) {
        buf_put(text, s, 2);
        return 2;
    }
    if (digits == 4 && cp >= 0xD800 && cp < 0xDC00)
        return utf16(s, n, whole, cp, text);
    put_code_point(text, cp);
    return 2 + digits;
}

static size_t octal_escape(const char *s, size_t n, bool whole,
                           struct buf *text)
{
    uint32_t v = 0;
    size_t i = 1;
    for (; i < 4 && i < n && s[i] >= '0' && s[i] <= '7'; i++)
        v = v * 8 + (uint32_t)(s[i] - '0');
    if (i < 4 && i == n && !whole)
        return 0;
    put_code_point(text, v);
    return i;
}

size_t pyliteral_escape(const char *s, size_t n, bool whole, bool json,
                        struct buf *text)
{
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    if (n < 2) {
        buf_put(text, s, whole ? n : 0);
        return whole ? n : 0;
    }
    char c = s[1];
    const char *at = c == '\0' ? NULL : strchr(from, c);
    if (c == 'x' || c == 'u' || c == 'U')
        return hex_escape(s, n, whole, text);
    if (c >= '0' && c <= '7')
        return octal_escape(s, n, whole, text);
    if (at != NULL)
        buf_putc(text, to[at - from]);
    else if (json && c == '/')
        buf_putc(text, c);
    else if ((unsigned char)c >= 0x80) /* left to whoever knows UTF-8 */
        buf_putc(text, '\\');
    else if (c != '\n')
        buf_put(text, s, 2);
    return (unsigned char)c >= 0x80 ? 1 : 2;
}

/* ---- numbers and constants ---- */

static bool digits(struct in *in, struct buf *text)
{
    const char *start = in->p;
    while (is_digit(peek(in)) || (in->p > start && peek(in) == '_')) {
        if (*in->p != '_')
            buf_putc(text, *in->p);
        in->p++;
    }
    return in->p > start && in->p[-1] != '_';
}

static bool hexadecimal(struct in *in, struct buf *text)
{
    uint64_t v = 0;
    int n = 0;
    for (in->p += 2; hex_value(peek(in)) >= 0; in->p++, n++) {
        if (n == HEX_DIGITS_MAX)
            return false;
        v = v * 16 + (uint64_t)hex_value(*in->p);
    }
    buf_printf(text, "%llu", (unsigned long long)v);
    return n > 0;
}

/* Exponents beyond a double would become infinite in the reader's hands. */
static bool finite(const char *text)
{
    double v = strtod(text, NULL);
    return v - v >= 0; /* false for infinities and NaN */
}

/* Integers lose leading zeros (month=07) and, where JSON readers stop at 64
 * bits, become reals. */
static bool put_integer(struct buf *out, const char *s, size_t n, bool minus)
{
    for (; n > 1 && *s == '0'; n--)
        s++;
    char all[48];
    errno = 0;
    snprintf(all, sizeof all, "%s%.*s", minus ? "-" : "", (int)n, s);
    if (n < 20)
        (void)strtoll(all, NULL, 10);
    if (n >= 20 || errno == ERANGE)
        snprintf(all, sizeof all, "%s%c.%.17se%zu", minus ? "-" : "", s[0],
                 s + 1, n - 1);
    buf_puts(out, all);
    return finite(all);
}

static bool exponent(struct in *in, struct buf *text)
{
    buf_putc(text, 'e');
    in->p++;
    if (peek(in) == '+' || peek(in) == '-')
        buf_putc(text, *in->p++);
    return digits(in, text);
}

/* The digits, point and exponent of a decimal number, into `text`. */
static bool decimal(struct in *in, struct buf *text, bool *whole)
{
    if (peek(in) != '.' && !digits(in, text))
        return false;
    if (peek(in) == '.') {
        bool some = text->len > 0;
        in->p++;
        buf_puts(text, some ? "." : "0.");
        *whole = false;
        if (is_digit(peek(in)) ? !digits(in, text) : !some)
            return false;
        if (text->len > 0 && in->p[-1] == '.')
            buf_putc(text, '0');
    }
    if (peek(in) == 'e' || peek(in) == 'E') {
        *whole = false;
        return exponent(in, text);
    }
    return true;
}

static bool number(struct in in, struct buf *out)
{
    bool minus = *in.p == '-', whole = true;
    struct buf text = {0};
    if (*in.p == '-' || *in.p == '+')
        in.p++;
    bool ok = peek(&in) == '0' && in.end - in.p > 2 &&
                      (in.p[1] == 'x' || in.p[1] == 'X')
                  ? hexadecimal(&in, &text)
                  : decimal(&in, &text, &whole);
    ok = ok && in.p == in.end;
    if (!buf_ok(&text)) {
        out->failed = true;
    } else if (ok && whole) {
        ok = put_integer(out, buf_str(&text), text.len, minus);
    } else if (ok) {
        const char *s = buf_str(&text);
        while (s[0] == '0' && is_digit(s[1]))
            s++;
        ok = finite(s);
        buf_printf(out, "%s%s", minus ? "-" : "", s);
    }
    buf_deinit(&text);
    return ok;
}

static const char *constant(const char *s, size_t n)
{
    static const struct {
        const char *python, *json;
    } names[] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                 {"true", "true"}, {"false", "false"}, {"null", "null"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].python) == n && memcmp(names[i].python, s, n) == 0)
            return names[i].json;
    return NULL;
}

bool pyliteral_is_constant(const char *s, size_t n)
{
    return constant(s, n) != NULL;
}

bool pyliteral_is_prefix(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '\0' || strchr("bBfFrRuU", s[i]) == NULL)
            return false;
    return n > 0 && n <= 2;
}

bool pyliteral_scalar(const char *s, size_t n, struct buf *out)
{
    if (n == 0 || n > PYLITERAL_SCALAR_MAX)
        return false;
    const char *json = constant(s, n);
    if (json != NULL)
        buf_puts(out, json);
    return json != NULL || number((struct in){s, s + n}, out);
}
