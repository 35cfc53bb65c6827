/* test_safetensors.c -- each rule of the header at its limit and over it, every
 * truncation, every flipped bit.  Bytes are parsed from blocks of exactly their
 * size, so that a sanitizer sees a read too far. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/weights/safetensors.h"

/* Header text, preceded by its length and followed by `n_data` zero bytes. */
static unsigned char *file_of(const char *header, size_t n_data, size_t *n)
{
    size_t len = strlen(header);
    *n = 8 + len + n_data;
    unsigned char *p = calloc(1, *n);
    assert_non_null(p);
    for (size_t i = 0; i < 8; i++)
        p[i] = (unsigned char)((uint64_t)len >> (8 * i));
    memcpy(p + 8, header, len);
    return p;
}

static int parse(struct safetensors **st, const char *header, size_t n_data,
                 struct err *err)
{
    size_t n;
    unsigned char *p = file_of(header, n_data, &n);
    int rc = safetensors_parse(st, p, n, n, err);
    free(p);
    return rc;
}

struct header {
    const char *text;
    size_t n_data;
    const char *says; /* of a refusal */
};

#define T(name, dtype, shape, offsets)                       \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape \
    ",\"data_offsets\":" offsets "}"

static const struct header good[] = {
    {"{}", 0, ""},
    {" {} ", 0, ""},
    {"\n\t{}      ", 0, ""},
    {"{\"__metadata__\":{}}", 0, ""},
    {"{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\\u0000\"}}", 0, ""},
    {"{" T("a", "F32", "[2,3]", "[0,24]") "}", 24, ""},
    {"{" T("a", "F32", "[]", "[0,4]") "}", 4, ""},
    {"{" T("a", "F32", "[0]", "[0,0]") "}", 0, ""},
    {"{" T("a", "BF16", "[4294967296,0,4294967296]", "[0,0]") "}", 0, ""},
    {"{" T("b", "F16", "[2]", "[4,8]") "," T("a", "BF16", "[2]", "[0,4]") "}",
     8, ""},
    {"{" T("b", "U8", "[0]", "[4,4]") "," T("a", "BF16", "[2]", "[0,4]") "," T(
         "c", "I64", "[0]", "[0,0]") "}",
     4, ""},
    {"{" T("a", "BOOL", "[3]", "[0,3]") "}", 3, ""},
    {"{" T("a", "F8_E4M3", "[3]", "[0,3]") "}", 3, ""},
    {"{" T("a", "F8_E8M0", "[3]", "[0,3]") "}", 3, ""},
    {"{" T("a", "F64", "[1]", "[0,8]") "}", 8, ""},
    {"{" T("a", "C64", "[1]", "[0,8]") "}", 8, ""},
    {"{" T("a", "F4", "[2]", "[0,1]") "}", 1, ""},
    {"{" T("a", "F6_E2M3", "[4]", "[0,3]") "}", 3, ""},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, ""},
    {"{" T("", "U8", "[1]", "[0,1]") "}", 1, ""},
    {"{\"a\":{\"data_offsets\":[0,1],\"shape\":[1],\"dtype\":\"U8\"}}", 1, ""},
};

