/* The container: what is read, and that no lie in it is believed. */
#include "tests/lib/test.h"

#include <unistd.h>

#include "model/base/alloc.h"
#include "model/weights/gguf.h"

#define MIXED "tests/oracle/gguf/mixed.gguf"

/* ---- writing ----------------------------------------------------------- */

struct file {
    uint8_t bytes[4096];
    size_t n;
};

static void put(struct file *f, const void *bytes, size_t n)
{
    assert_true(f->n + n <= sizeof f->bytes);
    memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
}

static void put_u32(struct file *f, uint32_t v)
{
    put(f, &v, sizeof v);
}

static void put_u64(struct file *f, uint64_t v)
{
    put(f, &v, sizeof v);
}

static void put_text(struct file *f, const char *s)
{
    put_u64(f, strlen(s));
    put(f, s, strlen(s));
}

static void start(struct file *f, uint32_t version, uint64_t n_tensors,
                  uint64_t n_kvs)
{
    f->n = 0;
    put(f, "GGUF", 4);
    put_u32(f, version);
    put_u64(f, n_tensors);
    put_u64(f, n_kvs);
}

static void put_kv_u32(struct file *f, const char *key, uint32_t value)
{
    put_text(f, key);
    put_u32(f, GGUF_U32);
    put_u32(f, value);
}

static void put_tensor(struct file *f, const char *name, uint64_t d0,
                       uint64_t d1, uint32_t type, uint64_t offset)
{
    put_text(f, name);
    put_u32(f, 2);
    put_u64(f, d0);
    put_u64(f, d1);
    put_u32(f, type);
    put_u64(f, offset);
}

static void pad(struct file *f, size_t alignment, size_t n_data)
{
    while (f->n % alignment != 0)
        put(f, "", 1);
    for (size_t i = 0; i < n_data; i++)
        put(f, &(uint8_t){(uint8_t)i}, 1);
}

/* A copy of its own length, so that a read past its end is seen. */
static int parse(struct gguf **g, void **bytes, const struct file *f,
                 struct err *err)
{
    *bytes = mem_alloc(f->n);
    memcpy(*bytes, f->bytes, f->n);
    return gguf_parse(g, *bytes, f->n, err);
}

static void refused(const struct file *f, const char *why)
{
    struct gguf *g;
    struct err err = {0};
    void *bytes;
    assert_true(parse(&g, &bytes, f, &err) < 0);
    assert_null(g);
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    mem_free(bytes);
}

/* Two tensors, a few keys of every kind. */
static void small_file(struct file *f, uint32_t version)
{
    start(f, version, 2, 6);
    put_kv_u32(f, "a.u32", 7);
    put_text(f, "a.text");
    put_u32(f, GGUF_STRING);
    put_text(f, "x\xFFy");
    put_text(f, "a.list");
    put_u32(f, GGUF_ARRAY);
    put_u32(f, GGUF_I32);
    put_u64(f, 3);
    put(f, (int32_t[]){8, 0, -1}, 12);
    put_text(f, "a.texts");
    put_u32(f, GGUF_ARRAY);
    put_u32(f, GGUF_STRING);
    put_u64(f, 2);
    put_text(f, "one");
    put_text(f, "");
    put_text(f, "a.f32");
    put_u32(f, GGUF_F32);
    put(f, &(float){0.5f}, 4);
    put_text(f, "a.bool");
    put_u32(f, GGUF_BOOL);
    put(f, "\1", 1);
    put_tensor(f, "first", 32, 2, 2, 0); /* Q4_0 */
    put_tensor(f, "second", 5, 1, 0, 64);
    pad(f, 32, 84);
}

/* ---- tests ------------------------------------------------------------- */

