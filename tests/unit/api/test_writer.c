/* test_writer.c -- what is written must parse, and be as short as it can. */
#include "tests/lib/test.h"

#include <math.h>

#include "api/writer.h"
#include "model/base/json.h"

TEST(commas_come_by_themselves)
{
    UNUSED_STATE;
    struct buf b = {0};
    struct writer w;
    writer_init(&w, &b);
    writer_object(&w);
    writer_key_string(&w, "id", "a\"b\n");
    writer_key(&w, "empty");
    writer_array(&w);
    writer_end_array(&w);
    writer_key(&w, "list");
    writer_array(&w);
    writer_int(&w, -1);
    writer_uint(&w, UINT64_MAX);
    writer_object(&w);
    writer_end_object(&w);
    writer_object(&w);
    writer_key_bool(&w, "x", true);
    writer_key_null(&w, "y");
    writer_end_object(&w);
    writer_string_n(&w, "\0", 1);
    writer_raw(&w, "{\"k\":1}", 7);
    writer_end_array(&w);
    writer_key_int(&w, "n", 3);
    writer_key_string(&w, "none", NULL);
    writer_end_object(&w);
    assert_true(buf_ok(&b));
    assert_string_equal(
        buf_str(&b),
        "{\"id\":\"a\\\"b\\n\",\"empty\":[],\"list\":[-1,18446744073709551615,"
        "{},{\"x\":true,\"y\":null},\"\\u0000\",{\"k\":1}],\"n\":3,"
        "\"none\":null}");
    buf_deinit(&b);
}

static void check_float(float v, const char *expected)
{
    struct buf b = {0};
    struct writer w;
    writer_init(&w, &b);
    writer_float(&w, v);
    assert_string_equal(buf_str(&b), expected);
    buf_deinit(&b);
}

TEST(floats_are_short_and_exact)
{
    UNUSED_STATE;
    check_float(0.0f, "0.0");
    check_float(-0.5f, "-0.5");
    check_float(0.1f, "0.1");
    check_float(1.0f, "1.0");
    check_float(1e10f, "1e+10");
    check_float(-1.1920929e-7f, "-1.1920929e-07");
    check_float(NAN, "null");
    check_float(-INFINITY, "-3.4028235e38");
    uint32_t bits = 12345;
    for (int i = 0; i < 20000; i++) {
        float v;
        struct buf b = {0};
        struct writer w;
        bits = bits * 1664525u + 1013904223u;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        writer_init(&w, &b);
        writer_float(&w, v);
        assert_true(strtof(buf_str(&b), NULL) == v);
        buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(floats_are_short_and_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
