/* pyliteral.c -- see pyliteral.h.
 *
 * A string ends at its quote only if what comes next can follow a value.
 * LFM2.5's own template writes past arguments without escaping, so the model
 * has learned name='it's here', and no valid literal is lost by it. */
#include "model/dialect/pyliteral.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/json.h"
#include "model/base/utf8.h"

#define HEX_DIGITS_MAX 15 /* what fits an int64 for sure */

static bool literal(struct pyliteral_in *in, struct buf *out, unsigned depth);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '_' || (unsigned char)c >= 0x80;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void pyliteral_skip_space(struct pyliteral_in *in)
{
    while (in->p < in->end && is_space(*in->p))
        in->p++;
}

static char peek(const struct pyliteral_in *in)
{
    return in->p < in->end ? *in->p : '\0';
}

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

/* Exactly `digits` hexadecimal digits at the cursor; false leaves it there. */
static bool take_hex(struct pyliteral_in *in, int digits, uint32_t *out)
{
    uint32_t v = 0;
    if (in->end - in->p < digits)
        return false;
    for (int i = 0; i < digits; i++) {
        int h = hex_value(in->p[i]);
        if (h < 0)
            return false;
        v = v * 16 + (uint32_t)h;
    }
    in->p += digits;
    *out = v;
    return true;
}

static void put_code_point(struct buf *text, uint32_t cp)
{
    char bytes[4];
    int n = utf8_encode(cp, bytes);
    if (n == 0)
        n = utf8_encode(0xFFFD, bytes);
    buf_put(text, bytes, (size_t)n);
}

/* The second half of a surrogate pair, when JSON's habits leak into Python. */
static void put_utf16(struct pyliteral_in *in, struct buf *text, uint32_t cp)
{
    uint32_t low;
    struct pyliteral_in ahead = *in;
    if (cp >= 0xD800 && cp < 0xDC00 && in->end - in->p >= 6 &&
        ahead.p[0] == '\\' && ahead.p[1] == 'u') {
        ahead.p += 2;
        if (take_hex(&ahead, 4, &low) && low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            *in = ahead;
        }
    }
    put_code_point(text, cp);
}

static void put_octal(struct pyliteral_in *in, struct buf *text, char first)
{
    uint32_t v = (uint32_t)(first - '0');
    for (int i = 0; i < 2 && peek(in) >= '0' && peek(in) <= '7'; i++)
        v = v * 8 + (uint32_t)(*in->p++ - '0');
    put_code_point(text, v);
}

/* After a backslash.  An escape Python does not know keeps its backslash. */
static void escape(struct pyliteral_in *in, struct buf *text)
{
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = *in->p++;
    const char *at = c == '\0' ? NULL : strchr(from, c);
    uint32_t cp;
    if (at != NULL)
        buf_putc(text, to[at - from]);
    else if (c == '\n')
        return;
    else if (c >= '0' && c <= '7')
        put_octal(in, text, c);
    else if (c == 'x' && take_hex(in, 2, &cp))
        put_code_point(text, cp);
    else if (c == 'u' && take_hex(in, 4, &cp))
        put_utf16(in, text, cp);
    else if (c == 'U' && take_hex(in, 8, &cp))
        put_code_point(text, cp);
    else {
        buf_putc(text, '\\');
        buf_putc(text, c);
    }
}

/* After a comma: the next argument, or the next element. */
static bool at_next_item(struct pyliteral_in ahead)
{
    pyliteral_skip_space(&ahead);
    if (ahead.p == ahead.end || strchr("\"'[({)]}+-.", *ahead.p) != NULL ||
        is_digit(*ahead.p))
        return true;
    const char *name = ahead.p;
    while (is_word(peek(&ahead)) || peek(&ahead) == '-')
        ahead.p++;
    bool some = ahead.p > name;
    pyliteral_skip_space(&ahead);
    return some && (ahead.p == ahead.end || strchr("=(.,)]}\"'", *ahead.p));
}

/* Could a string end at the cursor?  Looks past blanks and closing brackets
 * only, so that many quotes together cost no more than one pass. */
