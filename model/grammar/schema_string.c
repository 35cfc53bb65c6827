/* schema_string.c -- strings: length, pattern, format. */
#include <string.h>

#include "model/grammar/expr.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema_private.h"

/* Characters of a block, where a length is large, and at its end. */
#define BLOCK 512u
#define SMALL_BLOCK 32u

#define YEAR "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP_YEAR                                                              \
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])" \
    "00)"
#define DATE                                                                   \
    "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]" \
    "|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP_YEAR "-02-29)"
#define TIME                                                           \
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](" \
    "[01][0-9]|2[0-3]):[0-5][0-9])"
#define BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 BYTE "(\\." BYTE "){3}"
#define H16 "[0-9a-fA-F]{1,4}"
#define LABEL "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
/* Two labels at least where a host is part of something longer. */
#define HOST LABEL "(\\." LABEL "){0,7}"
#define SUBDELIM "!$&'()*+,;="
#define PCT "%[0-9a-fA-F]{2}"
#define PCHAR "([a-zA-Z0-9._~:@" SUBDELIM "-]|" PCT ")"

static const struct {
    const char *name, *pattern; /* NULL: it says nothing of the text */
} formats[] = {
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "T" TIME},
    {"duration",
     "P([0-9]{1,9}W|([0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?|[0-9]{1,9}M("
     "[0-9]{1,9}D)?|[0-9]{1,9}D)(T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|"
     "[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S))?|T([0-9]{1,9}H([0-9]{1,9}M("
     "[0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}S))"},
    {"uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
    {"email", "[a-zA-Z0-9_+-]{1,32}(\\.[a-zA-Z0-9_+-]{1,31}){0,1}@"
              "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?(\\."
              "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?){1,4}"},
    {"hostname", HOST},
    {"ipv4", IPV4},
    {"ipv6", "((" H16 ":){7}" H16 "|(" H16 ":){1,7}:|(" H16 ":){1,6}:" H16
             "|(" H16 ":){1,5}(:" H16 "){1,2}|(" H16 ":){1,4}(:" H16
             "){1,3}|(" H16 ":){1,3}(:" H16 "){1,4}|(" H16 ":){1,2}(:" H16
             "){1,5}|" H16 ":(:" H16 "){1,6}|:((:" H16 "){1,7}|:))"},
    {"uri", "[a-zA-Z][a-zA-Z0-9+.-]{0,31}:(//([a-zA-Z0-9._~" SUBDELIM "-]|" PCT
            ")+(:[0-9]{1,5})?(/" PCHAR "*)*|/?" PCHAR "+(/" PCHAR
            "*)*)(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"},
    {"int32", NULL},
    {"int64", NULL},
    {"uint32", NULL},
    {"uint64", NULL},
    {"float", NULL},
    {"double", NULL},
    {"password", NULL},
    {"binary", NULL},
};

static gexpr narrow(struct schema *s, gexpr sum, gexpr x)
{
    return sum == GEXPR_NONE ? x : grammar_both(s->b, sum, x);
}

static gexpr add_format(struct schema *s, gexpr sum, const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) != 0)
            continue;
        const char *p = formats[i].pattern;
        if (p == NULL)
            return sum;
        return narrow(s, sum, regex_expr(s->b, p, strlen(p), false, s->form));
    }
    schema_refuse(s, ERR_UNSUPPORTED, "format",
                  "is none of date, time, date-time, duration, uuid, email, "
                  "hostname, ipv4, ipv6 and uri");
    return GEXPR_NONE;
}

static gexpr add_pattern(struct schema *s, gexpr sum, const json_t *pattern)
{
    if (schema_failed(s))
        return GEXPR_NONE;
    gexpr x = regex_expr(s->b, json_string_value(pattern),
                         json_string_length(pattern), true, s->form);
    struct err *err = grammar_failure(s->b);
    if (err != NULL)
        err_wrap(err, "the schema's pattern at #%s", s->path);
    return narrow(s, sum, x);
}

gexpr schema_string_inside(struct schema *s, const json_t *node, bool lengths)
{
    gexpr sum = GEXPR_NONE;
    const json_t *pattern = json_object_get(node, "pattern");
    const json_t *format = json_object_get(node, "format");
    if (json_is_string(pattern))
        sum = add_pattern(s, sum, pattern);
    for (size_t i = 0; i < json_array_size(pattern); i++)
        sum = add_pattern(s, sum, json_array_get(pattern, i));
    if (json_is_string(format))
        sum = add_format(s, sum, json_string_value(format));
    for (size_t i = 0; i < json_array_size(format); i++)
        sum = add_format(s, sum, json_string_value(json_array_get(format, i)));
    uint32_t min = schema_count(s, node, "minLength", 0);
    uint32_t max = schema_count(s, node, "maxLength", GRAMMAR_NO_MAX);
    if (!lengths || schema_failed(s) || (min == 0 && max == GRAMMAR_NO_MAX))
        return sum;
    if (max < min)
        return grammar_whole(s->b, grammar_never(s->b));
    if (min > GRAMMAR_MAX_REPEAT)
        schema_refuse(s, ERR_LIMIT, "minLength", "is more than the %u allowed",
                      GRAMMAR_MAX_REPEAT);
    if (max > GRAMMAR_MAX_REPEAT && max != GRAMMAR_NO_MAX)
        schema_refuse(s, ERR_LIMIT, "maxLength", "is more than the %u allowed",
                      GRAMMAR_MAX_REPEAT);
    gexpr length = grammar_repeat(s->b, charset_any(s->b, s->form), min, max);
    return narrow(s, sum, length);
}

