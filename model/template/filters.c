/* filters.c -- filters on single values: conversion, numbers, JSON. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

#define FN(name)                                                             \
    static int name(struct eval *e, struct value self, const struct call *c, \
                    struct value *out)

FN(filter_abs)
{
    int64_t i;
    if (value_as_int(self, &i)) {
        *out = value_int(i < 0 && i != INT64_MIN ? -i : i);
        return 0;
    }
    (void)c;
    if (self.kind != VALUE_FLOAT)
        return eval_fail(e, ERR_INVALID, "abs needs a number, not %s",
                         value_type_name(self));
    *out = value_float(fabs(self.u.f));
    return 0;
}

FN(filter_attr)
{
    const struct str *name = NULL;
    int rc = arg_str(e, c, 0, &name);
    if (rc != 0)
        return rc;
    if (self.kind == VALUE_MAP && builtin_method(self, name) == NULL) {
        *out = value_undefined(name); /* attributes only, no keys */
        out->sub = VALUE_MAP;
        return 0;
    }
    return eval_attr(e, self, name, out);
}

FN(filter_default)
{
    bool use =
        self.kind == VALUE_UNDEFINED || (arg_truth(c, 1) && !value_truth(self));
    *out = use ? c->arg[0] : self;
    return use && c->arg[0].kind == VALUE_ABSENT ? make_str(e, "", 0, out) : 0;
}

FN(filter_length)
{
    int64_t n;
    (void)c;
    int rc = value_length(e, self, &n);
    *out = value_int(n);
    return rc;
}

/* int(text, base) of the digits, with sign, prefix and underscores. */
static bool parse_int(const char *s, size_t n, int64_t base, int64_t *out)
{
    char digits[80];
    size_t k = 0;
    size_t front = text_space_front(s, n);
    s += front;
    n -= front;
    n -= text_space_back(s, n);
    bool negative = n > 0 && s[0] == '-';
    if (n > 0 && (s[0] == '-' || s[0] == '+')) {
        s++;
        n--;
    }
    if (n > 2 && s[0] == '0') {
        char p = (char)(s[1] | 0x20);
        int64_t of = p == 'x' ? 16 : p == 'o' ? 8 : p == 'b' ? 2 : 0;
        if (of != 0 && (base == of || base == 0)) {
            s += 2;
            n -= 2;
            base = of;
        }
    }
    base = base == 0 ? 10 : base;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '_' && i > 0 && i + 1 < n && s[i - 1] != '_')
            continue;
        bool alnum = (s[i] >= '0' && s[i] <= '9') ||
                     ((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z');
        if (!alnum || k + 1 >= sizeof digits)
            return false;
        digits[k++] = s[i];
    }
    digits[k] = '\0';
    char *end;
    errno = 0;
    long long v = strtoll(digits, &end, (int)base);
    if (k == 0 || *end != '\0' || errno != 0)
        return false;
    *out = negative ? -v : v;
    return true;
}

/* float(text) */
static bool parse_float(const char *s, size_t n, double *out)
{
    char text[400];
    size_t k = 0;
    size_t front = text_space_front(s, n);
    s += front;
    n -= front;
    n -= text_space_back(s, n);
    for (size_t i = 0; i < n; i++) {
        bool digits = i > 0 && i + 1 < n && s[i - 1] >= '0' &&
                      s[i - 1] <= '9' && s[i + 1] >= '0' && s[i + 1] <= '9';
        if (s[i] == '_' && digits)
            continue;
        if (k + 1 >= sizeof text || s[i] == 'x' || s[i] == 'X' || s[i] == '(' ||
            text_is_space((unsigned char)s[i]))
            return false;
        text[k++] = s[i];
    }
    text[k] = '\0';
    char *end;
    *out = strtod(text, &end);
    return k > 0 && *end == '\0';
}

FN(filter_int)
{
    int64_t base = 10, i;
    double f;
    int rc = arg_int(e, c, 1, &base);
    if (rc != 0)
        return rc;
    if (self.kind == VALUE_UNDEFINED)
        return eval_undefined(e, self);
    *out = c->arg[0].kind == VALUE_ABSENT ? value_int(0) : c->arg[0];
    if (value_as_int(self, &i)) {
        *out = value_int(i);
        return 0;
    }
    if (self.kind == VALUE_STR && base >= 0 && base <= 36 && base != 1 &&
        parse_int(self.u.str->s, self.u.str->n, base, &i)) {
        *out = value_int(i);
        return 0;
    }
    bool number = value_as_float(self, &f) ||
                  (self.kind == VALUE_STR &&
                   parse_float(self.u.str->s, self.u.str->n, &f));
    if (number && fabs(f) < 9.2e18)
        *out = value_int((int64_t)f);
    return 0;
}

