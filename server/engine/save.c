/* save.c -- see save.h. */
#include "server/engine/save.h"

#include "model/cache/prefix_file.h"
#include "server/engine/mailbox.h"

int saver_init(struct saver *s, struct cache *cache, struct inbox *inbox,
               struct err *err)
{
    *s = (struct saver){.cache = cache, .inbox = inbox};
    if (pthread_mutex_init(&s->mutex, NULL) != 0)
        return err_nomem(err, "the engine's saver");
    if (pthread_cond_init(&s->cond, NULL) != 0) {
        (void)pthread_mutex_destroy(&s->mutex);
        return err_nomem(err, "the engine's saver");
    }
    return 0;
}

void saver_deinit(struct saver *s)
{
    (void)pthread_cond_destroy(&s->cond);
    (void)pthread_mutex_destroy(&s->mutex);
}

/* By whoever has the cache, under the mutex. */
static void advance(struct saver *s)
{
    if (s->phase == SAVE_ASKED) {
        cache_snapshot_take(s->cache, s->snapshot);
        s->phase = SAVE_TAKEN;
    } else if (s->phase == SAVE_DONE) {
        cache_snapshot_drop(s->cache, s->snapshot);
        s->phase = SAVE_NONE;
    }
}

void save_serve(struct saver *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    advance(s);
    (void)pthread_cond_signal(&s->cond);
    (void)pthread_mutex_unlock(&s->mutex);
}

void save_leave(struct saver *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->left = true;
    (void)pthread_cond_signal(&s->cond);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* From `phase` to the next one, by the engine thread or, when that is gone, by
 * this one. */
static void go_through(struct saver *s, enum save_phase phase)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->phase = phase;
    inbox_nudge(s->inbox);
    while (s->phase == phase && !s->left)
        (void)pthread_cond_wait(&s->cond, &s->mutex);
    if (s->phase == phase)
        advance(s);
    (void)pthread_mutex_unlock(&s->mutex);
}

int save_to(struct saver *s, const char *path, uint64_t fingerprint,
            struct prefix_file_stats *out, struct err *err)
{
    struct cache_snapshot *snapshot;
    int rc = cache_snapshot_new(&snapshot, s->cache, err);
    if (rc != 0)
        return rc;
    s->snapshot = snapshot; /* seen under the mutex, with the phase */
    go_through(s, SAVE_ASKED);
    rc = prefix_file_write(snapshot, path, fingerprint, out, err);
    go_through(s, SAVE_DONE);
    cache_snapshot_free(snapshot);
    return rc;
}
