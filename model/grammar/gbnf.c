/* gbnf.c -- see gbnf.h.  A recursive descent of bounded depth. */
#include "model/grammar/gbnf.h"

#include <string.h>

#include "model/base/utf8.h"
#include "model/grammar/charset.h"
#include "model/grammar/expr.h"

#define MAX_GROUPS 120u

struct parser {
    struct grammar_builder *b;
    const char *text;
    size_t n, at;
    unsigned depth;
    /* By name, in the order met; their number is the builder's rule. */
    struct name *names;
    uint32_t n_names, cap_names;
};

struct name {
    uint32_t at, n; /* in text */
    uint32_t rule;
    bool defined;
};

struct pieces {
    gexpr *list;
    uint32_t n, cap;
};

static gexpr parse_alternatives(struct parser *p, bool nested);

static bool failed(const struct parser *p)
{
    return grammar_failed(p->b);
}

static void refuse(struct parser *p, enum err_class class_, const char *what)
{
    unsigned line = 1;
    for (size_t i = 0; i < p->at && i < p->n; i++)
        line += p->text[i] == '\n';
    grammar_fail(p->b, class_, "the grammar has %s in line %u", what, line);
}

static char peek(const struct parser *p)
{
    return p->at < p->n && !failed(p) ? p->text[p->at] : '\0';
}

static bool take(struct parser *p, const char *s)
{
    size_t n = strlen(s);
    if (failed(p) || p->n - p->at < n || memcmp(p->text + p->at, s, n) != 0)
        return false;
    p->at += n;
    return true;
}

static void skip_blank(struct parser *p, bool newlines)
{
    while (p->at < p->n) {
        char c = p->text[p->at];
        if (c == '#') {
            while (p->at < p->n && p->text[p->at] != '\n' &&
                   p->text[p->at] != '\r')
                p->at++;
        } else if (c == ' ' || c == '\t' ||
                   (newlines && (c == '\n' || c == '\r'))) {
            p->at++;
        } else {
            break;
        }
    }
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* The name at hand, whose rule is made when it is met first. */
static struct name *take_name(struct parser *p)
{
    size_t from = p->at;
    while (is_name_char(peek(p)))
        p->at++;
    size_t n = p->at - from;
    if (n == 0) {
        refuse(p, ERR_INVALID, "something other than a name of a rule");
        return NULL;
    }
    for (uint32_t i = 0; i < p->n_names; i++)
        if (p->names[i].n == n &&
            memcmp(p->text + p->names[i].at, p->text + from, n) == 0)
            return &p->names[i];
    p->names = budget_grow(&p->b->budget, p->names, &p->cap_names,
                           p->n_names + 1ull, sizeof *p->names);
    budget_spend(&p->b->budget, p->n_names / 4 + 1);
    char text[64] = "";
    memcpy(text, p->text + from, n < sizeof text ? n : sizeof text - 1);
    uint32_t rule = grammar_rule(p->b, text);
    if (failed(p))
        return NULL;
    p->names[p->n_names] =
        (struct name){.at = (uint32_t)from, .n = (uint32_t)n, .rule = rule};
    return &p->names[p->n_names++];
}

static uint32_t take_hex(struct parser *p, unsigned digits)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++, p->at++) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *d = peek(p) ? strchr(hex, peek(p)) : NULL;
        if (d == NULL) {
            refuse(p, ERR_INVALID, "an escape that lacks hexadecimal digits");
            return 0;
        }
        uint32_t v = (uint32_t)(d - hex);
        value = value * 16 + (v < 16 ? v : v - 6);
    }
    if (value > CHAR_MAX_VALUE || (value >= 0xD800 && value <= 0xDFFF)) {
        refuse(p, ERR_INVALID, "an escape of no character");
        return 0;
    }
    return value;
}