TEST(values_of_every_kind_are_given)
{
    UNUSED_STATE;
    struct file f;
    struct gguf *g;
    struct err err = {0};
    void *bytes;
    small_file(&f, 2);
    assert_int_equal(parse(&g, &bytes, &f, &err), 0);
    uint32_t u = 0, list[3];
    double d = 0;
    bool flag = false;
    struct gguf_text text;
    struct gguf_texts it;
    assert_int_equal(gguf_u32(g, "a.u32", &u, &err), 1);
    assert_int_equal(u, 7);
    assert_int_equal(gguf_u32(g, "absent", &u, &err), 0);
    assert_true(gguf_u32(g, "a.text", &u, &err) < 0);
    assert_non_null(strstr(err.text, "a.text is a string"));
    assert_true(gguf_u32(g, "a.bool", &u, &err) < 0);
    assert_true(gguf_u32(g, "a.list", &u, &err) < 0);
    assert_int_equal(gguf_f64(g, "a.f32", &d, &err), 1);
    assert_true(d > 0.49 && d < 0.51);
    assert_int_equal(gguf_f64(g, "a.u32", &d, &err), 1);
    assert_int_equal(gguf_bool(g, "a.bool", &flag, &err), 1);
    assert_true(flag);
    assert_int_equal(gguf_text(g, "a.text", &text, &err), 1);
    assert_int_equal(text.n, 3);
    assert_memory_equal(text.bytes, "x\xFFy", 3);
    assert_int_equal(gguf_u32s(g, "a.u32", list, 3, &err), 1);
    assert_int_equal(list[2], 7);
    assert_true(gguf_u32s(g, "a.list", list, 3, &err) < 0); /* has -1 */
    assert_true(gguf_u32s(g, "a.list", list, 2, &err) < 0);
    assert_int_equal(gguf_texts(g, "a.texts", &it, &err), 1);
    assert_int_equal(it.n, 2);
    assert_true(gguf_texts_next(&it, &text));
    assert_memory_equal(text.bytes, "one", 3);
    assert_true(gguf_texts_next(&it, &text));
    assert_int_equal(text.n, 0);
    assert_false(gguf_texts_next(&it, &text));
    const struct gguf_tensor *t = gguf_find(g, "second");
    assert_non_null(t);
    assert_int_equal(t->dims[0], 5);
    assert_int_equal(t->dims[3], 1);
    assert_int_equal(t->bytes, 20);
    assert_int_equal(*(const uint8_t *)t->data, 64);
    assert_null(gguf_find(g, "third"));
    gguf_close(g);
    mem_free(bytes);
}

TEST(a_file_cut_anywhere_is_refused)
{
    UNUSED_STATE;
    struct file f;
    small_file(&f, 3);
    for (size_t n = f.n; n-- > 0;) {
        struct gguf *g;
        void *bytes = mem_alloc(n + 1);
        memcpy(bytes, f.bytes, n);
        assert_true(gguf_parse(&g, bytes, n, NULL) < 0);
        mem_free(bytes);
    }
}

/* Every byte of the description becomes something else: it is refused or what
 * is accepted lies in the file; the sanitizers see the rest. */
TEST(no_changed_byte_leads_outside)
{
    UNUSED_STATE;
    static const uint8_t values[] = {0, 1, 9, 0x7F, 0x80, 0xFF};
    struct file f;
    small_file(&f, 3);
    for (size_t i = 0; i < f.n - 84; i++)
        for (size_t k = 0; k < sizeof values; k++) {
            struct file changed = f;
            struct gguf *g;
            void *bytes;
            changed.bytes[i] = values[k];
            if (parse(&g, &bytes, &changed, NULL) == 0) {
                for (uint64_t j = 0; j < gguf_n_tensors(g); j++) {
                    const struct gguf_tensor *t = gguf_tensor(g, j);
                    const uint8_t *at = t->data;
                    assert_true(!t->known ||
                                (at >= (uint8_t *)bytes &&
                                 at + t->bytes <= (uint8_t *)bytes + f.n));
                }
                gguf_close(g);
            }
            mem_free(bytes);
        }
}