static const struct header bad[] = {
    {"", 0, "header"},
    {"{", 0, "not valid JSON"},
    {"}", 0, "not valid JSON"},
    {"{}x", 0, "not valid JSON"},
    {"{}{}", 0, "not valid JSON"},
    {"[]", 0, "must be a JSON object"},
    {"null", 0, "must be a JSON object"},
    {"7", 0, "must be a JSON object"},
    {"\"a\"", 0, "must be a JSON object"},
    {"{\"a\":\"\xff\"}", 0, "not valid JSON"},
    {"{\"\xc0\x80\":{}}", 0, "not valid JSON"},
    {"{\"a\\u0000b\":{}}", 0, "not valid JSON"},
    {"{\"a\":1,}", 0, "not valid JSON"},
    {"{'a':1}", 0, "not valid JSON"},
    {"{\"a\":[[[[[[[[[]]]]]]]]]}", 0, "deeper"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("a", "U8", "[1]", "[1,2]") "}", 2,
     "duplicate"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],"
     "\"data_offsets\":[0,1]}}",
     1, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ must be an object"},
    {"{\"__metadata__\":null}", 0, "__metadata__ must be an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__.a must be a string"},
    {"{\"__metadata__\":{\"a\":{}}}", 0, "__metadata__.a must be a string"},
    {"{\"a\":null}", 0, "must be an object"},
    {"{\"a\":[]}", 0, "must be an object"},
    {"{\"a\":{}}", 0, "dtype must be a string, not absent"},
    {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,0]}}", 0,
     "dtype must be a string, not 7"},
    {"{" T("a", "F33", "[1]", "[0,4]") "}", 4, "unknown dtype \"F33\""},
    {"{" T("a", "f32", "[1]", "[0,4]") "}", 4, "unknown dtype"},
    {"{" T("a", "", "[1]", "[0,4]") "}", 4, "unknown dtype"},
    {"{" T("a", "Q4_K", "[1]", "[0,4]") "}", 4, "unknown dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "shape must be"},
    {"{" T("a", "U8", "1", "[0,1]") "}", 1, "shape must be"},
    {"{" T("a", "U8", "{}", "[0,1]") "}", 1, "shape must be"},
    {"{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "shape must hold"},
    {"{" T("a", "U8", "[1.0]", "[0,1]") "}", 1, "shape must hold"},
    {"{" T("a", "U8", "[\"1\"]", "[0,1]") "}", 1, "shape must hold"},
    {"{" T("a", "U8", "[null]", "[0,1]") "}", 1, "shape must hold"},
    {"{" T("a", "U8", "[9223372036854775808]", "[0,1]") "}", 1, "not valid"},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "9 dimensions"},
    {"{" T("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "more elements than"},
    {"{" T("a", "F32", "[9223372036854775807]", "[0,4]") "}", 4,
     "more elements than"},
    {"{" T("a", "F32", "[4294967296,4294967296,4294967296]", "[0,0]") "}", 0,
     "more elements than"},
    {"{" T("a", "F16", "[576460752303423489]", "[0,2]") "}", 2, "span"},
    {"{" T("a", "F4", "[1]", "[0,1]") "}", 1, "whole number of bytes"},
    {"{" T("a", "F6_E3M2", "[3]", "[0,2]") "}", 2, "whole number of bytes"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets must be"},
    {"{" T("a", "U8", "[1]", "[0]") "}", 1, "array of two"},
    {"{" T("a", "U8", "[1]", "[0,1,2]") "}", 2, "array of two"},
    {"{" T("a", "U8", "[1]", "[-1,0]") "}", 1, "data_offsets must hold"},
    {"{" T("a", "U8", "[1]", "[0,1.5]") "}", 1, "data_offsets must hold"},
    {"{" T("a", "U8", "[1]", "[1,0]") "}", 1, "do not lie"},
    {"{" T("a", "U8", "[2]", "[0,2]") "}", 1, "do not lie"},
    {"{" T("a", "U8", "[1]", "[9223372036854775806,9223372036854775807]") "}",
     1, "do not lie"},
    {"{" T("a", "U8", "[2]", "[0,1]") "}", 1, "needs 2 bytes"},
    {"{" T("a", "U8", "[1]", "[0,2]") "}", 2, "needs 1 bytes"},
    {"{" T("a", "F32", "[1]", "[0,2]") "}", 2, "needs 4 bytes"},
    {"{" T("a", "F32", "[]", "[0,0]") "}", 0, "needs 4 bytes"},
    {"{" T("a", "U8", "[1]", "[1,2]") "}", 2, "begins at byte 1"},
    {"{" T("a", "U8", "[1]", "[0,1]") "}", 2, "has 2 bytes of data"},
    {"{}", 1, "has 1 bytes of data"},
    {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[2]", "[1,3]") "}", 3,
     "begins at byte 1"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[2,3]") "}", 3,
     "begins at byte 2"},
    {"{" T("a", "U8", "[1]", "[0,1]") "," T("b", "U8", "[1]", "[0,1]") "}", 1,
     "begins at byte 0"},
    {"{" T("a", "U8", "[2]", "[0,2]") "," T("b", "U8", "[0]", "[1,1]") "}", 2,
     "begins at byte 1"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],"
     "\"x\":1}}",
     1, "unknown field \"x\""},
};

TEST(what_the_format_allows_is_read)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct safetensors *st = NULL;
        struct err err = {0};
        if (parse(&st, good[i].text, good[i].n_data, &err) != 0)
            fail_msg("%s: %s", good[i].text, err.text);
        safetensors_free(st);
    }
    assert_int_equal(mem_live_count(), live);
}

TEST(each_broken_rule_is_refused_with_its_own_words)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    assert_true(sizeof bad / sizeof *bad >= 60);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct safetensors *st = NULL;
        struct err err = {0};
        int rc = parse(&st, bad[i].text, bad[i].n_data, &err);
        if (rc != -ERR_FORMAT || strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s: %d \"%s\"", bad[i].text, rc, err.text);
        assert_null(st);
        assert_int_equal(mem_live_count(), live);
    }
}

