/* prefix_store.c -- see prefix_store.h. */
#include "server/prefix_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/clock.h"
#include "model/base/log.h"
#include "model/cache/prefix_file.h"
#include "model/fingerprint.h"
#include "model/model.h"
#include "server/engine/engine.h"

#define FILE_NAME_BYTES 40u /* "/prefix-", 16 digits, ".lfmd.part" and NUL */

int prefix_store_check(const char *dir, struct err *err)
{
    if (dir == NULL || dir[0] == '\0')
        return 0;
    if (strlen(dir) + FILE_NAME_BYTES > PREFIX_STORE_PATH)
        return err_set(err, ERR_LIMIT,
                       "cache-dir: the name has %zu characters, at most %u "
                       "are taken",
                       strlen(dir), PREFIX_STORE_PATH - FILE_NAME_BYTES);
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        err_errno(err, "make the directory", dir);
        return err_wrap(err, "cache-dir");
    }
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, "cache-dir: %s is no directory", dir);
    if (access(dir, R_OK | W_OK | X_OK) != 0) {
        err_errno(err, "write in", dir);
        return err_wrap(err, "cache-dir");
    }
    return 0;
}

void prefix_store_open(struct prefix_store *s, const char *dir, struct model *m,
                       const char *version)
{
    struct prefix_file_stats stats;
    struct err err = {0};
    s->path[0] = '\0';
    if (dir == NULL || dir[0] == '\0')
        return;
    uint64_t start = clock_now_ms();
    s->fingerprint = model_fingerprint(m, version);
    snprintf(s->path, sizeof s->path, "%s/prefix-%016llx.lfmd", dir,
             (unsigned long long)s->fingerprint);
    if (prefix_file_read(m->cache, s->path, s->fingerprint, m->hp.n_vocab,
                         &stats, &err) != 0) {
        log_at(LOG_WARN, "cache", "%s; the prefix cache starts empty",
               err.text);
        return;
    }
    if (stats.bytes == 0) {
        log_at(LOG_INFO, "cache", "nothing is saved in %s yet", s->path);
        return;
    }
    log_at(LOG_INFO, "cache",
           "remembers %u blocks of %u tokens from %s (%.1f MB, %u ms)%s",
           (unsigned)stats.n_blocks, KV_BLOCK_TOKENS, s->path,
           (double)stats.bytes / 1e6, (unsigned)(clock_now_ms() - start),
           stats.n_left > 0 ? "; the oldest have no room" : "");
}

void prefix_store_save(const struct prefix_store *s, struct engine *e)
{
    struct prefix_file_stats stats;
    struct err err = {0};
    if (!prefix_store_is_open(s))
        return;
    uint64_t start = clock_now_ms();
    if (engine_save(e, s->path, s->fingerprint, &stats, &err) != 0) {
        log_at(LOG_WARN, "cache", "the prefix cache is not saved: %s",
               err.text);
        return;
    }
    if (stats.n_blocks == 0) {
        log_at(LOG_INFO, "cache", "nothing to save");
        return;
    }
    log_at(LOG_INFO, "cache",
           "saved %u blocks of %u tokens to %s (%.1f MB, %u ms)",
           (unsigned)stats.n_blocks, KV_BLOCK_TOKENS, s->path,
           (double)stats.bytes / 1e6, (unsigned)(clock_now_ms() - start));
}