static uint32_t take_char(struct parser *p)
{
    uint32_t c = 0;
    if (p->at >= p->n) {
        refuse(p, ERR_INVALID, "an end where more was expected");
        return 0;
    }
    if (take(p, "\\")) {
        char e = peek(p);
        static const char from[] = "nrt\\\"[]-^.", to[] = "\n\r\t\\\"[]-^.";
        const char *known = e ? strchr(from, e) : NULL;
        p->at++;
        if (known != NULL)
            return (uint8_t)to[known - from];
        if (e == 'x' || e == 'u' || e == 'U')
            return take_hex(p, e == 'x' ? 2 : e == 'u' ? 4 : 8);
        p->at--;
        refuse(p, ERR_INVALID, "an escape that is not known");
        return 0;
    }
    int n = utf8_decode(p->text + p->at, p->n - p->at, &c);
    if (n <= 0)
        refuse(p, ERR_INVALID, "bytes that are not UTF-8");
    else
        p->at += (size_t)n;
    return c;
}

static void add_piece(struct parser *p, struct pieces *v, gexpr x)
{
    v->list = budget_grow(&p->b->budget, v->list, &v->cap, v->n + 1ull,
                          sizeof *v->list);
    if (!failed(p))
        v->list[v->n++] = x;
}

static void drop_pieces(struct parser *p, struct pieces *v)
{
    budget_drop(&p->b->budget, v->list, v->cap, sizeof *v->list);
}

static gexpr parse_literal(struct parser *p)
{
    struct pieces v = {0};
    while (!failed(p) && peek(p) != '"') {
        char bytes[4];
        int n = utf8_encode(take_char(p), bytes);
        add_piece(p, &v, grammar_bytes_of(p->b, bytes, (size_t)n));
    }
    take(p, "\"");
    gexpr x = failed(p) ? GEXPR_NONE : grammar_seq(p->b, v.list, v.n);
    drop_pieces(p, &v);
    return x;
}

static gexpr parse_class(struct parser *p)
{
    struct charset s = {0};
    bool negated = take(p, "^");
    while (!failed(p) && peek(p) != ']') {
        uint32_t lo = take_char(p), hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            hi = take_char(p);
        }
        if (hi < lo)
            refuse(p, ERR_INVALID, "a range in a class that runs backwards");
        charset_add(p->b, &s, lo, hi);
    }
    take(p, "]");
    if (negated)
        charset_invert(p->b, &s);
    gexpr x = charset_expr(p->b, &s, CHAR_UTF8);
    charset_deinit(p->b, &s);
    return x;
}

static bool take_number(struct parser *p, uint32_t *out)
{
    size_t from = p->at;
    uint64_t value = 0;
    for (char c = peek(p); c >= '0' && c <= '9'; c = peek(p)) {
        if (value < UINT32_MAX)
            value = value * 10 + (uint32_t)(c - '0');
        p->at++;
    }
    *out = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX - 1;
    return p->at > from;
}

static gexpr parse_bounds(struct parser *p, gexpr x)
{
    uint32_t min = 0, max;
    skip_blank(p, true);
    bool has_min = take_number(p, &min);
    max = min;
    skip_blank(p, true);
    if (take(p, ",")) {
        skip_blank(p, true);
        if (!take_number(p, &max))
            max = GRAMMAR_NO_MAX;
        skip_blank(p, true);
    } else if (!has_min) {
        refuse(p, ERR_INVALID, "a repetition {} without a number");
    }
    if (!take(p, "}"))
        refuse(p, ERR_INVALID, "a repetition { that is not closed");
    return failed(p) ? GEXPR_NONE : grammar_repeat(p->b, x, min, max);
}

/* In llama.cpp a quantifier may follow a quantifier. */
static gexpr parse_quantifiers(struct parser *p, gexpr x, bool nested)
{
    for (;;) {
        size_t before = p->at;
        skip_blank(p, nested);
        if (failed(p))
            return GEXPR_NONE;
        if (take(p, "*")) {
            x = grammar_repeat(p->b, x, 0, GRAMMAR_NO_MAX);
        } else if (take(p, "+")) {
            x = grammar_repeat(p->b, x, 1, GRAMMAR_NO_MAX);
        } else if (take(p, "?")) {
            x = grammar_optional(p->b, x);
        } else if (take(p, "{")) {
            x = parse_bounds(p, x);
        } else {
            p->at = before;
            return x;
        }
    }
}

static gexpr parse_group(struct parser *p)
{
    if (++p->depth > MAX_GROUPS)
        refuse(p, ERR_LIMIT, "groups nested too deep");
    gexpr x = parse_alternatives(p, true);
    p->depth--;
    skip_blank(p, true);
    if (!take(p, ")"))
        refuse(p, ERR_INVALID, "a group that is not closed");
    return x;
}

