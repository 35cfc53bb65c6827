/* methods.c -- what str, list, dict and the small objects answer to.
 *
 * Methods that change their object (append, update, pop, ...) have no row: the
 * sandbox that is imitated gives an undefined value for them. */
#include <string.h>

#include "model/template/eval.h"
#include "model/template/text.h"

#define FN(name)                                                             \
    static int name(struct eval *e, struct value self, const struct call *c, \
                    struct value *out)

FN(str_strip)
{
    const char *n = c->builtin->name;
    const struct str *s = self.u.str, *set = NULL;
    bool left = n[0] != 'r', right = n[0] != 'l';
    size_t from = 0, to = s->n;
    int rc = arg_given(c, 0) ? arg_str(e, c, 0, &set) : 0;
    if (rc != 0)
        return rc;
    if (set == NULL) {
        if (left)
            from = text_space_front(s->s, s->n);
        if (right)
            to -= text_space_back(s->s + from, s->n - from);
        return make_str_borrowed(e, s->s + from, to - from, out);
    }
    while (left && from < to) {
        size_t len = text_offset(s->s + from, to - from, 1);
        if (text_find(set->s, set->n, s->s + from, len, 0) == SIZE_MAX)
            break;
        from += len;
    }
    while (right && to > from) {
        size_t at = to - 1;
        while (at > from && ((unsigned char)s->s[at] & 0xc0) == 0x80)
            at--;
        if (text_find(set->s, set->n, s->s + at, to - at, 0) == SIZE_MAX)
            break;
        to = at;
    }
    return make_str_borrowed(e, s->s + from, to - from, out);
}

static int add_piece(struct eval *e, struct list *l, const char *s, size_t n)
{
    struct value v;
    int rc = make_str_borrowed(e, s, n, &v);
    return rc != 0 ? rc : list_add(e, l, v);
}

static void reverse_list(struct list *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        struct value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

static int split_space(struct eval *e, const struct str *s, int64_t most,
                       struct list *l)
{
    size_t at = text_space_front(s->s, s->n);
    while (at < s->n) {
        size_t end = at, len;
        if (most-- == 0)
            return add_piece(e, l, s->s + at, s->n - at);
        while (end < s->n &&
               !text_is_space(text_next(s->s + end, s->n - end, &len)))
            end += len;
        int rc = add_piece(e, l, s->s + at, end - at);
        if (rc != 0)
            return rc;
        at = end + text_space_front(s->s + end, s->n - end);
    }
    return 0;
}

static int rsplit_space(struct eval *e, const struct str *s, int64_t most,
                        struct list *l)
{
    size_t end = s->n - text_space_back(s->s, s->n);
    int rc = 0;
    while (end > 0 && rc == 0) {
        size_t at = end, len;
        if (most-- == 0) {
            rc = add_piece(e, l, s->s, end);
            break;
        }
        while (at > 0) {
            size_t p = at - 1;
            while (p > 0 && ((unsigned char)s->s[p] & 0xc0) == 0x80)
                p--;
            if (text_is_space(text_next(s->s + p, end - p, &len)))
                break;
            at = p;
        }
        rc = add_piece(e, l, s->s + at, end - at);
        end = at - text_space_back(s->s, at);
    }
    reverse_list(l);
    return rc;
}

static int split_by(struct eval *e, const struct str *s, const struct str *sep,
                    int64_t most, struct list *l)
{
    size_t at = 0;
    for (;;) {
        size_t end =
            most-- == 0 ? SIZE_MAX : text_find(s->s, s->n, sep->s, sep->n, at);
        if (end == SIZE_MAX)
            return add_piece(e, l, s->s + at, s->n - at);
        int rc = add_piece(e, l, s->s + at, end - at);
        if (rc != 0)
            return rc;
        at = end + sep->n;
    }
}

static int rsplit_by(struct eval *e, const struct str *s, const struct str *sep,
                     int64_t most, struct list *l)
{
    size_t end = s->n;
    int rc = 0;
    while (rc == 0) {
        size_t at =
            most-- == 0 ? SIZE_MAX : text_rfind(s->s, end, sep->s, sep->n);
        if (at == SIZE_MAX) {
            rc = add_piece(e, l, s->s, end);
            break;
        }
        rc = add_piece(e, l, s->s + at + sep->n, end - at - sep->n);
        end = at;
    }
    reverse_list(l);
    return rc;
}

FN(str_split)
{
    const struct str *sep = NULL;
    int64_t most = -1;
    struct list l = {0};
    bool back = c->builtin->name[0] == 'r';
    int rc = arg_given(c, 0) ? arg_str(e, c, 0, &sep) : 0;
    if (rc == 0)
        rc = arg_int(e, c, 1, &most);
    if (rc == 0 && sep != NULL && sep->n == 0)
        rc = eval_fail(e, ERR_INVALID,
                       "split needs a separator that is not "
                       "empty");
    if (rc == 0)
        rc = eval_steps(e, self.u.str->n);
    if (rc != 0)
        return rc;
    if (sep == NULL)
        rc = back ? rsplit_space(e, self.u.str, most, &l)
                  : split_space(e, self.u.str, most, &l);
    else
        rc = back ? rsplit_by(e, self.u.str, sep, most, &l)
                  : split_by(e, self.u.str, sep, most, &l);
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_LIST, out);
}

