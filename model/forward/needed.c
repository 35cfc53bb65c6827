/* needed.c -- see needed.h. */
#include "model/forward/needed.h"

#include <assert.h>
#include <string.h>

#include "model/weights/hparams.h"

/* From the last layer down.  The columns that a convolution leaves are those of
 * its last conv_width - 1 tokens, which are among what its outputs look at even
 * if there are none. */
void needed_init(struct need *needs, const struct hparams *hp)
{
    struct need need = {0};
    needs[hp->n_layers] = need;
    for (uint32_t i = hp->n_layers; i-- > 0;) {
        if (hp->kinds[i] == LAYER_ATTENTION) {
            need.has_keys = true;
        } else {
            need.before_rows += hp->conv_width - 1;
            need.before_keys += need.has_keys ? hp->conv_width - 1 : 0;
        }
        needs[i] = need;
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint32_t needed_tokens(const struct need *need, const struct batch_slice *slice)
{
    uint64_t n = larger(slice->n_logits, slice->n_states) + need->before_rows;
    if (need->has_keys)
        n = larger(n, (uint64_t)slice->n_tokens - slice->n_replay +
                          need->before_keys);
    return n < slice->n_tokens ? (uint32_t)n : slice->n_tokens;
}

uint32_t spans_set(struct span *spans, const struct need *need,
                   const struct batch *batch)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < batch->n_slices; s++) {
        spans[s].first = n;
        spans[s].n_tokens = needed_tokens(need, &batch->slices[s]);
        n += spans[s].n_tokens;
    }
    return n;
}

uint32_t spans_set_logits(struct span *spans, const struct batch *batch)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < batch->n_slices; s++) {
        spans[s] = (struct span){n, batch->slices[s].n_logits};
        n += spans[s].n_tokens;
    }
    return n;
}

/* Slices move towards the end, the last one first: a lone prompt's chunk, the
 * most rows there are, is cut without moving any. */
void *spans_pack(void *rows, size_t row_bytes, const struct span *from,
                 const struct span *to, uint32_t n_spans)
{
    if (n_spans == 0)
        return rows;
    const struct span *last = &from[n_spans - 1];
    char *end = (char *)rows + (last->first + last->n_tokens) * row_bytes;
    for (uint32_t s = n_spans; s-- > 0;) {
        assert(to[s].n_tokens <= from[s].n_tokens);
        size_t row = from[s].first + from[s].n_tokens - to[s].n_tokens;
        size_t bytes = to[s].n_tokens * row_bytes;
        const char *kept = (const char *)rows + row * row_bytes;
        end -= bytes;
        if (bytes > 0 && end != kept)
            memmove(end, kept, bytes);
    }
    return end;
}
