/* prefix_file.h -- what the cache remembers, in a file from run to run.
 *
 * The file is a header and one record for each node, all of one size: parent,
 * tenant, tokens, keys and values.  Parents come before their children and what
 * was used last comes first, so the beginning of a file is a tree too, and a
 * smaller cache reads as much as it has room for.  Every record ends in a hash
 * of itself and all before it; numbers are in the machine's own order.
 *
 * A file is right only for the keys that this process would compute: whoever
 * calls gives a fingerprint of all they depend on.  Reading trusts nothing
 * else: sizes are compared before a byte is read, and each link and token
 * before it is used.  It does not look at the keys themselves; any numbers
 * might be wrong ones, and it is the hash that vouches for them.
 *
 * Threads: each function says. */
#ifndef LFMD_MODEL_CACHE_PREFIX_FILE_H
#define LFMD_MODEL_CACHE_PREFIX_FILE_H

#include <stdint.h>

#include "model/base/err.h"

struct cache;
struct cache_snapshot;

struct prefix_file_stats {
    uint32_t n_blocks; /* that were written, or are remembered now */
    uint32_t n_left;   /* in the file, but without room here */
    uint64_t bytes;    /* of the file; 0: there is none */
};

/* Room to note every block of `c`.  Any thread. */
int cache_snapshot_new(struct cache_snapshot **out, const struct cache *c,
                       struct err *err);
void cache_snapshot_free(struct cache_snapshot *s); /* NULL is fine */

/* Inference thread: all that is remembered, but for ends that a sequence still
 * extends, stays as it is until cache_snapshot_drop and counts as taken.  One
 * snapshot at a time; O(blocks), no heap. */
void cache_snapshot_take(struct cache *c, struct cache_snapshot *s);
void cache_snapshot_drop(struct cache *c, struct cache_snapshot *s);

/* Any thread, between these two: writes `path` anew, readable to the owner
 * only.  A new file takes the old one's place when it is complete and on disk;
 * whatever fails before leaves the old one.  An empty snapshot is not written.
 * -ERR_IO; -ERR_BUSY when another process is writing the same file. */
int prefix_file_write(const struct cache_snapshot *s, const char *path,
                      uint64_t fingerprint, struct prefix_file_stats *out,
                      struct err *err);

/* Inference thread, or before there is one: an empty cache remembers what was
 * saved, with its order of last use.  No file is no error.  On error the cache
 * is as empty as it was: -ERR_FORMAT (damaged, or of another fingerprint or
 * geometry), -ERR_IO, -ERR_NOMEM.  `n_vocab` bounds the tokens. */
int prefix_file_read(struct cache *c, const char *path, uint64_t fingerprint,
                     uint32_t n_vocab, struct prefix_file_stats *out,
                     struct err *err);

#endif
