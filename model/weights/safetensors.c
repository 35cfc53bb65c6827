/* safetensors.c -- see safetensors.h. */
#include "model/weights/safetensors.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/arena.h"
#include "model/base/hash.h"
#include "model/base/json.h"

#define HEADER_DEPTH 4u
#define HEADER_NODES 400000u /* some 40000 tensors */
#define NO_SLOT UINT32_MAX

static const struct {
    const char *name;
    uint32_t bits;
} dtypes[ST_N_DTYPES] = {
    [ST_F32] = {"F32", 32},
    [ST_F16] = {"F16", 16},
    [ST_BF16] = {"BF16", 16},
    [ST_BOOL] = {"BOOL", 8},
    [ST_U8] = {"U8", 8},
    [ST_I8] = {"I8", 8},
    [ST_U16] = {"U16", 16},
    [ST_I16] = {"I16", 16},
    [ST_U32] = {"U32", 32},
    [ST_I32] = {"I32", 32},
    [ST_U64] = {"U64", 64},
    [ST_I64] = {"I64", 64},
    [ST_F64] = {"F64", 64},
    [ST_C64] = {"C64", 64},
    [ST_F8_E5M2] = {"F8_E5M2", 8},
    [ST_F8_E4M3] = {"F8_E4M3", 8},
    [ST_F8_E8M0] = {"F8_E8M0", 8},
    [ST_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
    [ST_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
    [ST_F6_E2M3] = {"F6_E2M3", 6},
    [ST_F6_E3M2] = {"F6_E3M2", 6},
    [ST_F4] = {"F4", 4},
};

const char *st_dtype_name(enum st_dtype t)
{
    return dtypes[t].name;
}

static int read_dtype(struct safetensor *t, const json_t *entry,
                      struct err *err)
{
    const json_t *v = json_object_get(entry, "dtype");
    char text[64];
    if (!json_is_string(v))
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: dtype must be a string, not %s", t->name,
                       v == NULL ? "absent" : json_describe(v, text));
    for (int i = 0; i < ST_N_DTYPES; i++)
        if (strcmp(json_string_value(v), dtypes[i].name) == 0) {
            t->dtype = (enum st_dtype)i;
            return 0;
        }
    return err_set(err, ERR_FORMAT, "tensor %.128s: unknown dtype \"%.32s\"",
                   t->name, json_string_value(v));
}

static int read_uint(uint64_t *out, const json_t *v, const char *name,
                     const char *what, struct err *err)
{
    char text[64];
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: %s must hold non-negative integers, "
                       "not %s",
                       name, what, json_describe(v, text));
    *out = (uint64_t)json_integer_value(v);
    return 0;
}

/* Reads the shape and leaves in *bytes how much data it needs. */
static int read_shape(struct safetensor *t, uint64_t *bytes,
                      const json_t *entry, struct err *err)
{
    const json_t *v = json_object_get(entry, "shape");
    if (!json_is_array(v))
        return err_set(err, ERR_FORMAT, "tensor %.128s: shape must be an array",
                       t->name);
    size_t n = json_array_size(v);
    if (n > SAFETENSORS_MAX_DIMS)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: shape has %zu dimensions, more than %u",
                       t->name, n, SAFETENSORS_MAX_DIMS);
    uint64_t bits = dtypes[t->dtype].bits;
    for (size_t i = 0; i < n; i++) {
        int rc =
            read_uint(&t->dims[i], json_array_get(v, i), t->name, "shape", err);
        if (rc != 0)
            return rc;
        if (t->dims[i] != 0 && bits > UINT64_MAX / t->dims[i])
            return err_set(err, ERR_FORMAT,
                           "tensor %.128s: shape has more elements than 64 "
                           "bits can count",
                           t->name);
        bits *= t->dims[i];
    }
    t->n_dims = (uint32_t)n;
    if (bits % 8 != 0)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: %llu bits are not a whole number of "
                       "bytes",
                       t->name, (unsigned long long)bits);
    *bytes = bits / 8;
    return 0;
}

