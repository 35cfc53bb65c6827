/* print.c -- values as text: Python's str and repr, and json.dumps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

void print_float(struct buf *b, double f)
{
    char digits[40];
    int precision = 0, exponent;
    if (isnan(f) || isinf(f)) {
        buf_puts(b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    do /* the shortest that reads back as itself */
        snprintf(digits, sizeof digits, "%.*e", precision, f);
    while (strtod(digits, NULL) != f && ++precision < 17);
    exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int after = precision - exponent;
        buf_printf(b, "%.*f", after < 1 ? 1 : after, f);
        return;
    }
    *strchr(digits, 'e') = '\0';
    buf_printf(b, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
}

static void repr_str(struct buf *b, const struct str *s)
{
    bool single = memchr(s->s, '\'', s->n) != NULL;
    char quote = single && memchr(s->s, '"', s->n) == NULL ? '"' : '\'';
    buf_putc(b, quote);
    for (size_t at = 0, len; at < s->n; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        if (cp == (uint32_t)quote || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else if (cp == '\n' || cp == '\r' || cp == '\t')
            buf_puts(b, cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : "\\t");
        else if (cp < 0x20 || cp == 0x7f)
            buf_printf(b, "\\x%02x", cp);
        else if (cp < 0x80 || text_is(cp, TEXT_PRINTABLE))
            buf_put(b, s->s + at, len);
        else if (cp < 0x100)
            buf_printf(b, "\\x%02x", cp);
        else
            buf_printf(b, cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
    }
    buf_putc(b, quote);
}

static int repr_items(struct eval *e, const struct seq *s, const char *open,
                      const char *close, struct buf *b)
{
    buf_puts(b, open);
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            buf_puts(b, ", ");
        int rc = print_repr(e, s->items[i], b);
        if (rc != 0)
            return rc;
    }
    buf_puts(b, close);
    return 0;
}

static int repr_seq(struct eval *e, struct value v, struct buf *b)
{
    const struct seq *s = v.u.seq;
    switch (v.sub) {
    case SEQ_LIST:
        return repr_items(e, s, "[", "]", b);
    case SEQ_TUPLE:
    case SEQ_GROUP:
        return repr_items(e, s, "(", s->n == 1 ? ",)" : ")", b);
    case SEQ_RANGE:
        buf_printf(b, "range(%lld, %lld", (long long)s->start,
                   (long long)s->stop);
        if (s->step != 1)
            buf_printf(b, ", %lld", (long long)s->step);
        buf_putc(b, ')');
        return 0;
    case SEQ_KEYS:
        return repr_items(e, s, "dict_keys([", "])", b);
    case SEQ_VALUES:
        return repr_items(e, s, "dict_values([", "])", b);
    case SEQ_ITEMS:
        return repr_items(e, s, "dict_items([", "])", b);
    default:
        buf_puts(b, "<generator object>");
        return 0;
    }
}

static int repr_map(struct eval *e, const struct map *m, struct buf *b)
{
    buf_putc(b, '{');
    for (uint32_t i = 0; i < m->n; i++) {
        if (i > 0)
            buf_puts(b, ", ");
        int rc = print_repr(e, m->keys[i], b);
        buf_puts(b, ": ");
        if (rc == 0)
            rc = print_repr(e, m->values[i], b);
        if (rc != 0)
            return rc;
    }
    buf_putc(b, '}');
    return 0;
}

static int repr_value(struct eval *e, struct value v, struct buf *b)
{
    int rc = 0;
    switch (v.kind) {
    case VALUE_UNDEFINED:
        buf_puts(b, "Undefined");
        break;
    case VALUE_NONE:
        buf_puts(b, "None");
        break;
    case VALUE_BOOL:
        buf_puts(b, v.u.b ? "True" : "False");
        break;
    case VALUE_INT:
        buf_printf(b, "%lld", (long long)v.u.i);
        break;
    case VALUE_FLOAT:
        print_float(b, v.u.f);
        break;
    case VALUE_STR:
        repr_str(b, v.u.str);
        return eval_steps(e, v.u.str->n);
    case VALUE_SEQ:
        return repr_seq(e, v, b);
    case VALUE_MAP:
        return repr_map(e, v.u.map, b);
    case VALUE_NAMESPACE:
        buf_puts(b, "<Namespace ");
        rc = repr_map(e, v.u.map, b);
        buf_putc(b, '>');
        break;
    case VALUE_MACRO:
        buf_printf(b, "<Macro '%s'>", v.u.macro->node->name->s);
        break;
    default:
        buf_printf(b, "<%s>", value_type_name(v));
    }
    return rc;
}

int print_repr(struct eval *e, struct value v, struct buf *b)
{
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    rc = repr_value(e, v, b);
    if (rc == 0 && !buf_ok(b))
        rc = eval_fail(e, ERR_LIMIT, "a text has more than %zu bytes",
                       e->limits.output_bytes);
    eval_leave(e);
    return rc;
}

int print_str(struct eval *e, struct value v, struct buf *b)
{
    if (v.kind == VALUE_UNDEFINED)
        return 0;
    if (v.kind != VALUE_STR)
        return print_repr(e, v, b);
    buf_put(b, v.u.str->s, v.u.str->n);
    return eval_steps(e, v.u.str->n);
}

int print_to_str(struct eval *e, struct value v, const struct str **out)
{
    struct value text;
    struct buf b;
    if (v.kind == VALUE_STR) {
        *out = v.u.str;
        return 0;
    }
    buf_init(&b, e->limits.output_bytes);
    int rc = print_str(e, v, &b);
    if (rc != 0) {
        buf_deinit(&b);
        return rc;
    }
    rc = make_str_buf(e, &b, &text);
    *out = text.u.str;
    return rc;
}

/* JSON, as json.dumps writes it. */

static void json_str(struct buf *b, const struct str *s, bool ascii)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    buf_putc(b, '"');
    for (size_t at = 0, len; at < s->n; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        const char *p = cp < 0x80 && cp != 0 ? strchr(from, (int)cp) : NULL;
        if (p != NULL)
            buf_printf(b, "\\%c", to[p - from]);
        else if (cp < 0x20 || (ascii && cp > 0x7e && cp < 0x10000))
            buf_printf(b, cp == 0x7f ? "\x7f" : "\\u%04x", cp);
        else if (ascii && cp >= 0x10000)
            buf_printf(b, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                       0xdc00 + ((cp - 0x10000) & 0x3ff));
        else
            buf_put(b, s->s + at, len);
    }
    buf_putc(b, '"');
}