FN(str_splitlines)
{
    const struct str *s = self.u.str;
    struct list l = {0};
    for (size_t at = 0; at < s->n;) {
        size_t end = at, len = 0;
        while (end < s->n &&
               !text_is_line_end(text_next(s->s + end, s->n - end, &len)))
            end += len;
        size_t next = end < s->n ? end + len : end;
        if (end + 1 < s->n && s->s[end] == '\r' && s->s[end + 1] == '\n')
            next++;
        int rc =
            add_piece(e, &l, s->s + at, (arg_truth(c, 0) ? next : end) - at);
        if (rc != 0)
            return rc;
        at = next;
    }
    return make_seq(e, l.items, l.n, SEQ_LIST, out);
}

/* s.find(sub, start, end) in code points: the byte window. */
static int window(struct eval *e, const struct call *c, const struct str *s,
                  size_t *from, size_t *to)
{
    int64_t n = (int64_t)s->n_chars, start = 0, stop = n;
    int rc = arg_given(c, 1) ? arg_int(e, c, 1, &start) : 0;
    if (rc == 0 && arg_given(c, 2))
        rc = arg_int(e, c, 2, &stop);
    if (rc != 0)
        return rc;
    start = start < -n ? 0 : start < 0 ? start + n : start;
    stop = stop < -n ? 0 : stop < 0 ? stop + n : stop > n ? n : stop;
    if (start > stop) { /* nothing, not even "", is found here */
        *from = 1;
        *to = 0;
        return 0;
    }
    *from = text_offset(s->s, s->n, (size_t)start);
    *to = text_offset(s->s, s->n, (size_t)stop);
    return eval_steps(e, s->n);
}

FN(str_find)
{
    const struct str *s = self.u.str, *sub = NULL;
    const char *n = c->builtin->name;
    size_t from, to, at = SIZE_MAX;
    int rc = arg_str(e, c, 0, &sub);
    if (rc == 0)
        rc = window(e, c, s, &from, &to);
    if (rc != 0)
        return rc;
    if (from <= to)
        at = n[0] == 'r' ? text_rfind(s->s + from, to - from, sub->s, sub->n)
                         : text_find(s->s + from, to - from, sub->s, sub->n, 0);
    if (at == SIZE_MAX && strstr(n, "index") != NULL)
        return eval_fail(e, ERR_INVALID, "substring not found");
    *out =
        value_int(at == SIZE_MAX ? -1 : (int64_t)text_count(s->s, from + at));
    return 0;
}

FN(str_count)
{
    const struct str *s = self.u.str, *sub = NULL;
    size_t from, to;
    int64_t n = 0;
    int rc = arg_str(e, c, 0, &sub);
    if (rc == 0)
        rc = window(e, c, s, &from, &to);
    if (rc != 0)
        return rc;
    if (sub->n == 0 && from <= to)
        n = (int64_t)text_count(s->s + from, to - from) + 1;
    while (sub->n > 0 && from <= to) {
        size_t at = text_find(s->s, to, sub->s, sub->n, from);
        if (at == SIZE_MAX)
            break;
        n++;
        from = at + sub->n;
    }
    *out = value_int(n);
    return 0;
}