static gexpr chars(struct schema *s, uint32_t min, uint32_t max)
{
    return grammar_repeat(s->b, charset_any(s->b, s->form), min, max);
}

/* min..max characters as a rule that all strings of the schema share. */
static gexpr shared_chars(struct schema *s, uint32_t min, uint32_t max)
{
    struct schema_length *l = s->lengths;
    uint32_t n = s->n_lengths;
    for (uint32_t i = 0; i < n; i++)
        if (l[i].min == min && l[i].max == max && l[i].form == s->form)
            return grammar_call(s->b, l[i].rule);
    if (n == SCHEMA_MAX_LENGTHS || schema_failed(s))
        return chars(s, min, max);
    uint32_t rule = grammar_rule(s->b, "characters");
    grammar_keep(s->b, rule);
    grammar_define(s->b, rule, chars(s, min, max));
    l[s->n_lengths++] = (struct schema_length){min, max, rule, s->form};
    return grammar_call(s->b, rule);
}

/* At most n characters, by blocks, since a state or ten for each would be too
 * much: some whole blocks and a part of one,
 *
 *     part{0,B-1} | block{1,k-1} part{0,B-1} | block{k} part{0,q}
 *
 * with n = k B + q; the last part again by smaller blocks. */
static gexpr at_most(struct schema *s, uint32_t n, uint32_t block)
{
    struct grammar_builder *b = s->b;
    uint32_t k = n / block, q = n % block;
    if (k == 0)
        return block > SMALL_BLOCK ? at_most(s, n, SMALL_BLOCK)
                                   : chars(s, 0, n);
    gexpr rest =
        block > SMALL_BLOCK ? at_most(s, q, SMALL_BLOCK) : chars(s, 0, q);
    gexpr whole = shared_chars(s, block, block);
    gexpr part = shared_chars(s, 0, block - 1);
    gexpr ways[] = {
        part, grammar_seq2(b, grammar_repeat(b, whole, k, k), rest),
        k == 1 ? grammar_never(b)
               : grammar_seq2(b, grammar_repeat(b, whole, 1, k - 1), part)};
    return grammar_alt(b, ways, 3);
}

static gexpr exactly(struct schema *s, uint32_t n)
{
    struct grammar_builder *b = s->b;
    if (n <= BLOCK)
        return chars(s, n, n);
    return grammar_seq2(
        b,
        grammar_repeat(b, shared_chars(s, BLOCK, BLOCK), n / BLOCK, n / BLOCK),
        chars(s, n % BLOCK, n % BLOCK));
}

/* Nothing but lengths: these need not be spelt out state by state. */
static gexpr of_length(struct schema *s, uint32_t min, uint32_t max)
{
    struct grammar_builder *b = s->b;
    gexpr quote = schema_quote(s);
    if (min > GRAMMAR_MAX_REPEAT ||
        (max > GRAMMAR_MAX_REPEAT && max != GRAMMAR_NO_MAX))
        schema_refuse(s, ERR_LIMIT,
                      min > GRAMMAR_MAX_REPEAT ? "minLength" : "maxLength",
                      "is more than the %u allowed", GRAMMAR_MAX_REPEAT);
    if (schema_failed(s))
        return GEXPR_NONE;
    if (max < min)
        return grammar_never(b);
    if (max == GRAMMAR_NO_MAX)
        return grammar_seq3(b, quote, exactly(s, min), schema_string_tail(s));
    if (max <= BLOCK)
        return grammar_seq3(b, quote, shared_chars(s, min, max), quote);
    gexpr parts[] = {quote, exactly(s, min), at_most(s, max - min, BLOCK),
                     quote};
    return grammar_seq(b, parts, 4);
}

static gexpr quoted(struct schema *s, const json_t *node)
{
    struct grammar_builder *b = s->b;
    gexpr quote = schema_quote(s);
    uint32_t min = schema_count(s, node, "minLength", 0);
    uint32_t max = schema_count(s, node, "maxLength", GRAMMAR_NO_MAX);
    if (json_object_get(node, "pattern") || json_object_get(node, "format")) {
        gexpr inside = schema_string_inside(s, node, true);
        if (inside != GEXPR_NONE)
            return grammar_seq3(b, quote, inside, quote);
    }
    if (min == 0 && max == GRAMMAR_NO_MAX)
        return grammar_seq2(b, quote, schema_string_tail(s));
    return of_length(s, min, max);
}

gexpr schema_string(struct schema *s, const json_t *node)
{
    return schema_either_quote(s, quoted, node);
}
