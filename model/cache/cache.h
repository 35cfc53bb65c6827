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
 * Blocks that were computed are remembered by their tokens (prefix.h) until the
 * memory is wanted: a sequence that begins alike takes them over instead of
 * computing them.  Whole blocks are shared, for nobody writes them again; of a
 * block that agrees only up to some token the sequence gets a copy of its own.
 *
 * It does not know who waits for a block, or how attention reads it.  Inference
 * thread only (cache_seq_init and _deinit: any thread that owns the sequence);
 * nothing here locks. */
#ifndef LFMD_MODEL_CACHE_CACHE_H
#define LFMD_MODEL_CACHE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/kernels/kv_block.h" /* KV_BLOCK_TOKENS */

struct hparams;
struct cache;
struct kv_pool;
struct conv_state;

#define CACHE_NO_SLOT UINT32_MAX
#define CACHE_NO_BLOCK UINT32_MAX

/* What cache_open and cache_reserve return.  CACHE_FULL is no error: the caller
 * waits or preempts, and asks again. */
enum cache_status { CACHE_OK = 0, CACHE_FULL = 1 };

/* Memory of one sequence.  The struct belongs to the caller; `blocks` belongs
 * to the struct.  Closed: slot is CACHE_NO_SLOT, and no block is held. */
struct cache_seq {
    uint32_t slot;       /* its convolution columns, or CACHE_NO_SLOT */
    uint32_t *blocks;    /* [cap_blocks], owned; the first n_blocks are held */
    uint32_t n_blocks;   /* room for n_blocks * KV_BLOCK_TOKENS positions */
    uint32_t cap_blocks; /* most it can ever hold */
    uint32_t n_known;    /* its first blocks that are remembered, and full */
    uint32_t tail;       /* held until its next block is a copy of this one, or
                            CACHE_NO_BLOCK */
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

/* Takes a slot and zeroes its columns.  CACHE_OK, or CACHE_FULL with `seq` as
 * it was.  Before, `seq` is closed or matched; it starts with no blocks or with
 * those of the match. */
int cache_open(struct cache *c, struct cache_seq *seq);

/* Makes room for `n_tokens_total` positions counted from 0.  All or nothing: on
 * CACHE_FULL (no free block, or beyond cap_blocks) `seq` is as it was.  Asking
 * for fewer than it has does nothing.  What was not used for longest is
 * forgotten when no block is free otherwise. */
int cache_reserve(struct cache *c, struct cache_seq *seq,
                  uint32_t n_tokens_total);

/* Gives slot and blocks back, or what a match holds.  Closing a closed sequence
 * does nothing. */
void cache_close(struct cache *c, struct cache_seq *seq);

/* ---- prefixes ----
 *
 * `salt` tells tenants apart: what one has computed no other gets. */

/* A closed sequence takes hold of what is remembered of its first `n` tokens
 * (its own bound at most), cut at any token, and it is told how many those are.
 * Their keys and values are there once it is opened and has room; cache_close
 * lets go of them.  O(n), however much is remembered. */
uint32_t cache_match(struct cache *c, struct cache_seq *seq,
                     const token_id *tokens, uint32_t n, uint64_t salt);

/* Lets go of the part of a match that is to be copied, which takes a block more
 * than the match has; the tokens left. */
uint32_t cache_match_whole_blocks(struct cache *c, struct cache_seq *seq);

/* Remembers the first `n` tokens of an open sequence, whose keys and values are
 * in its blocks.  A block that somebody else computed before replaces its own.
 * The sequence goes on, and may do this again when it has more. */
void cache_remember(struct cache *c, struct cache_seq *seq,
                    const token_id *tokens, uint32_t n, uint64_t salt);

/* Of the sequence's blocks those that stay taken when it closes, since others
 * hold them or they are being saved.  O(that). */
uint32_t cache_n_shared(const struct cache *c, const struct cache_seq *seq);

/* Forgets all that no sequence holds and that is not being saved. */
void cache_forget(struct cache *c);

/* Blocks that are remembered and that nobody holds or saves: they count as
 * free. */
uint32_t cache_unused_blocks(const struct cache *c);
/* Blocks forgotten since their memory was wanted, ever. */
uint64_t cache_n_forgotten(const struct cache *c);

/* Gives an opened, still empty sequence the first n_blocks blocks of another,
 * which stays one of their holders, whether they are remembered or not.  They
 * are full and nobody writes them again; n_blocks <= seq->cap_blocks. */
void cache_adopt(struct cache *c, struct cache_seq *seq, const uint32_t *blocks,
                 uint32_t n_blocks);

uint32_t cache_blocks_for(uint32_t n_tokens);
uint32_t cache_free_blocks(const struct cache *c);
uint32_t cache_total_blocks(const struct cache *c);
uint32_t cache_free_slots(const struct cache *c);
uint32_t cache_total_slots(const struct cache *c);
uint64_t cache_bytes(const struct cache *c);

/* For tests and assertions: the free lists, the index of prefixes and reference
 * counts agree and no block is both free and held.  O(blocks). */
bool cache_validate(const struct cache *c);

/* For model/forward only. */
struct kv_pool *cache_kv(struct cache *c);
struct conv_state *cache_conv(struct cache *c);

#endif
