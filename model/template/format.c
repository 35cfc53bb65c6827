/* format.c -- "%" formatting, str.format, and strftime. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "model/base/clock.h"
#include "model/template/eval.h"
#include "model/template/text.h"

/* [[fill]align][sign][#][0][width][,][.precision][type] of both languages. */
struct spec {
    const char *fill;
    size_t n_fill;
    char align, sign, type;
    bool zero, alternate, comma;
    int width, precision; /* -1: not given */
};

static void put_padded(struct buf *b, const struct spec *s, const char *text,
                       size_t n, char align)
{
    size_t chars = text_count(text, n);
    size_t pad =
        s->width > 0 && (size_t)s->width > chars ? (size_t)s->width - chars : 0;
    size_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
    size_t sign =
        align == '=' && n > 0 && (*text == '-' || *text == '+' || *text == ' ');
    buf_put(b, text, sign);
    for (size_t i = 0; i < left; i++)
        buf_put(b, s->fill, s->n_fill);
    buf_put(b, text + sign, n - sign);
    for (size_t i = left; i < pad; i++)
        buf_put(b, s->fill, s->n_fill);
}

static void group_thousands(char *text, size_t size)
{
    size_t sign = *text == '-' || *text == '+' || *text == ' ';
    size_t n = strspn(text + sign, "0123456789") + sign, total = strlen(text);
    for (size_t at = n; at > sign + 3 && total + 2 < size;) {
        at -= 3;
        memmove(text + at + 1, text + at, total - at + 1);
        text[at] = ',';
        total++;
    }
}

static int put_int(struct eval *e, struct buf *b, const struct spec *s,
                   int64_t i)
{
    char text[128], digits[72];
    unsigned base = s->type == 'x' || s->type == 'X' ? 16
                    : s->type == 'o'                 ? 8
                    : s->type == 'b'                 ? 2
                                                     : 10;
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    size_t n = sizeof digits;
    digits[--n] = '\0';
    do {
        digits[--n] = (s->type == 'X' ? "0123456789ABCDEF"
                                      : "0123456789abcdef")[u % base];
        u /= base;
    } while (u > 0);
    (void)e;
    const char *prefix = !s->alternate || base == 10 ? ""
                         : base == 16                ? "0x"
                         : base == 8                 ? "0o"
                                                     : "0b";
    char sign[2] = {i < 0                              ? '-'
                    : s->sign == '+' || s->sign == ' ' ? s->sign
                                                       : '\0',
                    '\0'};
    snprintf(text, sizeof text, "%s%s%s", sign, prefix, digits + n);
    if (s->comma)
        group_thousands(text, sizeof text);
    put_padded(b, s, text, strlen(text), s->align != 0 ? s->align : '>');
    return 0;
}

static int put_float(struct eval *e, struct buf *b, const struct spec *s,
                     double f)
{
    char text[512], pattern[16];
    int precision = s->precision < 0 ? 6 : s->precision;
    if (precision > 100)
        return eval_fail(e, ERR_INVALID, "a precision above 100");
    double v = s->type == '%' ? f * 100 : f;
    char type = s->type == '%' ? 'f' : s->type;
    snprintf(pattern, sizeof pattern, "%%%s.*%c",
             s->sign == '+'   ? "+"
             : s->sign == ' ' ? " "
                              : "",
             type);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text - 1, pattern, precision, v);
#pragma GCC diagnostic pop
    if (s->type == '%')
        strcat(text, "%");
    if (s->comma)
        group_thousands(text, sizeof text);
    put_padded(b, s, text, strlen(text), s->align != 0 ? s->align : '>');
    return 0;
}

static int put_text(struct buf *b, const struct spec *s, const char *text,
                    size_t n, char align)
{
    if (s->precision >= 0)
        n = text_offset(text, n, (size_t)s->precision);
    put_padded(b, s, text, n, s->align != 0 ? s->align : align);
    return 0;
}

static int number(const char *s, size_t n, size_t *at)
{
    int v = -1;
    for (; *at < n && s[*at] >= '0' && s[*at] <= '9'; (*at)++)
        if ((v = (v < 0 ? 0 : v) * 10 + s[*at] - '0') > 65535)
            return 65536;
    return v;
}

