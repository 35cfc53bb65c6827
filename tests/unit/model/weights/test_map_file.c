/* test_map_file.c -- mapped files, and what is left of one that was cut. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/weights/map_file.h"
#include "model/weights/pack.h"

#define N_PAGES 4u

/* A file of that many pages of zeros, which nobody else has; its descriptor. */
static int make_file(char path[32], size_t *page)
{
    snprintf(path, 32, "/tmp/lfmd-map-file-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    *page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(ftruncate(fd, (off_t)(N_PAGES * *page)), 0);
    return fd;
}

/* Kernels before 5.14 give a signal instead. */
static bool kernel_tells(size_t page)
{
    char path[32];
    struct mapping m;
    int fd = make_file(path, &page);
    assert_int_equal(map_file(&m, path, 1, NULL), 0);
    unlink(path);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    pid_t child = fork();
    if (child == 0)
        _exit(map_touch(m.base, page) ? 1 : 0);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    map_close(&m);
    return status == 0;
}

TEST(a_file_is_mapped_whole_or_refused)
{
    UNUSED_STATE;
    char path[32];
    size_t page;
    struct mapping m;
    struct err err = {0};
    close(make_file(path, &page));
    assert_int_equal(map_file(&m, path, N_PAGES * page, &err), 0);
    assert_int_equal(m.bytes, N_PAGES * page);
    assert_true(map_touch(m.base, m.bytes));
    map_will_need(m.base, m.bytes);
    map_release(m.base + 1, m.bytes - 1);
    assert_int_equal(m.base[m.bytes - 1], 0);
    map_close(&m);
    assert_int_equal(map_file(&m, path, N_PAGES * page + 1, &err), -ERR_FORMAT);
    assert_null(m.base);
    unlink(path);
    assert_int_equal(map_file(&m, path, 1, &err), -ERR_IO);
    assert_int_equal(map_file(&m, "/tmp", 1, &err), -ERR_FORMAT);
}

TEST(a_file_that_was_cut_is_told_without_a_signal)
{
    UNUSED_STATE;
    char path[32];
    size_t page;
    struct mapping m;
    int fd = make_file(path, &page);
    if (!kernel_tells(page))
        skip();
    assert_int_equal(map_file(&m, path, 1, NULL), 0);
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    assert_true(map_touch(m.base, page));
    assert_false(map_touch(m.base, page + 1));
    assert_false(map_touch(m.base + page, page));
    map_close(&m);
    close(fd);
    unlink(path);
}

TEST(what_was_cut_is_not_packed)
{
    UNUSED_STATE;
    char path[32];
    size_t page;
    struct mapping m;
    struct err err = {0};
    int fd = make_file(path, &page);
    if (!kernel_tells(page))
        skip();
    assert_int_equal(map_file(&m, path, 1, NULL), 0);
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    size_t live = mem_live_count();
    for (int quantised = 0; quantised < 2; quantised++) {
        struct matrix out = {m.base, quantised ? DTYPE_Q8_0 : DTYPE_F32, 64,
                             (uint32_t)(N_PAGES * page / 256)};
        const struct pack_job job = {.out = &out,
                                     .n = 1,
                                     .src = m.base,
                                     .from = DTYPE_F32,
                                     .mapped = true,
                                     .name = "blk.0.x"};
        void *slab;
        assert_int_equal(pack_run(&job, 1, &slab, 2, NULL, NULL, &err),
                         -ERR_FORMAT);
        assert_non_null(strstr(err.text, "blk.0.x is no longer all in its "
                                         "file"));
        mem_free_aligned(slab);
    }
    assert_int_equal(mem_live_count(), live);
    map_close(&m);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped_whole_or_refused),
        cmocka_unit_test(a_file_that_was_cut_is_told_without_a_signal),
        cmocka_unit_test(what_was_cut_is_not_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
