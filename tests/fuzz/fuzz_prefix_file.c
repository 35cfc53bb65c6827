/* fuzz_prefix_file.c -- a saved prefix cache, from bytes, with its hashes put
 * right so that what lies behind them is reached.
 *
 * Whatever is read must be a sound cache; whatever is refused, an empty one. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/base/hash.h"
#include "model/cache/cache_state.h"
#include "model/cache/prefix_file.h"
#include "model/weights/hparams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_BLOCKS = 8, N_VOCAB = 256, HEADER = 72, RECORD = 16 + 32 * 4 };

static const struct hparams tiny = {
    .hidden = 4,
    .n_heads = 1,
    .n_kv_heads = 1,
    .head_dim = 2,
    .conv_width = 3,
    .n_attn_layers = 1,
    .n_conv_layers = 1,
};

static void read_and_check(struct cache *c, const uint8_t *bytes, size_t n)
{
    char path[64];
    struct prefix_file_stats stats;
    struct err err;
    int fd = memfd_create("prefix", 0);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = prefix_file_read(c, path, 0, N_VOCAB, &stats, &err);
    if (!cache_validate(c) || cache_free_blocks(c) != N_BLOCKS ||
        (rc != 0 && c->prefix.n_nodes != 0))
        abort();
    cache_forget(c);
    close(fd);
}

/* A record from a few bytes: parent, tenant, number and kind of tokens. */
static void make_record(uint8_t *at, const uint8_t from[4])
{
    uint64_t salt = from[1];
    uint32_t parent = from[0] == 255 ? UINT32_MAX : from[0], n = from[2];
    memcpy(at, &salt, 8);
    memcpy(at + 8, &parent, 4);
    memcpy(at + 12, &n, 4);
    for (int32_t i = 0; i < 32; i++)
        memcpy(at + 16 + 4 * i, &(int32_t){from[3] + i / 8}, 4);
}

static void read_made(struct cache *c, const uint8_t *data, size_t size)
{
    const struct kv_pool *kv = &c->kv;
    size_t record = RECORD + kv->block_bytes + 8;
    uint32_t n = (uint32_t)(size / 4), version = 1, mark = 0x01020304;
    uint8_t *bytes = calloc(1, HEADER + n * record);
    if (bytes == NULL)
        return;
    uint32_t shape[] = {32, kv->n_layers, kv->head_dim, (uint32_t)kv->format};
    uint64_t sizes[] = {kv->head_bytes, kv->block_bytes};
    memcpy(bytes, "lfmd kv\n", 8);
    memcpy(bytes + 8, &version, 4);
    memcpy(bytes + 12, &mark, 4);
    memcpy(bytes + 24, shape, sizeof shape);
    memcpy(bytes + 40, sizes, sizeof sizes);
    memcpy(bytes + 56, &n, 4);
    uint64_t hash = hash_bytes(bytes, HEADER - 8, version);
    memcpy(bytes + HEADER - 8, &hash, 8);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *at = bytes + HEADER + i * record;
        make_record(at, data + (size_t)i * 4);
        hash = hash_bytes(at, RECORD, hash);
        hash = hash_bytes(at + RECORD, kv->block_bytes, hash);
        memcpy(at + record - 8, &hash, 8);
    }
    read_and_check(c, bytes, HEADER + n * record);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cache *c;
    if (c == NULL && cache_new(&c, &tiny, KV_F16, N_BLOCKS, 1, NULL) != 0)
        abort();
    if (size > 4096)
        return 0;
    read_and_check(c, data, size);
    read_made(c, data, size);
    return 0;
}
