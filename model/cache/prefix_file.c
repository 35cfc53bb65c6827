/* prefix_file.c -- see prefix_file.h.
 *
 * Rests on every record having one size, so that the header foretells the
 * file's, and on the hash of each seeding that of the next, so that a record
 * is right only in its place. */
#include "model/cache/prefix_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/base/alloc.h"
#include "model/base/hash.h"
#include "model/cache/snapshot.h"

#define FILE_VERSION 1u
#define FILE_MARK UINT32_C(0x01020304) /* reads otherwise on other machines */
#define TEMPORARY ".part"

static const char magic[8] = {'l', 'f', 'm', 'd', ' ', 'k', 'v', '\n'};

/* Neither struct has a hole: they are hashed and written as they are. */
struct file_header {
    char magic[8];
    uint32_t version, mark;
    uint64_t fingerprint;
    uint32_t block_tokens, n_layers;
    uint32_t head_dim, format;
    uint64_t head_bytes, block_bytes; /* in one layer */
    uint32_t n_records, zero;
    uint64_t hash; /* of all above */
};
_Static_assert(sizeof(struct file_header) == 72, "a header without holes");
#define HASHED_HEADER offsetof(struct file_header, hash)

struct file_record { /* then the block, layer after layer, and a hash */
    uint64_t salt;
    uint32_t parent, n_tokens;
    token_id tokens[KV_BLOCK_TOKENS];
};
_Static_assert(sizeof(struct file_record) == 16 + 4 * KV_BLOCK_TOKENS,
               "a record without holes");

static size_t record_bytes(const struct kv_pool *kv)
{
    return sizeof(struct file_record) + kv->n_layers * kv->block_bytes +
           sizeof(uint64_t);
}

static struct file_header header_of(const struct kv_pool *kv,
                                    uint64_t fingerprint, uint32_t n_records)
{
    struct file_header h = {
        .version = FILE_VERSION,
        .mark = FILE_MARK,
        .fingerprint = fingerprint,
        .block_tokens = KV_BLOCK_TOKENS,
        .n_layers = kv->n_layers,
        .head_dim = kv->head_dim,
        .format = (uint32_t)kv->format,
        .head_bytes = kv->head_bytes,
        .block_bytes = kv->block_bytes,
        .n_records = n_records,
    };
    memcpy(h.magic, magic, sizeof h.magic);
    h.hash = hash_bytes(&h, HASHED_HEADER, FILE_VERSION);
    return h;
}

static char *block_at(const struct kv_pool *kv, uint32_t layer, uint32_t block)
{
    return kv_pool_layer(kv, layer) + block * kv->block_bytes;
}

/* Of a record and its block, which come after what `before` is the hash of. */
static uint64_t hash_record(const struct kv_pool *kv,
                            const struct file_record *r, uint32_t block,
                            uint64_t before)
{
    uint64_t hash = hash_bytes(r, sizeof *r, before);
    for (uint32_t l = 0; l < kv->n_layers; l++)
        hash = hash_bytes(block_at(kv, l, block), kv->block_bytes, hash);
    return hash;
}

/* ---- writing ---------------------------------------------------------- */

