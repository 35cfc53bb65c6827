/* test_writer.c -- what is written must parse, and be as short as it can. */
#include "tests/lib/test.h"

#include <math.h>

#include "api/base/writer.h"
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

static void check_many(const float *v, size_t n)
{
    struct buf b = {0};
    struct writer w;
    json_t *doc;
    writer_init(&w, &b);
    writer_floats(&w, v, n);
    assert_true(buf_ok(&b));
    assert_true(b.len <= n * WRITER_FLOAT_BYTES + 2);
    assert_int_equal(
        json_parse(&doc, buf_str(&b), b.len, 4, (uint32_t)n + 9, NULL), 0);
    assert_int_equal(json_array_size(doc), n);
    for (size_t i = 0; i < n; i++) {
        float got = (float)json_real_value(json_array_get(doc, i));
        if (got != v[i] || signbit(got) != signbit(v[i]))
            fail_msg("%.9g reads back as %.9g", (double)v[i], (double)got);
    }
    json_decref(doc);
    buf_deinit(&b);
}

TEST(an_array_of_floats_reads_back_the_same)
{
    UNUSED_STATE;
    enum { N = 4096 };
    static float v[N];
    static const float edges[] = {0.0f,
                                  -0.0f,
                                  1.0f,
                                  -1.0f,
                                  0.1f,
                                  0.5f,
                                  1e-4f,
                                  9.999e-5f,
                                  9999999.0f,
                                  1e7f,
                                  16777215.f,
                                  9.9999999f,
                                  99999.996f,
                                  0.1f,
                                  0.01f,
                                  0.001f,
                                  1.5e-4f,
                                  -123456.78f,
                                  3.4028235e38f,
                                  1.17549435e-38f,
                                  -1.17549435e-38f,
                                  1e-45f,
                                  10.0f,
                                  100.0f,
                                  1000.0f,
                                  1e4f,
                                  1e5f,
                                  1e6f,
                                  0.99999994f,
                                  9.5367432e-07f};
    uint32_t bits = 77;
    check_many(edges, sizeof edges / sizeof *edges);
    check_many(edges, 0);
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < N; i++) {
            bits = bits * 1664525u + 1013904223u;
            uint32_t some = bits;
            if (round % 4 > 0) /* the numbers that embeddings have */
                some = (bits & 0x807FFFFFu) | (105u + bits % 48u) << 23;
            memcpy(&v[i], &some, sizeof some);
            if (!isfinite(v[i]))
                v[i] = 1.0f;
        }
        check_many(v, N);
    }
}

static void check_base64(const float *v, size_t n, const char *expected)
{
    struct buf b = {0};
    struct writer w;
    writer_init(&w, &b);
    writer_floats_base64(&w, v, n);
    assert_string_equal(buf_str(&b), expected);
    buf_deinit(&b);
}

/* What Python's base64 says of struct.pack("<..f"). */
TEST(floats_are_base64_of_little_endian_bytes)
{
    UNUSED_STATE;
    static const float v[] = {1.0f, -2.5f, 3.1415927f};
    check_base64(v, 0, "\"\"");
    check_base64(v, 1, "\"AACAPw==\"");
    check_base64(v, 2, "\"AACAPwAAIMA=\"");
    check_base64(v, 3, "\"AACAPwAAIMDbD0lA\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(floats_are_short_and_exact),
        cmocka_unit_test(an_array_of_floats_reads_back_the_same),
        cmocka_unit_test(floats_are_base64_of_little_endian_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
