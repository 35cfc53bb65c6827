/* batch.h -- what one step computes: slices of several sequences, laid end to
 * end.
 *
 *     tokens  | a prompt's chunk of 5 | 1 | 1 | a chunk of 3 |
 *     slices    seq A, position 64      B   C   seq D, position 0
 *
 * A slice continues its sequence: `position` is the number of tokens that the
 * sequence has already been through, and the cache has room for what it adds.
 * A sequence appears in at most one slice of a batch.
 *
 * Filled by the engine, read and answered by forward_run().  All memory is
 * taken by batch_new; filling allocates nothing.  Inference thread only. */
#ifndef LFMD_MODEL_FORWARD_BATCH_H
#define LFMD_MODEL_FORWARD_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "model/cache/cache.h"
#include "model/forward/capture.h"

/* Most tokens of a draft, and drafts in one batch: what is noted to take them
 * back is memory for so many (trail.h). */
#define BATCH_MAX_DRAFT 16u
#define BATCH_MAX_DRAFTS 8u
#define BATCH_NO_TRAIL UINT32_MAX

struct batch_slice {
    struct cache_seq *seq; /* borrowed until the step is over */
    uint32_t first;        /* index of its first token in batch.tokens */
    uint32_t n_tokens;     /* at least 1 */
    uint32_t position;     /* of its first token in the sequence */
    uint32_t n_logits;     /* rows wanted: of its LAST n_logits tokens */
    uint32_t n_replay;     /* its FIRST tokens whose keys and values are in the
                              blocks already: read, not written */
    uint32_t first_row;    /* its first row in batch.logits */
    uint32_t trail;        /* the place that its columns are noted in, so that
                              it can be rewound, or BATCH_NO_TRAIL */
    uint32_t n_states;     /* rows of the last state wanted, of its LAST
                              n_states tokens; 0 without a capture */
    const struct capture *capture; /* borrowed until the step is over, or NULL
                                    */
};

struct batch {
    token_id *tokens; /* [max_tokens], owned */
    uint32_t n_tokens, max_tokens;
    struct batch_slice *slices; /* [max_slices], owned */
    uint32_t n_slices, max_slices;
    uint32_t n_drafts;   /* slices with a trail */
    uint32_t n_captures; /* slices with one */
    uint32_t n_logit_rows, max_logit_rows;
    uint32_t n_vocab; /* columns of logits */
    float *logits;    /* [max_logit_rows][n_vocab], owned; in slice order;
                         written by forward_run, the caller may clobber it */
};

/* An empty batch with these bounds (each at least 1).  -ERR_NOMEM. */
int batch_new(struct batch **out, uint32_t max_tokens, uint32_t max_slices,
              uint32_t max_logit_rows, uint32_t n_vocab, struct err *err);
void batch_free(struct batch *b); /* NULL is fine */

void batch_clear(struct batch *b);

/* Appends a slice; the tokens are copied.  False, with the batch as it was,
 * when a bound would be passed.  n >= 1, n_logits <= n, every token is in
 * [0, n_vocab) and `seq` is open with room for position + n tokens. */
bool batch_add(struct batch *b, struct cache_seq *seq, const token_id *tokens,
               uint32_t n, uint32_t position, uint32_t n_logits);

/* As batch_add, for a sequence that resumes a prefix somebody else computed.
 *
 * Its blocks are adopted (cache_adopt), its convolution columns are still zero,
 * and the first n_replay tokens are run again only to fill those.  All tokens
 * from position + forward_replay_tokens() on are exact (from 0 on if `position`
 * is 0), because a convolution forgets what is older than its taps. */
bool batch_add_resumed(struct batch *b, struct cache_seq *seq,
                       const token_id *tokens, uint32_t n, uint32_t position,
                       uint32_t n_logits, uint32_t n_replay);

/* As batch_add, for a token and a draft of what may follow it, n - 1 tokens of
 * at most BATCH_MAX_DRAFT, with a row of logits for each of the n: forward.h
 * says how the wrong ones are taken back.  False also beyond
 * BATCH_MAX_DRAFTS. */
bool batch_add_draft(struct batch *b, struct cache_seq *seq,
                     const token_id *tokens, uint32_t n, uint32_t position);

/* Of the slice added last, which is no draft: what its pass is to leave in
 * `capture`, made for the sequence's tokens (n_tokens = all of them).  It is no
 * resumed one where every token is wanted (capture_wants_all). */
void batch_capture(struct batch *b, const struct capture *capture);

/* Row `i` of the logits of slice `s`; i < n_logits. */
static inline float *batch_logits(const struct batch *b,
                                  const struct batch_slice *s, uint32_t i)
{
    return b->logits + (uint64_t)(s->first_row + i) * b->n_vocab;
}

#endif
