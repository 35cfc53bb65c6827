/* fuzz_safetensors.c -- a file's bytes, as they are, through the header parser.
 *
 * Whatever is accepted must lie in the file, without hole or overlap, and be
 * found again under its name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_and_check(const uint8_t *bytes, size_t n)
{
    struct safetensors *st = NULL;
    struct err err;
    if (safetensors_parse(&st, bytes, n, n, &err) != 0)
        return;
    uint64_t at = 0;
    for (size_t i = 0; i < st->n; i++) {
        const struct safetensor *t = &st->tensors[i];
        if (t->begin != at || t->end < at || safetensors_find(st, t->name) != t)
            abort();
        at = t->end;
    }
    if (st->data_offset + at != n)
        abort();
    safetensors_free(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse_and_check(data, size);
    /* The rest as a header whose length is right, and with as much data as its
     * first byte says: that gets past the length more often. */
    if (size == 0 || size > 4096)
        return 0;
    size_t len = size - 1, n = 8 + len + data[0];
    uint8_t *file = calloc(1, n);
    if (file == NULL)
        return 0;
    file[0] = (uint8_t)len;
    file[1] = (uint8_t)(len >> 8);
    memcpy(file + 8, data + 1, len);
    parse_and_check(file, n);
    free(file);
    return 0;
}
