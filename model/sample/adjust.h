/* adjust.h -- what is done to the logits before any filter: tokens that may not
 * come, penalties, bias.  The order is in sampler.h.
 *
 * It draws nothing.  Never touches the heap after adjuster_init.  One thread at
 * a time. */
#ifndef LFMD_MODEL_SAMPLE_ADJUST_H
#define LFMD_MODEL_SAMPLE_ADJUST_H

#include <stdint.h>

#include "model/base/err.h"
#include "model/sample/params.h"

struct adjuster {
    uint32_t n_vocab;
    uint32_t epoch;  /* stamps equal to it were made in this scan */
    uint32_t *stamp; /* owned; [n_vocab] */
    uint32_t *count; /* owned; [n_vocab], valid where stamped */
};

int adjuster_init(struct adjuster *a, uint32_t n_vocab, struct err *err);
void adjuster_deinit(struct adjuster *a); /* zeroed is fine */

/* In place.  O(n_vocab) with a mask, else in what the context holds. */
void adjust_logits(struct adjuster *a, float *logits,
                   const struct sample_context *c);

#endif