/* One conversion of "%". */
static int put_percent(struct eval *e, struct buf *b, struct spec *s,
                       struct value v)
{
    int64_t i;
    double f;
    const struct str *text;
    struct buf repr;
    int rc;
    switch (s->type) {
    case 's':
        rc = print_to_str(e, v, &text);
        return rc != 0 ? rc : put_text(b, s, text->s, text->n, '>');
    case 'r':
        buf_init(&repr, e->limits.output_bytes);
        rc = print_repr(e, v, &repr);
        if (rc == 0)
            rc = put_text(b, s, buf_str(&repr), repr.len, '>');
        buf_deinit(&repr);
        return rc;
    case 'd':
    case 'i':
    case 'u':
        if (v.kind == VALUE_FLOAT && v.u.f > -9e18 && v.u.f < 9e18)
            v = value_int((int64_t)v.u.f);
        __attribute__((fallthrough));
    case 'x':
    case 'X':
    case 'o':
        if (!value_as_int(v, &i))
            return eval_fail(e, ERR_INVALID, "%%%c needs a number, not %s",
                             s->type, value_type_name(v));
        return put_int(e, b, s, i);
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        if (!value_as_float(v, &f))
            return eval_fail(e, ERR_INVALID, "%%%c needs a number, not %s",
                             s->type, value_type_name(v));
        return put_float(e, b, s, f);
    default:
        return eval_fail(e, ERR_INVALID, "unknown format character '%c'",
                         s->type);
    }
}

static void percent_flags(const char *f, size_t n, size_t *at, struct spec *s)
{
    for (; *at < n && strchr("-+ #0", f[*at]) != NULL && f[*at] != '\0';
         (*at)++) {
        if (f[*at] == '-')
            s->align = '<';
        else if (f[*at] == '#')
            s->alternate = true;
        else if (f[*at] == '0')
            s->zero = true;
        else if (s->sign != '+')
            s->sign = f[*at];
    }
    s->width = number(f, n, at);
    if (*at < n && f[*at] == '.') {
        (*at)++;
        s->precision = number(f, n, at);
        if (s->precision < 0)
            s->precision = 0;
    }
    while (*at < n && (f[*at] == 'l' || f[*at] == 'h' || f[*at] == 'L'))
        (*at)++;
}

/* The value that "(key)" names: 1, 0 when there is no "(", or an error. */
static int percent_value(struct eval *e, const struct str *f, size_t *at,
                         struct value args, size_t *used, struct value *out)
{
    if (*at < f->n && f->s[*at] == '(') {
        size_t end = text_find(f->s, f->n, ")", 1, *at);
        struct value key;
        if (end == SIZE_MAX || args.kind != VALUE_MAP)
            return eval_fail(e, ERR_INVALID, "%%(name) needs a dict");
        int rc = make_str(e, f->s + *at + 1, end - *at - 1, &key);
        if (rc == 0)
            rc = map_get(e, args.u.map, key, out);
        if (rc == 0)
            return eval_fail(e, ERR_INVALID, "%%(name) is not in the dict");
        *at = end + 1;
        *used = 1;
        return rc < 0 ? rc : 1;
    }
    return 0;
}

static int take(struct eval *e, struct value args, size_t *used,
                struct value *out)
{
    bool tuple = args.kind == VALUE_SEQ &&
                 (args.sub == SEQ_TUPLE || args.sub == SEQ_GROUP);
    size_t n = tuple ? args.u.seq->n : 1;
    if (*used >= n)
        return eval_fail(e, ERR_INVALID, "not enough values for the format");
    *out = tuple ? args.u.seq->items[*used] : args;
    (*used)++;
    return 0;
}

