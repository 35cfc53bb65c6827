/* utf8.h -- strict UTF-8 (Unicode table 3-7): no surrogates, no overlong forms.
 *
 * Pure functions, any thread. */
#ifndef LFMD_MODEL_BASE_UTF8_H
#define LFMD_MODEL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one code point of s[0..n), n > 0.  Returns its length 1..4; 0 when
 * the bytes start a code point that needs more than n; -k when the first k
 * bytes (the maximal subpart) cannot start one. */
int utf8_decode(const char *s, size_t n, uint32_t *cp);

/* Writes 1..4 bytes; 0 for a surrogate or a value above 0x10FFFF. */
int utf8_encode(uint32_t cp, char out[4]);

bool utf8_valid(const char *s, size_t n);

/* How many bytes at the end of s are an unfinished code point: 0..3. */
size_t utf8_unfinished(const char *s, size_t n);

#endif
