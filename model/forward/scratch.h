/* scratch.h -- every activation buffer of the pass, taken once.
 *
 * Sized for the largest batch; an op names the buffers it uses, so that two ops
 * never disagree about who owns one:
 *
 *     stream   the residual stream              whole pass
 *     normed   input of the running op          until the op ends
 *     wide     q|k|v, B|C|x, gate|up            inside an op
 *     mixed    attention's or conv's result     inside an op
 *     out      what is added to the stream      inside an op
 *
 * Private to model/forward; inference thread. */
#ifndef LFMD_MODEL_FORWARD_SCRATCH_H
#define LFMD_MODEL_FORWARD_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/forward/needed.h"
#include "model/forward/route.h"
#include "model/kernels/kernels.h"

struct hparams;

struct scratch {
    float *stream; /* [max_tokens][hidden] */
    float *normed; /* [max_tokens or max_rows][hidden] */
    float *out;    /* [max_tokens][hidden] */
    float *mixed;  /* [max_tokens][hidden or n_heads * head_dim] */
    float *wide;   /* [max_tokens][wide_floats] */
    size_t wide_floats;
    float *cos, *sin; /* [max_tokens][head_dim / 2] */

    float *router; /* [max_tokens][n_experts] */
    float *gather; /* [max_tokens * n_used][hidden]: input, then output */
    float *gate;   /* [max_tokens * n_used][moe_hidden] */
    float *up;     /* the same */
    struct routing routing;

    struct need *needs;    /* [n_layers + 1], set once */
    struct span *spans[2]; /* [max_tokens]: no batch has more slices */

    /* Quantised twins, written by whoever writes the floats; NULL and unused
     * when no weight is quantised.  Rows have width / PANEL_BLOCK blocks. */
    struct q8_block *q_normed; /* of normed */
    struct q8_block *q_mixed;  /* of mixed, rows as wide as its content */
    struct q8_block *q_gate;   /* of the dense gate or of the experts' */

    float *panel;  /* [n_threads][GEMM_PANEL_FLOATS] */
    float *attend; /* [n_threads][attend_floats] */
    size_t attend_floats;

    void *floats; /* owned: all floats above */
    void *ints;   /* owned: all integers above */
    void *blocks; /* owned: the quantised twins, or NULL */
    uint64_t bytes;
};

int scratch_init(struct scratch *s, const struct hparams *hp,
                 uint32_t max_tokens, uint32_t max_rows, uint32_t n_threads,
                 bool quantised, struct err *err);
/* What scratch_init would take; UINT64_MAX if a size overflows. */
uint64_t scratch_bytes_needed(const struct hparams *hp, uint32_t max_tokens,
                              uint32_t max_rows, uint32_t n_threads,
                              bool quantised);
void scratch_deinit(struct scratch *s);

#endif
