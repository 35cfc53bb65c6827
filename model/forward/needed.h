/* needed.h -- which tokens of a slice a layer has to compute at all.
 *
 * What is asked of a slice is asked of its end: the rows of logits or of the
 * last state of its last tokens, the keys and values of all but the replayed
 * ones, which are its first, and the columns that its last tokens leave in
 * every convolution.  A convolution looks conv_width - 1 tokens back, attention
 * looks into the cache. So what a layer must compute is always a slice's last
 * tokens, fewer from layer to layer:
 *
 *     n_tokens of a slice  | replayed ............ | new ......... | wanted |
 *     first layers              |----------------------------------------->|
 *     last attention: keys      .                  |---------------------->|
 *     its queries and later     .                  .              |------->|
 *
 * What is left out changes nothing: a token that is computed sees the same
 * values, and a convolution whose tokens were cut off drops as many of its
 * outputs as look at them.
 *
 * Pure, but for spans_pack, which moves rows.  Private to model/forward. */
#ifndef LFMD_MODEL_FORWARD_NEEDED_H
#define LFMD_MODEL_FORWARD_NEEDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/forward/batch.h"

struct hparams;

/* What the layers from one on have to be given of any slice. */
struct need {
    uint32_t before_rows; /* tokens before the first wanted row */
    uint32_t before_keys; /* tokens before the first one not replayed, */
    bool has_keys;        /* if an attention layer is among them */
};

/* needs[i] is what layer i has to be given, needs[n_layers] what the head;
 * needs[i + 1] is also what layer i must return. */
void needed_init(struct need *needs, const struct hparams *hp);

/* How many of the slice's last tokens that is: n_tokens at most. */
uint32_t needed_tokens(const struct need *need,
                       const struct batch_slice *slice);

/* The tokens of a slice that are still computed: its last ones. */
struct span {
    uint32_t first;    /* row of the first in the stream */
    uint32_t n_tokens; /* may be 0 */
};

/* The spans of all slices, laid end to end; how many tokens they have. */
uint32_t spans_set(struct span *spans, const struct need *need,
                   const struct batch *batch);

/* The same for the rows of logits only. */
uint32_t spans_set_logits(struct span *spans, const struct batch *batch);

/* Of rows laid out as `from` those that `to` keeps, laid out as `to`; returns
 * where the first is now.  The last slice's stay where they are. */
void *spans_pack(void *rows, size_t row_bytes, const struct span *from,
                 const struct span *to, uint32_t n_spans);

#endif
