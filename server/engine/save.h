/* save.h -- the cache belongs to the engine thread, a disk is slow.
 *
 * Whoever saves asks the engine thread for a snapshot, writes it on his own
 * thread, and tells the engine thread that it may let go.  The engine looks
 * when it is nudged, so each takes it one step at most; a request that waits
 * for the blocks is looked at again in the step that lets go of them. */
#ifndef LFMD_SERVER_ENGINE_SAVE_H
#define LFMD_SERVER_ENGINE_SAVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"

struct cache;
struct cache_snapshot;
struct inbox;
struct prefix_file_stats;

enum save_phase { SAVE_NONE, SAVE_ASKED, SAVE_TAKEN, SAVE_DONE };

struct saver {
    struct cache *cache; /* borrowed; the engine thread's until it has left */
    struct inbox *inbox; /* borrowed */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    /* Under the mutex. */
    enum save_phase phase;
    struct cache_snapshot *snapshot; /* borrowed from who asks */
    bool left;
};

int saver_init(struct saver *s, struct cache *cache, struct inbox *inbox,
               struct err *err);
void saver_deinit(struct saver *s);

/* Engine thread: does what is asked. */
void save_serve(struct saver *s);
/* Engine thread, at its end: the cache is now of whoever saves. */
void save_leave(struct saver *s);

/* See engine_save. */
int save_to(struct saver *s, const char *path, uint64_t fingerprint,
            struct prefix_file_stats *out, struct err *err);

#endif
