/* charset.c -- see charset.h. */
#include "model/grammar/charset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/buf.h"
#include "model/base/utf8.h"
#include "model/grammar/expr.h"

void charset_add(struct grammar_builder *b, struct charset *s, uint32_t lo,
                 uint32_t hi)
{
    s->ranges = budget_grow(&b->budget, s->ranges, &s->cap, s->n + 1ull,
                            sizeof *s->ranges);
    if (budget_spend(&b->budget, 1))
        s->ranges[s->n++] = (struct char_range){lo, hi};
}

void charset_add_set(struct grammar_builder *b, struct charset *s,
                     const struct charset *other)
{
    for (uint32_t i = 0; i < other->n; i++)
        charset_add(b, s, other->ranges[i].lo, other->ranges[i].hi);
}

bool charset_add_category(struct grammar_builder *b, struct charset *s,
                          const char *prefix)
{
    bool found = false;
    for (const struct char_category *c = char_categories; c->name[0]; c++) {
        if (strncmp(c->name, prefix, strlen(prefix)) != 0)
            continue;
        found = true;
        for (uint32_t i = 0; i < c->n; i++)
            charset_add(b, s, c->ranges[i].lo, c->ranges[i].hi);
    }
    return found;
}

static int by_first(const void *a, const void *b)
{
    const struct char_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

void charset_settle(struct charset *s)
{
    if (s->n < 2)
        return;
    qsort(s->ranges, s->n, sizeof *s->ranges, by_first);
    uint32_t n = 1;
    for (uint32_t i = 1; i < s->n; i++) {
        struct char_range r = s->ranges[i], *last = &s->ranges[n - 1];
        if (r.lo > last->hi + 1)
            s->ranges[n++] = r;
        else if (r.hi > last->hi)
            last->hi = r.hi;
    }
    s->n = n;
}

void charset_invert(struct grammar_builder *b, struct charset *s)
{
    charset_settle(s);
    struct charset other = {0};
    uint32_t next = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->ranges[i].lo > next)
            charset_add(b, &other, next, s->ranges[i].lo - 1);
        next = s->ranges[i].hi + 1;
    }
    if (next <= CHAR_MAX_VALUE)
        charset_add(b, &other, next, CHAR_MAX_VALUE);
    charset_deinit(b, s);
    *s = other;
}

void charset_deinit(struct grammar_builder *b, struct charset *s)
{
    budget_drop(&b->budget, s->ranges, s->cap, sizeof *s->ranges);
    *s = (struct charset){0};
}

/* What one set is spelt as: one byte, or one of several sequences. */
struct spelling {
    struct grammar_builder *b;
    uint64_t single[4];
    bool has_single;
    gexpr *ways;
    uint32_t n_ways, cap_ways;
};

static void add_way(struct spelling *s, gexpr way)
{
    s->ways = budget_grow(&s->b->budget, s->ways, &s->cap_ways,
                          s->n_ways + 1ull, sizeof *s->ways);
    if (s->b->budget.rc == 0)
        s->ways[s->n_ways++] = way;
}

/* lo..hi have as many bytes, which differ in the last ones freely. */
static void spell_aligned(struct spelling *s, uint32_t lo, uint32_t hi)
{
    char from[4], to[4];
    int n = utf8_encode(lo, from);
    utf8_encode(hi, to);
    gexpr bytes[4];
    if (n == 1) {
        s->has_single = true;
        for (uint32_t c = lo; c <= hi; c++)
            s->single[c / 64] |= (uint64_t)1 << (c % 64);
        return;
    }
    for (int i = 0; i < n; i++)
        bytes[i] = grammar_range(s->b, (uint8_t)from[i], (uint8_t)to[i]);
    add_way(s, grammar_seq(s->b, bytes, (size_t)n));
}

/* Cuts lo..hi, of as many bytes each, until each piece is aligned: where
 * leading bytes differ, what follows runs over all continuation bytes. */
