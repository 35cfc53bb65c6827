/* schema_spell.c -- how what has no parts is written: strings, constants, the
 * values of an enum.
 *
 * A Python literal says all that JSON says, and the models write both: either
 * quote, True or true.  Some have learned name='it's here', but a quote that is
 * not escaped ends its string here: else one that wants to end a call too
 * early, and may not, slips back into the string and goes on without end.
 */
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/grammar/expr.h"
#include "model/grammar/schema_private.h"

gexpr schema_quote(struct schema *s)
{
    return grammar_text(s->b, s->form == CHAR_SINGLE ? "'" : "\"");
}

gexpr schema_either_quote(struct schema *s, schema_part_fn *part,
                          const json_t *node)
{
    gexpr x = part(s, node);
    if (!s->python || schema_failed(s))
        return x;
    s->form = CHAR_SINGLE;
    gexpr y = part(s, node);
    s->form = CHAR_DOUBLE;
    return grammar_alt2(s->b, x, y);
}

/* --- strings
 * ------------------------------------------------------------------- */

static gexpr hex_digits(struct grammar_builder *b, uint32_t n)
{
    gexpr hex = grammar_alt(b,
                            (gexpr[]){grammar_range(b, '0', '9'),
                                      grammar_range(b, 'a', 'f'),
                                      grammar_range(b, 'A', 'F')},
                            3);
    return grammar_repeat(b, hex, n, n);
}

static gexpr one_of(struct grammar_builder *b, const char *bytes)
{
    uint64_t bits[4] = {0};
    for (const char *c = bytes; *c; c++)
        bits[*c / 64] |= (uint64_t)1 << (*c % 64);
    return grammar_set(b, bits);
}

/* After \u: a character's number, or both halves of a pair. */
static gexpr unicode_escape(struct schema *s)
{
    struct grammar_builder *b = s->b;
    gexpr d = one_of(b, "dD");
    gexpr pair[] = {
        d, one_of(b, "89abAB"),   hex_digits(b, 2), grammar_text(b, "\\u"),
        d, one_of(b, "cdefCDEF"), hex_digits(b, 2)};
    gexpr below =
        grammar_seq2(b, one_of(b, "123456789abcefABCEF"), hex_digits(b, 3));
    gexpr zero = hex_digits(b, 3);
    if (s->form != CHAR_JSON)
        zero = grammar_except(b, zero, grammar_text(b, "000"));
    gexpr ways[] = {below, grammar_seq2(b, grammar_text(b, "0"), zero),
                    grammar_seq3(b, d, one_of(b, "01234567"), hex_digits(b, 2)),
                    grammar_seq(b, pair, 7)};
    return grammar_alt(b, ways, 4);
}

/* Any character of a string, every escape of JSON that names one; in a call
 * also a raw newline, which models write there. */
static gexpr string_char(struct schema *s)
{
    struct grammar_builder *b = s->b;
    const uint32_t quote = s->form == CHAR_SINGLE ? '\'' : '"';
    struct charset plain = {0};
    charset_add(b, &plain, 0x20, quote - 1);
    charset_add(b, &plain, quote + 1, 0x5B);
    charset_add(b, &plain, 0x5D, CHAR_MAX_VALUE);
    if (s->python)
        charset_add(b, &plain, '\n', '\n');
    gexpr raw = charset_expr(b, &plain, CHAR_UTF8);
    charset_deinit(b, &plain);
    gexpr escape =
        grammar_alt2(b, one_of(b, s->python ? "\"'\\bfnrt" : "\"\\/bfnrt"),
                     grammar_seq2(b, grammar_text(b, "u"), unicode_escape(s)));
    return grammar_alt2(b, raw, grammar_seq2(b, grammar_text(b, "\\"), escape));
}

static gexpr make_string_tail(struct schema *s)
{
    gexpr inside = grammar_repeat(s->b, string_char(s), 0, GRAMMAR_NO_MAX);
    return grammar_seq2(s->b, inside, schema_quote(s));
}

