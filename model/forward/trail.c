/* trail.c -- see trail.h. */
#include "model/forward/trail.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/cache/conv_state.h"
#include "model/weights/hparams.h"

uint64_t trail_bytes(const struct hparams *hp)
{
    uint64_t bytes = (uint64_t)hp->conv_width + BATCH_MAX_DRAFT;
    if (__builtin_mul_overflow(bytes, hp->hidden, &bytes) ||
        __builtin_mul_overflow(bytes, hp->n_conv_layers, &bytes) ||
        __builtin_mul_overflow(bytes, BATCH_MAX_DRAFTS * sizeof(float), &bytes))
        return UINT64_MAX;
    return bytes;
}

int trail_init(struct trail *t, const struct hparams *hp, struct err *err)
{
    uint64_t bytes = trail_bytes(hp);
    if (bytes > SIZE_MAX / 2)
        return err_set(err, ERR_LIMIT,
                       "%u convolutions of %u channels are too many to draft",
                       (unsigned)hp->n_conv_layers, (unsigned)hp->hidden);
    size_t layer_floats =
        ((size_t)hp->conv_width + BATCH_MAX_DRAFT) * hp->hidden;
    *t = (struct trail){
        .rows = mem_alloc_aligned(64, (size_t)bytes),
        .layer_floats = layer_floats,
        .place_floats = layer_floats * hp->n_conv_layers,
        .n_layers = hp->n_conv_layers,
        .n_old = hp->conv_width - 1,
        .hidden = hp->hidden,
    };
    return t->rows != NULL ? 0 : err_nomem(err, "the columns of drafts");
}

void trail_deinit(struct trail *t)
{
    mem_free_aligned(t->rows);
    *t = (struct trail){0};
}

static float *rows_of(const struct trail *t, const struct batch_slice *slice,
                      uint32_t layer)
{
    assert(slice->trail < BATCH_MAX_DRAFTS);
    return t->rows + slice->trail * t->place_floats + layer * t->layer_floats;
}

void trail_note(struct trail *t, const struct batch_slice *slice,
                uint32_t layer, const float *columns, const float *bx,
                size_t ldbx, uint32_t c0, uint32_t c1)
{
    size_t bytes = (c1 - c0) * sizeof(float);
    float *to = rows_of(t, slice, layer) + c0;
    for (uint32_t i = 0; i < t->n_old; i++, to += t->hidden)
        memcpy(to, columns + (size_t)i * t->hidden + c0, bytes);
    for (uint32_t i = 0; i < slice->n_tokens; i++, to += t->hidden)
        memcpy(to, bx + i * ldbx + c0, bytes);
}

void trail_rewind(const struct trail *t, struct conv_state *state,
                  const struct batch_slice *slice, uint32_t n_kept)
{
    assert(n_kept <= slice->n_tokens);
    for (uint32_t layer = 0; layer < t->n_layers; layer++)
        memcpy(conv_state_columns(state, slice->seq->slot, layer),
               rows_of(t, slice, layer) + (size_t)n_kept * t->hidden,
               (size_t)t->n_old * t->hidden * sizeof(float));
}