static void spell_same_length(struct spelling *s, uint32_t lo, uint32_t hi)
{
    struct char_range todo[16];
    unsigned n = 0;
    todo[n++] = (struct char_range){lo, hi};
    while (n > 0) {
        struct char_range r = todo[--n];
        bool cut = false;
        for (unsigned i = 1; i < 4 && !cut; i++) {
            uint32_t low = (1u << (6 * i)) - 1;
            if ((r.lo & ~low) == (r.hi & ~low))
                continue;
            if ((r.lo & low) != 0) {
                todo[n++] = (struct char_range){(r.lo | low) + 1, r.hi};
                todo[n++] = (struct char_range){r.lo, r.lo | low};
                cut = true;
            } else if ((r.hi & low) != low) {
                todo[n++] = (struct char_range){r.hi & ~low, r.hi};
                todo[n++] = (struct char_range){r.lo, (r.hi & ~low) - 1};
                cut = true;
            }
        }
        if (!cut)
            spell_aligned(s, r.lo, r.hi);
    }
}

static void spell_range(struct spelling *s, uint32_t lo, uint32_t hi)
{
    /* No surrogates: they are no characters. */
    static const struct char_range lengths[] = {{0, 0x7F},
                                                {0x80, 0x7FF},
                                                {0x800, 0xD7FF},
                                                {0xE000, 0xFFFF},
                                                {0x10000, CHAR_MAX_VALUE}};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint32_t from = lo > lengths[i].lo ? lo : lengths[i].lo;
        uint32_t to = hi < lengths[i].hi ? hi : lengths[i].hi;
        if (from <= to)
            spell_same_length(s, from, to);
    }
}

static const char *escape_of(uint32_t c, enum char_form form, char out[8])
{
    switch (c) {
    case '"':
        return form == CHAR_SINGLE ? NULL : "\\\"";
    case '\'':
        return form == CHAR_SINGLE ? "\\'" : NULL;
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        break;
    }
    if (c >= 0x20)
        return NULL;
    snprintf(out, 8, "\\u%04x", (unsigned)c);
    return out;
}

/* What a set needs behind a backslash. */
struct escapes {
    uint64_t simple[4];  /* one more character */
    uint64_t lows[2][4]; /* the last digit after u000 and u001 */
    bool has_simple, has_low[2];
};

static void add_escape(struct escapes *e, const char *text)
{
    if (text[1] != 'u') {
        e->has_simple = true;
        e->simple[text[1] / 64] |= (uint64_t)1 << (text[1] % 64);
        return;
    }
    int row = text[4] - '0';
    e->has_low[row] = true;
    e->lows[row][text[5] / 64] |= (uint64_t)1 << (text[5] % 64);
}

/* In a string the first 0x5D characters may be escaped. */
static void spell_quoted(struct spelling *s, struct escapes *escapes,
                         enum char_form form, uint32_t lo, uint32_t hi)
{
    char text[8];
    for (uint32_t c = lo; c <= hi && c <= '\\'; c++) {
        const char *escape = escape_of(c, form, text);
        if (c == 0 && form != CHAR_JSON)
            continue;
        if (escape == NULL)
            spell_range(s, c, c);
        else
            add_escape(escapes, escape);
    }
    if (hi > '\\')
        spell_range(s, lo > '\\' ? lo : '\\' + 1, hi);
}

/* All of them share their beginning, since a string of 1,000 characters has
 * these states 1,000 times. */
static void spell_escapes(struct spelling *s, const struct escapes *e)
{
    struct grammar_builder *b = s->b;
    gexpr rows[2], ways[2];
    size_t n_rows = 0, n = 0;
    for (unsigned row = 0; row < 2; row++)
        if (e->has_low[row])
            rows[n_rows++] = grammar_seq2(b, grammar_text(b, row ? "1" : "0"),
                                          grammar_set(b, e->lows[row]));
    if (n_rows > 0)
        ways[n++] = grammar_seq2(b, grammar_text(b, "u00"),
                                 grammar_alt(b, rows, n_rows));
    if (e->has_simple)
        ways[n++] = grammar_set(b, e->simple);
    if (n > 0)
        add_way(
            s, grammar_seq2(b, grammar_text(b, "\\"), grammar_alt(b, ways, n)));
}