static int put(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

static int put_record(int fd, const struct kv_pool *kv,
                      const struct snapshot_node *node, uint64_t *hash)
{
    struct file_record r = {
        .salt = node->salt,
        .parent = node->parent,
        .n_tokens = node->n_tokens,
    };
    memcpy(r.tokens, node->tokens, sizeof r.tokens);
    *hash = hash_record(kv, &r, node->block, *hash);
    if (put(fd, &r, sizeof r) != 0)
        return -1;
    for (uint32_t l = 0; l < kv->n_layers; l++)
        if (put(fd, block_at(kv, l, node->block), kv->block_bytes) != 0)
            return -1;
    return put(fd, hash, sizeof *hash);
}

static int put_all(int fd, const struct cache_snapshot *s, uint64_t fingerprint)
{
    struct file_header h = header_of(s->kv, fingerprint, s->n);
    uint64_t hash = h.hash;
    if (put(fd, &h, sizeof h) != 0)
        return -1;
    for (uint32_t i = 0; i < s->n; i++)
        if (put_record(fd, s->kv, &s->nodes[i], &hash) != 0)
            return -1;
    return fsync(fd);
}

/* Whether `path` still is the file that is open; it may have become another
 * process' result while this one waited for the lock. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* The unfinished file, empty, for this process alone: one left by a process
 * that was killed is taken over. */
static int open_part(const char *part, int *out, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* Nor must a pipe keep the stop waiting. */
    int fd = open(
        part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_errno(err, "write", part);
    bool locked = fcntl(fd, F_SETLK, &whole) == 0;
    if ((!locked && (errno == EAGAIN || errno == EACCES)) ||
        !is_still(fd, part)) {
        (void)close(fd);
        return err_set(err, ERR_BUSY, "%s is being written by another process",
                       part);
    }
    /* A file system without locks has to do without. */
    if (ftruncate(fd, 0) != 0 || fchmod(fd, 0600) != 0) {
        int rc = err_errno(err, "write", part);
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

/* So that the new name survives a power cut.  Some file systems cannot, and
 * then the old file or the new one is there, both of them right. */
static void sync_directory(const char *path, char *room)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    memcpy(room, n > 0 ? path : slash != NULL ? "/" : ".", n > 0 ? n : 1);
    room[n > 0 ? n : 1] = '\0';
    int fd = open(room, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)close(fd);
}

/* `part` has room for the path and TEMPORARY. */
static int write_new(const struct cache_snapshot *s, const char *path,
                     char *part, uint64_t fingerprint, struct err *err)
{
    int fd = -1;
    int rc = open_part(part, &fd, err);
    if (rc != 0)
        return rc;
    if (put_all(fd, s, fingerprint) != 0)
        rc = err_errno(err, "write", part);
    else if (rename(part, path) != 0)
        rc = err_errno(err, "replace", path);
    if (rc != 0)
        (void)unlink(part);
    (void)close(fd); /* and the lock is gone */
    if (rc == 0)
        sync_directory(path, part);
    return rc;
}

int prefix_file_write(const struct cache_snapshot *s, const char *path,
                      uint64_t fingerprint, struct prefix_file_stats *out,
                      struct err *err)
{
    *out = (struct prefix_file_stats){0};
    if (s->n == 0)
        return 0;
    size_t n = strlen(path);
    char *part = mem_alloc(n + sizeof TEMPORARY);
    if (part == NULL)
        return err_nomem(err, "a file's name");
    memcpy(part, path, n);
    memcpy(part + n, TEMPORARY, sizeof TEMPORARY);
    int rc = write_new(s, path, part, fingerprint, err);
    mem_free(part);
    if (rc == 0)
        *out = (struct prefix_file_stats){
            .n_blocks = s->n,
            .bytes = sizeof(struct file_header) +
                     (uint64_t)s->n * record_bytes(s->kv),
        };
    return rc;
}

/* ---- reading ---------------------------------------------------------- */

struct reader {
    struct cache *cache;
    const char *path;
    int fd;
    uint32_t n_vocab;
    uint64_t hash;
    uint32_t *blocks; /* [n_wanted], owned; of the records so far, PREFIX_NONE
                         where a longer branch has all that the record had */
    uint32_t n, n_wanted;
    struct err *err;
};

static int damaged(const struct reader *r, const char *what)
{
    return err_set(r->err, ERR_FORMAT, "%s is damaged: record %u %s", r->path,
                   r->n + 1, what);
}

/* `n` bytes, or an error. */
static int get(const struct reader *r, void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        ssize_t done = read(r->fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_errno(r->err, "read", r->path);
        if (done == 0)
            return err_set(r->err, ERR_FORMAT, "%s became shorter", r->path);
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

static int check_header(const struct reader *r, const struct file_header *h,
                        uint64_t fingerprint)
{
    struct file_header want =
        header_of(&r->cache->kv, fingerprint, h->n_records);
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return err_set(r->err, ERR_FORMAT, "%s is no saved prefix cache",
                       r->path);
    if (h->version != want.version || h->mark != want.mark)
        return err_set(r->err, ERR_FORMAT,
                       "%s is of version %u or of another machine, expected "
                       "version %u",
                       r->path, h->version, want.version);
    if (h->hash != hash_bytes(h, HASHED_HEADER, FILE_VERSION))
        return err_set(r->err, ERR_FORMAT,
                       "%s is damaged: its header does not match its hash",
                       r->path);
    if (memcmp(h, &want, sizeof want) != 0)
        return err_set(r->err, ERR_FORMAT,
                       "%s is of another model, version or setting: its "
                       "fingerprint is %016llx, expected %016llx",
                       r->path, (unsigned long long)h->fingerprint,
                       (unsigned long long)fingerprint);
    return 0;
}

static int check_size(const struct reader *r, const struct file_header *h,
                      uint64_t bytes)
{
    uint64_t want;
    if (__builtin_mul_overflow((uint64_t)h->n_records,
                               record_bytes(&r->cache->kv), &want) ||
        __builtin_add_overflow(want, sizeof *h, &want) || want != bytes)
        return err_set(r->err, ERR_FORMAT,
                       "%s is damaged: it has %llu bytes, its header means "
                       "%llu",
                       r->path, (unsigned long long)bytes,
                       (unsigned long long)want);
    return 0;
}

/* Finds the parent; the links and numbers can be trusted afterwards. */
static int check_record(const struct reader *r, const struct file_record *f,
                        uint32_t *parent)
{
    const struct prefix *p = &r->cache->prefix;
    if (f->n_tokens == 0 || f->n_tokens > KV_BLOCK_TOKENS)
        return damaged(r, "has an impossible number of tokens");
    for (uint32_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i] < 0 || (uint32_t)f->tokens[i] >= r->n_vocab)
            return damaged(r, "has a token outside the vocabulary");
    *parent = PREFIX_NONE;
    if (f->parent == PREFIX_NONE)
        return 0;
    if (f->parent >= r->n)
        return damaged(r, "comes before its parent");
    *parent = r->blocks[f->parent];
    if (*parent == PREFIX_NONE ||
        p->nodes[*parent].n_tokens != KV_BLOCK_TOKENS ||
        p->nodes[*parent].salt != f->salt)
        return damaged(r, "continues one that cannot be continued");
    return 0;
}

/* A new node is in use until the end, for its children come after it. */
static int adopt(struct reader *r, const struct file_record *f, uint32_t parent,
                 uint32_t block)
{
    struct prefix *p = &r->cache->prefix;
    uint32_t n_common;
    (void)prefix_best_child(p, parent, f->salt, f->tokens, f->n_tokens,
                            &n_common);
    if (n_common == KV_BLOCK_TOKENS)
        return damaged(r, "repeats another");
    if (n_common == f->n_tokens) {
        kv_pool_drop(&r->cache->kv, block);
        block = PREFIX_NONE;
    } else {
        prefix_add(p, block, parent, f->salt, f->tokens, f->n_tokens);
    }
    r->blocks[r->n++] = block;
    return 0;
}

static int read_record(struct reader *r)
{
    struct kv_pool *kv = &r->cache->kv;
    struct file_record f;
    uint32_t parent = PREFIX_NONE;
    uint64_t hash = 0;
    int rc = get(r, &f, sizeof f);
    if (rc != 0)
        return rc;
    uint32_t block = kv_pool_take(kv);
    for (uint32_t l = 0; l < kv->n_layers && rc == 0; l++)
        rc = get(r, block_at(kv, l, block), kv->block_bytes);
    if (rc == 0)
        rc = get(r, &hash, sizeof hash);
    if (rc == 0) {
        r->hash = hash_record(kv, &f, block, r->hash);
        if (hash != r->hash)
            rc = damaged(r, "does not match its hash");
    }
    if (rc == 0)
        rc = check_record(r, &f, &parent);
    if (rc == 0)
        rc = adopt(r, &f, parent, block);
    if (rc != 0)
        kv_pool_drop(kv, block);
    return rc;
}

/* The last first: children become unused before their parents, and what was
 * used last is the newest again. */
static void settle(struct reader *r)
{
    while (r->n > 0)
        if (r->blocks[--r->n] != PREFIX_NONE)
            prefix_unuse(&r->cache->prefix, r->blocks[r->n]);
}

static int read_records(struct reader *r)
{
    struct cache *c = r->cache;
    int rc = 0;
    r->blocks = mem_calloc(r->n_wanted, sizeof *r->blocks);
    if (r->blocks == NULL)
        return err_nomem(r->err, "the saved prefix cache");
    while (rc == 0 && r->n < r->n_wanted)
        rc = read_record(r);
    settle(r);
    if (rc != 0)
        cache_forget(c);
    mem_free(r->blocks);
    return rc;
}

static int read_open(struct reader *r, uint64_t fingerprint,
                     struct prefix_file_stats *out)
{
    const uint32_t room = r->cache->kv.n_free;
    struct file_header h;
    struct stat st;
    if (fstat(r->fd, &st) != 0)
        return err_errno(r->err, "read", r->path);
    if (!S_ISREG(st.st_mode))
        return err_set(r->err, ERR_FORMAT, "%s is no file", r->path);
    int rc = get(r, &h, sizeof h);
    if (rc == 0)
        rc = check_header(r, &h, fingerprint);
    if (rc == 0)
        rc = check_size(r, &h, (uint64_t)st.st_size);
    if (rc != 0)
        return rc;
    r->hash = h.hash;
    r->n_wanted = h.n_records < room ? h.n_records : room;
    rc = read_records(r);
    if (rc == 0)
        *out = (struct prefix_file_stats){
            .n_blocks = r->cache->prefix.n_nodes,
            .n_left = h.n_records - r->n_wanted,
            .bytes = (uint64_t)st.st_size,
        };
    return rc;
}

int prefix_file_read(struct cache *c, const char *path, uint64_t fingerprint,
                     uint32_t n_vocab, struct prefix_file_stats *out,
                     struct err *err)
{
    struct reader r = {
        .cache = c,
        .path = path,
        .n_vocab = n_vocab,
        .err = err,
    };
    assert(c->prefix.n_nodes == 0);
    *out = (struct prefix_file_stats){0};
    /* A pipe must not keep the start waiting. */
    r.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r.fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, "read", path);
    int rc = read_open(&r, fingerprint, out);
    (void)close(r.fd);
    return rc;
}