TEST(wrong_headers_have_their_own_sentences)
{
    UNUSED_STATE;
    struct file f;
    start(&f, 3, 0, 0);
    f.bytes[0] = 'g';
    refused(&f, "is no GGUF file");
    start(&f, 0x03000000, 0, 0);
    refused(&f, "big-endian");
    start(&f, 1, 0, 0);
    refused(&f, "of GGUF version 1");
    start(&f, 3, 0, UINT64_MAX);
    refused(&f, "keys, more than");
    start(&f, 3, (uint64_t)1 << 62, 0);
    refused(&f, "tensors, more than");
}

TEST(wrong_keys_are_refused)
{
    UNUSED_STATE;
    struct file f;
    start(&f, 3, 0, 2);
    put_kv_u32(&f, "k", 1);
    put_kv_u32(&f, "k", 2);
    refused(&f, "key k is there twice");
    start(&f, 3, 0, 1);
    put_text(&f, "k");
    put_u32(&f, 13);
    pad(&f, 32, 64);
    refused(&f, "is of type 13");
    start(&f, 3, 0, 1);
    put_text(&f, "k");
    put_u32(&f, GGUF_ARRAY);
    put_u32(&f, GGUF_ARRAY);
    put_u64(&f, 1);
    pad(&f, 32, 64);
    refused(&f, "array of arrays");
    start(&f, 3, 0, 1);
    put_text(&f, "k");
    put_u32(&f, GGUF_ARRAY);
    put_u32(&f, GGUF_STRING);
    put_u64(&f, UINT64_MAX / 8);
    refused(&f, "ends in the value of key k");
    start(&f, 3, 0, 1);
    put_kv_u32(&f, "general.alignment", 24);
    refused(&f, "power of two");
    start(&f, 3, 0, 1);
    put_kv_u32(&f, "\xFF", 24);
    refused(&f, "bytes of UTF-8");
}

/* One or two tensors over 84 bytes of data. */
static void expect_tensor_refused(const char *why, uint64_t d0, uint64_t d1,
                                  uint32_t type, uint64_t offset)
{
    struct file f;
    start(&f, 3, 2, 0);
    put_tensor(&f, "t", 32, 1, 2, 0);
    put_tensor(&f, "u", d0, d1, type, offset);
    pad(&f, 32, 84);
    refused(&f, why);
}

TEST(wrong_tensors_are_refused)
{
    UNUSED_STATE;
    expect_tensor_refused("not a multiple of 32", 4, 1, 0, 40);
    expect_tensor_refused("before the end of the one before", 4, 1, 0, 0);
    expect_tensor_refused("was it cut", 22, 1, 0, 64);
    expect_tensor_refused("was it cut", 1, 1, 0, 1u << 20);
    expect_tensor_refused("blocks of 32", 33, 1, 2, 32);
    expect_tensor_refused("blocks of 256", 32, 1, 12, 32);
    expect_tensor_refused("must be at least 1", 0, 1, 0, 32);
    expect_tensor_refused("product must fit", (uint64_t)1 << 40,
                          (uint64_t)1 << 40, 0, 32);
    expect_tensor_refused("do not fit", (uint64_t)1 << 62, 2, 0, 32);
    struct file f;
    start(&f, 3, 2, 0);
    put_tensor(&f, "t", 4, 1, 0, 0);
    put_tensor(&f, "t", 4, 1, 0, 32);
    pad(&f, 32, 84);
    refused(&f, "tensor t is there twice");
}

TEST(a_format_we_do_not_compute_is_listed_all_the_same)
{
    UNUSED_STATE;
    struct file f;
    struct gguf *g;
    void *bytes;
    start(&f, 3, 1, 0);
    put_tensor(&f, "t", 256, 1, 10, 0); /* Q2_K */
    pad(&f, 32, 84);
    assert_int_equal(parse(&g, &bytes, &f, NULL), 0);
    assert_false(gguf_tensor(g, 0)->known);
    assert_null(gguf_tensor(g, 0)->data);
    assert_int_equal(gguf_tensor(g, 0)->type_id, 10);
    gguf_close(g);
    mem_free(bytes);
}

