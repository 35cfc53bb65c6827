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

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/forward/route.h"

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

    float *panel;  /* [n_threads][GEMM_PANEL_FLOATS] */
    float *attend; /* [n_threads][attend_floats] */
    size_t attend_floats;

    void *floats; /* owned: all of the above */
    void *ints;   /* owned: the routing's */
    uint64_t bytes;
};

int scratch_init(struct scratch *s, const struct hparams *hp,
                 uint32_t max_tokens, uint32_t max_rows, uint32_t n_threads,
                 struct err *err);
void scratch_deinit(struct scratch *s);

#endif
