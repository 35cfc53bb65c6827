/* cache.c -- a sequence's memory: a slot, and a list of blocks that grows.
 *
 * The facade over kv_pool.c, conv_state.c and prefix.c; it keeps "all or
 * nothing" and "twice is harmless", they keep the counting.  The index of
 * prefixes is one more holder of each of its blocks; a node is unused when it
 * is the only one.
 *
 * Inference thread only. */
#include "model/cache/cache.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/cache/cache_state.h"
#include "model/weights/hparams.h"

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
    rc = prefix_init(&c->prefix, n_blocks, err);
    if (rc != 0)
        goto free_conv;
    c->bytes = cache_block_bytes(hp, format) * n_blocks +
               cache_slot_bytes(hp) * n_slots;
    *out = c;
    return 0;

free_conv:
    conv_state_deinit(&c->conv);
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
    prefix_deinit(&c->prefix);
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
        .tail = CACHE_NO_BLOCK,
        .blocks = blocks,
        .cap_blocks = cap,
    };
    return 0;
}

void cache_seq_deinit(struct cache_seq *seq)
{
    assert(seq->blocks == NULL ||
           (seq->slot == CACHE_NO_SLOT && seq->n_blocks == 0));
    mem_free(seq->blocks);
    *seq = (struct cache_seq){.slot = CACHE_NO_SLOT, .tail = CACHE_NO_BLOCK};
}

/* ---- blocks and their holders ---- */

static void hold(struct cache *c, uint32_t block)
{
    kv_pool_hold(&c->kv, block);
    if (prefix_has(&c->prefix, block) && c->prefix.nodes[block].unused)
        prefix_use(&c->prefix, block);
}

static void drop(struct cache *c, uint32_t block)
{
    kv_pool_drop(&c->kv, block);
    if (prefix_has(&c->prefix, block) && c->kv.refs[block] == 1)
        prefix_unuse(&c->prefix, block);
}

/* The index lets go of a leaf. */
static void forget(struct cache *c, uint32_t block)
{
    prefix_remove(&c->prefix, block);
    kv_pool_drop(&c->kv, block);
}

static uint32_t take(struct cache *c)
{
    if (c->kv.n_free == 0) {
        forget(c, c->prefix.unused.oldest);
        c->n_forgotten++;
    }
    return kv_pool_take(&c->kv);
}

int cache_open(struct cache *c, struct cache_seq *seq)
{
    assert(seq->slot == CACHE_NO_SLOT);
    if (c->conv.n_free == 0)
        return CACHE_FULL;
    seq->slot = conv_state_take(&c->conv);
    return CACHE_OK;
}

static void drop_tail(struct cache *c, struct cache_seq *seq)
{
    if (seq->tail != CACHE_NO_BLOCK)
        drop(c, seq->tail);
    seq->tail = CACHE_NO_BLOCK;
}

int cache_reserve(struct cache *c, struct cache_seq *seq,
                  uint32_t n_tokens_total)
{
    assert(seq->slot != CACHE_NO_SLOT);
    uint32_t wanted = cache_blocks_for(n_tokens_total);
    if (wanted <= seq->n_blocks)
        return CACHE_OK;
    if (wanted > seq->cap_blocks ||
        wanted - seq->n_blocks > cache_free_blocks(c))
        return CACHE_FULL;
    while (seq->n_blocks < wanted) {
        uint32_t block = take(c);
        seq->blocks[seq->n_blocks++] = block;
        if (seq->tail != CACHE_NO_BLOCK) {
            kv_pool_copy(&c->kv, block, seq->tail);
            drop_tail(c, seq);
        }
    }
    return CACHE_OK;
}

void cache_close(struct cache *c, struct cache_seq *seq)
{
    if (seq->slot != CACHE_NO_SLOT)
        conv_state_give(&c->conv, seq->slot);
    seq->slot = CACHE_NO_SLOT;
    drop_tail(c, seq);
    /* The last first: children become unused before their parents. */
    while (seq->n_blocks > 0)
        drop(c, seq->blocks[--seq->n_blocks]);
    seq->n_known = 0;
}

void cache_adopt(struct cache *c, struct cache_seq *seq, const uint32_t *blocks,
                 uint32_t n_blocks)
{
    assert(seq->slot != CACHE_NO_SLOT && seq->n_blocks == 0);
    assert(n_blocks <= seq->cap_blocks);
    for (uint32_t i = 0; i < n_blocks; i++) {
        hold(c, blocks[i]);
        seq->blocks[i] = blocks[i];
    }
    seq->n_blocks = n_blocks;
}

/* ---- prefixes ---- */

/* The block before number i of the sequence, as a node's parent. */
static uint32_t parent_of(const struct cache_seq *seq, uint32_t i)
{
    return i > 0 ? seq->blocks[i - 1] : PREFIX_NONE;
}

static_assert(CACHE_NO_BLOCK == PREFIX_NONE, "no tail is no node");

uint32_t cache_match(struct cache *c, struct cache_seq *seq,
                     const token_id *tokens, uint32_t n, uint64_t salt)
{
    assert(seq->slot == CACHE_NO_SLOT && seq->n_blocks == 0);
    assert(seq->tail == CACHE_NO_BLOCK);
    uint32_t parent = PREFIX_NONE, at = 0, n_common;
    if (cache_blocks_for(n) > seq->cap_blocks)
        n = seq->cap_blocks * KV_BLOCK_TOKENS;
    for (;; at += KV_BLOCK_TOKENS) {
        uint32_t b = prefix_best_child(&c->prefix, parent, salt, tokens + at,
                                       n - at, &n_common);
        if (b != PREFIX_NONE)
            hold(c, b);
        if (n_common < KV_BLOCK_TOKENS) {
            seq->tail = b;
            break;
        }
        seq->blocks[seq->n_blocks++] = parent = b;
    }
    seq->n_known = seq->n_blocks;
    return at + n_common;
}