static bool has_affix(const struct str *s, const struct str *affix, bool end)
{
    return affix->n <= s->n &&
           memcmp(s->s + (end ? s->n - affix->n : 0), affix->s, affix->n) == 0;
}

FN(str_affix) /* startswith, endswith */
{
    bool end = c->builtin->name[0] == 'e', yes = false;
    struct value v = c->arg[0];
    struct str part = *self.u.str;
    size_t from = 0, to = part.n;
    int rc = window(e, c, self.u.str, &from, &to);
    if (rc != 0)
        return rc;
    part.s += from <= to ? from : 0;
    part.n = from <= to ? to - from : 0;
    if (v.kind == VALUE_STR) {
        yes = from <= to && has_affix(&part, v.u.str, end);
    } else if (value_is_seq(v, SEQ_TUPLE)) {
        for (size_t i = 0; i < v.u.seq->n && !yes; i++) {
            if (v.u.seq->items[i].kind != VALUE_STR)
                return eval_fail(e, ERR_INVALID, "%s needs strings",
                                 c->builtin->name);
            yes = from <= to && has_affix(&part, v.u.seq->items[i].u.str, end);
        }
    } else {
        return eval_fail(e, ERR_INVALID, "%s needs a string or tuple, not %s",
                         c->builtin->name, value_type_name(v));
    }
    *out = value_bool(yes);
    return 0;
}

FN(str_remove) /* removeprefix, removesuffix */
{
    bool end = strcmp(c->builtin->name, "removesuffix") == 0;
    const struct str *affix = NULL, *s = self.u.str;
    int rc = arg_str(e, c, 0, &affix);
    if (rc != 0)
        return rc;
    if (!has_affix(s, affix, end))
        return make_str_borrowed(e, s->s, s->n, out);
    return make_str_borrowed(e, s->s + (end ? 0 : affix->n), s->n - affix->n,
                             out);
}

FN(str_replace)
{
    const struct str *s = self.u.str, *old = NULL, *new_ = NULL;
    int64_t count = -1;
    int rc = arg_str(e, c, 0, &old);
    if (rc == 0)
        rc = arg_str(e, c, 1, &new_);
    if (rc == 0)
        rc = arg_int(e, c, 2, &count);
    if (rc == 0)
        rc = eval_steps(e, s->n);
    if (rc != 0)
        return rc;
    struct buf b;
    buf_init(&b, e->limits.memory_bytes);
    size_t at = 0;
    while (count != 0 && buf_ok(&b)) {
        size_t found = text_find(s->s, s->n, old->s, old->n, at);
        if (found == SIZE_MAX)
            break;
        count--;
        buf_put(&b, s->s + at, found - at);
        buf_put(&b, new_->s, new_->n);
        at = found + old->n;
        if (old->n == 0) { /* between all code points */
            size_t len = text_offset(s->s + at, s->n - at, 1);
            if (len == 0)
                break;
            buf_put(&b, s->s + at, len);
            at += len;
        }
    }
    buf_put(&b, s->s + at, s->n - at);
    return make_str_buf(e, &b, out);
}

/* Whether Python counts this sigma as the end of a word (final form). */
static bool final_sigma(const struct str *s, size_t at, size_t len)
{
    bool before = false, after = false;
    for (size_t p = at; p > 0 && !before;) {
        size_t k;
        p--;
        while (p > 0 && ((unsigned char)s->s[p] & 0xc0) == 0x80)
            p--;
        uint32_t cp = text_next(s->s + p, s->n - p, &k);
        if (cp == '\'' || cp == '.' || cp == ':')
            continue;
        before = text_is(cp, TEXT_CASED);
        if (!before)
            return false;
    }
    size_t p = at + len, k;
    if (p < s->n)
        after = text_is(text_next(s->s + p, s->n - p, &k), TEXT_CASED);
    return before && !after;
}

