/* cache.h -- what a sequence remembers: keys and values in blocks, and the last
 * columns of every short convolution in a slot.
 *
 * One slab of each is taken at cache_new; afterwards nothing here touches the
 * heap but cache_seq_init and cache_seq_deinit.  A sequence owns no floats: it
 * holds block numbers and one slot number, so giving memory back is giving
 * integers back.
 *
 *     position p of a sequence -> block blocks[p / KV_BLOCK_TOKENS],
 *                                 row p % KV_BLOCK_TOKENS
 *
 * It does not know which tokens a block stands for, who waits for one, or how
 * attention reads it.  Inference thread only (cache_seq_init and _deinit: any
 * thread that owns the sequence); nothing here locks. */
#ifndef LFMD_MODEL_CACHE_CACHE_H
#define LFMD_MODEL_CACHE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/kernels/kv_block.h" /* KV_BLOCK_TOKENS */

struct hparams;
struct cache;
struct kv_pool;
struct conv_state;

#define CACHE_NO_SLOT UINT32_MAX

/* What cache_open and cache_reserve return.  CACHE_FULL is no error: the caller
 * waits or preempts, and asks again. */
enum cache_status { CACHE_OK = 0, CACHE_FULL = 1 };

/* Memory of one sequence.  The struct belongs to the caller; `blocks` belongs
 * to the struct.  Closed: slot is CACHE_NO_SLOT and n_blocks is 0. */
struct cache_seq {
    uint32_t slot;       /* its convolution columns, or CACHE_NO_SLOT */
    uint32_t *blocks;    /* [cap_blocks], owned; the first n_blocks are held */
    uint32_t n_blocks;   /* room for n_blocks * KV_BLOCK_TOKENS positions */
    uint32_t cap_blocks; /* most it can ever hold */
};

/* `n_blocks` blocks shared by all sequences and `n_slots` sequences at once;
 * keys and values are kept as `format` says.
 * On failure *out is untouched: -ERR_NOMEM, -ERR_LIMIT (a size overflows). */
int cache_new(struct cache **out, const struct hparams *hp,
              enum kv_format format, uint32_t n_blocks, uint32_t n_slots,
              struct err *err);
void cache_free(struct cache *c); /* NULL is fine; every seq closed before */

/* Bytes one block and one slot cost with this model. */
uint64_t cache_block_bytes(const struct hparams *hp, enum kv_format format);
uint64_t cache_slot_bytes(const struct hparams *hp);

/* A format by its name: f16, f32, q8 or q8_0; NULL or "" is f16.
 * -ERR_UNSUPPORTED for any other. */
int cache_parse_format(enum kv_format *out, const char *name, struct err *err);

/* Prepares a closed sequence that may grow to `max_tokens`; the one place that
 * allocates, so it belongs to the submission and not to the step. */
int cache_seq_init(struct cache_seq *seq, uint32_t max_tokens, struct err *err);
/* The sequence must be closed.  Twice is harmless. */
void cache_seq_deinit(struct cache_seq *seq);

/* Takes a slot and zeroes its columns: the sequence starts at position 0 with
 * no blocks.  CACHE_OK, or CACHE_FULL with `seq` as it was.  `seq` is closed
 * before. */
int cache_open(struct cache *c, struct cache_seq *seq);

/* Makes room for `n_tokens_total` positions counted from 0.  All or nothing: on
 * CACHE_FULL (no free block, or beyond cap_blocks) `seq` is as it was.  Asking
 * for fewer than it has does nothing. */
int cache_reserve(struct cache *c, struct cache_seq *seq,
                  uint32_t n_tokens_total);

/* Gives slot and blocks back.  Closing a closed sequence does nothing. */
void cache_close(struct cache *c, struct cache_seq *seq);

/* Gives an opened, still empty sequence the first n_blocks blocks of another,
 * which stays one of their holders: the start of a shared prefix.  They are
 * full and nobody writes them again; n_blocks <= seq->cap_blocks. */
void cache_adopt(struct cache *c, struct cache_seq *seq, const uint32_t *blocks,
                 uint32_t n_blocks);

/* One more holder for a block that somebody holds, and one less; the last
 * holder frees it.  For prefixes shared between sequences: a shared block is
 * full and is never written again. */
void cache_hold_block(struct cache *c, uint32_t block);
void cache_drop_block(struct cache *c, uint32_t block);

uint32_t cache_blocks_for(uint32_t n_tokens);
uint32_t cache_free_blocks(const struct cache *c);
uint32_t cache_total_blocks(const struct cache *c);
uint32_t cache_free_slots(const struct cache *c);
uint32_t cache_total_slots(const struct cache *c);
uint64_t cache_bytes(const struct cache *c);

/* For tests and assertions: the free lists and reference counts agree and no
 * block is both free and held.  O(blocks). */
bool cache_validate(const struct cache *c);

/* For model/forward only. */
struct kv_pool *cache_kv(struct cache *c);
struct conv_state *cache_conv(struct cache *c);

#endif
