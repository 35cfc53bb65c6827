/* writer.h -- JSON that leaves, appended and never looked at again.
 *
 * Commas come by themselves; misuse (a value without its key, a wrong close)
 * is a bug and asserted.  Failure is the buffer's: ask buf_ok at the end.
 *
 *     writer_object(&w);
 *     writer_key(&w, "id");     writer_string(&w, id);
 *     writer_key(&w, "choices");
 *     writer_array(&w);         writer_end_array(&w);
 *     writer_end_object(&w);
 *
 * One thread at a time; allocates only what the buffer does. */
#ifndef LFMD_API_BASE_WRITER_H
#define LFMD_API_BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"

#define WRITER_DEPTH_MAX 32u
#define WRITER_FLOAT_BYTES 16u /* "-1.17549435e-38," */

struct writer {
    struct buf *out;  /* borrowed */
    uint32_t objects; /* bit d: level d is an object */
    uint32_t filled;  /* bit d: level d has a member */
    uint8_t depth;
    bool after_key;
};

void writer_init(struct writer *w, struct buf *out);

void writer_object(struct writer *w);
void writer_end_object(struct writer *w);
void writer_array(struct writer *w);
void writer_end_array(struct writer *w);
void writer_key(struct writer *w, const char *key); /* plain ASCII */

void writer_null(struct writer *w);
void writer_bool(struct writer *w, bool v);
void writer_int(struct writer *w, int64_t v);
void writer_uint(struct writer *w, uint64_t v);
/* Shortest decimal that reads back as the same float; null for NaN, and
 * +-infinity as +-3.4028235e38, which JSON can say. */
void writer_float(struct writer *w, float v);
/* An array of them: the same numbers, with a digit more here and there, many
 * times as fast.  An element takes WRITER_FLOAT_BYTES at most. */
void writer_floats(struct writer *w, const float *v, size_t n);
/* One string: base64 of the numbers as little-endian float32. */
void writer_floats_base64(struct writer *w, const float *v, size_t n);
void writer_string(struct writer *w, const char *s); /* NULL is null */
void writer_string_n(struct writer *w, const char *s, size_t n); /* UTF-8 */
void writer_raw(struct writer *w, const char *json, size_t n);   /* one value */
/* Members of an object, written before: "\"a\":1,\"b\":2" without braces. */
void writer_members(struct writer *w, const char *json, size_t n);

/* key and value at once */
void writer_key_string(struct writer *w, const char *key, const char *s);
void writer_key_int(struct writer *w, const char *key, int64_t v);
void writer_key_float(struct writer *w, const char *key, float v);
void writer_key_bool(struct writer *w, const char *key, bool v);
void writer_key_null(struct writer *w, const char *key);

#endif
