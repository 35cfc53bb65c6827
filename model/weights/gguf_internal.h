/* gguf_internal.h -- what gguf.c (files, index) and gguf_value.c (metadata)
 * share.  See gguf.h. */
#ifndef LFMD_MODEL_WEIGHTS_GGUF_INTERNAL_H
#define LFMD_MODEL_WEIGHTS_GGUF_INTERNAL_H

#include "model/weights/gguf.h"
#include "model/weights/map_file.h"

/* Bytes that were not looked at yet. */
struct gguf_cursor {
    const uint8_t *at, *end;
};

/* One entry; the bytes are those of the file and were checked. */
struct gguf_kv {
    const char *key; /* not NUL-terminated */
    size_t n_key;
    enum gguf_type type;
    enum gguf_type of;    /* of the elements, for an array */
    uint64_t n;           /* elements; 1 when no array */
    const uint8_t *value; /* of the first element */
    const uint8_t *end;
};

/* From a hash of a name to an index + 1; 0 is free. */
struct gguf_table {
    uint32_t *slots;
    size_t n_slots; /* a power of two */
};

struct gguf_part {
    char *name;          /* owned; for messages */
    struct mapping map;  /* base NULL when parsed from memory */
    const uint8_t *base; /* [bytes] */
    size_t bytes;
};

struct gguf {
    struct arena *arena; /* owned: kvs, tensors, names, tables */
    struct gguf_part *parts;
    uint32_t n_parts;
    struct gguf_kv *kvs; /* of the first part */
    uint32_t n_kvs;
    struct gguf_table keys;
    struct gguf_tensor *tensors;
    uint64_t n_tensors;
    struct gguf_table names;
};

bool gguf_take(struct gguf_cursor *c, void *out, size_t n);

/* Reads and checks one entry. */
int gguf_kv_read(struct gguf_kv *kv, struct gguf_cursor *c, struct err *err);

/* NULL when there is none. */
const struct gguf_kv *gguf_kv_find(const struct gguf *g, const char *key,
                                   size_t n_key);

#endif
