/* text.h -- Unicode as Python's str sees it: classes, case, positions.
 *
 * Rests on tables made from Python's unicodedata (unicode_*.c).  Pure functions
 * over UTF-8 that is known to be valid; any thread. */
#ifndef LFMD_MODEL_TEMPLATE_TEXT_H
#define LFMD_MODEL_TEMPLATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"

enum text_class {
    TEXT_ALPHA,
    TEXT_DIGIT,   /* str.isdigit */
    TEXT_NUMERIC, /* str.isnumeric; with ALPHA makes isalnum */
    TEXT_UPPER,
    TEXT_LOWER,
    TEXT_CASED, /* TITLE too */
    TEXT_PRINTABLE
};

bool text_is(uint32_t cp, enum text_class c);
bool text_is_space(uint32_t cp);
bool text_is_line_end(uint32_t cp); /* one code point of str.splitlines */

enum text_case { CASE_UPPER, CASE_LOWER, CASE_TITLE };

/* Appends the mapping of one code point: one to three code points. */
void text_put_case(struct buf *b, uint32_t cp, enum text_case to);
void text_put_cp(struct buf *b, uint32_t cp);

/* The code point at s (valid, at least one byte) and its length. */
uint32_t text_next(const char *s, size_t n, size_t *len);
/* Bytes taken by the first n_chars code points of s[0..n). */
size_t text_offset(const char *s, size_t n, size_t n_chars);
size_t text_count(const char *s, size_t n);
/* How many bytes of white space are at the front or the back. */
size_t text_space_front(const char *s, size_t n);
size_t text_space_back(const char *s, size_t n);
/* The first `needle` in s at or after byte `from`, or SIZE_MAX. */
size_t text_find(const char *s, size_t n, const char *needle, size_t n_needle,
                 size_t from);
size_t text_rfind(const char *s, size_t n, const char *needle, size_t n_needle);

#endif
