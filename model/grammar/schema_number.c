/* schema_number.c -- numbers as the digits that spell them.
 *
 * A bound is compared digit by digit.  Where there is one, a number has at most
 * 15 digits and no exponent: so many decimal digits survive the way through a
 * double and keep their order, so whoever reads them as doubles agrees with the
 * comparison made here.  Whole numbers have at most 16. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/grammar/expr.h"
#include "model/grammar/schema_private.h"

#define MAX_WHOLE 9999999999999999LL /* 16 digits */
#define MAX_MULTIPLE 4096

static gexpr digits(struct grammar_builder *b, char lo, char hi)
{
    return lo > hi ? grammar_never(b)
                   : grammar_range(b, (uint8_t)lo, (uint8_t)hi);
}

static gexpr any_digits(struct grammar_builder *b, uint32_t min, uint32_t max)
{
    return grammar_repeat(b, digits(b, '0', '9'), min, max);
}

/* --- whole numbers
 * ------------------------------------------------------------ */

enum side { AT_LEAST, AT_MOST };

/* As many digits as `s` has, not below it or not above it. */
static gexpr on_side(struct grammar_builder *b, const char *s, enum side side)
{
    gexpr x = grammar_empty(b);
    for (size_t i = strlen(s), free = 0; i-- > 0; free++) {
        gexpr beyond = side == AT_LEAST ? digits(b, (char)(s[i] + 1), '9')
                                        : digits(b, '0', (char)(s[i] - 1));
        x = grammar_alt2(
            b, grammar_seq2(b, digits(b, s[i], s[i]), x),
            grammar_seq2(b, beyond,
                         any_digits(b, (uint32_t)free, (uint32_t)free)));
    }
    return x;
}

/* 0 <= lo <= hi, at most 18 digits. */
static gexpr whole_between(struct grammar_builder *b, long long lo,
                           long long hi)
{
    gexpr ways[24];
    size_t n = 0;
    long long from = 0, to = 9;
    for (int length = 1; length <= 18; length++) {
        long long x = lo > from ? lo : from, y = hi < to ? hi : to;
        char low[24], high[24];
        snprintf(low, sizeof low, "%lld", x);
        snprintf(high, sizeof high, "%lld", y);
        if (x <= y)
            ways[n++] = grammar_both(b, on_side(b, low, AT_LEAST),
                                     on_side(b, high, AT_MOST));
        from = to + 1;
        to = length < 18 ? to * 10 + 9 : to;
    }
    return grammar_alt(b, ways, n);
}

/* Any sign. */
static gexpr whole_range(struct grammar_builder *b, long long lo, long long hi)
{
    gexpr ways[2];
    size_t n = 0;
    if (hi >= 0 && lo <= hi)
        ways[n++] = whole_between(b, lo > 0 ? lo : 0, hi);
    if (lo < 0 && lo <= hi)
        ways[n++] = grammar_seq2(b, grammar_text(b, "-"),
                                 whole_between(b, hi < 0 ? -hi : 0, -lo));
    return grammar_alt(b, ways, n);
}

/* Decimal digits whose value is a multiple of m; after an optional sign. */
static gexpr multiples(struct grammar_builder *b, long m)
{
    struct dfa d = {0};
    struct budget *budget = &b->budget;
    /* 0: before all; 1: after the sign; 2: a lone zero; 3 + r: rest r. */
    for (long state = 0; state < 3 + m && budget->rc == 0; state++) {
        dfa_add_state(&d, state == 2 || state == 3, budget);
        if (state == 2)
            continue;
        if (state == 0)
            dfa_add_range(&d, '-', '-', 1, budget);
        if (state == 0)
            dfa_add_range(&d, '0', '0', 2, budget);
        for (int digit = state < 3; digit < 10; digit++) {
            long rest = ((state < 3 ? 0 : state - 3) * 10 + digit) % m;
            dfa_add_range(&d, (uint8_t)('0' + digit), (uint8_t)('0' + digit),
                          (uint32_t)(3 + rest), budget);
        }
    }
    return grammar_of_dfa(b, d);
}

static bool exact(const json_t *node, const char *key, long long *out)
{
    const json_t *v = json_object_get(node, key);
    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}

/* A bound beyond what is written anyway is that. */
static long long clamp(double x)
{
    if (x >= 1e18)
        return 999999999999999999LL;
    return x <= -1e18 ? -999999999999999999LL : (long long)x;
}

/* The whole numbers within the node's range; false when there are none.  What
 * is given as an integer is taken exactly, beyond the 53 bits of a double. */