TEST(tensors_come_in_the_order_of_their_data_and_are_found_by_name)
{
    UNUSED_STATE;
    struct safetensors *st = NULL;
    struct err err = {0};
    assert_int_equal(parse(&st,
                           "{" T("b", "F16", "[2]", "[4,8]") "," T(
                               "a", "BF16", "[1,2]", "[0,4]") "}",
                           8, &err),
                     0);
    assert_int_equal(st->n, 2);
    assert_string_equal(st->tensors[0].name, "a");
    const struct safetensor *b = safetensors_find(st, "b");
    assert_ptr_equal(b, &st->tensors[1]);
    assert_int_equal(b->dtype, ST_F16);
    assert_int_equal(b->begin, 4);
    assert_int_equal(safetensors_find(st, "a")->n_dims, 2);
    assert_null(safetensors_find(st, "c"));
    assert_null(safetensors_find(st, ""));
    safetensors_free(st);
}

TEST(the_length_in_front_is_checked_against_what_there_is)
{
    UNUSED_STATE;
    static const uint64_t lengths[] = {
        3,
        4,
        1u << 20,
        (32u << 20) - 1,
        32u << 20,
        (32u << 20) + 1,
        UINT64_C(1) << 31,
        UINT64_C(1) << 32,
        UINT64_C(1) << 63,
        UINT64_MAX - 7,
        UINT64_MAX - 8,
        UINT64_MAX,
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n;
        struct safetensors *st = NULL;
        struct err err = {0};
        unsigned char *p = file_of("{}", 0, &n);
        for (size_t k = 0; k < 8; k++)
            p[k] = (unsigned char)(lengths[i] >> (8 * k));
        assert_int_equal(safetensors_parse(&st, p, n, n, &err), -ERR_FORMAT);
        assert_non_null(strstr(err.text, "says its header has"));
        free(p);
    }
}

TEST(a_file_cut_anywhere_is_refused)
{
    UNUSED_STATE;
    size_t n;
    unsigned char *p =
        file_of("{\"__metadata__\":{\"format\":\"pt\"}," T(
                    "a", "F32", "[16,16]", "[0,1024]") "," T("b", "BF16", "[3]",
                                                             "[1024,1030]") "}",
                1030, &n);
    for (size_t cut = 0; cut < n; cut++) {
        struct safetensors *st = NULL;
        struct err err = {0};
        unsigned char *q = malloc(cut + (cut == 0));
        assert_non_null(q);
        memcpy(q, p, cut);
        assert_int_equal(safetensors_parse(&st, q, cut, cut, &err),
                         -ERR_FORMAT);
        free(q);
    }
    free(p);
}

/* Whatever a flipped bit makes of it, what is accepted lies in the file. */
static void check_inside(const struct safetensors *st, size_t n)
{
    uint64_t at = 0;
    for (size_t i = 0; i < st->n; i++) {
        assert_true(st->tensors[i].begin == at);
        at = st->tensors[i].end;
        assert_ptr_equal(safetensors_find(st, st->tensors[i].name),
                         &st->tensors[i]);
    }
    assert_true(st->data_offset + at == n);
}

TEST(a_flipped_byte_is_refused_or_harmless)
{
    UNUSED_STATE;
    size_t n, live = mem_live_count();
    unsigned char *p =
        file_of("{\"__metadata__\":{\"format\":\"pt\"}," T(
                    "a", "F32", "[4,2]", "[0,32]") "," T("b", "BF16", "[3]",
                                                         "[32,38]") "}",
                38, &n);
    for (size_t i = 0; i < n - 38; i++)
        for (unsigned flip = 1; flip < 256; flip += 2) {
            struct safetensors *st = NULL;
            p[i] ^= (unsigned char)flip;
            if (safetensors_parse(&st, p, n, n, NULL) == 0)
                check_inside(st, n);
            safetensors_free(st);
            p[i] ^= (unsigned char)flip;
        }
    free(p);
    assert_int_equal(mem_live_count(), live);
}

TEST(short_memory_is_reported_and_leaks_nothing)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct safetensors *st = NULL;
        struct err err = {0};
        fault_alloc_at(nth);
        int rc = parse(&st, "{" T("a", "U8", "[1]", "[0,1]") "}", 1, &err);
        long hits = fault_hits();
        fault_alloc_at(-1);
        safetensors_free(st);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
        assert_int_equal(rc, -ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_format_allows_is_read),
        cmocka_unit_test(each_broken_rule_is_refused_with_its_own_words),
        cmocka_unit_test(
            tensors_come_in_the_order_of_their_data_and_are_found_by_name),
        cmocka_unit_test(the_length_in_front_is_checked_against_what_there_is),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(a_flipped_byte_is_refused_or_harmless),
        cmocka_unit_test(short_memory_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