FN(filter_float)
{
    double f;
    if (self.kind == VALUE_UNDEFINED)
        return eval_undefined(e, self);
    *out = c->arg[0].kind == VALUE_ABSENT ? value_float(0) : c->arg[0];
    if (value_as_float(self, &f) ||
        (self.kind == VALUE_STR &&
         parse_float(self.u.str->s, self.u.str->n, &f)))
        *out = value_float(f);
    return 0;
}

/* Python's round: half to even on the decimal the float stands for. */
static double round_to(double f, int64_t precision)
{
    char text[400];
    if (!isfinite(f) || precision > 300)
        return f;
    if (precision < 0) {
        double p = pow(10, (double)-precision);
        return nearbyint(f / p) * p;
    }
    snprintf(text, sizeof text, "%.*f", (int)precision, f);
    return strtod(text, NULL);
}

FN(filter_round)
{
    const struct str *method = NULL;
    int64_t precision = 0, i;
    double f;
    int rc = arg_int(e, c, 0, &precision);
    if (rc == 0)
        rc = arg_str(e, c, 1, &method);
    if (rc != 0)
        return rc;
    bool ceiling = method != NULL && str_is(method, "ceil");
    bool flooring = method != NULL && str_is(method, "floor");
    if (method != NULL && !ceiling && !flooring && !str_is(method, "common"))
        return eval_fail(e, ERR_INVALID, "round by common, ceil or floor");
    if (!value_as_float(self, &f))
        return eval_fail(e, ERR_INVALID, "round needs a number, not %s",
                         value_type_name(self));
    if (!ceiling && !flooring) {
        if (value_as_int(self, &i) && precision >= 0)
            *out = value_int(i);
        else if (value_as_int(self, &i))
            *out = value_int((int64_t)round_to(f, precision));
        else
            *out = value_float(round_to(f, precision));
        return 0;
    }
    double p = pow(10, (double)precision);
    *out = value_float((ceiling ? ceil(f * p) : floor(f * p)) / p);
    return 0;
}

FN(filter_string)
{
    const struct str *s;
    (void)c;
    int rc = print_to_str(e, self, &s);
    *out = value_str(rc == 0 ? s : NULL);
    if (self.kind == VALUE_STR)
        out->sub = self.sub;
    return rc;
}

FN(filter_safe)
{
    int rc = filter_string(e, self, c, out);
    out->sub = STR_MARKUP;
    return rc;
}

FN(filter_forceescape)
{
    const struct str *s;
    (void)c;
    int rc = print_to_str(e, self, &s);
    return rc != 0 ? rc : value_escape(e, s, out);
}

FN(filter_escape)
{
    if (self.kind == VALUE_STR && self.sub == STR_MARKUP) {
        *out = self;
        return 0;
    }
    return filter_forceescape(e, self, c, out);
}

static void quote_url(struct buf *b, const struct str *s, bool query)
{
    for (size_t i = 0; i < s->n; i++) {
        char ch = s->s[i];
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') ||
                     (ch != '\0' && strchr("_.-~", ch) != NULL) ||
                     (ch == '/' && !query);
        if (plain)
            buf_putc(b, ch);
        else if (ch == ' ' && query)
            buf_putc(b, '+');
        else
            buf_printf(b, "%%%02X", (unsigned)(unsigned char)ch);
    }
}

static int quote_pair(struct eval *e, struct buf *b, struct value k,
                      struct value v)
{
    const struct str *s;
    int rc = print_to_str(e, k, &s);
    if (rc != 0)
        return rc;
    if (b->len > 0)
        buf_putc(b, '&');
    quote_url(b, s, true);
    buf_putc(b, '=');
    rc = print_to_str(e, v, &s);
    if (rc == 0)
        quote_url(b, s, true);
    return rc;
}

