/* shards.h -- the safetensors files of a directory, mapped as one set.
 *
 * Either `model.safetensors`, or `model.safetensors.index.json` with the shards
 * it names; where both are there the single file is taken, as transformers
 * does.  Files are mapped read-only and private; their length is checked before
 * the mapping, so a file that was cut is refused, not a fault.
 *
 * It knows nothing of what the tensors are for (weights.h).
 * Opened and closed by one thread; read-only in between: any thread. */
#ifndef LFMD_MODEL_WEIGHTS_SHARDS_H
#define LFMD_MODEL_WEIGHTS_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/weights/map_file.h"
#include "model/weights/safetensors.h"

#define SHARDS_MAX 1024u

struct shard {
    char *path;             /* owned */
    struct mapping map;     /* owned */
    struct safetensors *st; /* owned */
    bool *used;             /* [st->n], owned: taken by shards_find */
};

struct shards {
    struct shard *files; /* [n], owned */
    size_t n;
    size_t tensor_bytes; /* of all tensors */
};

/* All zero is an empty set, which shards_close accepts.  On refusal *s is
 * empty. */
int shards_open(struct shards *s, const char *dir, struct err *err);
void shards_close(struct shards *s);

/* Marks the tensor as used; NULL when no file has it.  *data is its first
 * byte. */
const struct safetensor *shards_find(struct shards *s, const char *name,
                                     const void **data);

/* The first tensor, in the order of the files, that nobody asked for, or NULL;
 * *n is how many there are. */
const struct safetensor *shards_unused(const struct shards *s, size_t *n);

#endif
