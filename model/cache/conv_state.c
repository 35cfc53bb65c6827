/* conv_state.c -- a slab of slots and a stack of the free ones.
 *
 * It does not know sequences.  Inference thread only. */
#include "model/cache/conv_state.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/weights/hparams.h"

static size_t floats_per_layer(const struct hparams *hp)
{
    return (size_t)(hp->conv_width - 1) * hp->hidden;
}

uint64_t conv_state_slot_bytes(const struct hparams *hp)
{
    return (uint64_t)floats_per_layer(hp) * hp->n_conv_layers * sizeof(float);
}

int conv_state_init(struct conv_state *s, const struct hparams *hp,
                    uint32_t n_slots, struct err *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(conv_state_slot_bytes(hp), n_slots, &bytes))
        return err_set(err, ERR_LIMIT, "%u sequences at once are too many",
                       (unsigned)n_slots);
    *s = (struct conv_state){
        .layer_floats = floats_per_layer(hp),
        .slot_floats = floats_per_layer(hp) * hp->n_conv_layers,
        .n_slots = n_slots,
        .n_free = n_slots,
        .slab = mem_alloc_aligned(64, bytes),
        .free = mem_calloc(n_slots, sizeof *s->free),
        .taken = mem_calloc(n_slots, sizeof *s->taken),
    };
    if (s->slab == NULL || s->free == NULL || s->taken == NULL) {
        conv_state_deinit(s);
        return err_nomem(err, "convolution columns");
    }
    for (uint32_t i = 0; i < n_slots; i++)
        s->free[i] = n_slots - 1 - i;
    return 0;
}

void conv_state_deinit(struct conv_state *s)
{
    mem_free_aligned(s->slab);
    mem_free(s->free);
    mem_free(s->taken);
    *s = (struct conv_state){0};
}

uint32_t conv_state_take(struct conv_state *s)
{
    assert(s->n_free > 0);
    uint32_t slot = s->free[--s->n_free];
    assert(!s->taken[slot]);
    s->taken[slot] = true;
    memset(conv_state_columns(s, slot, 0), 0, s->slot_floats * sizeof(float));
    return slot;
}

void conv_state_give(struct conv_state *s, uint32_t slot)
{
    assert(slot < s->n_slots && s->taken[slot]);
    s->taken[slot] = false;
#ifndef NDEBUG
    /* All bits set is a NaN: whoever still reads the slot will show it. */
    memset(conv_state_columns(s, slot, 0), 0xff,
           s->slot_floats * sizeof(float));
#endif
    s->free[s->n_free++] = slot;
}

bool conv_state_validate(const struct conv_state *s)
{
    uint32_t n_untaken = 0;
    for (uint32_t i = 0; i < s->n_slots; i++)
        n_untaken += !s->taken[i];
    if (n_untaken != s->n_free)
        return false;
    for (uint32_t i = 0; i < s->n_free; i++)
        if (s->free[i] >= s->n_slots || s->taken[s->free[i]])
            return false;
    return true;
}
