/* forward.h -- the model as the paper has it, for a ragged batch.
 *
 * embed -> layers (norm, attention or short convolution, norm, dense or
 * experts; each added to the stream) -> final norm -> logits.
 *
 * The truth is transformers' modeling_lfm2_moe.py in float32.  Every row of the
 * result depends on its own sequence only: batch-mates change it by rounding at
 * most, when another matrix kernel is chosen for another number of rows.
 *
 * It does not know who asked, what a token means, or which comes next.
 * forward_run: inference thread only; it uses its own team of threads. */
#ifndef LFMD_MODEL_FORWARD_FORWARD_H
#define LFMD_MODEL_FORWARD_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/forward/batch.h"

struct hparams;
struct weights;
struct kernels;
struct cache;
struct forward;

/* All borrowed; they outlive the forward. */
struct forward_parts {
    const struct hparams *hp;
    const struct weights *weights;
    const struct kernels *kernels;
    struct cache *cache;
};

struct forward_limits {
    uint32_t n_threads;        /* the caller included, at least 1 */
    uint32_t max_batch_tokens; /* no batch may carry more */
    uint32_t max_logit_rows;
};

/* Takes every activation buffer and starts n_threads - 1 threads.  -ERR_NOMEM,
 * -ERR_LIMIT (a size overflows), -ERR_IO (a thread cannot be started). */
int forward_new(struct forward **out, const struct forward_parts *parts,
                const struct forward_limits *limits, struct err *err);
void forward_free(struct forward *f); /* NULL is fine; joins the threads */

/* Runs the batch: writes keys, values and columns of its tokens to the cache
 * and the wanted rows to batch->logits, and fills captures.  A layer computes
 * only the tokens that what is asked for depends on (needed.h), so a replayed
 * token costs less than a new one.  Cannot fail: it allocates nothing and
 * asserts what batch_add promised. */
void forward_run(struct forward *f, struct batch *batch);

/* After forward_run, before the batch is cleared: of a slice of batch_add_draft
 * only the first n_kept tokens (at least 1) were right.  The sequence's columns
 * go back to where they were after these; keys and values behind them lie there
 * until they are written again, and nobody reads them before. */
void forward_rewind(struct forward *f, const struct batch_slice *slice,
                    uint32_t n_kept);

/* Tokens to run again before a position to resume there with zero columns: each
 * convolution layer looks conv_width - 1 tokens further back (36 at 8B).  The
 * first layers compute them all at most, each later one fewer. */
uint32_t forward_replay_tokens(const struct hparams *hp);

/* What forward_new would take for its buffers; UINT64_MAX if that overflows.
 * `quantised`: some matrix is. */
uint64_t forward_bytes_needed(const struct hparams *hp,
                              const struct forward_limits *limits,
                              bool quantised);

uint32_t forward_n_threads(const struct forward *f);
uint64_t forward_bytes(const struct forward *f); /* of all buffers */

#endif
