/* filters_text.c -- filters on text; most are the str method of the name. */
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

#define FN(name)                                                             \
    static int name(struct eval *e, struct value self, const struct call *c, \
                    struct value *out)

/* str(self).name(args...) */
static int by_method(struct eval *e, struct value self, const char *name,
                     const struct value *args, size_t n, struct value *out)
{
    const struct str *s;
    struct str method = {.s = name, .n = strlen(name)};
    struct args a = {.pos = args, .n_pos = n};
    int rc = print_to_str(e, self, &s);
    if (rc != 0)
        return rc;
    return builtin_call(e, builtin_method(value_str(s), &method), value_str(s),
                        &a, out);
}

FN(filter_method) /* upper, lower, capitalize */
{
    return by_method(e, self, c->builtin->name, NULL, 0, out);
}

FN(filter_trim)
{
    return by_method(e, self, "strip", c->arg, arg_given(c, 0), out);
}

FN(filter_center)
{
    struct value width = c->arg[0];
    if (width.kind == VALUE_ABSENT)
        width = value_int(80);
    return by_method(e, self, "center", &width, 1, out);
}

FN(filter_replace) /* old, new, count */
{
    struct value args[3] = {value_none(), value_none(), c->arg[2]};
    for (int i = 0; i < 2; i++) {
        const struct str *s;
        int rc = print_to_str(e, c->arg[i], &s);
        if (rc != 0)
            return rc;
        args[i] = value_str(s);
    }
    return by_method(e, self, "replace", args, arg_given(c, 2) ? 3 : 2, out);
}