static int read_offsets(struct safetensor *t, uint64_t bytes,
                        uint64_t data_bytes, const json_t *entry,
                        struct err *err)
{
    const json_t *v = json_object_get(entry, "data_offsets");
    if (!json_is_array(v) || json_array_size(v) != 2)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: data_offsets must be an array of two",
                       t->name);
    int rc = read_uint(&t->begin, json_array_get(v, 0), t->name, "data_offsets",
                       err);
    if (rc == 0)
        rc = read_uint(&t->end, json_array_get(v, 1), t->name, "data_offsets",
                       err);
    if (rc != 0)
        return rc;
    if (t->begin > t->end || t->end > data_bytes)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: data_offsets [%llu, %llu] do not lie "
                       "in the file's %llu bytes of data",
                       t->name, (unsigned long long)t->begin,
                       (unsigned long long)t->end,
                       (unsigned long long)data_bytes);
    if (t->end - t->begin != bytes)
        return err_set(err, ERR_FORMAT,
                       "tensor %.128s: its shape needs %llu bytes, but "
                       "data_offsets span %llu",
                       t->name, (unsigned long long)bytes,
                       (unsigned long long)(t->end - t->begin));
    return 0;
}

static int read_tensor(struct safetensors *st, const char *name,
                       const json_t *entry, struct err *err)
{
    struct safetensor *t = &st->tensors[st->n];
    uint64_t bytes = 0;
    const char *key;
    json_t *value;
    t->name = arena_strdup(st->arena, name);
    if (t->name == NULL)
        return err_nomem(err, "a tensor name");
    if (!json_is_object(entry))
        return err_set(err, ERR_FORMAT, "tensor %.128s must be an object",
                       name);
    json_object_foreach((json_t *)(uintptr_t)entry, key, value) if (
        strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 &&
        strcmp(key, "data_offsets") !=
            0) return err_set(err, ERR_FORMAT,
                              "tensor %.128s has an unknown field \"%.32s\"",
                              name, key);
    int rc = read_dtype(t, entry, err);
    if (rc == 0)
        rc = read_shape(t, &bytes, entry, err);
    if (rc == 0)
        rc = read_offsets(t, bytes, st->data_bytes, entry, err);
    if (rc == 0)
        st->n++;
    return rc;
}

static int check_metadata(const json_t *entry, struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return err_set(err, ERR_FORMAT, "__metadata__ must be an object");
    json_object_foreach((json_t *)(uintptr_t)entry, key, value) if (
        !json_is_string(
            value)) return err_set(err, ERR_FORMAT,
                                   "__metadata__.%.64s must be a string", key);
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct safetensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* No hole, no overlap, nothing after the end: also what makes a truncated file
 * or one with something appended visible. */
static int check_layout(struct safetensors *st, struct err *err)
{
    uint64_t at = 0;
    if (st->n > 0)
        qsort(st->tensors, st->n, sizeof *st->tensors, by_place);
    for (size_t i = 0; i < st->n; i++) {
        const struct safetensor *t = &st->tensors[i];
        if (t->begin != at)
            return err_set(err, ERR_FORMAT,
                           "tensor %.128s begins at byte %llu of the data, but "
                           "the one before it ends at %llu",
                           t->name, (unsigned long long)t->begin,
                           (unsigned long long)at);
        at = t->end;
    }
    if (at != st->data_bytes)
        return err_set(err, ERR_FORMAT,
                       "the tensors take %llu bytes, but the file has %llu "
                       "bytes of data",
                       (unsigned long long)at,
                       (unsigned long long)st->data_bytes);
    return 0;
}

static size_t slot_of(const struct safetensors *st, const char *name)
{
    size_t i = (size_t)hash_bytes(name, strlen(name), 0) & (st->n_slots - 1);
    while (st->slots[i] != NO_SLOT &&
           strcmp(st->tensors[st->slots[i]].name, name) != 0)
        i = (i + 1) & (st->n_slots - 1);
    return i;
}

static int build_table(struct safetensors *st, struct err *err)
{
    st->n_slots = 2;
    while (st->n_slots < 2 * st->n + 2)
        st->n_slots *= 2;
    st->slots = arena_calloc(st->arena, st->n_slots, sizeof *st->slots);
    if (st->slots == NULL)
        return err_nomem(err, "the table of tensor names");
    memset(st->slots, 0xFF, st->n_slots * sizeof *st->slots);
    for (size_t i = 0; i < st->n; i++)
        st->slots[slot_of(st, st->tensors[i].name)] = (uint32_t)i;
    return 0;
}

const struct safetensor *safetensors_find(const struct safetensors *st,
                                          const char *name)
{
    uint32_t i = st->slots[slot_of(st, name)];
    return i == NO_SLOT ? NULL : &st->tensors[i];
}

static int read_header(struct safetensors *st, const json_t *header,
                       struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(header))
        return err_set(err, ERR_FORMAT, "the header must be a JSON object");
    st->tensors = arena_calloc(st->arena, json_object_size(header) + 1,
                               sizeof *st->tensors);
    if (st->tensors == NULL)
        return err_nomem(err, "the list of tensors");
    json_object_foreach((json_t *)(uintptr_t)header, key, value)
    {
        int rc = strcmp(key, "__metadata__") == 0
                     ? check_metadata(value, err)
                     : read_tensor(st, key, value, err);
        if (rc != 0)
            return rc;
    }
    int rc = check_layout(st, err);
    return rc != 0 ? rc : build_table(st, err);
}

