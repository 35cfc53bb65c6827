/* prefix_store.h -- where the prefix cache stays while nobody runs
 * (--cache-dir), and what the operator is told about it.
 *
 *     DIR/prefix-FINGERPRINT.lfmd
 *
 * so models, settings and versions that must not meet do not find each other.
 * Whatever is wrong with a file costs a warning and the warm start, never the
 * service. */
#ifndef LFMD_SERVER_PREFIX_STORE_H
#define LFMD_SERVER_PREFIX_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"

struct engine;
struct model;

#define PREFIX_STORE_PATH 4096

struct prefix_store {
    char path[PREFIX_STORE_PATH]; /* "": there is none, and nothing happens */
    uint64_t fingerprint;
};

/* At start, before anything takes long: the directory is made (0700) if it is
 * missing; an error if files cannot be made and read there.  NULL or "" is
 * fine. */
int prefix_store_check(const char *dir, struct err *err);

/* Before there is an engine: the place for `m`, and what was saved there into
 * its cache. */
void prefix_store_open(struct prefix_store *s, const char *dir, struct model *m,
                       const char *version);

/* As engine_save. */
void prefix_store_save(const struct prefix_store *s, struct engine *e);

static inline bool prefix_store_is_open(const struct prefix_store *s)
{
    return s->path[0] != '\0';
}

#endif