/* GEXPR_NONE, and nothing read, where a sequence ends. */
static gexpr parse_item(struct parser *p, bool nested)
{
    size_t before = p->at;
    skip_blank(p, nested);
    if (take(p, "\""))
        return parse_literal(p);
    if (take(p, "["))
        return parse_class(p);
    if (take(p, "("))
        return parse_group(p);
    if (take(p, "."))
        return charset_any(p->b, CHAR_UTF8);
    if (peek(p) == '<' || peek(p) == '!')
        refuse(p, ERR_UNSUPPORTED, "a token terminal, not supported,");
    if (is_name_char(peek(p))) {
        const struct name *name = take_name(p);
        return name ? grammar_call(p->b, name->rule) : GEXPR_NONE;
    }
    p->at = before;
    return GEXPR_NONE;
}

static gexpr parse_sequence(struct parser *p, bool nested)
{
    struct pieces v = {0};
    while (!failed(p)) {
        gexpr x = parse_item(p, nested);
        if (x == GEXPR_NONE)
            break;
        add_piece(p, &v, parse_quantifiers(p, x, nested));
    }
    gexpr x = failed(p) ? GEXPR_NONE : grammar_seq(p->b, v.list, v.n);
    drop_pieces(p, &v);
    return x;
}

static gexpr parse_alternatives(struct parser *p, bool nested)
{
    struct pieces v = {0};
    for (;;) {
        skip_blank(p, true);
        /* A rule that begins on this line ends the one before it: an empty
         * alternative. */
        add_piece(p, &v, parse_sequence(p, nested));
        size_t before = p->at;
        skip_blank(p, nested);
        if (!take(p, "|")) {
            p->at = before;
            break;
        }
    }
    gexpr x = failed(p) ? GEXPR_NONE : grammar_alt(p->b, v.list, v.n);
    drop_pieces(p, &v);
    return x;
}

static void parse_rule(struct parser *p)
{
    struct name *name = take_name(p);
    if (name == NULL)
        return;
    uint32_t rule = name->rule;
    if (name->defined)
        refuse(p, ERR_INVALID, "a rule that is defined twice");
    name->defined = true;
    skip_blank(p, false);
    if (!take(p, "::="))
        refuse(p, ERR_INVALID, "a rule without ::= after its name");
    gexpr x = parse_alternatives(p, false);
    grammar_define(p->b, rule, x);
    skip_blank(p, false);
    char c = peek(p);
    if (!failed(p) && c != '\n' && c != '\r' && p->at < p->n)
        refuse(p, ERR_INVALID, "something that is no part of a rule");
    skip_blank(p, true);
}

static uint32_t parse_grammar(struct parser *p)
{
    uint32_t root = GRAMMAR_NO_RULE;
    if (p->n > GRAMMAR_MAX_TEXT_BYTES)
        grammar_fail(p->b, ERR_LIMIT,
                     "the grammar has %zu bytes, more than the %u allowed",
                     p->n, GRAMMAR_MAX_TEXT_BYTES);
    skip_blank(p, true);
    while (p->at < p->n && !failed(p))
        parse_rule(p);
    for (uint32_t i = 0; i < p->n_names && !failed(p); i++) {
        const struct name *name = &p->names[i];
        bool is_root =
            name->n == 4 && memcmp(p->text + name->at, "root", 4) == 0;
        if (is_root && name->defined)
            root = name->rule;
    }
    if (root == GRAMMAR_NO_RULE)
        grammar_fail(p->b, ERR_INVALID, "the grammar has no rule root");
    return root;
}

int grammar_from_gbnf(struct grammar **out, const char *text, size_t n,
                      struct err *err)
{
    struct parser p = {.text = text, .n = n};
    *out = NULL;
    int rc = grammar_builder_new(&p.b, err);
    if (rc != 0)
        return rc;
    uint32_t root = parse_grammar(&p);
    budget_drop(&p.b->budget, p.names, p.cap_names, sizeof *p.names);
    rc = grammar_finish(p.b, root, out, err);
    grammar_builder_free(p.b);
    return rc;
}