static bool whole_bounds(struct schema *s, const json_t *node, long long *lo,
                         long long *hi)
{
    struct schema_range r = schema_range_of(node);
    long long x;
    *lo = clamp(ceil(r.lo));
    *hi = clamp(floor(r.hi));
    if (exact(node, r.above_lo ? "exclusiveMinimum" : "minimum", &x) &&
        llabs(x) < 1000000000000000000LL)
        *lo = x;
    if (exact(node, r.below_hi ? "exclusiveMaximum" : "maximum", &x) &&
        llabs(x) < 1000000000000000000LL)
        *hi = x;
    if (r.above_lo && r.lo == floor(r.lo))
        ++*lo;
    if (r.below_hi && r.hi == floor(r.hi))
        --*hi;
    if (r.lo >= 1e18 || r.hi <= -1e18)
        schema_refuse(s, ERR_LIMIT, r.lo >= 1e18 ? "minimum" : "maximum",
                      "leaves only numbers of more than 18 digits");
    if (*hi > MAX_WHOLE && *lo < MAX_WHOLE)
        *hi = MAX_WHOLE;
    if (*lo<-MAX_WHOLE && * hi> - MAX_WHOLE)
        *lo = -MAX_WHOLE;
    return *lo <= *hi;
}

static gexpr whole_number(struct schema *s, const json_t *node)
{
    struct grammar_builder *b = s->b;
    const json_t *multiple = json_object_get(node, "multipleOf");
    double m = json_number_value(multiple);
    if (multiple != NULL && (m < 1 || m != floor(m) || m > MAX_MULTIPLE))
        schema_refuse(s, ERR_UNSUPPORTED, "multipleOf",
                      "is not an integer from 1 to %d", MAX_MULTIPLE);
    long long lo, hi;
    if (schema_failed(s) || !whole_bounds(s, node, &lo, &hi))
        return schema_failed(s) ? GEXPR_NONE : grammar_never(b);
    gexpr range = whole_range(b, lo, hi);
    if (multiple == NULL || m == 1)
        return range;
    return grammar_both(b, range, multiples(b, (long)m));
}

/* --- numbers with fractions
 * --------------------------------------------------- */

/* A bound without its sign, cut into decimal digits. */
struct decimal {
    long long whole;
    char fraction[40]; /* no trailing zeros */
    bool beyond;       /* more than 15 digits before the point */
};

static struct decimal decimal_of(double x)
{
    struct decimal d = {0};
    if (x >= 1e15) {
        d.beyond = true;
        return d;
    }
    /* The shortest digits that are this double, but never an exponent. */
    char text[64];
    for (int places = 0; places <= 17; places++) {
        snprintf(text, sizeof text, "%.*f", places, x);
        if (strtod(text, NULL) == x)
            break;
    }
    char *point = strchr(text, '.');
    d.whole = strtoll(text, NULL, 10);
    if (point != NULL)
        snprintf(d.fraction, sizeof d.fraction, "%.30s", point + 1);
    for (size_t n = strlen(d.fraction); n > 0 && d.fraction[n - 1] == '0'; n--)
        d.fraction[n - 1] = '\0';
    return d;
}

/* Digits after the point (none, too) that are not below `f`; `above`: above. */
static gexpr fraction_from(struct grammar_builder *b, const char *f, bool above)
{
    gexpr rest = any_digits(b, 0, GRAMMAR_NO_MAX);
    gexpr zeros = grammar_repeat(b, digits(b, '0', '0'), 0, GRAMMAR_NO_MAX);
    gexpr x = above ? grammar_seq3(b, zeros, digits(b, '1', '9'), rest) : rest;
    for (size_t i = strlen(f); i-- > 0;)
        x = grammar_alt2(
            b, grammar_seq2(b, digits(b, f[i], f[i]), x),
            grammar_seq2(b, digits(b, (char)(f[i] + 1), '9'), rest));
    return x;
}

/* ... that are not above `f`; `below`: below. */
static gexpr fraction_to(struct grammar_builder *b, const char *f, bool below)
{
    gexpr rest = any_digits(b, 0, GRAMMAR_NO_MAX);
    gexpr zeros = grammar_repeat(b, digits(b, '0', '0'), 0, GRAMMAR_NO_MAX);
    gexpr x = below ? grammar_never(b) : zeros;
    for (size_t i = strlen(f); i-- > 0;) {
        gexpr ways[] = {
            grammar_empty(b), grammar_seq2(b, digits(b, f[i], f[i]), x),
            grammar_seq2(b, digits(b, '0', (char)(f[i] - 1)), rest)};
        x = grammar_alt(b, ways, 3);
    }
    return x;
}

/* "", or a point and digits, given which digits may stand there. */
static gexpr pointed(struct grammar_builder *b, gexpr fraction)
{
    fraction = grammar_whole(b, fraction);
    bool none = grammar_matches(b, fraction, "", 0);
    gexpr some = grammar_seq2(
        b, grammar_text(b, "."),
        grammar_both(b, fraction, any_digits(b, 1, GRAMMAR_NO_MAX)));
    return none ? grammar_optional(b, some) : some;
}

static gexpr spelt(struct grammar_builder *b, long long x)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", x);
    return grammar_text(b, text);
}

