/* cache.c -- a sequence's memory: a slot, and a list of blocks that grows.
 *
 * The facade over kv_pool.c and conv_state.c; it keeps "all or nothing" and
 * "twice is harmless", they keep the counting.
 *
 * Inference thread only. */
#include "model/cache/cache.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/cache/conv_state.h"
#include "model/cache/kv_pool.h"
#include "model/weights/hparams.h"

struct cache {
    struct kv_pool kv;
    struct conv_state conv;
    uint64_t bytes;
};

int cache_new(struct cache **out, const struct hparams *hp,
              enum kv_format format, uint32_t n_blocks, uint32_t n_slots,
              struct err *err)
{
    struct cache *c = mem_calloc(1, sizeof *c);
    if (c == NULL)
        return err_nomem(err, "the cache");
    int rc = kv_pool_init(&c->kv, hp, format, n_blocks, err);
    if (rc != 0)
        goto free_cache;
    rc = conv_state_init(&c->conv, hp, n_slots, err);
    if (rc != 0)
        goto free_pool;
    c->bytes = cache_block_bytes(hp, format) * n_blocks +
               cache_slot_bytes(hp) * n_slots;
    *out = c;
    return 0;

free_pool:
    kv_pool_deinit(&c->kv);
free_cache:
    mem_free(c);
    return rc;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    assert(cache_validate(c));
    assert(c->conv.n_free == c->conv.n_slots);
    conv_state_deinit(&c->conv);
    kv_pool_deinit(&c->kv);
    mem_free(c);
}

uint64_t cache_block_bytes(const struct hparams *hp, enum kv_format format)
{
    return kv_pool_block_bytes(hp, format);
}

int cache_parse_format(enum kv_format *out, const char *name, struct err *err)
{
    static const struct {
        const char *name;
        enum kv_format format;
    } names[] = {
        {"", KV_F16},  {"f16", KV_F16}, {"f32", KV_F32},
        {"q8", KV_Q8}, {"q8_0", KV_Q8},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name != NULL ? name : "", names[i].name) == 0) {
            *out = names[i].format;
            return 0;
        }
    return err_set(err, ERR_UNSUPPORTED,
                   "keys and values cannot be kept as \"%s\"; expected "
                   "\"f16\", \"f32\" or \"q8\"",
                   name);
}

uint64_t cache_slot_bytes(const struct hparams *hp)
{
    return conv_state_slot_bytes(hp);
}

int cache_seq_init(struct cache_seq *seq, uint32_t max_tokens, struct err *err)
{
    uint32_t cap = cache_blocks_for(max_tokens);
    uint32_t *blocks = mem_calloc(cap, sizeof *blocks);
    if (blocks == NULL)
        return err_nomem(err, "a sequence's block list");
    *seq = (struct cache_seq){
        .slot = CACHE_NO_SLOT,
        .blocks = blocks,
        .cap_blocks = cap,
    };
    return 0;
}

void cache_seq_deinit(struct cache_seq *seq)
{
    assert(seq->blocks == NULL || seq->slot == CACHE_NO_SLOT);
    mem_free(seq->blocks);
    *seq = (struct cache_seq){.slot = CACHE_NO_SLOT};
}

int cache_open(struct cache *c, struct cache_seq *seq)
{
    assert(seq->slot == CACHE_NO_SLOT && seq->n_blocks == 0);
    if (c->conv.n_free == 0)
        return CACHE_FULL;
    seq->slot = conv_state_take(&c->conv);
    return CACHE_OK;
}

int cache_reserve(struct cache *c, struct cache_seq *seq,
                  uint32_t n_tokens_total)
{
    assert(seq->slot != CACHE_NO_SLOT);
    uint32_t wanted = cache_blocks_for(n_tokens_total);
    if (wanted <= seq->n_blocks)
        return CACHE_OK;
    if (wanted > seq->cap_blocks || wanted - seq->n_blocks > c->kv.n_free)
        return CACHE_FULL;
    while (seq->n_blocks < wanted)
        seq->blocks[seq->n_blocks++] = kv_pool_take(&c->kv);
    return CACHE_OK;
}

void cache_close(struct cache *c, struct cache_seq *seq)
{
    if (seq->slot == CACHE_NO_SLOT)
        return;
    conv_state_give(&c->conv, seq->slot);
    seq->slot = CACHE_NO_SLOT;
    while (seq->n_blocks > 0)
        kv_pool_drop(&c->kv, seq->blocks[--seq->n_blocks]);
}

void cache_adopt(struct cache *c, struct cache_seq *seq, const uint32_t *blocks,
                 uint32_t n_blocks)
{
    assert(seq->slot != CACHE_NO_SLOT && seq->n_blocks == 0);
    assert(n_blocks <= seq->cap_blocks);
    for (uint32_t i = 0; i < n_blocks; i++) {
        kv_pool_hold(&c->kv, blocks[i]);
        seq->blocks[i] = blocks[i];
    }
    seq->n_blocks = n_blocks;
}

void cache_hold_block(struct cache *c, uint32_t block)
{
    kv_pool_hold(&c->kv, block);
}

void cache_drop_block(struct cache *c, uint32_t block)
{
    kv_pool_drop(&c->kv, block);
}

uint32_t cache_blocks_for(uint32_t n_tokens)
{
    return n_tokens / KV_BLOCK_TOKENS + (n_tokens % KV_BLOCK_TOKENS != 0);
}

uint32_t cache_free_blocks(const struct cache *c)
{
    return c->kv.n_free;
}

uint32_t cache_total_blocks(const struct cache *c)
{
    return c->kv.n_blocks;
}

uint32_t cache_free_slots(const struct cache *c)
{
    return c->conv.n_free;
}

uint32_t cache_total_slots(const struct cache *c)
{
    return c->conv.n_slots;
}

uint64_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}

bool cache_validate(const struct cache *c)
{
    return kv_pool_validate(&c->kv) && conv_state_validate(&c->conv);
}

struct kv_pool *cache_kv(struct cache *c)
{
    return &c->kv;
}

struct conv_state *cache_conv(struct cache *c)
{
    return &c->conv;
}
