/* safetensors.h -- the header of one safetensors file, believed in nothing.
 *
 * A file is 8 bytes of header length (little-endian), the header (a JSON object
 * of name -> dtype, shape, data_offsets) and the data.  The rules are those of
 * the safetensors README and tensor.rs (validate): known dtypes, checked
 * products, tensors contiguous from 0 with no hole or overlap, and the last one
 * ends exactly where the file does.  The header may take at most
 * SAFETENSORS_MAX_HEADER bytes.
 *
 * It reads bytes in memory and knows nothing of files (shards.h) or of what the
 * tensors mean (weights.h).  Pure; the result is read-only: any thread. */
#ifndef LFMD_MODEL_WEIGHTS_SAFETENSORS_H
#define LFMD_MODEL_WEIGHTS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

#define SAFETENSORS_MAX_HEADER ((uint64_t)32 << 20)
#define SAFETENSORS_MAX_DIMS 8u

enum st_dtype {
    ST_F32,
    ST_F16,
    ST_BF16, /* those that weights can be read from */
    ST_BOOL,
    ST_U8,
    ST_I8,
    ST_U16,
    ST_I16,
    ST_U32,
    ST_I32,
    ST_U64,
    ST_I64,
    ST_F64,
    ST_C64,
    ST_F8_E5M2,
    ST_F8_E4M3,
    ST_F8_E8M0,
    ST_F8_E5M2FNUZ,
    ST_F8_E4M3FNUZ,
    ST_F6_E2M3,
    ST_F6_E3M2,
    ST_F4,
    ST_N_DTYPES
};

struct safetensor {
    const char *name; /* owned by the header it belongs to */
    enum st_dtype dtype;
    uint32_t n_dims; /* 0 is a scalar */
    uint64_t dims[SAFETENSORS_MAX_DIMS];
    uint64_t begin, end; /* bytes from the start of the data */
};

struct safetensors {
    struct safetensor *tensors; /* [n], in the order of their data */
    size_t n;
    uint64_t data_offset; /* of the data in the file */
    uint64_t data_bytes;
    struct arena *arena; /* owned; all of the above lives in it */
    uint32_t *slots;     /* hash table over the names */
    size_t n_slots;
};

/* Parses the first `n` bytes of a file of `file_bytes`, which must hold the
 * whole header (n may be file_bytes: the data is not looked at).  *out needs
 * safetensors_free after success only. */
int safetensors_parse(struct safetensors **out, const void *bytes, size_t n,
                      uint64_t file_bytes, struct err *err);
void safetensors_free(struct safetensors *st); /* NULL is fine */

/* NULL when there is no such tensor. */
const struct safetensor *safetensors_find(const struct safetensors *st,
                                          const char *name);

const char *st_dtype_name(enum st_dtype t); /* "BF16" */

#endif