FN(filter_urlencode)
{
    struct buf b;
    const struct str *s;
    const struct value *items;
    size_t n = 0;
    int rc = 0;
    (void)c;
    buf_init(&b, e->limits.memory_bytes);
    if (self.kind != VALUE_MAP && self.kind != VALUE_SEQ) {
        rc = print_to_str(e, self, &s);
        if (rc == 0)
            quote_url(&b, s, false);
    } else {
        rc = value_items(e, self, &items, &n);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct value *pair;
        size_t two;
        if (self.kind == VALUE_MAP) {
            rc = quote_pair(e, &b, items[i], self.u.map->values[i]);
            continue;
        }
        rc = value_items(e, items[i], &pair, &two);
        if (rc == 0 && two != 2)
            rc = eval_fail(e, ERR_INVALID, "urlencode needs pairs");
        if (rc == 0)
            rc = quote_pair(e, &b, pair[0], pair[1]);
    }
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

/* separators=(item, key) */
static int json_separators(struct eval *e, struct value v,
                           struct json_style *style)
{
    if (v.kind <= VALUE_NONE)
        return 0;
    if (v.kind != VALUE_SEQ || v.u.seq->n != 2 ||
        v.u.seq->items[0].kind != VALUE_STR ||
        v.u.seq->items[1].kind != VALUE_STR)
        return eval_fail(e, ERR_INVALID, "separators must be two strings");
    style->item_separator = v.u.seq->items[0].u.str;
    style->key_separator = v.u.seq->items[1].u.str;
    return 0;
}

FN(filter_tojson)
{
    static const struct str comma = {.s = ", ", .n = 2, .n_chars = 2};
    static const struct str bare = {.s = ",", .n = 1, .n_chars = 1};
    static const struct str colon = {.s = ": ", .n = 2, .n_chars = 2};
    struct json_style style = {.ascii = arg_truth(c, 0),
                               .sort = arg_truth(c, 3),
                               .item_separator = &comma,
                               .key_separator = &colon};
    struct value indent = c->arg[1];
    int64_t width;
    char spaces[256];
    struct str indent_text = {.s = spaces};
    if (value_as_int(indent, &width)) {
        if (width > 255)
            return eval_fail(e, ERR_LIMIT, "an indent above 255");
        memset(spaces, ' ', sizeof spaces);
        indent_text.n = width > 0 ? (size_t)width : 0;
        style.indent = &indent_text;
    } else if (indent.kind == VALUE_STR) {
        style.indent = indent.u.str;
    } else if (indent.kind > VALUE_NONE) {
        return eval_fail(e, ERR_INVALID, "an indent must be a number or text");
    }
    if (style.indent != NULL)
        style.item_separator = &bare;
    int rc = json_separators(e, c->arg[2], &style);
    if (rc != 0)
        return rc;
    struct buf b;
    buf_init(&b, e->limits.output_bytes);
    rc = print_json(e, self, &style, &b);
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

FN(filter_format)
{
    const struct str *s;
    const struct args *a = c->args;
    struct value args;
    int rc = print_to_str(e, self, &s);
    if (rc == 0 && a->n_kw > 0 && a->n_pos > 0)
        rc = eval_fail(e, ERR_INVALID,
                       "format takes positions or names, not "
                       "both");
    if (rc == 0 && a->n_kw == 0)
        rc = make_seq(e, a->pos, a->n_pos, SEQ_TUPLE, &args);
    else if (rc == 0)
        rc = make_map(e, a->n_kw, &args);
    for (size_t i = 0; i < a->n_kw && rc == 0; i++)
        rc = map_set(e, args.u.map, value_str(a->kw[i].name), a->kw[i].value);
    return rc != 0 ? rc : format_percent(e, s, args, out);
}

const struct builtin filters_plain[] = {
    {"abs", filter_abs, {0}, 0, false},
    {"attr", filter_attr, {"name"}, 1, false},
    {"default", filter_default, {"default_value", "boolean"}, 0, false},
    {"d", filter_default, {"default_value", "boolean"}, 0, false},
    {"length", filter_length, {0}, 0, false},
    {"count", filter_length, {0}, 0, false},
    {"int", filter_int, {"default", "base"}, 0, false},
    {"float", filter_float, {"default"}, 0, false},
    {"round", filter_round, {"precision", "method"}, 0, false},
    {"string", filter_string, {0}, 0, false},
    {"safe", filter_safe, {0}, 0, false},
    {"escape", filter_escape, {0}, 0, false},
    {"e", filter_escape, {0}, 0, false},
    {"forceescape", filter_forceescape, {0}, 0, false},
    {"urlencode", filter_urlencode, {0}, 0, false},
    {"tojson",
     filter_tojson,
     {"ensure_ascii", "indent", "separators", "sort_keys"},
     0,
     false},
    {"format", filter_format, {0}, 0, true},
    {0},
};