FN(filter_title)
{
    const struct str *s;
    bool start = true;
    struct buf b;
    (void)c;
    int rc = print_to_str(e, self, &s);
    if (rc != 0)
        return rc;
    buf_init(&b, e->limits.memory_bytes);
    for (size_t at = 0, len; at < s->n; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        text_put_case(&b, cp, start ? CASE_UPPER : CASE_LOWER);
        start = text_is_space(cp) || cp == '-' || cp == '(' || cp == '{' ||
                cp == '[' || cp == '<';
    }
    rc = eval_steps(e, s->n);
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

static int need_str(struct eval *e, struct value v, const struct call *c)
{
    if (v.kind == VALUE_STR)
        return 0;
    return eval_fail(e, ERR_INVALID, "%s needs a string, not %s",
                     c->builtin->name, value_type_name(v));
}

/* The lines of a string, as a list. */
static int lines_of(struct eval *e, struct value v, const struct value **lines,
                    size_t *n)
{
    struct value list;
    int rc = by_method(e, v, "splitlines", NULL, 0, &list);
    return rc != 0 ? rc : value_items(e, list, lines, n);
}

FN(filter_indent) /* width, first, blank */
{
    const struct str *by = NULL;
    int64_t width = 4;
    struct value pad, text;
    const struct value *lines;
    size_t n;
    static const struct str newline = {.s = "\n", .n = 1, .n_chars = 1};
    int rc = need_str(e, self, c);
    if (rc == 0 && c->arg[0].kind == VALUE_STR) {
        by = c->arg[0].u.str;
    } else if (rc == 0) {
        rc = arg_int(e, c, 0, &width);
        if (rc == 0)
            rc = make_str(e, " ", 1, &pad);
        if (rc == 0)
            rc = eval_binary(e, OP_MUL, pad, value_int(width), &pad);
        if (rc == 0)
            by = pad.u.str;
    }
    if (rc == 0) /* so that a newline at the end makes a line */
        rc = value_concat(e, self.u.str, &newline, &text);
    if (rc == 0)
        rc = lines_of(e, text, &lines, &n);
    if (rc != 0)
        return rc;
    struct buf b;
    buf_init(&b, e->limits.memory_bytes);
    for (size_t i = 0; i < n; i++) {
        const struct str *line = lines[i].u.str;
        if (i > 0)
            buf_putc(&b, '\n');
        if (i == 0 ? arg_truth(c, 1) : line->n > 0 || arg_truth(c, 2))
            buf_put(&b, by->s, by->n);
        buf_put(&b, line->s, line->n);
    }
    return make_str_buf(e, &b, out);
}

FN(filter_truncate) /* length, killwords, end, leeway */
{
    static const struct str dots = {.s = "...", .n = 3, .n_chars = 3};
    const struct str *end = &dots, *s;
    int64_t length = 255, leeway = 5;
    int64_t n_chars = 0; /* whatever is short enough comes back as it is */
    int rc = arg_int(e, c, 0, &length);
    if (rc == 0)
        rc = arg_str(e, c, 2, &end);
    if (rc == 0 && arg_given(c, 3))
        rc = arg_int(e, c, 3, &leeway);
    if (rc == 0 && (length < (int64_t)end->n_chars || leeway < 0))
        rc = eval_fail(e, ERR_INVALID, "truncate: the length is too small");
    if (rc == 0)
        rc = value_length(e, self, &n_chars);
    if (rc != 0)
        return rc;
    if (n_chars <= length || n_chars - length <= leeway) {
        *out = self;
        return 0;
    }
    rc = need_str(e, self, c);
    if (rc != 0)
        return rc;
    s = self.u.str;
    size_t n = text_offset(s->s, s->n, (size_t)length - end->n_chars);
    if (!arg_truth(c, 1)) {
        size_t space = text_rfind(s->s, n, " ", 1);
        n = space == SIZE_MAX ? n : space;
    }
    struct value head;
    rc = make_str_borrowed(e, s->s, n, &head);
    return rc != 0 ? rc : value_concat(e, head.u.str, end, out);
}

static bool word_char(uint32_t cp)
{
    return cp == '_' || text_is(cp, TEXT_ALPHA) || text_is(cp, TEXT_NUMERIC);
}

FN(filter_wordcount)
{
    const struct str *s;
    int64_t n = 0;
    bool in_word = false;
    (void)c;
    int rc = print_to_str(e, self, &s);
    if (rc != 0)
        return rc;
    for (size_t at = 0, len; at < s->n; at += len) {
        bool word = word_char(text_next(s->s + at, s->n - at, &len));
        n += word && !in_word;
        in_word = word;
    }
    *out = value_int(n);
    return eval_steps(e, s->n);
}

struct wrap {
    struct buf out;
    const char *between; /* wrapstring */
    size_t n_between;
    size_t width;
    bool break_long;
    bool any; /* a line was put */
};

static void put_line(struct wrap *w, const char *s, size_t n)
{
    n -= text_space_back(s, n);
    if (w->any)
        buf_put(&w->out, w->between, w->n_between);
    buf_put(&w->out, s, n);
    w->any = true;
}

/* Where the chunk at s ends: spaces, or a word up to a breakable hyphen. */
static size_t chunk_end(const char *s, size_t n, bool hyphens)
{
    if (*s == ' ') {
        size_t k = 0;
        while (k < n && s[k] == ' ')
            k++;
        return k;
    }
    for (size_t at = 0; at < n; at++) {
        if (s[at] == ' ')
            return at;
        bool letters = at > 1 && word_char((unsigned char)s[at - 1]) &&
                       word_char((unsigned char)s[at - 2]) && at + 1 < n &&
                       word_char((unsigned char)s[at + 1]);
        if (hyphens && s[at] == '-' && letters)
            return at + 1;
    }
    return n;
}

/* One paragraph, as textwrap does it: greedy, spaces at line ends dropped. */
static void wrap_line(struct wrap *w, const char *s, size_t n, bool hyphens)
{
    size_t at = 0, start = 0, used = 0;
    while (at < n) {
        size_t k = chunk_end(s + at, n - at, hyphens);
        size_t chars = text_count(s + at, k);
        if (used == 0 && s[at] == ' ' && w->any && start > 0) {
            at += k;
            start = at;
            continue;
        }
        if (used + chars <= w->width) {
            used += chars;
            at += k;
            continue;
        }
        if (chars > w->width && w->break_long) {
            size_t room = w->width > used ? w->width - used : used == 0;
            at += text_offset(s + at, k, room);
        } else if (used == 0) {
            at += k;
        }
        if (text_space_front(s + start, at - start) < at - start)
            put_line(w, s + start, at - start);
        start = at;
        used = 0;
        if (start == 0)
            start = at;
        while (at < n && s[at] == ' ')
            at++;
        start = at;
    }
    if (start < n && text_space_front(s + start, n - start) < n - start)
        put_line(w, s + start, n - start);
}

FN(filter_wordwrap) /* width, break_long_words, wrapstring, break_on_hyphens */
{
    static const struct str newline = {.s = "\n", .n = 1, .n_chars = 1};
    const struct str *between = &newline;
    int64_t width = 79;
    const struct value *lines;
    size_t n;
    int rc = need_str(e, self, c);
    if (rc == 0)
        rc = arg_int(e, c, 0, &width);
    if (rc == 0 && arg_given(c, 2))
        rc = arg_str(e, c, 2, &between);
    if (rc == 0 && width <= 0)
        rc = eval_fail(e, ERR_INVALID, "wordwrap needs a width above zero");
    if (rc == 0)
        rc = lines_of(e, self, &lines, &n);
    if (rc != 0)
        return rc;
    struct wrap w = {.between = between->s,
                     .n_between = between->n,
                     .width = (size_t)width,
                     .break_long =
                         c->arg[1].kind == VALUE_ABSENT || arg_truth(c, 1)};
    bool hyphens = c->arg[3].kind == VALUE_ABSENT || arg_truth(c, 3);
    buf_init(&w.out, e->limits.memory_bytes);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_put(&w.out, between->s, between->n);
        w.any = false;
        wrap_line(&w, lines[i].u.str->s, lines[i].u.str->n, hyphens);
    }
    return make_str_buf(e, &w.out, out);
}

const struct builtin filters_text[] = {
    {"upper", filter_method, {0}, 0, false},
    {"lower", filter_method, {0}, 0, false},
    {"capitalize", filter_method, {0}, 0, false},
    {"trim", filter_trim, {"chars"}, 0, false},
    {"center", filter_center, {"width"}, 0, false},
    {"replace", filter_replace, {"old", "new", "count"}, 2, false},
    {"title", filter_title, {0}, 0, false},
    {"indent", filter_indent, {"width", "first", "blank"}, 0, false},
    {"truncate",
     filter_truncate,
     {"length", "killwords", "end", "leeway"},
     0,
     false},
    {"wordcount", filter_wordcount, {0}, 0, false},
    {"wordwrap",
     filter_wordwrap,
     {"width", "break_long_words", "wrapstring", "break_on_hyphens"},
     0,
     false},
    {0},
};