/* The length in front, against what there is. */
static int header_length(size_t *out, const void *bytes, size_t n,
                         uint64_t file_bytes, struct err *err)
{
    const unsigned char *p = bytes;
    uint64_t len = 0;
    if (n < 8 || file_bytes < n)
        return err_set(err, ERR_FORMAT,
                       "has %llu bytes, too few for a safetensors file",
                       (unsigned long long)file_bytes);
    for (int i = 7; i >= 0; i--)
        len = len << 8 | p[i];
    if (len > SAFETENSORS_MAX_HEADER)
        return err_set(err, ERR_FORMAT,
                       "says its header has %llu bytes, more than the %llu "
                       "accepted",
                       (unsigned long long)len,
                       (unsigned long long)SAFETENSORS_MAX_HEADER);
    if (len > n - 8)
        return err_set(err, ERR_FORMAT,
                       "says its header has %llu bytes, but only %llu follow",
                       (unsigned long long)len, (unsigned long long)(n - 8));
    *out = (size_t)len;
    return 0;
}

int safetensors_parse(struct safetensors **out, const void *bytes, size_t n,
                      uint64_t file_bytes, struct err *err)
{
    size_t len = 0;
    json_t *header = NULL;
    *out = NULL;
    int rc = header_length(&len, bytes, n, file_bytes, err);
    if (rc == 0)
        rc = json_parse(&header, (const char *)bytes + 8, len, HEADER_DEPTH,
                        HEADER_NODES, err);
    if (rc != 0) {
        if (rc == -ERR_INVALID) {
            err_wrap(err, "header");
            if (err != NULL)
                err->class_ = ERR_FORMAT;
            rc = -ERR_FORMAT;
        }
        return rc;
    }
    struct safetensors *st = mem_calloc(1, sizeof *st);
    if (st != NULL)
        st->arena = arena_new(0);
    if (st == NULL || st->arena == NULL) {
        rc = err_nomem(err, "a safetensors header");
    } else {
        st->data_offset = 8 + (uint64_t)len;
        st->data_bytes = file_bytes - st->data_offset;
        rc = read_header(st, header, err);
    }
    json_decref(header);
    if (rc != 0) {
        safetensors_free(st);
        return rc;
    }
    *out = st;
    return 0;
}

void safetensors_free(struct safetensors *st)
{
    if (st == NULL)
        return;
    arena_free(st->arena);
    mem_free(st);
}
