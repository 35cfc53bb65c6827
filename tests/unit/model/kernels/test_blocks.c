/* The block formats against gguf's numpy code, and panels against blocks. */
#include "tests/lib/test.h"

#include "model/base/alloc.h"
#include "model/kernels/blocks.h"
#include "model/kernels/panel.h"
#include "model/weights/gguf.h"

#define FILE_NAME "tests/oracle/gguf/blocks.gguf"

static struct gguf *file;

static int open_file(void **state)
{
    UNUSED_STATE;
    return gguf_open(&file, FILE_NAME, NULL);
}

static int close_file(void **state)
{
    UNUSED_STATE;
    gguf_close(file);
    return 0;
}

/* "q4_0", and with a suffix. */
static const struct gguf_tensor *tensor(enum dtype t, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", dtype_name(t), suffix);
    for (char *p = name; *p != '\0'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    const struct gguf_tensor *found = gguf_find(file, name);
    if (found == NULL)
        fail_msg("no tensor %s", name);
    return found;
}

TEST(every_format_decodes_to_the_oracles_bits)
{
    UNUSED_STATE;
    for (int t = 0; t < N_DTYPES; t++) {
        const struct gguf_tensor *is = tensor((enum dtype)t, "");
        const struct gguf_tensor *wanted = tensor((enum dtype)t, ".expected");
        size_t n = (size_t)(is->dims[0] * is->dims[1]);
        assert_true(is->known && is->dtype == (enum dtype)t);
        float *out = mem_alloc(n * sizeof *out);
        blocks_decode((enum dtype)t, out, is->data, n);
        const float *expected = wanted->data;
        for (size_t i = 0; i < n; i++) /* 0 and -0 are equal here */
            if (!(out[i] >= expected[i] && out[i] <= expected[i]))
                fail_msg("%s: number %zu is %.9g, not %.9g",
                         dtype_name((enum dtype)t), i, (double)out[i],
                         (double)expected[i]);
        mem_free(out);
    }
}

TEST(encoding_gives_the_oracles_bytes)
{
    UNUSED_STATE;
    static const enum dtype both[] = {DTYPE_Q4_0, DTYPE_Q8_0};
    for (size_t k = 0; k < 2; k++) {
        const struct gguf_tensor *source = tensor(both[k], ".source");
        const struct gguf_tensor *wanted = tensor(both[k], "");
        size_t n = (size_t)(source->dims[0] * source->dims[1]);
        uint8_t *out = mem_alloc(wanted->bytes);
        blocks_encode(both[k], out, source->data, n);
        assert_memory_equal(out, wanted->data, wanted->bytes);
        mem_free(out);
    }
}

/* Packs the first `rows` rows in two slices and looks at each of them, and at
 * what lies beyond. */
static void check_panels(enum dtype t, uint32_t rows)
{
    const struct gguf_tensor *is = tensor(t, "");
    uint32_t cols = (uint32_t)is->dims[0];
    const float *expected = tensor(t, ".expected")->data;
    size_t bytes = panel_matrix_bytes(t, rows, cols);
    uint8_t *panels = mem_alloc_aligned(64, bytes + 64);
    float *row = mem_alloc(cols * sizeof *row);
    memset(panels, 0xA5, bytes + 64);
    panel_pack(panels, is->data, t, rows, cols, 1, panel_count(rows));
    panel_pack(panels, is->data, t, rows, cols, 0, 1);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(panels[bytes + i], 0xA5);
    struct matrix m = {panels, t, rows, cols};
    for (uint32_t r = 0; r < panel_count(rows) * PANEL_ROWS; r++) {
        panel_row(row, m, r);
        for (uint32_t c = 0; c < cols; c++) {
            float want = r < rows ? expected[(size_t)r * cols + c] : 0;
            if (!(row[c] >= want && row[c] <= want))
                fail_msg("%s of %u rows: row %u, column %u is %.9g, not %.9g",
                         dtype_name(t), rows, r, c, (double)row[c],
                         (double)want);
        }
    }
    mem_free(row);
    mem_free_aligned(panels);
}

TEST(a_row_of_panels_is_the_row_of_blocks)
{
    UNUSED_STATE;
    static const uint32_t rows[] = {1, 15, 16, 17, 19};
    for (int t = N_FLOAT_DTYPES; t < N_DTYPES; t++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            check_panels((enum dtype)t, rows[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_decodes_to_the_oracles_bits),
        cmocka_unit_test(encoding_gives_the_oracles_bytes),
        cmocka_unit_test(a_row_of_panels_is_the_row_of_blocks),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
