/* conv_state.h -- the last columns that every short convolution has seen.
 *
 *     [n_slots][n_conv_layers][conv_width - 1][hidden], float32, oldest first
 *
 * A sequence has one slot; that is all the memory its convolutions need,
 * however long it grows.  Private to model/cache and model/forward; inference
 * thread only. */
#ifndef LFMD_MODEL_CACHE_CONV_STATE_H
#define LFMD_MODEL_CACHE_CONV_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

struct hparams;

struct conv_state {
    float *slab;         /* owned, 64-byte aligned */
    size_t layer_floats; /* (conv_width - 1) * hidden */
    size_t slot_floats;  /* n_conv_layers * layer_floats */
    uint32_t n_slots;
    uint32_t n_free;
    uint32_t *free; /* [n_slots], owned; the first n_free are free */
    bool *taken;    /* [n_slots], owned */
};

int conv_state_init(struct conv_state *s, const struct hparams *hp,
                    uint32_t n_slots, struct err *err);
void conv_state_deinit(struct conv_state *s);

uint64_t conv_state_slot_bytes(const struct hparams *hp);

/* A free slot, its columns zero; n_free > 0. */
uint32_t conv_state_take(struct conv_state *s);
void conv_state_give(struct conv_state *s, uint32_t slot);

bool conv_state_validate(const struct conv_state *s);

/* Columns of conv layer `layer` (counted among the conv layers) in a slot. */
static inline float *conv_state_columns(const struct conv_state *s,
                                        uint32_t slot, uint32_t layer)
{
    return s->slab + slot * s->slot_floats + layer * s->layer_floats;
}

#endif