static bool at_value_end(const struct pyliteral_in *in)
{
    struct pyliteral_in ahead = *in;
    while (ahead.p < ahead.end &&
           (is_space(*ahead.p) || strchr(")]}", *ahead.p) != NULL))
        ahead.p++;
    if (ahead.p == ahead.end || *ahead.p == ':')
        return true;
    if (*ahead.p != ',')
        return false;
    ahead.p++;
    return at_next_item(ahead);
}

static bool closes(struct pyliteral_in *in, char quote, bool triple)
{
    struct pyliteral_in ahead = *in;
    for (int i = 0; i < (triple ? 3 : 1); i++) {
        if (peek(&ahead) != quote)
            return false;
        ahead.p++;
    }
    if (!at_value_end(&ahead))
        return false;
    *in = ahead;
    return true;
}

/* b'..', r'..', f'..' and the like: what is between the quotes counts. */
static bool at_string(const struct pyliteral_in *in)
{
    const char *p = in->p;
    while (p < in->end && p < in->p + 2 && *p != '\0' &&
           strchr("bBfFrRuU", *p) != NULL)
        p++;
    return p < in->end && (*p == '"' || *p == '\'');
}

static bool string(struct pyliteral_in *in, struct buf *out)
{
    bool raw = false;
    for (; *in->p != '"' && *in->p != '\''; in->p++)
        raw = raw || *in->p == 'r' || *in->p == 'R';
    char quote = *in->p;
    bool triple =
        in->end - in->p >= 3 && in->p[1] == quote && in->p[2] == quote;
    struct buf text = {0};
    in->p += triple ? 3 : 1;
    bool closed = false;
    while (in->p < in->end && !(closed = closes(in, quote, triple))) {
        char c = *in->p++;
        if (c == '\\' && in->p < in->end && !raw)
            escape(in, &text);
        else
            buf_putc(&text, c);
    }
    bool ok = closed && buf_ok(&text) && utf8_valid(buf_str(&text), text.len);
    if (ok)
        json_quote(out, buf_str(&text), text.len);
    buf_deinit(&text);
    return ok;
}

static bool digits(struct pyliteral_in *in, struct buf *text)
{
    const char *start = in->p;
    while (is_digit(peek(in)) || (in->p > start && peek(in) == '_')) {
        if (*in->p != '_')
            buf_putc(text, *in->p);
        in->p++;
    }
    return in->p > start && in->p[-1] != '_';
}

static bool hexadecimal(struct pyliteral_in *in, struct buf *text)
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

/* Integers lose leading zeros (month=07) and, where JSON readers stop at 64
 * bits, become reals. */
static void put_integer(struct buf *out, const char *s, size_t n, bool minus)
{
    for (; n > 1 && *s == '0'; n--)
        s++;
    char all[24];
    errno = 0;
    snprintf(all, sizeof all, "%s%.*s", minus ? "-" : "", (int)n, s);
    if (n < 20)
        (void)strtoll(all, NULL, 10);
    if (n >= 20 || errno == ERANGE)
        buf_printf(out, "%s%c.%.17se%zu", minus ? "-" : "", s[0], s + 1, n - 1);
    else
        buf_puts(out, all);
}

static bool exponent(struct pyliteral_in *in, struct buf *text)
{
    buf_putc(text, 'e');
    in->p++;
    if (peek(in) == '+' || peek(in) == '-')
        buf_putc(text, *in->p++);
    return digits(in, text);
}

/* Exponents beyond a double would become infinite in the reader's hands. */
static bool finite(const char *text)
{
    double v = strtod(text, NULL);
    return v - v >= 0; /* false for infinities and NaN */
}

/* The digits, point and exponent of a decimal number, into `text`. */
static bool decimal(struct pyliteral_in *in, struct buf *text, bool *whole)
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