uint32_t cache_match_whole_blocks(struct cache *c, struct cache_seq *seq)
{
    assert(seq->slot == CACHE_NO_SLOT);
    drop_tail(c, seq);
    return seq->n_blocks * KV_BLOCK_TOKENS;
}

/* What a node of these tokens makes worthless. */
static void forget_covered(struct cache *c, uint32_t parent, uint64_t salt,
                           const token_id *tokens, uint32_t n)
{
    uint32_t b;
    while ((b = prefix_covered(&c->prefix, parent, salt, tokens, n)) !=
           PREFIX_NONE)
        forget(c, b);
}

/* Block i of the sequence becomes a node, or more of one than it was. */
static void become_node(struct cache *c, struct cache_seq *seq, uint32_t i,
                        const token_id *tokens, uint32_t n, uint64_t salt)
{
    uint32_t block = seq->blocks[i], parent = parent_of(seq, i);
    if (prefix_has(&c->prefix, block)) {
        if (c->prefix.nodes[block].n_tokens < n)
            prefix_extend(&c->prefix, block, tokens, n);
    } else {
        kv_pool_hold(&c->kv, block);
        prefix_add(&c->prefix, block, parent, salt, tokens, n);
    }
    forget_covered(c, parent, salt, tokens, n);
}

static void remember_block(struct cache *c, struct cache_seq *seq, uint32_t i,
                           const token_id *tokens, uint64_t salt)
{
    uint32_t own = seq->blocks[i];
    uint32_t n_common;
    uint32_t known = prefix_best_child(&c->prefix, parent_of(seq, i), salt,
                                       tokens, KV_BLOCK_TOKENS, &n_common);
    if (n_common < KV_BLOCK_TOKENS) {
        become_node(c, seq, i, tokens, KV_BLOCK_TOKENS, salt);
    } else if (known != own) {
        if (prefix_has(&c->prefix, own))
            forget(c, own);
        hold(c, known);
        drop(c, own);
        seq->blocks[i] = known;
    }
}

/* The end of a sequence, unless a longer branch has it all. */
static void remember_rest(struct cache *c, struct cache_seq *seq, uint32_t i,
                          const token_id *tokens, uint32_t n, uint64_t salt)
{
    uint32_t n_common;
    uint32_t best = prefix_best_child(&c->prefix, parent_of(seq, i), salt,
                                      tokens, n, &n_common);
    if (best == PREFIX_NONE || best == seq->blocks[i] || n_common < n)
        become_node(c, seq, i, tokens, n, salt);
}

void cache_remember(struct cache *c, struct cache_seq *seq,
                    const token_id *tokens, uint32_t n, uint64_t salt)
{
    assert(seq->slot != CACHE_NO_SLOT);
    assert(n <= (uint64_t)seq->n_blocks * KV_BLOCK_TOKENS);
    uint32_t i = seq->n_known;
    for (; i < n / KV_BLOCK_TOKENS; i++)
        remember_block(c, seq, i, tokens + i * KV_BLOCK_TOKENS, salt);
    seq->n_known = i;
    uint32_t at = i * KV_BLOCK_TOKENS;
    if (n > at)
        remember_rest(c, seq, i, tokens + at, n - at, salt);
}

static bool stays_taken(const struct cache *c, uint32_t block)
{
    bool known = prefix_has(&c->prefix, block);
    return c->kv.refs[block] > 1u + known ||
           (known && c->prefix.nodes[block].kept);
}

uint32_t cache_n_shared(const struct cache *c, const struct cache_seq *seq)
{
    uint32_t i = 0;
    while (i < seq->n_blocks && stays_taken(c, seq->blocks[i]))
        i++;
    return i;
}

void cache_forget(struct cache *c)
{
    while (c->prefix.unused.n > 0)
        forget(c, c->prefix.unused.oldest);
}

uint32_t cache_unused_blocks(const struct cache *c)
{
    return c->prefix.unused.n;
}

uint64_t cache_n_forgotten(const struct cache *c)
{
    return c->n_forgotten;
}

/* ---- sizes ---- */

uint32_t cache_blocks_for(uint32_t n_tokens)
{
    return n_tokens / KV_BLOCK_TOKENS + (n_tokens % KV_BLOCK_TOKENS != 0);
}

uint32_t cache_free_blocks(const struct cache *c)
{
    return c->kv.n_free + c->prefix.unused.n;
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
    for (uint32_t b = 0; b < c->kv.n_blocks; b++) {
        bool only_known = prefix_has(&c->prefix, b) && c->kv.refs[b] == 1;
        if (prefix_has(&c->prefix, b) &&
            (c->kv.refs[b] == 0 || c->prefix.nodes[b].unused != only_known))
            return false;
    }
    return kv_pool_validate(&c->kv) && conv_state_validate(&c->conv) &&
           prefix_validate(&c->prefix);
}

struct kv_pool *cache_kv(struct cache *c)
{
    return &c->kv;
}

struct conv_state *cache_conv(struct cache *c)
{
    return &c->conv;
}
