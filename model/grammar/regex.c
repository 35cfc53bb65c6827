/* regex.c -- see regex.h.  A recursive descent of bounded depth. */
#include "model/grammar/regex.h"

#include <stdint.h>
#include <string.h>

#include "model/base/utf8.h"
#include "model/grammar/expr.h"

#define MAX_GROUPS                                             \
    120u /* nested; each takes up to four levels of expression \
          */
#define NO_CHAR UINT32_MAX

struct parser {
    struct grammar_builder *b;
    const char *text;
    size_t n, at;
    enum char_form form;
    unsigned depth;
};

/* A piece, and whether every text of it is bound to an end of the whole. */
struct piece {
    gexpr expr;
    bool at_start, at_end;
};

/* Pieces of a sequence or an alternation that is being read. */
struct pieces {
    gexpr *list;
    uint32_t n, cap;
};

static struct piece parse_alternatives(struct parser *p);

static void refuse(struct parser *p, enum err_class class_, const char *what)
{
    grammar_fail(p->b, class_, "the pattern has %s at byte %zu", what, p->at);
}

static bool failed(const struct parser *p)
{
    return grammar_failed(p->b);
}

static bool more(const struct parser *p)
{
    return p->at < p->n && !failed(p);
}

static bool next_is(const struct parser *p, const char *s)
{
    size_t n = strlen(s);
    return p->n - p->at >= n && memcmp(p->text + p->at, s, n) == 0;
}

static bool take(struct parser *p, const char *s)
{
    if (failed(p) || !next_is(p, s))
        return false;
    p->at += strlen(s);
    return true;
}

static uint32_t take_char(struct parser *p)
{
    uint32_t c = 0;
    int n = utf8_decode(p->text + p->at, p->n - p->at, &c);
    if (n <= 0) {
        refuse(p, ERR_INVALID, "bytes that are not UTF-8");
        return 0;
    }
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

/* --- escapes -----------------------------------------------------------------
 */

static uint32_t take_hex(struct parser *p, unsigned digits)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *d = more(p) && p->text[p->at] != '\0'
                            ? strchr(hex, p->text[p->at])
                            : NULL;
        if (d == NULL) {
            refuse(p, ERR_INVALID, "an escape that lacks hexadecimal digits");
            return 0;
        }
        uint32_t v = (uint32_t)(d - hex);
        value = value * 16 + (v < 16 ? v : v - 6);
        p->at++;
    }
    return value;
}