static bool number(struct pyliteral_in *in, struct buf *out)
{
    bool minus = *in->p == '-', whole = true;
    struct buf text = {0};
    if (*in->p == '-' || *in->p == '+')
        in->p++;
    bool ok = peek(in) == '0' && in->end - in->p > 2 &&
                      (in->p[1] == 'x' || in->p[1] == 'X')
                  ? hexadecimal(in, &text)
                  : decimal(in, &text, &whole);
    ok = ok && buf_ok(&text) && !is_word(peek(in));
    if (ok && whole) {
        put_integer(out, buf_str(&text), text.len, minus);
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

static bool constant(struct pyliteral_in *in, struct buf *out)
{
    static const struct {
        const char *python, *json;
    } names[] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                 {"true", "true"}, {"false", "false"}, {"null", "null"}};
    const char *start = in->p;
    while (is_word(peek(in)))
        in->p++;
    size_t n = (size_t)(in->p - start);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i].python) == n &&
            memcmp(names[i].python, start, n) == 0) {
            buf_puts(out, names[i].json);
            return true;
        }
    }
    return false;
}

/* [a, b], {a, b} and (a, b); (a) is a itself. */
static bool sequence(struct pyliteral_in *in, struct buf *out, char close,
                     unsigned depth)
{
    size_t at = out->len;
    size_t n = 0;
    bool comma = false;
    in->p++;
    buf_putc(out, '[');
    for (;;) {
        pyliteral_skip_space(in);
        if (peek(in) == close)
            break;
        if (n > 0 && !comma)
            return false;
        if (n > 0)
            buf_puts(out, ", ");
        if (!literal(in, out, depth + 1))
            return false;
        n++;
        pyliteral_skip_space(in);
        comma = peek(in) == ',';
        if (comma)
            in->p++;
    }
    in->p++;
    if (close == ')' && n == 1 && !comma && buf_ok(out)) {
        memmove(out->data + at, out->data + at + 1, out->len - at - 1);
        out->len--;
        out->data[out->len] = '\0';
    } else {
        buf_putc(out, ']');
    }
    return true;
}

static bool key(struct pyliteral_in *in, struct buf *out)
{
    char c = peek(in);
    if (at_string(in))
        return string(in, out);
    buf_putc(out, '"');
    bool ok = is_digit(c) || c == '-' ? number(in, out) : constant(in, out);
    buf_putc(out, '"');
    return ok;
}

/* {a, b}: has the first element no colon behind it?  Only strings and numbers
 * are looked at, which is what sets hold. */
static bool is_set(struct pyliteral_in ahead)
{
    struct buf ignored = {0};
    ahead.p++;
    pyliteral_skip_space(&ahead);
    bool ok = at_string(&ahead)
                  ? string(&ahead, &ignored)
                  : is_digit(peek(&ahead)) && number(&ahead, &ignored);
    buf_deinit(&ignored);
    pyliteral_skip_space(&ahead);
    return ok && (peek(&ahead) == ',' || peek(&ahead) == '}');
}

static bool dictionary(struct pyliteral_in *in, struct buf *out, unsigned depth)
{
    bool first = true, comma = false;
    in->p++;
    buf_putc(out, '{');
    for (;;) {
        pyliteral_skip_space(in);
        if (peek(in) == '}')
            break;
        if (!first && !comma)
            return false;
        if (!first)
            buf_puts(out, ", ");
        if (!key(in, out))
            return false;
        pyliteral_skip_space(in);
        if (peek(in) != ':')
            return false;
        in->p++;
        buf_puts(out, ": ");
        if (!literal(in, out, depth + 1))
            return false;
        first = false;
        pyliteral_skip_space(in);
        comma = peek(in) == ',';
        if (comma)
            in->p++;
    }
    in->p++;
    buf_putc(out, '}');
    return true;
}

/* Recursion is bounded by depth. */
static bool literal(struct pyliteral_in *in, struct buf *out, unsigned depth)
{
    pyliteral_skip_space(in);
    if (in->p == in->end || depth > PYLITERAL_DEPTH_MAX)
        return false;
    char c = *in->p;
    if (at_string(in))
        return string(in, out);
    if (c == '[')
        return sequence(in, out, ']', depth);
    if (c == '(')
        return sequence(in, out, ')', depth);
    if (c == '{')
        return is_set(*in) ? sequence(in, out, '}', depth)
                           : dictionary(in, out, depth);
    if (is_digit(c) || c == '-' || c == '+' || c == '.')
        return number(in, out);
    return constant(in, out);
}

bool pyliteral_to_json(struct pyliteral_in *in, struct buf *out)
{
    return literal(in, out, 1) && buf_ok(out);
}