FN(str_case) /* upper, lower, title, capitalize, swapcase, casefold */
{
    const struct str *s = self.u.str;
    char kind = c->builtin->name[0];
    bool in_word = false;
    struct buf b;
    int rc = eval_steps(e, s->n);
    if (rc != 0)
        return rc;
    buf_init(&b, 0);
    for (size_t at = 0, len; at < s->n; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        enum text_case to = kind == 'u' ? CASE_UPPER : CASE_LOWER;
        if (kind == 't')
            to = in_word ? CASE_LOWER : CASE_TITLE;
        else if (kind == 'c' && at == 0)
            to = CASE_TITLE;
        else if (kind == 's')
            to = text_is(cp, TEXT_UPPER) ? CASE_LOWER : CASE_UPPER;
        in_word = text_is(cp, TEXT_CASED);
        if (to == CASE_LOWER && cp == 0x3a3 && final_sigma(s, at, len))
            text_put_cp(&b, 0x3c2);
        else
            text_put_case(&b, cp, to);
    }
    return make_str_buf(e, &b, out);
}

FN(str_is_class)
{
    const char *n = c->builtin->name + 2;
    const struct str *s = self.u.str;
    bool all = s->n > 0, cased = false;
    bool upper = strcmp(n, "upper") == 0, lower = strcmp(n, "lower") == 0;
    for (size_t at = 0, len; at < s->n && all; at += len) {
        uint32_t cp = text_next(s->s + at, s->n - at, &len);
        if (upper || lower) {
            if (text_is(cp, TEXT_CASED)) {
                cased = true;
                all = text_is(cp, upper ? TEXT_UPPER : TEXT_LOWER);
            }
        } else if (strcmp(n, "space") == 0) {
            all = text_is_space(cp);
        } else if (strcmp(n, "ascii") == 0) {
            all = cp < 0x80;
        } else {
            bool alpha = n[0] == 'a' && text_is(cp, TEXT_ALPHA);
            bool digit = n[0] == 'd' && text_is(cp, TEXT_DIGIT);
            bool numeric = (n[0] == 'n' || strcmp(n, "alnum") == 0) &&
                           text_is(cp, TEXT_NUMERIC);
            all = alpha || digit || numeric;
        }
    }
    if (upper || lower)
        all = all && cased;
    *out = value_bool(strcmp(n, "ascii") == 0 && s->n == 0 ? true : all);
    return eval_steps(e, s->n);
}

FN(str_pad) /* ljust, rjust, center, zfill */
{
    const struct str *s = self.u.str, *fill = NULL;
    char kind = c->builtin->name[0];
    int64_t width = 0;
    int rc = arg_int(e, c, 0, &width);
    if (rc == 0 && kind != 'z')
        rc = arg_str(e, c, 1, &fill);
    if (rc == 0 && fill != NULL && fill->n_chars != 1)
        rc = eval_fail(e, ERR_INVALID, "%s fills with one character",
                       c->builtin->name);
    if (rc != 0)
        return rc;
    if (width <= (int64_t)s->n_chars)
        return make_str_borrowed(e, s->s, s->n, out);
    size_t pad = (size_t)width - s->n_chars, left = 0, sign = 0;
    if (pad > e->limits.output_bytes)
        return eval_nomem(e);
    if (kind == 'r' || kind == 'z')
        left = pad;
    else if (kind == 'c')
        left = pad / 2 + (pad & (size_t)width & 1);
    if (kind == 'z' && s->n > 0 && (s->s[0] == '-' || s->s[0] == '+'))
        sign = 1;
    struct buf b;
    buf_init(&b, 0);
    buf_put(&b, s->s, sign);
    for (size_t i = 0; i < pad; i++) {
        if (i == left)
            buf_put(&b, s->s + sign, s->n - sign);
        if (fill != NULL)
            buf_put(&b, fill->s, fill->n);
        else
            buf_putc(&b, kind == 'z' ? '0' : ' ');
    }
    if (left == pad)
        buf_put(&b, s->s + sign, s->n - sign);
    return make_str_buf(e, &b, out);
}