/* 0x80 and all above it.  The sequences share their ends, since this is what
 * nearly every large set has. */
static void spell_above_ascii(struct spelling *s)
{
    struct grammar_builder *b = s->b;
    gexpr tail = grammar_range(b, 0x80, 0xBF);
    gexpr four[] = {grammar_seq2(b, grammar_range(b, 0xF0, 0xF0),
                                 grammar_range(b, 0x90, 0xBF)),
                    grammar_seq2(b, grammar_range(b, 0xF1, 0xF3), tail),
                    grammar_seq2(b, grammar_range(b, 0xF4, 0xF4),
                                 grammar_range(b, 0x80, 0x8F))};
    gexpr three[] = {grammar_seq2(b, grammar_range(b, 0xE0, 0xE0),
                                  grammar_range(b, 0xA0, 0xBF)),
                     grammar_seq2(b,
                                  grammar_alt2(b, grammar_range(b, 0xE1, 0xEC),
                                               grammar_range(b, 0xEE, 0xEF)),
                                  tail),
                     grammar_seq2(b, grammar_range(b, 0xED, 0xED),
                                  grammar_range(b, 0x80, 0x9F)),
                     grammar_seq2(b, grammar_alt(b, four, 3), tail)};
    gexpr two =
        grammar_alt2(b, grammar_range(b, 0xC2, 0xDF), grammar_alt(b, three, 4));
    add_way(s, grammar_seq2(b, two, tail));
}

gexpr charset_expr(struct grammar_builder *b, struct charset *set,
                   enum char_form form)
{
    struct spelling s = {.b = b};
    struct escapes escapes = {0};
    charset_settle(set);
    for (uint32_t i = 0; i < set->n && b->budget.rc == 0; i++) {
        struct char_range r = set->ranges[i];
        if (r.lo <= 0x80 && r.hi == CHAR_MAX_VALUE) {
            spell_above_ascii(&s);
            if (r.lo == 0x80)
                break;
            r.hi = 0x7F;
        }
        if (form == CHAR_UTF8)
            spell_range(&s, r.lo, r.hi);
        else
            spell_quoted(&s, &escapes, form, r.lo, r.hi);
    }
    spell_escapes(&s, &escapes);
    if (s.has_single)
        add_way(&s, grammar_set(b, s.single));
    gexpr all =
        b->budget.rc == 0 ? grammar_alt(b, s.ways, s.n_ways) : GEXPR_NONE;
    budget_drop(&b->budget, s.ways, s.cap_ways, sizeof *s.ways);
    return all;
}

gexpr charset_any(struct grammar_builder *b, enum char_form form)
{
    struct charset all = {0};
    charset_add(b, &all, 0, CHAR_MAX_VALUE);
    gexpr x = charset_expr(b, &all, form);
    charset_deinit(b, &all);
    return x;
}

gexpr charset_text(struct grammar_builder *b, const char *text, size_t n,
                   enum char_form form)
{
    if (form == CHAR_UTF8)
        return grammar_bytes_of(b, text, n);
    struct buf out = {0};
    char escape[8];
    buf_init(&out, (size_t)GRAMMAR_MAX_TEXT_BYTES * 6);
    for (size_t i = 0; i < n; i++) {
        const char *e = escape_of((uint8_t)text[i], form, escape);
        if (e != NULL)
            buf_puts(&out, e);
        else
            buf_putc(&out, text[i]);
    }
    if (!buf_ok(&out))
        grammar_fail(b, ERR_NOMEM, "out of memory for a text in a grammar");
    gexpr x = grammar_bytes_of(b, buf_str(&out), out.len);
    buf_deinit(&out);
    return x;
}
