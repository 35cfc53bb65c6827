/* test_hostile.c -- whatever is asked for is compiled or refused in time.
 *
 * Reliability E9: the known killers by name, then 10,000 random ones put
 * together of the words of each language.  What compiles is followed for some
 * bytes, and its masks are checked. */
#include <time.h>

#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/json.h"
#include "model/grammar/gbnf.h"
#include "model/grammar/regex.h"
#include "model/grammar/schema.h"
#include "tests/lib/grammar_rig.h"

/* CPU time of one compilation; sanitizers and a busy machine make it longer
 * than the 200 ms it is meant to be. */
#define MAX_MS 2000.0

static uint32_t seed = 1;
static double worst_ms;

static uint32_t chance(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

enum language { SCHEMA, REGEX, GBNF };

static int compile(enum language l, const char *text, size_t n,
                   struct grammar **g, struct err *err)
{
    json_t *schema;
    *g = NULL;
    if (l == REGEX)
        return grammar_from_regex(g, text, n, err);
    if (l == GBNF)
        return grammar_from_gbnf(g, text, n, err);
    int rc = json_parse(&schema, text, n, 64, 200000, err);
    if (rc != 0)
        return rc;
    rc = grammar_from_schema(g, schema, NULL, err);
    json_decref(schema);
    return rc;
}

/* Compiled (1) or refused (0), in time, and nothing is left behind. */
static int meet(enum language l, const char *text, size_t n)
{
    struct grammar *g;
    struct err err = {0};
    size_t live = mem_live_count();
    clock_t from = clock();
    int rc = compile(l, text, n, &g, &err);
    double ms = (double)(clock() - from) * 1e3 / CLOCKS_PER_SEC;
    if (ms > worst_ms)
        worst_ms = ms;
    if (ms > MAX_MS)
        fail_msg("%.0f ms for %.300s", ms, text);
    if (rc == 0) {
        struct matcher *m;
        assert_in_range(grammar_n_states(g), 1, GRAMMAR_MAX_STATES);
        assert_true(grammar_bytes(g) <= GRAMMAR_MAX_BYTES);
        assert_int_equal(matcher_new(&m, g, 1, NULL), 0);
        for (unsigned i = 0; i < 30; i++) {
            char byte = "\"{}[]:,a1"[chance(9)];
            if (chance(2))
                byte = (char)chance(128);
            char forced[8];
            size_t n_forced = matcher_forced(m, forced, sizeof forced);
            if (n_forced > 0)
                assert_true(matcher_accept(m, forced, n_forced));
            else
                matcher_accept(m, &byte, 1);
        }
        matcher_free(m);
    } else if (err.class_ != ERR_INVALID && err.class_ != ERR_UNSUPPORTED &&
               err.class_ != ERR_LIMIT) {
        fail_msg("class %d: %s: %.300s", err.class_, err.text, text);
    }
    grammar_unref(g);
    assert_int_equal(mem_live_count(), live);
    return rc == 0;
}

static int meet_text(enum language l, const char *text)
{
    return meet(l, text, strlen(text));
}

static void repeat(struct buf *b, const char *s, unsigned times)
{
    while (times-- > 0)
        buf_puts(b, s);
}

/* head, then `piece` with its number n times, then tail. */
static int meet_many(enum language l, const char *head, const char *piece,
                     unsigned n, const char *separator, const char *tail)
{
    struct buf b = {0};
    buf_puts(&b, head);
    for (unsigned i = 0; i < n; i++) {
        char text[256];
        const char *hash = strchr(piece, '@');
        int at = hash ? (int)(hash - piece) : (int)strlen(piece);
        snprintf(text, sizeof text, "%s%.*s", i ? separator : "", at, piece);
        buf_puts(&b, text);
        for (const char *p = piece + at; *p; p++) {
            if (*p == '@')
                buf_printf(&b, "%u", i);
            else if (*p == '!')
                buf_printf(&b, "%u", i + 1);
            else
                buf_putc(&b, *p);
        }
    }
    buf_puts(&b, tail);
    int rc = meet(l, buf_str(&b), b.len);
    buf_deinit(&b);
    return rc;
}

TEST(long_chains_and_explosions_of_schemas_are_met)
{
    UNUSED_STATE;
    meet_many(SCHEMA, "{\"$ref\":\"#/$defs/0\",\"$defs\":{",
              "\"@\":{\"$ref\":\"#/$defs/!\"}", 8000, ",", "}}");
    meet_many(SCHEMA, "{\"$ref\":\"#/$defs/0\",\"$defs\":{",
              "\"@\":{\"items\":{\"$ref\":\"#/$defs/!\"}}", 5000, ",",
              ",\"5000\":{\"type\":\"null\"}}}");
    meet_many(SCHEMA, "{\"enum\":[", "\"@ value\"", 18000, ",", "]}");
    meet_many(SCHEMA, "{\"enum\":[", "@", 30000, ",", "]}");
    meet_many(SCHEMA, "{\"type\":\"object\",\"properties\":{",
              "\"p@\":{\"type\":\"string\"}", 8000, ",", "}}");
    meet_many(SCHEMA,
              "{\"type\":\"object\",\"additionalProperties\":true,"
              "\"properties\":{",
              "\"p@\":{}", 10000, ",", "}}");
    meet_many(SCHEMA, "{\"allOf\":[",
              "{\"anyOf\":[{\"type\":\"null\"},{"
              "\"minLength\":@},true]}",
              60, ",", "]}");
    meet_many(SCHEMA, "{\"oneOf\":[",
              "{\"pattern\":\"^a*@$\",\"type\":"
              "\"string\"}",
              300, ",", "]}");
    meet_many(SCHEMA, "{\"allOf\":[", "{\"pattern\":\".*a.{@}\"}", 40, ",",
              "]}");
    meet_many(SCHEMA, "{\"required\":[", "\"r@\"", 12000, ",", "]}");
    meet_many(SCHEMA, "{\"type\":\"object\",\"patternProperties\":{",
              "\"^@\":true", 40, ",", "}}");
}

TEST(hostile_schemas_are_met)
{
    UNUSED_STATE;
    static const char *const texts[] = {
        "{\"minItems\":2147483648}",
        "{\"minItems\":2000}",
        "{\"type\":\"array\",\"minItems\":100000,\"maxItems\":100000}",
        "{\"type\":\"string\",\"minLength\":100000}",
        "{\"type\":\"string\",\"maxLength\":99999,\"pattern\":\"^a\"}",
        "{\"type\":\"number\",\"maximum\":1e308}",
        "{\"type\":\"number\",\"minimum\":1e308}",
        "{\"type\":\"number\",\"exclusiveMinimum\":1e-308}",
        "{\"type\":\"number\",\"minimum\":0.30000000000000004}",
        "{\"type\":\"integer\",\"maximum\":9223372036854775807}",
        "{\"type\":\"integer\",\"minimum\":-9223372036854775807}",
        "{\"type\":\"integer\",\"minimum\":1.8e19}",
        "{\"properties\":{\"\xC3\xA9\xF0\x9F\x98\x80\\u0000x\":true},"
        "\"additionalProperties\":true}",
        "{\"$ref\":\"#\"}",
        "{\"allOf\":[{\"$ref\":\"#\"}]}",
        "{\"anyOf\":[{\"$ref\":\"#\"}]}",
        "{\"items\":{\"$ref\":\"#\"}}",
        "{\"$ref\":\"#/$defs/%\"}",
        "{\"$ref\":\"\"}",
        "{\"$ref\":\"#/\"}",
        "{\"enum\":[[[[[[1]]]]],{\"a\":{\"b\":[null]}}]}",
        "{\"type\":[]}",
        "{\"type\":{}}",
        "{\"pattern\":[]}",
        "{\"pattern\":[1]}",
        "{\"format\":[\"date\",\"time\"]}",
        "{\"const\":1e400}",
        "[]",
        "null",
        "3",
        "{\"propertyNames\":{\"enum\":[\"a\"]},\"additionalProperties\":true}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        meet_text(SCHEMA, texts[i]);
}

TEST(hostile_patterns_and_grammars_are_met)
{
    UNUSED_STATE;
    struct buf b = {0};
    static const char *const parens[] = {"(",   "[",  "a{", "(?:",   "\\",
                                         "(a|", ".*", "a?", "(a*)*", "\\p{L}"};
    for (size_t i = 0; i < sizeof parens / sizeof parens[0]; i++) {
        buf_clear(&b);
        repeat(&b, parens[i], 60000 / (unsigned)strlen(parens[i]));
        meet(REGEX, buf_str(&b), b.len);
        buf_clear(&b);
        buf_puts(&b, "root ::= ");
        repeat(&b, parens[i], 60000 / (unsigned)strlen(parens[i]));
        meet(GBNF, buf_str(&b), b.len);
    }
    buf_clear(&b);
    repeat(&b, "a", 1 << 20);
    assert_int_equal(meet(REGEX, buf_str(&b), b.len), 0);
    buf_deinit(&b);
    assert_int_equal(meet_text(REGEX, "(a|b)*a(a|b){25}"), 0);
    assert_int_equal(meet_text(REGEX, "(.{0,300}){0,300}"), 0);
    assert_int_equal(meet_text(REGEX, "((a?){1000}){30}"), 0);
    meet_text(REGEX, "(\\p{L}{1,50}\\p{N}{1,50}){1,50}");
    meet_many(GBNF, "root ::= r0\n", "r@ ::= \"a\" r! \"b\" | \"x\"", 8000,
              "\n", "\nr8000 ::= \"y\"\n");
    meet_many(GBNF, "root ::= r0\n", "r@ ::= r! r! | \"x\"", 60, "\n",
              "\nr60 ::= \"y\"\n");
    meet_many(GBNF, "root ::= r0\n", "r@ ::= r!? r! | \"x\" root", 60, "\n",
              "\nr60 ::= \"y\"?\n");
}

static const char *const words[3][48] = {
    {"{",
     "}",
     "[",
     "]",
     ",",
     ":",
     "\"type\":",
     "\"object\"",
     "\"string\"",
     "\"array\"",
     "\"integer\"",
     "\"properties\":{",
     "\"a\":",
     "\"b\":",
     "\"items\":",
     "\"anyOf\":[",
     "\"allOf\":[",
     "\"oneOf\":[",
     "\"$ref\":",
     "\"#\"",
     "\"#/$defs/a\"",
     "\"$defs\":{",
     "\"enum\":[",
     "\"const\":",
     "1",
     "-2.5",
     "\"pattern\":",
     "\"^a+$\"",
     "\"minLength\":",
     "3",
     "true",
     "false",
     "null",
     "\"required\":[\"a\"]",
     "\"additionalProperties\":",
     "\"maximum\":",
     "\"minimum\":",
     "\"maxItems\":2",
     "\"format\":\"date\"",
     "\"prefixItems\":[",
     "\"patternProperties\":{",
     "\"not\":",
     "\"x\"",
     "\"minProperties\":1",
     "\"propertyNames\":",
     "\"multipleOf\":",
     "{}",
     "\"number\""},
    {"a",       "b",     "(",        ")",   "|",     "*",    "+",       "?",
     "{2}",     "{1,3}", "{0,}",     "[",   "]",     "[^",   "a-z",     "-",
     "^",       "$",     ".",        "\\d", "\\W",   "\\s",  "\\u00e9", "\\x41",
     "\\p{Lu}", "\\.",   "\xC3\xA9", "(?:", "(?<n>", "{30}", "\\",      "0",
     " ",       "]",     ")",        "x",   "\\n",   "[a]",  "[^b]",    "(c)",
     "a|b",     "é",     "{",        "}",   "\\b",   "(?=",  "\\1",     "\xFF"},
    {"root",      " ::= ",
     "\n",        "\"a\"",
     "\"b\"",     "[a-z]",
     "[^x]",      "(",
     ")",         " | ",
     "*",         "+",
     "?",         "{2}",
     "{,3}",      "{1,}",
     " ",         "r1",
     "r2",        "r3",
     "\nr1 ::= ", "\nr2 ::= ",
     "\nr3 ::= ", "# c\n",
     ".",         "\"\\n\"",
     "\"\\x41\"", "[",
     "]",         "\"",
     "\\u00e9",   "é",
     "r1 r2",     "r3*",
     "(r1 | r2)", "\"\"",
     "-",         "root ::= r1\nr1 ::= r2\nr2 ::= r3\nr3 ::= \"z\"\n",
     "::=",       "|",
     "{",         "}",
     "a",         "<x>",
     "\"x\"",     "[0-9]+",
     "\t",        "\r\n"},
};

/* Half of the schemas are well formed, so that more than JSON is tried. */
static void grow_schema(struct buf *b, unsigned depth)
{
    static const char *const leaves[] = {
        "true",
        "false",
        "{}",
        "{\"type\":\"string\"}",
        "{\"type\":\"integer\",\"minimum\":%u}",
        "{\"$ref\":\"#\"}",
        "{\"$ref\":\"#/properties/a\"}",
        "{\"pattern\":\"a{0,%u}$\"}",
        "{\"maxLength\":%u}",
        "{\"enum\":[1,\"x\",null,%u]}",
        "{\"type\":\"number\",\"exclusiveMaximum\":-%u.5}",
        "{\"const\":{\"k\":[%u]}}"};
    if (depth == 0 || chance(4) == 0) {
        char text[96];
        const char *leaf = leaves[chance(sizeof leaves / sizeof leaves[0])];
        char *mark = strstr(leaf, "%u");
        if (mark == NULL)
            buf_puts(b, leaf);
        else {
            snprintf(text, sizeof text, "%.*s%u%s", (int)(mark - leaf), leaf,
                     1u << chance(chance(64) ? 7 : 20), mark + 2);
            buf_puts(b, text);
        }
        return;
    }
    static const char *const lists[] = {"anyOf", "allOf", "oneOf",
                                        "prefixItems"};
    buf_puts(b, "{");
    switch (chance(4)) {
    case 0:
        buf_printf(b, "\"%s\":[", lists[chance(4)]);
        grow_schema(b, depth - 1);
        buf_puts(b, ",");
        grow_schema(b, depth - 1);
        buf_puts(b, "]");
        break;
    case 1:
        buf_printf(b, "\"minItems\":%u,\"items\":", chance(5));
        grow_schema(b, depth - 1);
        break;
    default:
        buf_puts(b, "\"type\":\"object\",\"required\":[\"a\"],\"properties\":{"
                    "\"a\":");
        grow_schema(b, depth - 1);
        buf_puts(b, ",\"b\":");
        grow_schema(b, depth - 1);
        buf_puts(b, chance(2) ? "},\"additionalProperties\":" : "},\"items\":");
        grow_schema(b, depth - 1);
        break;
    }
    buf_puts(b, "}");
}

TEST(ten_thousand_random_ones_are_met)
{
    UNUSED_STATE;
    unsigned met[3] = {0}, compiled[3] = {0};
    struct buf b = {0};
    for (unsigned i = 0; i < 10000; i++) {
        enum language l = (enum language)(i % 3);
        buf_clear(&b);
        if (l == SCHEMA && chance(4) != 0) {
            grow_schema(&b, 3);
        } else {
            bool tame = l == GBNF && chance(2);
            if (tame)
                buf_puts(&b, "root ::= \"q\"");
            for (unsigned n = 1 + chance(tame ? 8 : 24); n > 0; n--)
                buf_puts(&b, words[l][tame ? 3 + chance(17) : chance(48)]);
            if (tame)
                buf_puts(&b, "\nr1 ::= \"w\" r2?\nr2 ::= root | r3\n"
                             "r3 ::= [a-c]*");
        }
        met[l]++;
        compiled[l] += (unsigned)meet(l, buf_str(&b), b.len);
    }
    buf_deinit(&b);
    for (unsigned l = 0; l < 3; l++)
        if (compiled[l] < met[l] / 20)
            fail_msg("language %u: only %u of %u compiled", l, compiled[l],
                     met[l]);
    print_message("compiled %u, %u, %u of 10000; worst %.0f ms\n", compiled[0],
                  compiled[1], compiled[2], worst_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_chains_and_explosions_of_schemas_are_met),
        cmocka_unit_test(hostile_schemas_are_met),
        cmocka_unit_test(hostile_patterns_and_grammars_are_met),
        cmocka_unit_test(ten_thousand_random_ones_are_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