gexpr schema_string_tail(struct schema *s)
{
    bool single = s->form == CHAR_SINGLE;
    return schema_once(s, single ? &s->single : &s->string, "string",
                       make_string_tail);
}

/* --- constants
 * ----------------------------------------------------------------- */

gexpr schema_constants(struct schema *s, unsigned types)
{
    static const struct {
        unsigned type;
        const char *json, *python;
    } rows[] = {{TYPE_BOOLEAN, "true", "True"},
                {TYPE_BOOLEAN, "false", "False"},
                {TYPE_NULL, "null", "None"}};
    gexpr ways[6];
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!(types & rows[i].type))
            continue;
        ways[n++] = grammar_text(s->b, rows[i].json);
        if (s->python)
            ways[n++] = grammar_text(s->b, rows[i].python);
    }
    return grammar_alt(s->b, ways, n);
}

/* --- values
 * -------------------------------------------------------------------- */

static void write_quoted(struct buf *out, const char *text, size_t n,
                         char quote)
{
    struct buf json = {0};
    json_quote(&json, text, n);
    const char *p = buf_str(&json);
    buf_putc(out, quote);
    for (size_t i = 1; i + 1 < json.len; i++) {
        if (p[i] == '\\' && p[i + 1] == '"' && quote == '\'')
            continue;
        if (p[i] == '\'' && quote == '\'')
            buf_putc(out, '\\');
        buf_putc(out, p[i]);
        if (p[i] == '\\')
            buf_putc(out, p[++i]);
    }
    buf_putc(out, quote);
    out->failed |= !buf_ok(&json);
    buf_deinit(&json);
}

/* As Python prints it, save for its choice of quotes.  Recursion is bounded by
 * the depth of JSON that is parsed. */
static void write_python(struct buf *out, const json_t *v, char quote)
{
    const char *key, *between = "";
    json_t *item;
    size_t i;
    if (json_is_string(v)) {
        write_quoted(out, json_string_value(v), json_string_length(v), quote);
    } else if (json_is_array(v)) {
        buf_putc(out, '[');
        json_array_foreach(v, i, item)
        {
            buf_puts(out, i > 0 ? ", " : "");
            write_python(out, item, quote);
        }
        buf_putc(out, ']');
    } else if (json_is_object(v)) {
        buf_putc(out, '{');
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            buf_puts(out, between);
            write_quoted(out, key, strlen(key), quote);
            buf_puts(out, ": ");
            write_python(out, item, quote);
            between = ", ";
        }
        buf_putc(out, '}');
    } else if (json_is_number(v)) {
        json_write(out, v, true);
    } else {
        buf_puts(out, json_is_null(v)   ? "None"
                      : json_is_true(v) ? "True"
                                        : "False");
    }
}

static gexpr spell_value(struct schema *s, const json_t *v)
{
    gexpr ways[3];
    size_t n = 0;
    for (unsigned i = 0; i < (s->python ? 3u : 1u); i++) {
        struct buf text = {0};
        if (i == 0)
            json_write(&text, v, !s->compact);
        else
            write_python(&text, v, i == 1 ? '"' : '\'');
        if (!buf_ok(&text))
            grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
        ways[n++] = grammar_bytes_of(s->b, buf_str(&text), text.len);
        buf_deinit(&text);
    }
    return schema_failed(s) ? GEXPR_NONE : grammar_alt(s->b, ways, n);
}

gexpr schema_spell_values(struct schema *s, const json_t *values)
{
    gexpr *ways = mem_alloc(json_array_size(values) * sizeof *ways);
    size_t n = 0;
    if (ways == NULL)
        grammar_fail(s->b, ERR_NOMEM, "out of memory for an enum");
    for (; n < json_array_size(values) && !schema_failed(s); n++)
        ways[n] = spell_value(s, json_array_get(values, n));
    gexpr x = schema_failed(s) ? GEXPR_NONE : grammar_alt(s->b, ways, n);
    mem_free(ways);
    return x;
}