static void json_line(const struct json_style *style, uint32_t depth,
                      struct buf *b)
{
    if (style->indent == NULL)
        return;
    buf_putc(b, '\n');
    for (uint32_t i = 0; i < depth && buf_ok(b); i++)
        buf_put(b, style->indent->s, style->indent->n);
}

static int json_value(struct eval *e, struct value v,
                      const struct json_style *style, uint32_t depth,
                      struct buf *b);

static int json_items(struct eval *e, const struct seq *s,
                      const struct json_style *style, uint32_t depth,
                      struct buf *b)
{
    buf_putc(b, '[');
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            buf_put(b, style->item_separator->s, style->item_separator->n);
        json_line(style, depth + 1, b);
        int rc = json_value(e, s->items[i], style, depth + 1, b);
        if (rc != 0)
            return rc;
    }
    if (s->n > 0)
        json_line(style, depth, b);
    buf_putc(b, ']');
    return 0;
}

static int json_key(struct eval *e, struct value k, bool ascii, struct buf *b)
{
    switch (k.kind) {
    case VALUE_STR:
        json_str(b, k.u.str, ascii);
        return 0;
    case VALUE_NONE:
        buf_puts(b, "\"null\"");
        return 0;
    case VALUE_BOOL:
        buf_puts(b, k.u.b ? "\"true\"" : "\"false\"");
        return 0;
    case VALUE_INT:
        buf_printf(b, "\"%lld\"", (long long)k.u.i);
        return 0;
    case VALUE_FLOAT:
        buf_putc(b, '"');
        print_float(b, k.u.f);
        buf_putc(b, '"');
        return 0;
    default:
        return eval_fail(e, ERR_INVALID, "a %s cannot be a key of JSON",
                         value_type_name(k));
    }
}

