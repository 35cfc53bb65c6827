/* cmocka.h -- the part of cmocka that tests/kernels uses, for `make cross`.
 *
 * Debian has no cmocka for a foreign processor unless the whole system is told
 * of that architecture, so the checks built for AArch64 find this header in its
 * place.  A failure says where and ends the program: exit code 1.
 *
 * One thread at a time. */
#ifndef LFMD_TESTS_LIB_CROSS_CMOCKA_H
#define LFMD_TESTS_LIB_CROSS_CMOCKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

/* A call as in cmocka, not a branch of the test: gcc sees the same program. */
__attribute__((noinline)) static void cross_check(bool ok, const char *what,
                                                  const char *file, int line)
{
    if (ok)
        return;
    printf("%s:%d: error: not so: %s\n", file, line, what);
    exit(1);
}

#define cmocka_unit_test(f) \
    {                       \
#f, f               \
    }
#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run(tests, sizeof(tests) / sizeof((tests)[0]))

#define fail_msg(...)                                 \
    do {                                              \
        printf("%s:%d: error: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                          \
        printf("\n");                                 \
        exit(1);                                      \
    } while (0)

#define cross_assert(ok, what) cross_check(ok, what, __FILE__, __LINE__)

#define assert_true(c) cross_assert(c, #c)
#define assert_false(c) cross_assert(!(c), "! " #c)
#define assert_null(p) cross_assert((p) == NULL, #p " == NULL")
#define assert_non_null(p) cross_assert((p) != NULL, #p " != NULL")
#define assert_int_equal(a, b) cross_assert((a) == (b), #a " == " #b)
#define assert_ptr_equal(a, b) cross_assert((a) == (b), #a " == " #b)
#define assert_string_equal(a, b) \
    cross_assert(strcmp(a, b) == 0, #a " equals " #b)
#define assert_memory_equal(a, b, n) \
    cross_assert(memcmp(a, b, n) == 0, #a " equals " #b)

static inline int cross_run(const struct CMUnitTest *tests, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf("[ RUN      ] %s\n", tests[i].name);
        fflush(stdout);
        tests[i].run(NULL);
    }
    printf("[  PASSED  ] %zu test(s).\n", n);
    return 0;
}

#endif
