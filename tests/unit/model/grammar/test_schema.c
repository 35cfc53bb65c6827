/* test_schema.c -- JSON Schema: which texts a schema has, which are refused.
 *
 * Each schema with texts it must take and texts it must not; that all it takes
 * is valid is shown at large by tests/server/test_grammar.py. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/base/json.h"
#include "model/grammar/schema.h"
#include "tests/lib/grammar_rig.h"

static int compile(struct grammar **g, const char *text, bool compact,
                   struct err *err)
{
    json_t *schema;
    struct schema_options options = {.compact = compact};
    if (json_parse(&schema, text, strlen(text), 64, 100000, err) != 0)
        fail_msg("%s: %s", text, err->text);
    int rc = grammar_from_schema(g, schema, &options, err);
    json_decref(schema);
    return rc;
}

struct row {
    const char *schema, *yes[6], *no[6];
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct grammar *g;
        struct err err = {0};
        if (compile(&g, rows[i].schema, true, &err) != 0)
            fail_msg("%s: %s", rows[i].schema, err.text);
        for (size_t j = 0; j < 6 && rows[i].yes[j]; j++)
            if (!rig_takes(g, rows[i].yes[j]))
                fail_msg("%s does not take %s", rows[i].schema, rows[i].yes[j]);
        for (size_t j = 0; j < 6 && rows[i].no[j]; j++)
            if (rig_takes(g, rows[i].no[j]))
                fail_msg("%s takes %s", rows[i].schema, rows[i].no[j]);
        grammar_unref(g);
    }
}

#define CHECK(rows) check(rows, sizeof rows / sizeof rows[0])

TEST(scalars_are_bounded)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"{\"type\":\"integer\"}",
         {"0", "-12", "9007199254740993"},
         {"01", "1.0", "-", "12345678901234567"}},
        {"{\"type\":\"integer\",\"minimum\":-5,\"exclusiveMaximum\":120}",
         {"-5", "0", "9", "119", "-1"},
         {"-6", "120", "-00", "1000"}},
        {"{\"type\":\"integer\",\"minimum\":1.5,\"maximum\":1e300}",
         {"2", "10"},
         {"1", "0", "-3"}},
        {"{\"type\":\"integer\",\"multipleOf\":6,\"minimum\":1}",
         {"6", "12", "600"},
         {"0", "9", "-6"}},
        {"{\"type\":\"number\"}",
         {"1.5e-3", "0", "-0.25", "1E+10"},
         {".5", "1.", "+1", "1e"}},
        {"{\"type\":\"number\",\"minimum\":-1.5,\"exclusiveMaximum\":2.25}",
         {"-1.5", "-1.50", "2.249", "0", "2", "-0.1"},
         {"2.25", "2.250", "-1.51", "3", "1e0"}},
        {"{\"type\":\"number\",\"exclusiveMinimum\":0}",
         {"0.001", "1", "123.5"},
         {"0", "0.0", "-1"}},
        {"{\"type\":\"boolean\"}", {"true", "false"}, {"null", "True"}},
        {"{\"type\":[\"string\",\"null\"],\"maxLength\":2}",
         {"null", "\"\"", "\"\xC3\xA9\\n\"", "\"\xF0\x9F\x98\x80x\""},
         {"\"abc\"", "1"}},
        {"{\"type\":\"string\"}",
         {"\"\\ud83d\\ude00 \\u00e9\\/\"", "\"\x7F\""},
         {"\"\\ud83d\"", "\"\n\"", "\"\\q\""}},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"minLength\":2,"
         "\"maxLength\":3}",
         {"\"ab\"", "\"abc\""},
         {"\"a\"", "\"abcd\"", "\"aB\""}},
        {"{\"enum\":[\"a\",2,null,[1],{\"k\":\"v\"}]}",
         {"\"a\"", "2", "null", "[1]", "{\"k\":\"v\"}"},
         {"\"b\"", "3"}},
        {"{\"enum\":[\"a\",\"bcd\",7],\"type\":\"string\",\"minLength\":2}",
         {"\"bcd\""},
         {"\"a\"", "7"}},
        {"{\"const\":\"q\\\"\"}", {"\"q\\\"\""}, {"\"q\""}},
        {"{\"type\":\"string\",\"nullable\":true}", {"null", "\"x\""}, {"1"}},
    };
    CHECK(rows);
}

TEST(formats_are_those_of_their_standards)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"{\"type\":\"string\",\"format\":\"date\"}",
         {"\"2024-02-29\"", "\"1999-12-31\"", "\"2000-02-29\""},
         {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"",
          "\"2024-04-31\"", "\"0000-01-01\""}},
        {"{\"type\":\"string\",\"format\":\"date-time\"}",
         {"\"2024-02-29T23:59:59Z\"", "\"2024-01-01T00:00:00.5+01:00\""},
         {"\"2024-01-01 00:00:00Z\"", "\"2024-01-01T24:00:00Z\""}},
        {"{\"type\":\"string\",\"format\":\"ipv4\"}",
         {"\"0.0.0.0\"", "\"255.249.199.9\""},
         {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
        {"{\"type\":\"string\",\"format\":\"ipv6\"}",
         {"\"::\"", "\"2001:db8::1\"", "\"1:2:3:4:5:6:7:8\""},
         {"\"1:2\"", "\"1::2::3\"", "\"12345::\""}},
        {"{\"type\":\"string\",\"format\":\"uuid\"}",
         {"\"123e4567-e89b-12d3-a456-426614174000\""},
         {"\"123e4567\""}},
        {"{\"type\":\"string\",\"format\":\"email\",\"maxLength\":6}",
         {"\"a@b.cd\""},
         {"\"ab@c.de\"", "\"a.cd\""}},
        {"{\"type\":\"string\",\"format\":\"uri\"}",
         {"\"https://example.com/a?b=c#d\"", "\"mailto:a@b.c\""},
         {"\"example.com\"", "\"http://a b\""}},
    };
    CHECK(rows);
}

TEST(arrays_have_their_items)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
         {"[]", "[1]", "[1,2,3]"},
         {"[1,]", "[,1]", "[true]"}},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,"
         "\"maxItems\":3}",
         {"[1,2]", "[1,2,3]"},
         {"[]", "[1]", "[1,2,3,4]"}},
        {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],"
         "\"items\":{\"type\":\"boolean\"},\"minItems\":1}",
         {"[1]", "[1,2]", "[1,2,true,false]"},
         {"[]", "[2]", "[1,true]"}},
        {"{\"type\":\"array\",\"items\":[{\"const\":1}],\"additionalItems\":"
         "false}",
         {"[]", "[1]"},
         {"[1,1]"}},
        {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
        {"{\"type\":\"array\"}", {"[1,[\"a\",{}]]"}, {"{}"}},
    };
    CHECK(rows);
}

TEST(objects_have_their_members_in_order)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
         "\"b\":{\"type\":\"integer\"},\"c\":true},\"required\":[\"b\"]}",
         {"{\"b\":1}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":[]}"},
         {"{}", "{\"a\":1}", "{\"b\":1,\"a\":1}", "{\"b\":1,\"d\":1}",
          "{,\"b\":1}", "{\"b\":1,}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
         "\"additionalProperties\":{\"type\":\"boolean\"}}",
         {"{}", "{\"a\":1}", "{\"b\":true}",
          "{\"a\":1,\"aa\":true,\"\":false}"},
         {"{\"a\":true}", "{\"b\":1}", "{\"\\u0061\":true}"}},
        {"{\"type\":\"object\"}", {"{}", "{\"x\":{\"y\":[1,null]}}"}, {"[]"}},
        {"{\"type\":\"object\",\"required\":[\"k\"]}",
         {"{\"k\":1}", "{\"k\":1,\"z\":2}"},
         {"{}", "{\"z\":2}"}},
        {"{\"type\":\"object\",\"patternProperties\":{\"^x_\":{\"type\":"
         "\"integer\"}},\"additionalProperties\":false,\"minProperties\":1}",
         {"{\"x_a\":1}", "{\"x_\":1,\"x_b\":2}"},
         {"{}", "{\"y\":1}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":true,\"b\":true},"
         "\"minProperties\":1}",
         {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":1}"},
         {"{}"}},
        {"{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-z]+$\"},"
         "\"maxProperties\":2}",
         {"{}", "{\"a\":1,\"b\":2}"},
         {"{\"A\":1}", "{\"a\":1,\"b\":2,\"c\":3}"}},
        {"{\"type\":\"object\",\"properties\":{\"a\":false,\"b\":true}}",
         {"{\"b\":1}"},
         {"{\"a\":1}"}},
    };
    CHECK(rows);
}

TEST(schemas_are_combined)
{
    UNUSED_STATE;
    static const struct row rows[] = {
        {"{\"anyOf\":[{\"type\":\"integer\"},{\"const\":\"x\"}]}",
         {"1", "\"x\""},
         {"true"}},
        {"{\"type\":\"object\",\"properties\":{\"t\":{\"type\":\"string\"}},"
         "\"required\":[\"t\"],\"anyOf\":[{\"properties\":{\"u\":{\"const\":1}}"
         ","
         "\"required\":[\"u\"]},{\"properties\":{\"t\":{\"maxLength\":1}}}]}",
         {"{\"t\":\"abc\",\"u\":1}", "{\"t\":\"a\"}"},
         {"{\"t\":\"abc\"}"}},
        {"{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"a\"}},\"required\":"
         "[\"k\"]},{\"properties\":{\"k\":{\"const\":\"b\"},\"n\":true},"
         "\"required\":[\"k\"]}]}",
         {"{\"k\":\"a\"}", "{\"k\":\"b\",\"n\":0}"},
         {"{\"k\":\"c\"}"}},
        {"{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^a\"},{\"type\":"
         "\"string\",\"pattern\":\"^b\"},{\"type\":\"integer\",\"maximum\":3},"
         "{\"type\":\"integer\",\"exclusiveMinimum\":3}]}",
         {"\"ax\"", "\"b\"", "7", "3"},
         {"\"c\""}},
        {"{\"allOf\":[{\"type\":\"integer\",\"minimum\":1},{\"maximum\":3},"
         "{\"$ref\":\"#/$defs/odd\"}],\"$defs\":{\"odd\":{\"enum\":[1,3,5]}}}",
         {"1", "3"},
         {"2", "5"}},
        {"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},"
         "\"required\":[\"a\"]},{\"properties\":{\"b\":{\"type\":\"null\"}}}],"
         "\"unevaluatedProperties\":false}",
         {"{\"a\":1}", "{\"a\":1,\"b\":null}"},
         {"{\"b\":null}"}},
        {"{\"$ref\":\"#/definitions/t\",\"definitions\":{\"t\":{\"type\":"
         "\"array\",\"items\":{\"$ref\":\"#/definitions/t\"}}}}",
         {"[]", "[[],[[]]]"},
         {"[1]"}},
        {"{\"$defs\":{\"a~/b\":{\"type\":\"null\"}},\"$ref\":"
         "\"#/$defs/a~0~1b\"}",
         {"null"},
         {"1"}},
        {"{\"allOf\":[{\"$ref\":\"#/$defs/x\"},{\"$ref\":\"#/$defs/y\"}],"
         "\"$defs\":{\"x\":{\"type\":\"object\",\"properties\":{\"k\":{\"$"
         "ref\":"
         "\"#/$defs/x\"}}},\"y\":{\"properties\":{\"k\":{\"$ref\":"
         "\"#/$defs/y\"}}}}}",
         {"{}", "{\"k\":{\"k\":{}}}"},
         {"{\"z\":1}"}},
        {"true", {"1", "{\"a\":[]}"}, {"x"}},
        {"{\"description\":\"anything\",\"x-mine\":3}", {"null"}, {"x"}},
    };
    CHECK(rows);
}

TEST(long_strings_are_counted_to_the_character)
{
    UNUSED_STATE;
    static const unsigned bounds[][2] = {{0, 1200},  {600, 1200}, {512, 513},
                                         {1, 5000},  {0, 513},    {2000, 2000},
                                         {500, 515}, {0, 512},    {31, 1056}};
    static char text[20000];
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct grammar *g;
        struct err err = {0};
        unsigned min = bounds[i][0], max = bounds[i][1];
        snprintf(text, sizeof text,
                 "{\"type\":\"string\",\"minLength\":%u,\"maxLength\":%u}", min,
                 max);
        if (compile(&g, text, true, &err) != 0)
            fail_msg("%s: %s", text, err.text);
        for (unsigned n = 0; n < 5100; n++) {
            if (n > min + 40 && n + 40 < max && n % 97 != 0)
                continue;
            unsigned at = 0;
            text[at++] = '"';
            for (unsigned c = 0; c < n; c++) {
                memcpy(text + at, c % 7 ? "a" : "\xC3\xA9", 2);
                at += c % 7 ? 1 : 2;
            }
            memcpy(text + at, "\"", 2);
            if (rig_takes(g, text) != (n >= min && n <= max))
                fail_msg("%u characters of %u..%u", n, min, max);
            if (n > max + 40)
                break;
        }
        grammar_unref(g);
    }
}

TEST(white_space_is_bounded)
{
    UNUSED_STATE;
    struct grammar *g;
    struct err err = {0};
    assert_int_equal(compile(&g,
                             "{\"type\":\"object\",\"properties\":{\"a\":{"
                             "\"type\":\"array\"}},\"required\":[\"a\"]}",
                             false, &err),
                     0);
    assert_true(rig_takes(g, "{\"a\":[]}"));
    assert_true(rig_takes(g, "{ \"a\": [ 1, 2 ] }"));
    assert_true(rig_takes(g, "{\n  \"a\": [\n    1,\n    2\n  ]\n}"));
    assert_false(rig_begins(g, "{  "));
    assert_false(rig_begins(g, "{\n\n\n"));
    assert_false(rig_begins(g, " "));
    grammar_unref(g);
}

TEST(what_cannot_be_honoured_is_refused_by_name_and_place)
{
    UNUSED_STATE;
    static const char *const rows[][2] = {
        {"{\"properties\":{\"x\":{\"not\":{}}}}", "not at #/properties/x"},
        {"{\"if\":{}}", "if at #"},
        {"{\"items\":{\"contains\":{}}}", "contains at #/items"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "uniqueItems at #"},
        {"{\"type\":\"strin\"}", "type at #"},
        {"{\"type\":\"string\",\"format\":\"postcode\"}", "format at #"},
        {"{\"type\":\"string\",\"pattern\":\"x(?=a)\"}", "pattern at #"},
        {"{\"type\":\"string\",\"maxLength\":-1}", "maxLength at #"},
        {"{\"type\":\"string\",\"minLength\":2147483648}", "minLength at #"},
        {"{\"type\":\"array\",\"minItems\":2147483648}", "minItems at #"},
        {"{\"type\":\"number\",\"multipleOf\":0.01}", "multipleOf at #"},
        {"{\"type\":\"integer\",\"multipleOf\":0}", "multipleOf at #"},
        {"{\"$ref\":\"#/nowhere\"}", "$ref at #"},
        {"{\"$ref\":\"other.json\"}", "$ref at #"},
        {"{\"$ref\":\"#\"}", "$ref at #"},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
         "oneOf at #"},
        {"{\"allOf\":[{\"multipleOf\":0.5},{\"multipleOf\":0.3}]}",
         "allOf at #/allOf/1"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}",
         "no finite text"},
        {"false", "no finite text"},
        {"{\"enum\":[]}", "no finite text"},
        {"{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{"
         "\"$ref\":\"#\"}}}",
         "no finite text"},
        {"{\"required\":\"a\"}", "required at #"},
        {"{\"type\":\"object\",\"properties\":{\"a\":1}}", "properties at #"},
        {"{\"dependentRequired\":{}}", "dependentRequired at #"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct grammar *g;
        struct err err = {0};
        if (compile(&g, rows[i][0], true, &err) == 0)
            fail_msg("%s is taken", rows[i][0]);
        if (strstr(err.text, rows[i][1]) == NULL)
            fail_msg("%s: %s", rows[i][0], err.text);
    }
}

TEST(running_out_of_memory_is_an_error_and_leaks_nothing)
{
    UNUSED_STATE;
    static const char text[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/d\"},"
        "\"b\":{\"enum\":[1,\"x\"],\"type\":\"string\"}},\"$defs\":{\"d\":{"
        "\"allOf\":[{\"type\":\"string\",\"pattern\":\"^a\"},{\"maxLength\":3}]"
        "}},\"patternProperties\":{\"^x\":true},\"required\":[\"b\",\"z\"]}";
    json_t *schema;
    assert_int_equal(json_parse(&schema, text, strlen(text), 64, 1000, NULL),
                     0);
    for (long nth = 0;; nth++) {
        struct grammar *g;
        size_t live = mem_live_count();
        fault_alloc_at(nth);
        int rc = grammar_from_schema(&g, schema, NULL, NULL);
        long hits = fault_hits();
        fault_alloc_at(-1);
        grammar_unref(rc == 0 ? g : NULL);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
    }
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_bounded),
        cmocka_unit_test(formats_are_those_of_their_standards),
        cmocka_unit_test(arrays_have_their_items),
        cmocka_unit_test(objects_have_their_members_in_order),
        cmocka_unit_test(schemas_are_combined),
        cmocka_unit_test(long_strings_are_counted_to_the_character),
        cmocka_unit_test(white_space_is_bounded),
        cmocka_unit_test(what_cannot_be_honoured_is_refused_by_name_and_place),
        cmocka_unit_test(running_out_of_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