FN(str_join)
{
    const struct value *items;
    size_t n;
    struct buf b;
    int rc = value_items(e, c->arg[0], &items, &n);
    if (rc != 0)
        return rc;
    buf_init(&b, e->limits.memory_bytes);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (items[i].kind != VALUE_STR)
            rc = eval_fail(e, ERR_INVALID, "join needs strings, not %s",
                           value_type_name(items[i]));
        else if (i > 0)
            buf_put(&b, self.u.str->s, self.u.str->n);
        if (rc == 0)
            rc = print_str(e, items[i], &b);
    }
    if (rc == 0)
        return make_str_buf(e, &b, out);
    buf_deinit(&b);
    return rc;
}

FN(str_format)
{
    return format_braces(e, self.u.str, c->args, out);
}

FN(str_partition)
{
    const struct str *s = self.u.str, *sep = NULL;
    bool back = c->builtin->name[0] == 'r';
    struct list l = {0};
    int rc = arg_str(e, c, 0, &sep);
    if (rc == 0 && sep->n == 0)
        rc = eval_fail(e, ERR_INVALID,
                       "partition needs a separator that is "
                       "not empty");
    if (rc != 0)
        return rc;
    size_t at = back ? text_rfind(s->s, s->n, sep->s, sep->n)
                     : text_find(s->s, s->n, sep->s, sep->n, 0);
    bool found = at != SIZE_MAX;
    size_t head = found ? at : back ? 0 : s->n;
    size_t tail = found ? at + sep->n : back ? 0 : s->n;
    rc = add_piece(e, &l, s->s, head);
    if (rc == 0)
        rc = add_piece(e, &l, sep->s, found ? sep->n : 0);
    if (rc == 0)
        rc = add_piece(e, &l, s->s + tail, s->n - tail);
    return rc != 0 ? rc : make_seq(e, l.items, l.n, SEQ_TUPLE, out);
}

const struct builtin methods_str[] = {
    {"strip", str_strip, {"chars"}, 0, false},
    {"lstrip", str_strip, {"chars"}, 0, false},
    {"rstrip", str_strip, {"chars"}, 0, false},
    {"split", str_split, {"sep", "maxsplit"}, 0, false},
    {"rsplit", str_split, {"sep", "maxsplit"}, 0, false},
    {"splitlines", str_splitlines, {"keepends"}, 0, false},
    {"find", str_find, {"sub", "start", "end"}, 1, false},
    {"rfind", str_find, {"sub", "start", "end"}, 1, false},
    {"index", str_find, {"sub", "start", "end"}, 1, false},
    {"rindex", str_find, {"sub", "start", "end"}, 1, false},
    {"count", str_count, {"sub", "start", "end"}, 1, false},
    {"startswith", str_affix, {"prefix", "start", "end"}, 1, false},
    {"endswith", str_affix, {"suffix", "start", "end"}, 1, false},
    {"removeprefix", str_remove, {"prefix"}, 1, false},
    {"removesuffix", str_remove, {"suffix"}, 1, false},
    {"replace", str_replace, {"old", "new", "count"}, 2, false},
    {"upper", str_case, {0}, 0, false},
    {"lower", str_case, {0}, 0, false},
    {"title", str_case, {0}, 0, false},
    {"capitalize", str_case, {0}, 0, false},
    {"swapcase", str_case, {0}, 0, false},
    {"isdigit", str_is_class, {0}, 0, false},
    {"isnumeric", str_is_class, {0}, 0, false},
    {"isalpha", str_is_class, {0}, 0, false},
    {"isalnum", str_is_class, {0}, 0, false},
    {"isspace", str_is_class, {0}, 0, false},
    {"isupper", str_is_class, {0}, 0, false},
    {"islower", str_is_class, {0}, 0, false},
    {"isascii", str_is_class, {0}, 0, false},
    {"zfill", str_pad, {"width"}, 1, false},
    {"ljust", str_pad, {"width", "fillchar"}, 1, false},
    {"rjust", str_pad, {"width", "fillchar"}, 1, false},
    {"center", str_pad, {"width", "fillchar"}, 1, false},
    {"join", str_join, {"iterable"}, 1, false},
    {"format", str_format, {0}, 0, true},
    {"partition", str_partition, {"sep"}, 1, false},
    {"rpartition", str_partition, {"sep"}, 1, false},
    {0},
};