static uint32_t take_unicode(struct parser *p)
{
    if (take(p, "{")) {
        uint32_t value = 0;
        while (more(p) && !next_is(p, "}") && value <= CHAR_MAX_VALUE)
            value = value * 16 + take_hex(p, 1);
        if (!take(p, "}") || value > CHAR_MAX_VALUE)
            refuse(p, ERR_INVALID, "an escape \\u{} of no character");
        return value;
    }
    uint32_t high = take_hex(p, 4);
    if (high < 0xD800 || high > 0xDFFF)
        return high;
    uint32_t low = high < 0xDC00 && take(p, "\\u") ? take_hex(p, 4) : 0;
    if (low < 0xDC00 || low > 0xDFFF) {
        refuse(p, ERR_INVALID, "half of a surrogate pair");
        return 0;
    }
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* What \d, \w and \s surely are, or (wide) may be to some reader. */
static void add_class(struct parser *p, struct charset *s, char name, bool wide)
{
    struct grammar_builder *b = p->b;
    switch (name) {
    case 'w':
        charset_add(b, s, 'A', 'Z');
        charset_add(b, s, '_', '_');
        charset_add(b, s, 'a', 'z');
        charset_add(b, s, '0', '9');
        for (const char *c = "LMN"; wide && *c; c++)
            charset_add_category(b, s, (char[]){*c, '\0'});
        if (wide)
            charset_add_category(b, s, "Pc");
        break;
    case 'd':
        charset_add(b, s, '0', '9');
        if (wide)
            charset_add_category(b, s, "Nd");
        break;
    default:
        charset_add(b, s, '\t', '\r');
        charset_add(b, s, ' ', ' ');
        charset_add(b, s, 0xA0, 0xA0);
        charset_add(b, s, 0x1680, 0x1680);
        charset_add(b, s, 0x2000, 0x200A);
        charset_add(b, s, 0x2028, 0x2029);
        charset_add(b, s, 0x202F, 0x202F);
        charset_add(b, s, 0x205F, 0x205F);
        charset_add(b, s, 0x3000, 0x3000);
        if (wide) {
            charset_add(b, s, 0x1C, 0x1F);
            charset_add(b, s, 0x85, 0x85);
            charset_add(b, s, 0xFEFF, 0xFEFF);
        }
        break;
    }
}

static void take_property(struct parser *p, struct charset *s, bool inverted)
{
    char name[40] = "";
    size_t n = 0;
    if (!take(p, "{")) {
        refuse(p, ERR_INVALID, "\\p without {}");
        return;
    }
    while (more(p) && p->text[p->at] != '}' && n + 1 < sizeof name)
        name[n++] = p->text[p->at++];
    name[n] = '\0';
    if (!take(p, "}")) {
        refuse(p, ERR_INVALID, "\\p{ without its }");
        return;
    }
    static const char *const longer[][2] = {{"Letter", "L"},
                                            {"Uppercase_Letter", "Lu"},
                                            {"Lowercase_Letter", "Ll"},
                                            {"Mark", "M"},
                                            {"Number", "N"},
                                            {"Decimal_Number", "Nd"},
                                            {"Punctuation", "P"},
                                            {"Symbol", "S"},
                                            {"Separator", "Z"},
                                            {"Space_Separator", "Zs"},
                                            {"Alphabetic", "L"},
                                            {"Uppercase", "Lu"},
                                            {"Lowercase", "Ll"}};
    const char *category = strncmp(name, "gc=", 3) == 0 ? name + 3 : name;
    if (strncmp(name, "General_Category=", 17) == 0)
        category = name + 17;
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        if (strcmp(category, longer[i][0]) == 0)
            category = longer[i][1];
    struct charset found = {0};
    size_t length = strlen(category);
    if (length < 1 || length > 2 ||
        !charset_add_category(p->b, &found, category))
        grammar_fail(p->b, ERR_UNSUPPORTED,
                     "the pattern has \\p{%s}: only general categories "
                     "(L, Lu, Nd, ...) are supported",
                     utf8_valid(name, n) ? name : "...");
    if (inverted)
        charset_invert(p->b, &found);
    charset_add_set(p->b, s, &found);
    charset_deinit(p->b, &found);
}

/* After a backslash.  A single character is returned; a class is added to `s`
 * (`in_negated`: what is left out of [^...]) and NO_CHAR returned. */
static uint32_t take_escape(struct parser *p, struct charset *s, bool in_class,
                            bool in_negated)
{
    if (!more(p)) {
        refuse(p, ERR_INVALID, "a backslash at its end");
        return 0;
    }
    char c = p->text[p->at];
    static const char from[] = "tnvfr", to[] = "\t\n\v\f\r";
    const char *control = c ? strchr(from, c) : NULL;
    if (control != NULL) {
        p->at++;
        return (uint8_t)to[control - from];
    }
    switch (c) {
    case 'd':
    case 'w':
    case 's':
        p->at++;
        add_class(p, s, c, in_negated);
        return NO_CHAR;
    case 'D':
    case 'W':
    case 'S': {
        struct charset other = {0};
        p->at++;
        add_class(p, &other, (char)(c - 'A' + 'a'), !in_negated);
        charset_invert(p->b, &other);
        charset_add_set(p->b, s, &other);
        charset_deinit(p->b, &other);
        return NO_CHAR;
    }
    case 'p':
    case 'P':
        p->at++;
        take_property(p, s, c == 'P');
        return NO_CHAR;
    case 'x':
        p->at++;
        return take_hex(p, 2);
    case 'u':
        p->at++;
        return take_unicode(p);
    case 'c':
        p->at++;
        if (more(p) && ((p->text[p->at] | 32) >= 'a') &&
            ((p->text[p->at] | 32) <= 'z'))
            return (uint32_t)p->text[p->at++] & 31u;
        refuse(p, ERR_INVALID, "\\c without a letter");
        return 0;
    case 'b':
        if (in_class) {
            p->at++;
            return '\b';
        }
        refuse(p, ERR_UNSUPPORTED, "a word boundary \\b, not supported,");
        return 0;
    case 'B':
        refuse(p, ERR_UNSUPPORTED, "a word boundary \\B, not supported,");
        return 0;
    case 'k':
        refuse(p, ERR_UNSUPPORTED, "a backreference \\k, not supported,");
        return 0;
    default:
        break;
    }
    if (c == '0' && (p->at + 1 == p->n || p->text[p->at + 1] < '0' ||
                     p->text[p->at + 1] > '9')) {
        p->at++;
        return 0;
    }
    if (c >= '0' && c <= '9') {
        refuse(p, ERR_UNSUPPORTED, "a backreference, not supported,");
        return 0;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        refuse(p, ERR_UNSUPPORTED, "an escape that is not known");
        return 0;
    }
    return take_char(p);
}

/* --- classes
 * ------------------------------------------------------------------ */

static uint32_t take_member(struct parser *p, struct charset *s, bool negated)
{
    if (take(p, "\\"))
        return take_escape(p, s, true, negated);
    return take_char(p);
}

static gexpr parse_class(struct parser *p)
{
    struct charset s = {0};
    bool negated = take(p, "^");
    while (more(p) && !next_is(p, "]")) {
        uint32_t lo = take_member(p, &s, negated);
        if (failed(p) || lo == NO_CHAR)
            continue;
        uint32_t hi = lo;
        /* A hyphen at the end, or before a class, is itself. */
        if (next_is(p, "-") && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            hi = take_member(p, &s, negated);
            if (hi == NO_CHAR) {
                charset_add(p->b, &s, '-', '-');
                hi = lo;
            } else if (hi < lo) {
                refuse(p, ERR_INVALID,
                       "a range in a class that runs backwards");
            }
        }
        charset_add(p->b, &s, lo, hi);
    }
    if (!take(p, "]"))
        refuse(p, ERR_INVALID, "a class that is not closed");
    if (negated)
        charset_invert(p->b, &s);
    gexpr x = charset_expr(p->b, &s, p->form);
    charset_deinit(p->b, &s);
    return x;
}

static gexpr parse_dot(struct parser *p)
{
    struct charset s = {0};
    charset_add(p->b, &s, '\n', '\n');
    charset_add(p->b, &s, '\r', '\r');
    charset_add(p->b, &s, 0x2028, 0x2029);
    charset_invert(p->b, &s);
    gexpr x = charset_expr(p->b, &s, p->form);
    charset_deinit(p->b, &s);
    return x;
}

static gexpr expr_of_char(struct parser *p, uint32_t c)
{
    struct charset s = {0};
    charset_add(p->b, &s, c, c);
    gexpr x = charset_expr(p->b, &s, p->form);
    charset_deinit(p->b, &s);
    return x;
}

static gexpr parse_escape(struct parser *p)
{
    struct charset s = {0};
    uint32_t c = take_escape(p, &s, false, false);
    if (c != NO_CHAR)
        charset_add(p->b, &s, c, c);
    gexpr x = charset_expr(p->b, &s, p->form);
    charset_deinit(p->b, &s);
    return x;
}

/* --- groups, repetition, sequences -------------------------------------------
 */

static struct piece parse_group(struct parser *p)
{
    static const char *const refused[][2] = {
        {"?=", "a lookahead (?=, not supported,"},
        {"?!", "a negative lookahead (?!, not supported,"},
        {"?<=", "a lookbehind (?<=, not supported,"},
        {"?<!", "a negative lookbehind (?<!, not supported,"},
        {"?P=", "a backreference (?P=, not supported,"},
        {"?>", "an atomic group (?>, not supported,"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (next_is(p, refused[i][0]))
            refuse(p, ERR_UNSUPPORTED, refused[i][1]);
    if (take(p, "?P<") || take(p, "?<")) {
        while (more(p) && p->text[p->at] != '>')
            p->at++;
        if (!take(p, ">"))
            refuse(p, ERR_INVALID, "a name of a group that is not closed");
    } else if (!take(p, "?:") && next_is(p, "?")) {
        refuse(p, ERR_UNSUPPORTED, "a flag or group (?...), not supported,");
    }
    if (++p->depth > MAX_GROUPS)
        refuse(p, ERR_LIMIT, "groups nested too deep");
    struct piece x = parse_alternatives(p);
    p->depth--;
    if (!take(p, ")"))
        refuse(p, ERR_INVALID, "a group that is not closed");
    return x;
}

static bool take_number(struct parser *p, uint32_t *out)
{
    uint64_t value = 0;
    size_t from = p->at;
    for (; p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9';
         p->at++)
        if (value < UINT32_MAX)
            value = value * 10 + (uint32_t)(p->text[p->at] - '0');
    *out = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX - 1;
    return p->at > from;
}

/* {m}, {m,} or {m,n}; anything else is an ordinary brace. */
static bool take_bounds(struct parser *p, uint32_t *min, uint32_t *max)
{
    size_t from = p->at;
    if (take(p, "{") && take_number(p, min)) {
        *max = *min;
        if (take(p, ",") && !take_number(p, max))
            *max = GRAMMAR_NO_MAX;
        if (take(p, "}"))
            return true;
    }
    p->at = from;
    return false;
}

static bool take_quantifier(struct parser *p, uint32_t *min, uint32_t *max)
{
    *min = 0;
    *max = GRAMMAR_NO_MAX;
    if (take(p, "*"))
        return true;
    if (take(p, "+")) {
        *min = 1;
        return true;
    }
    if (take(p, "?")) {
        *max = 1;
        return true;
    }
    return take_bounds(p, min, max);
}

static bool quantifier_follows(struct parser *p)
{
    size_t at = p->at;
    uint32_t min, max;
    bool yes = take_quantifier(p, &min, &max);
    p->at = at;
    return yes;
}

static struct piece parse_quantified(struct parser *p, struct piece x)
{
    uint32_t min, max;
    if (failed(p) || !take_quantifier(p, &min, &max))
        return x;
    take(p, "?"); /* lazy: the same texts */
    if (quantifier_follows(p))
        refuse(p, ERR_INVALID, "a quantifier after a quantifier");
    if (max < min)
        refuse(p, ERR_INVALID, "a quantifier {m,n} with m above n");
    struct piece y = {.expr = grammar_repeat(p->b, x.expr, min, max)};
    if (min > 0) {
        y.at_start = x.at_start;
        y.at_end = x.at_end;
    }
    return y;
}

static struct piece parse_term(struct parser *p)
{
    if (next_is(p, "^") || next_is(p, "$")) {
        bool start = take(p, "^");
        if (!start)
            take(p, "$");
        if (quantifier_follows(p))
            refuse(p, ERR_INVALID, "a quantifier after an anchor");
        return start ? (struct piece){grammar_at_start(p->b), true, false}
                     : (struct piece){grammar_at_end(p->b), false, true};
    }
    if (!next_is(p, "{") && quantifier_follows(p)) {
        refuse(p, ERR_INVALID, "a quantifier with nothing to repeat");
        return (struct piece){0};
    }
    struct piece x = {0};
    uint32_t min, max;
    if (take(p, "("))
        x = parse_group(p);
    else if (take(p, "["))
        x.expr = parse_class(p);
    else if (take(p, "."))
        x.expr = parse_dot(p);
    else if (take(p, "\\"))
        x.expr = parse_escape(p);
    else if (take_bounds(p, &min, &max))
        refuse(p, ERR_INVALID, "a quantifier with nothing to repeat");
    else
        x.expr = expr_of_char(p, take_char(p));
    return parse_quantified(p, x);
}

static struct piece parse_sequence(struct parser *p)
{
    struct pieces v = {0};
    struct piece all = {0};
    while (more(p) && p->text[p->at] != '|' && p->text[p->at] != ')') {
        struct piece x = parse_term(p);
        all.at_start |= v.n == 0 && x.at_start;
        all.at_end = x.at_end;
        add_piece(p, &v, x.expr);
    }
    if (!failed(p))
        all.expr = grammar_seq(p->b, v.list, v.n);
    drop_pieces(p, &v);
    return all;
}

static struct piece parse_alternatives(struct parser *p)
{
    struct pieces v = {0};
    struct piece all = {.at_start = true, .at_end = true};
    do {
        struct piece x = parse_sequence(p);
        all.at_start &= x.at_start;
        all.at_end &= x.at_end;
        add_piece(p, &v, x.expr);
    } while (take(p, "|"));
    if (!failed(p))
        all.expr = grammar_alt(p->b, v.list, v.n);
    drop_pieces(p, &v);
    return all;
}

static gexpr any_text(struct grammar_builder *b, enum char_form form)
{
    return grammar_repeat(b, charset_any(b, form), 0, GRAMMAR_NO_MAX);
}

/* A lookahead at the very start speaks of the whole text, so it is a second
 * language that must, or must not, hold as well. */
struct looks {
    gexpr must, must_not; /* GEXPR_NONE: no such */
};

/* Texts that begin with `x`, which stands at the start. */
static gexpr beginning_with(struct parser *p, struct piece x)
{
    gexpr parts[] = {x.expr,
                     x.at_end ? grammar_empty(p->b) : any_text(p->b, p->form)};
    return grammar_whole(p->b, grammar_seq(p->b, parts, 2));
}

static void take_looks(struct parser *p, struct looks *looks)
{
    while (next_is(p, "(?=") || next_is(p, "(?!")) {
        bool negative = next_is(p, "(?!");
        p->at += 3;
        struct piece x = parse_alternatives(p);
        if (!take(p, ")"))
            refuse(p, ERR_INVALID, "a group that is not closed");
        if (quantifier_follows(p))
            refuse(p, ERR_INVALID, "a quantifier after a lookahead");
        if (failed(p))
            return;
        gexpr look = beginning_with(p, x);
        gexpr *sum = negative ? &looks->must_not : &looks->must;
        if (*sum == GEXPR_NONE)
            *sum = look;
        else
            *sum = negative
                       ? grammar_whole(p->b, grammar_alt2(p->b, *sum, look))
                       : grammar_both(p->b, *sum, look);
    }
}

gexpr regex_expr(struct grammar_builder *b, const char *pattern, size_t n,
                 bool search, enum char_form form)
{
    struct parser p = {.b = b, .text = pattern, .n = n, .form = form};
    struct looks looks = {0};
    struct piece x;
    if (n > GRAMMAR_MAX_TEXT_BYTES)
        grammar_fail(b, ERR_LIMIT,
                     "the pattern has %zu bytes, more than the %u allowed", n,
                     GRAMMAR_MAX_TEXT_BYTES);
    bool looking = next_is(&p, "^(?=") || next_is(&p, "^(?!") ||
                   (!search && (next_is(&p, "(?=") || next_is(&p, "(?!")));
    if (looking) {
        take(&p, "^");
        take_looks(&p, &looks);
        x = parse_sequence(&p);
        x.at_start = true;
        if (next_is(&p, "|"))
            refuse(&p, ERR_UNSUPPORTED,
                   "a lookahead in one of several ways, not supported,");
    } else {
        x = parse_alternatives(&p);
    }
    if (more(&p))
        refuse(&p, ERR_INVALID, "a ) that closes nothing");
    if (grammar_failed(b))
        return GEXPR_NONE;
    gexpr parts[3];
    size_t n_parts = 0;
    if (search && !x.at_start)
        parts[n_parts++] = any_text(b, form);
    parts[n_parts++] = x.expr;
    if (search && !x.at_end)
        parts[n_parts++] = any_text(b, form);
    gexpr whole = grammar_whole(b, grammar_seq(b, parts, n_parts));
    if (looks.must != GEXPR_NONE)
        whole = grammar_both(b, whole, looks.must);
    if (looks.must_not != GEXPR_NONE)
        whole = grammar_except(b, whole, looks.must_not);
    return whole;
}

int grammar_from_regex(struct grammar **out, const char *pattern, size_t n,
                       struct err *err)
{
    struct grammar_builder *b;
    *out = NULL;
    int rc = grammar_builder_new(&b, err);
    if (rc != 0)
        return rc;
    uint32_t root = grammar_rule(b, "regex");
    grammar_define(b, root, regex_expr(b, pattern, n, false, CHAR_UTF8));
    rc = grammar_finish(b, root, out, err);
    grammar_builder_free(b);
    return rc;
}
