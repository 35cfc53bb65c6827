/* gguf.h -- a GGUF file, or the parts of a split one, believed in nothing.
 *
 * Little-endian: magic, version (2 or 3), counts, metadata (key, type, value),
 * tensor infos (name, dimensions fastest first, type, offset), padding, data.
 * Source: ggml/include/gguf.h and docs/gguf.md.  All lengths, counts, products
 * and offsets are checked against the file before anything is allocated or
 * read; memory for the index is bounded by the file's size.  A split file
 * (name-00001-of-0000N.gguf, keys split.*) is opened by the name of any of its
 * parts; metadata is that of the first.
 *
 * It knows nothing of what keys or tensors mean.  Files are mapped read-only
 * and stay mapped until gguf_close; everything returned is borrowed from them.
 * Opened and closed by one thread; read-only in between: any thread. */
#ifndef LFMD_MODEL_WEIGHTS_GGUF_H
#define LFMD_MODEL_WEIGHTS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/kernels/blocks.h"

struct gguf;

#define GGUF_MAX_DIMS 4u

/* Values as they are in the file. */
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_N_TYPES
};

struct gguf_tensor {
    const char *name;             /* NUL-terminated, of valid UTF-8 */
    uint32_t n_dims;              /* 1..4 */
    uint64_t dims[GGUF_MAX_DIMS]; /* fastest first; the unused are 1 */
    bool known; /* false: a type we do not compute; dtype is unset */
    enum dtype dtype;
    uint32_t type_id; /* ggml's, for messages */
    const void *data; /* NULL when !known */
    size_t bytes;
};

/* True when the file starts with the magic; false also when unreadable. */
bool gguf_is_file(const char *path);

/* Opens a file or all parts of a split one.  Errors name the file. */
int gguf_open(struct gguf **out, const char *path, struct err *err);

/* One file from memory, which outlives the result; for tests and fuzzing. */
int gguf_parse(struct gguf **out, const void *bytes, size_t n, struct err *err);

void gguf_close(struct gguf *g); /* NULL is fine */

uint32_t gguf_n_files(const struct gguf *g);
const char *gguf_file_name(const struct gguf *g); /* of the first, for text */
bool gguf_is_mapped(const struct gguf *g); /* opened, not parsed from memory */

/* ---- metadata: 1 found, 0 absent, negative: another type or out of range,
 * with an error that names the key.  Integers of any width are accepted for
 * integers (bool is not), F32 and F64 and integers for floats. */
int gguf_u32(const struct gguf *g, const char *key, uint32_t *out,
             struct err *err);
int gguf_f64(const struct gguf *g, const char *key, double *out,
             struct err *err);
int gguf_bool(const struct gguf *g, const char *key, bool *out,
              struct err *err);

/* Not NUL-terminated; may hold any bytes. */
struct gguf_text {
    const char *bytes;
    size_t n;
};
int gguf_text(const struct gguf *g, const char *key, struct gguf_text *out,
              struct err *err);

/* An array: its length and type of element. */
int gguf_array(const struct gguf *g, const char *key, uint64_t *n,
               enum gguf_type *of, struct err *err);

/* Elements [0, n) of an array of integers into out; n is the array's length.
 * For an array as for a scalar that stands for n equal ones. */
int gguf_u32s(const struct gguf *g, const char *key, uint32_t *out, uint64_t n,
              struct err *err);

/* Walks an array of strings from its start:
 *     struct gguf_texts it;
 *     if (gguf_texts(g, key, &it, err) == 1)
 *         while (gguf_texts_next(&it, &text)) ... */
struct gguf_texts {
    const uint8_t *at, *end;
    uint64_t n, left;
};
int gguf_texts(const struct gguf *g, const char *key, struct gguf_texts *it,
               struct err *err);
bool gguf_texts_next(struct gguf_texts *it, struct gguf_text *out);

/* ---- tensors, over all parts ------------------------------------------- */
uint64_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor(const struct gguf *g, uint64_t i);
const struct gguf_tensor *gguf_find(const struct gguf *g, const char *name);

/* Tells the kernel that the tensor's pages will be read soon, or are not
 * needed in memory any more (they can be read again from the file). */
void gguf_will_need(const struct gguf *g, const struct gguf_tensor *t);
void gguf_release(const struct gguf *g, const struct gguf_tensor *t);

#endif
