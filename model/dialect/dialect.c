/* dialect.c -- see dialect.h. */
#include "model/dialect/dialect.h"

#include "model/text/tokenizer.h"

void dialect_init(struct dialect *d, const struct tokenizer *t)
{
    d->think_start = tokenizer_find(t, DIALECT_THINK_START);
    d->think_end = tokenizer_find(t, DIALECT_THINK_END);
    d->call_start = tokenizer_find(t, DIALECT_CALL_START);
    d->call_end = tokenizer_find(t, DIALECT_CALL_END);
    d->turn_end = tokenizer_find(t, DIALECT_TURN_END);
    d->thinks = d->think_start != TOKEN_NONE && d->think_end != TOKEN_NONE;
    d->calls = d->call_start != TOKEN_NONE && d->call_end != TOKEN_NONE;
}

uint32_t dialect_keep(const struct dialect *d, token_id out[DIALECT_MARKERS])
{
    const token_id all[DIALECT_MARKERS] = {d->think_start, d->think_end,
                                           d->call_start, d->call_end};
    uint32_t n = 0;
    for (uint32_t i = 0; i < DIALECT_MARKERS; i++)
        if (all[i] != TOKEN_NONE)
            out[n++] = all[i];
    return n;
}