static int percent_into(struct eval *e, const struct str *f, struct value args,
                        struct buf *b)
{
    size_t used = 0, at = 0;
    int rc = 0;
    while (at < f->n && rc == 0) {
        if (f->s[at] != '%') {
            buf_putc(b, f->s[at++]);
            continue;
        }
        struct spec s = {
            .fill = " ", .n_fill = 1, .width = -1, .precision = -1};
        struct value v = value_none();
        at++;
        int keyed = percent_value(e, f, &at, args, &used, &v);
        percent_flags(f->s, f->n, &at, &s);
        if (keyed < 0 || at >= f->n || s.width > 65535 || s.precision > 65535)
            return keyed < 0 ? keyed
                             : eval_fail(e, ERR_INVALID,
                                         "the format is not complete");
        s.type = f->s[at++];
        if (s.zero && s.align == 0 && strchr("sr", s.type) == NULL) {
            s.fill = "0";
            s.align = '=';
        }
        if (s.type == '%') {
            buf_putc(b, '%');
            continue;
        }
        rc = keyed == 1 ? 0 : take(e, args, &used, &v);
        if (rc == 0)
            rc = put_percent(e, b, &s, v);
    }
    bool tuple = args.kind == VALUE_SEQ && args.sub == SEQ_TUPLE;
    if (rc == 0 && args.kind != VALUE_MAP &&
        !(args.kind == VALUE_SEQ &&
          (args.sub == SEQ_LIST || args.sub == SEQ_RANGE)) &&
        used < (tuple ? args.u.seq->n : 1))
        return eval_fail(e, ERR_INVALID, "not all values were formatted");
    return rc;
}