TEST(short_memory_is_an_error_and_no_leak)
{
    UNUSED_STATE;
    size_t before = mem_live_count();
    for (long nth = 0;; nth++) {
        struct gguf *g = NULL;
        fault_alloc_at(nth);
        int rc = gguf_open(&g, MIXED, NULL);
        long hits = fault_hits();
        fault_alloc_at(-1);
        gguf_close(g);
        assert_int_equal(mem_live_count(), before);
        if (hits == 0) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_true(rc < 0);
    }
}

/* ---- split files ------------------------------------------------------- */

static char dir[] = "/tmp/lfmd-gguf-XXXXXX";

static void write_part(uint32_t no, uint32_t count, uint32_t named,
                       uint32_t total)
{
    struct file f;
    char path[128], tensor[16];
    start(&f, 3, 1, 3);
    put_kv_u32(&f, "split.no", no);
    put_kv_u32(&f, "split.count", count);
    put_kv_u32(&f, "split.tensors.count", total);
    snprintf(tensor, sizeof tensor, "t%u", no);
    put_tensor(&f, tensor, 4, 1, 0, 0);
    pad(&f, 32, 16);
    snprintf(path, sizeof path, "%s/m-%05u-of-00002.gguf", dir, named);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f.bytes, 1, f.n, out), f.n);
    fclose(out);
}

static int open_part(struct gguf **g, uint32_t named, struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s/m-%05u-of-00002.gguf", dir, named);
    return gguf_open(g, path, err);
}

TEST(a_split_model_opens_by_any_of_its_parts)
{
    UNUSED_STATE;
    struct gguf *g;
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    write_part(0, 2, 1, 2);
    assert_true(open_part(&g, 1, &err) < 0); /* the other is not there */
    write_part(1, 2, 2, 2);
    for (uint32_t part = 1; part <= 2; part++) {
        if (open_part(&g, part, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(gguf_n_files(g), 2);
        assert_int_equal(gguf_n_tensors(g), 2);
        assert_non_null(gguf_find(g, "t1"));
        assert_non_null(strstr(gguf_file_name(g), "00001-of"));
        gguf_close(g);
    }
    write_part(0, 2, 2, 2);
    assert_true(open_part(&g, 1, &err) < 0);
    assert_non_null(strstr(err.text, "says that it is part 0"));
    write_part(1, 2, 2, 2);
    write_part(0, 2, 1, 3);
    assert_true(open_part(&g, 1, &err) < 0);
    assert_non_null(strstr(err.text, "split.tensors.count is 3"));
    write_part(0, 3, 1, 3);
    assert_true(open_part(&g, 1, &err) < 0);
    assert_non_null(strstr(err.text, "not named like the first"));
    char path[128];
    for (unsigned i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/m-%05u-of-00002.gguf", dir, i);
        unlink(path);
    }
    rmdir(dir);
}

TEST(a_file_is_known_by_its_first_bytes)
{
    UNUSED_STATE;
    assert_true(gguf_is_file(MIXED));
    assert_false(gguf_is_file("tests/oracle/gguf/make.py"));
    assert_false(gguf_is_file("tests/oracle/gguf"));
    assert_false(gguf_is_file("tests/oracle/gguf/absent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_given),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(no_changed_byte_leads_outside),
        cmocka_unit_test(wrong_headers_have_their_own_sentences),
        cmocka_unit_test(wrong_keys_are_refused),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(a_format_we_do_not_compute_is_listed_all_the_same),
        cmocka_unit_test(short_memory_is_an_error_and_no_leak),
        cmocka_unit_test(a_split_model_opens_by_any_of_its_parts),
        cmocka_unit_test(a_file_is_known_by_its_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
