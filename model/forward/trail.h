/* trail.h -- the columns that a drafted slice goes through, so that it can go
 * back.
 *
 * A short convolution keeps only its last conv_width - 1 columns; once tokens
 * turn out to be wrong those before them are gone.  Of a slice that may be
 * rewound the pass therefore notes, a conv layer at a time,
 *
 *     old columns (width - 1) | Bx of its tokens (n)
 *
 * and after n_kept of its tokens the columns are the width - 1 rows from row
 * n_kept on.  A trail lasts until the next pass, so there are places for the
 * drafts of one step only, not for every sequence.
 *
 * It does not know which tokens were wrong.  Private to model/forward; noting
 * on any member of the team, the rest on the inference thread. */
#ifndef LFMD_MODEL_FORWARD_TRAIL_H
#define LFMD_MODEL_FORWARD_TRAIL_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/forward/batch.h"

struct conv_state;
struct hparams;

struct trail {
    float *rows;         /* owned; [BATCH_MAX_DRAFTS][n_conv_layers]
                            [width - 1 + BATCH_MAX_DRAFT + 1][hidden] */
    size_t layer_floats; /* of one place and layer */
    size_t place_floats;
    uint32_t n_layers, n_old, hidden; /* n_old is width - 1 */
};

/* Pages that no draft has touched cost nothing.  -ERR_NOMEM, -ERR_LIMIT. */
int trail_init(struct trail *t, const struct hparams *hp, struct err *err);
void trail_deinit(struct trail *t);

/* UINT64_MAX if that overflows. */
uint64_t trail_bytes(const struct hparams *hp);

/* Notes channels [c0, c1) of a drafted slice in conv layer `layer`: `columns`
 * are those before it ([width - 1][hidden]), bx its own ([n_tokens][ldbx]). */
void trail_note(struct trail *t, const struct batch_slice *slice,
                uint32_t layer, const float *columns, const float *bx,
                size_t ldbx, uint32_t c0, uint32_t c1);

/* The slot's columns become those after the slice's first n_kept tokens. */
void trail_rewind(const struct trail *t, struct conv_state *state,
                  const struct batch_slice *slice, uint32_t n_kept);

#endif