FN(seq_count) /* count, index */
{
    const struct seq *s = self.u.seq;
    bool index = c->builtin->name[0] == 'i';
    int64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool same;
        int rc = value_equal(e, s->items[i], c->arg[0], &same);
        if (rc != 0)
            return rc;
        if (same && index) {
            *out = value_int((int64_t)i);
            return 0;
        }
        n += same;
    }
    *out = value_int(n);
    return index ? eval_fail(e, ERR_INVALID, "the value is not in the list")
                 : 0;
}

FN(seq_copy)
{
    (void)c;
    return make_seq(e, self.u.seq->items, self.u.seq->n, SEQ_LIST, out);
}

const struct builtin methods_seq[] = {
    {"count", seq_count, {"value"}, 1, false},
    {"index", seq_count, {"value"}, 1, false},
    {"copy", seq_copy, {0}, 0, false},
    {0},
};

FN(map_method_get)
{
    const struct args *a = c->args; /* Python's takes no keywords */
    if (a->n_kw > 0 || a->n_pos < 1 || a->n_pos > 2)
        return eval_fail(e, ERR_INVALID, "get takes a key and a default");
    *out = a->n_pos == 1 ? value_none() : a->pos[1];
    int rc = map_get(e, self.u.map, a->pos[0], out);
    return rc < 0 ? rc : 0;
}

FN(map_view)
{
    const struct map *m = self.u.map;
    char kind = c->builtin->name[0];
    if (kind != 'i')
        return make_seq(e, kind == 'k' ? m->keys : m->values, m->n,
                        kind == 'k' ? SEQ_KEYS : SEQ_VALUES, out);
    struct value *pairs = eval_alloc(e, m->n, sizeof *pairs);
    if (pairs == NULL)
        return eval_nomem(e);
    for (uint32_t i = 0; i < m->n; i++) {
        int rc = make_pair(e, m->keys[i], m->values[i], &pairs[i]);
        if (rc != 0)
            return rc;
    }
    int rc = make_seq(e, pairs, m->n, SEQ_ITEMS, out);
    return rc != 0 ? rc : eval_steps(e, m->n * (size_t)64);
}

FN(map_copy)
{
    (void)e;
    (void)c;
    *out = self;
    return 0;
}

const struct builtin methods_map[] = {
    {"get", map_method_get, {0}, 0, true}, {"keys", map_view, {0}, 0, false},
    {"values", map_view, {0}, 0, false},   {"items", map_view, {0}, 0, false},
    {"copy", map_copy, {0}, 0, false},     {0},
};

FN(object_cycle)
{
    const struct args *a = c->args;
    if (self.kind != VALUE_LOOP || a->n_pos == 0)
        return eval_fail(e, ERR_INVALID, "cycle needs a loop and items");
    *out = a->pos[(size_t)loop_index0(self.u.loop) % a->n_pos];
    return 0;
}

FN(object_changed)
{
    if (self.kind != VALUE_LOOP)
        return eval_fail(e, ERR_INVALID, "only a loop tells what changed");
    return loop_changed(e, self.u.loop, c->args, out);
}

FN(object_next) /* next, reset */
{
    struct cycler *cycler = self.u.cycler;
    if (self.kind != VALUE_CYCLER)
        return eval_fail(e, ERR_INVALID, "only a cycler has %s",
                         c->builtin->name);
    *out = value_none();
    if (c->builtin->name[0] == 'r') {
        cycler->at = 0;
        return 0;
    }
    *out = cycler->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->n;
    return 0;
}

const struct builtin methods_object[] = {
    {"cycle", object_cycle, {0}, 0, true},
    {"changed", object_changed, {0}, 0, true},
    {"next", object_next, {0}, 0, false},
    {"reset", object_next, {0}, 0, false},
    {0},
};
