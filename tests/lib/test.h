/* test.h -- over cmocka: the includes in the order it wants them.
 *
 * A test is a function whose name is a sentence; main() lists them with
 * cmocka_unit_test and returns cmocka_run_group_tests(). */
#ifndef LFMD_TESTS_LIB_TEST_H
#define LFMD_TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) static void name(void **state)
#define UNUSED_STATE (void)state

#endif