/* 0 <= lo <= hi, or hi is infinite. */
static gexpr fraction_between(struct grammar_builder *b, struct schema_range r)
{
    struct decimal lo = decimal_of(r.lo), hi = decimal_of(r.hi);
    gexpr any = any_digits(b, 0, GRAMMAR_NO_MAX), ways[3];
    size_t n = 0;
    if (!hi.beyond && lo.whole == hi.whole)
        return grammar_seq2(
            b, spelt(b, lo.whole),
            pointed(b,
                    grammar_both(b, fraction_from(b, lo.fraction, r.above_lo),
                                 fraction_to(b, hi.fraction, r.below_hi))));
    ways[n++] =
        grammar_seq2(b, spelt(b, lo.whole),
                     pointed(b, fraction_from(b, lo.fraction, r.above_lo)));
    long long last = hi.beyond ? 999999999999999LL : hi.whole - 1;
    if (lo.whole + 1 <= last)
        ways[n++] = grammar_seq2(b, whole_between(b, lo.whole + 1, last),
                                 pointed(b, any));
    if (!hi.beyond)
        ways[n++] =
            grammar_seq2(b, spelt(b, hi.whole),
                         pointed(b, fraction_to(b, hi.fraction, r.below_hi)));
    return grammar_alt(b, ways, n);
}

/* At most 15 digits with a point among them or none, after a sign. */
static gexpr short_numbers(struct grammar_builder *b)
{
    gexpr ways[16];
    for (uint32_t i = 1; i < 15; i++)
        ways[i - 1] = grammar_seq3(b, any_digits(b, i, i), grammar_text(b, "."),
                                   any_digits(b, 1, 15 - i));
    ways[14] = any_digits(b, 1, 15);
    return grammar_seq2(b, grammar_optional(b, grammar_text(b, "-")),
                        grammar_alt(b, ways, 15));
}

static gexpr bounded_number(struct schema *s, const json_t *node)
{
    struct grammar_builder *b = s->b;
    struct schema_range r = schema_range_of(node);
    gexpr ways[2];
    size_t n = 0;
    if (r.lo >= 1e15 || r.hi <= -1e15)
        schema_refuse(s, ERR_LIMIT, r.lo >= 1e15 ? "minimum" : "maximum",
                      "leaves only numbers of more than 15 digits");
    if (r.lo > r.hi || (r.lo == r.hi && (r.above_lo || r.below_hi)))
        return grammar_never(b);
    /* Nearer to zero than can be written here is zero, from one side. */
    if (r.lo != 0 && fabs(r.lo) < 1e-14) {
        r.above_lo = r.lo > 0;
        r.lo = 0;
    }
    if (r.hi != 0 && fabs(r.hi) < 1e-14) {
        r.below_hi = r.hi < 0;
        r.hi = 0;
    }
    if (r.hi > 0 || (r.hi == 0 && !r.below_hi)) {
        struct schema_range up = r;
        if (up.lo < 0)
            up.above_lo = false;
        up.lo = up.lo < 0 ? 0 : up.lo;
        ways[n++] = fraction_between(b, up);
    }
    if (r.lo < 0) {
        struct schema_range down = {-r.hi, -r.lo, r.below_hi, r.above_lo};
        if (down.lo < 0)
            down.above_lo = false;
        down.lo = down.lo < 0 ? 0 : down.lo;
        ways[n++] =
            grammar_seq2(b, grammar_text(b, "-"), fraction_between(b, down));
    }
    return grammar_both(b, grammar_alt(b, ways, n), short_numbers(b));
}

/* --- both
 * ------------------------------------------------------------------------ */

static gexpr free_whole(struct grammar_builder *b)
{
    return grammar_seq2(b, grammar_optional(b, grammar_text(b, "-")),
                        grammar_alt2(b, grammar_text(b, "0"),
                                     grammar_seq2(b, digits(b, '1', '9'),
                                                  any_digits(b, 0, 15))));
}

static gexpr free_number(struct grammar_builder *b)
{
    uint64_t e[4] = {0}, sign[4] = {0};
    e['e' / 64] |= 1ull << ('e' % 64);
    e['E' / 64] |= 1ull << ('E' % 64);
    sign['+' / 64] |= 1ull << ('+' % 64);
    sign['-' / 64] |= 1ull << ('-' % 64);
    gexpr exponent = grammar_seq3(b, grammar_set(b, e),
                                  grammar_optional(b, grammar_set(b, sign)),
                                  any_digits(b, 1, 2));
    return grammar_seq3(
        b, free_whole(b),
        grammar_optional(
            b, grammar_seq2(b, grammar_text(b, "."), any_digits(b, 1, 16))),
        grammar_optional(b, exponent));
}

gexpr schema_number(struct schema *s, const json_t *node, bool integer)
{
    struct grammar_builder *b = s->b;
    struct schema_range r = schema_range_of(node);
    if (integer || json_object_get(node, "multipleOf") != NULL) {
        if (json_object_get(node, "multipleOf") != NULL || isfinite(r.lo) ||
            isfinite(r.hi))
            return whole_number(s, node);
    } else if (isfinite(r.lo) || isfinite(r.hi)) {
        return bounded_number(s, node);
    }
    uint32_t *rule = integer ? &s->integer : &s->number;
    if (*rule == GRAMMAR_NO_RULE) {
        *rule = grammar_rule(b, integer ? "integer" : "number");
        grammar_keep(b, *rule);
        grammar_define(b, *rule, integer ? free_whole(b) : free_number(b));
    }
    return grammar_call(b, *rule);
}