int format_percent(struct eval *e, const struct str *f, struct value args,
                   struct value *out)
{
    struct buf b;
    buf_init(&b, e->limits.output_bytes);
    int rc = percent_into(e, f, args, &b);
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

/* str.format */

/* The field "name.attr[item]" of s[0..n). */
static int field_value(struct eval *e, const struct args *args, const char *s,
                       size_t n, size_t *next, struct value *out)
{
    size_t at = strcspn(s, ".[!:}"), from = 0;
    struct value key;
    int rc = 0;
    at = at > n ? n : at;
    int index = number(s, at, &from);
    if (at == 0 || (from == at && index >= 0)) {
        size_t i = at == 0 ? (*next)++ : (size_t)index;
        if (i >= args->n_pos)
            return eval_fail(e, ERR_INVALID, "format has no value %zu", i);
        *out = args->pos[i];
    } else {
        size_t k = 0;
        while (k < args->n_kw && (args->kw[k].name->n != at ||
                                  memcmp(args->kw[k].name->s, s, at) != 0))
            k++;
        if (k == args->n_kw)
            return eval_fail(e, ERR_INVALID, "format has no value of the name");
        *out = args->kw[k].value;
    }
    while (at < n && rc == 0) {
        bool item = s[at] == '[';
        size_t start = ++at;
        while (at < n && (item ? s[at] != ']' : s[at] != '.' && s[at] != '['))
            at++;
        rc = make_str(e, s + start, at - start, &key);
        size_t p = start;
        int i = item ? number(s, at, &p) : -1;
        if (rc == 0 && i >= 0 && p == at)
            key = value_int(i);
        if (rc == 0)
            rc = item ? eval_item(e, *out, key, out)
                      : eval_attr(e, *out, key.u.str, out);
        at += item;
    }
    return rc;
}

static void parse_spec(const char *f, size_t n, struct spec *s)
{
    size_t at = 0, first = n > 0 ? text_offset(f, n, 1) : 0;
    *s = (struct spec){.fill = " ", .n_fill = 1, .width = -1, .precision = -1};
    if (first > 0 && first < n && strchr("<>^=", f[first]) != NULL) {
        s->fill = f;
        s->n_fill = first;
        s->align = f[first];
        at = first + 1;
    } else if (n > 0 && strchr("<>^=", f[0]) != NULL) {
        s->align = f[0];
        at = 1;
    }
    if (at < n && strchr("+- ", f[at]) != NULL)
        s->sign = f[at++];
    if (at < n && f[at] == '#') {
        s->alternate = true;
        at++;
    }
    if (at < n && f[at] == '0') {
        at++;
        if (s->align == 0) {
            s->fill = "0";
            s->align = '=';
        }
    }
    s->width = number(f, n, &at);
    if (at < n && f[at] == ',') {
        s->comma = true;
        at++;
    }
    if (at < n && f[at] == '.') {
        at++;
        s->precision = number(f, n, &at);
    }
    if (at < n)
        s->type = f[at++];
    if (at < n)
        s->type = '?';
}

static int put_field(struct eval *e, struct buf *b, struct value v,
                     char conversion, const char *f, size_t n)
{
    struct spec s;
    struct buf text;
    int64_t i;
    double d;
    parse_spec(f, n, &s);
    if (s.width > 65535 || s.precision > 65535)
        return eval_fail(e, ERR_INVALID, "a format is too wide");
    if (conversion == 0 && n > 0 && v.kind != VALUE_BOOL &&
        value_as_int(v, &i) && strchr("dxXobn", s.type) != NULL)
        return put_int(e, b, &s, i);
    if (conversion == 0 && s.type != 0 && strchr("eEfFgG%", s.type) != NULL &&
        value_as_float(v, &d))
        return put_float(e, b, &s, d);
    if (conversion == 0 && v.kind == VALUE_FLOAT && s.precision >= 0) {
        s.type = 'g';
        return put_float(e, b, &s, v.u.f);
    }
    if (s.type != 0 && s.type != 's')
        return eval_fail(e, ERR_INVALID, "the format '%c' does not fit a %s",
                         s.type, value_type_name(v));
    bool is_number =
        conversion == 0 && v.kind >= VALUE_BOOL && v.kind <= VALUE_FLOAT;
    buf_init(&text, e->limits.output_bytes);
    int rc =
        conversion == 'r' ? print_repr(e, v, &text) : print_str(e, v, &text);
    if (rc == 0)
        rc = put_text(b, &s, buf_str(&text), text.len, is_number ? '>' : '<');
    buf_deinit(&text);
    return rc;
}

/* "{...}" whose inside is s[0..n). */
static int put_braces(struct eval *e, struct buf *b, const struct args *args,
                      const char *s, size_t n, size_t *next)
{
    const char *colon = memchr(s, ':', n);
    size_t head = colon != NULL ? (size_t)(colon - s) : n;
    char conversion = 0;
    size_t name = head;
    struct value v;
    if (head >= 2 && s[head - 2] == '!') {
        conversion = s[head - 1];
        name = head - 2;
    }
    if (conversion != 0 && conversion != 'r' && conversion != 's')
        return eval_fail(e, ERR_INVALID, "unknown conversion in a format");
    int rc = field_value(e, args, s, name, next, &v);
    if (rc != 0)
        return rc;
    return put_field(e, b, v, conversion, colon != NULL ? colon + 1 : s,
                     colon != NULL ? n - head - 1 : 0);
}

static int braces_into(struct eval *e, const struct str *f,
                       const struct args *args, struct buf *b)
{
    size_t next = 0;
    for (size_t at = 0; at < f->n;) {
        char c = f->s[at];
        if (c != '{' && c != '}') {
            buf_putc(b, c);
            at++;
            continue;
        }
        if (at + 1 < f->n && f->s[at + 1] == c) {
            buf_putc(b, c);
            at += 2;
            continue;
        }
        size_t end = text_find(f->s, f->n, "}", 1, at);
        if (c == '}' || end == SIZE_MAX)
            return eval_fail(e, ERR_INVALID, "a single brace in a format");
        int rc = put_braces(e, b, args, f->s + at + 1, end - at - 1, &next);
        if (rc != 0)
            return rc;
        at = end + 1;
    }
    return 0;
}

int format_braces(struct eval *e, const struct str *f, const struct args *args,
                  struct value *out)
{
    struct buf b;
    buf_init(&b, e->limits.output_bytes);
    int rc = braces_into(e, f, args, &b);
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

int format_now(struct eval *e, const struct str *f, struct value *out)
{
    char text[1024];
    struct tm tm;
    time_t now = (time_t)clock_unix_s();
    if (f->n >= 256 || memchr(f->s, '\0', f->n) != NULL)
        return eval_fail(e, ERR_INVALID, "a date format is too long");
    if (f->n == 0 || localtime_r(&now, &tm) == NULL)
        return make_str(e, "", 0, out);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof text, f->s, &tm);
#pragma GCC diagnostic pop
    return make_str(e, text, n, out);
}