/* The order in which the keys come: sorted by insertion, maps are small. */
static int key_order(struct eval *e, const struct map *m, uint32_t *order)
{
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = i;
        for (; at > 0; at--) {
            int c;
            int rc = value_order(e, m->keys[i], m->keys[order[at - 1]], &c);
            if (rc != 0)
                return rc;
            if (c >= 0)
                break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    return 0;
}

static int json_map(struct eval *e, const struct map *m,
                    const struct json_style *style, uint32_t depth,
                    struct buf *b)
{
    uint32_t *order = NULL;
    int rc = 0;
    if (style->sort) {
        order = eval_alloc(e, m->n, sizeof *order);
        rc = order == NULL ? eval_nomem(e) : key_order(e, m, order);
    }
    buf_putc(b, '{');
    for (uint32_t i = 0; i < m->n && rc == 0; i++) {
        uint32_t k = order != NULL ? order[i] : i;
        if (i > 0)
            buf_put(b, style->item_separator->s, style->item_separator->n);
        json_line(style, depth + 1, b);
        rc = json_key(e, m->keys[k], style->ascii, b);
        buf_put(b, style->key_separator->s, style->key_separator->n);
        if (rc == 0)
            rc = json_value(e, m->values[k], style, depth + 1, b);
    }
    if (m->n > 0)
        json_line(style, depth, b);
    buf_putc(b, '}');
    return rc;
}

static int json_one(struct eval *e, struct value v,
                    const struct json_style *style, uint32_t depth,
                    struct buf *b)
{
    switch (v.kind) {
    case VALUE_NONE:
        buf_puts(b, "null");
        return 0;
    case VALUE_BOOL:
        buf_puts(b, v.u.b ? "true" : "false");
        return 0;
    case VALUE_INT:
        buf_printf(b, "%lld", (long long)v.u.i);
        return 0;
    case VALUE_FLOAT:
        if (isnan(v.u.f) || isinf(v.u.f))
            buf_puts(b, isnan(v.u.f) ? "NaN"
                        : v.u.f < 0  ? "-Infinity"
                                     : "Infinity");
        else
            print_float(b, v.u.f);
        return 0;
    case VALUE_STR:
        json_str(b, v.u.str, style->ascii);
        return eval_steps(e, v.u.str->n);
    case VALUE_MAP:
        return json_map(e, v.u.map, style, depth, b);
    case VALUE_SEQ:
        if (v.sub <= SEQ_TUPLE || v.sub == SEQ_GROUP)
            return json_items(e, v.u.seq, style, depth, b);
        break;
    default:
        break;
    }
    return eval_fail(e, ERR_INVALID, "a %s cannot be written as JSON",
                     value_type_name(v));
}

static int json_value(struct eval *e, struct value v,
                      const struct json_style *style, uint32_t depth,
                      struct buf *b)
{
    int rc = eval_enter(e);
    if (rc != 0)
        return rc;
    rc = json_one(e, v, style, depth, b);
    if (rc == 0 && !buf_ok(b))
        rc = eval_fail(e, ERR_LIMIT, "a text has more than %zu bytes",
                       e->limits.output_bytes);
    eval_leave(e);
    return rc;
}

int print_json(struct eval *e, struct value v, const struct json_style *style,
               struct buf *b)
{
    return json_value(e, v, style, 0, b);
}
