/* capture.c -- see capture.h.
 *
 * It copies; which rows there are is needed.c's business. */
#include "model/forward/capture.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/weights/hparams.h"

struct capture_shape capture_shape(const struct hparams *hp)
{
    return (struct capture_shape){
        .n_layers = hp->n_layers,
        .n_routed = hp->n_layers - hp->n_dense_layers,
        .hidden = hp->hidden,
        .n_experts = hp->n_experts,
    };
}

/* Bytes of each table.  All factors have 32 bits. */
struct sizes {
    uint64_t last, sum, states, router;
    bool overflow;
};

static uint64_t product(struct sizes *s, uint64_t a, uint64_t b, uint64_t c,
                        uint64_t size)
{
    uint64_t n;
    if (__builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n) ||
        __builtin_mul_overflow(n, size, &n)) {
        s->overflow = true;
        return 0;
    }
    return n;
}

static struct sizes sizes_of(const struct capture_shape *shape,
                             const struct capture_want *want, uint32_t n_tokens)
{
    struct sizes s = {0};
    if (want->last)
        s.last = product(&s, shape->hidden, 1, 1, sizeof(float));
    if (want->mean)
        s.sum = product(&s, shape->hidden, 1, 1, sizeof(double));
    s.states =
        product(&s, want->n_states, n_tokens, shape->hidden, sizeof(float));
    if (want->router)
        s.router = product(&s, shape->n_routed, n_tokens, shape->n_experts,
                           sizeof(float));
    return s;
}

uint64_t capture_bytes(const struct capture_shape *shape,
                       const struct capture_want *want, uint32_t n_tokens)
{
    const struct sizes s = sizes_of(shape, want, n_tokens);
    uint64_t sum = s.last + s.sum;
    if (s.overflow || __builtin_add_overflow(sum, s.states, &sum) ||
        __builtin_add_overflow(sum, s.router, &sum))
        return UINT64_MAX;
    return sum;
}

/* NULL for no bytes, or, with *failed, because memory is short. */
static void *take(uint64_t bytes, bool *failed)
{
    void *table =
        bytes > 0 && bytes <= SIZE_MAX ? mem_alloc((size_t)bytes) : NULL;
    *failed |= bytes > 0 && table == NULL;
    return table;
}

int capture_init(struct capture *c, const struct capture_shape *shape,
                 const struct capture_want *want, uint32_t n_tokens,
                 struct err *err)
{
    assert(want->n_states <= shape->n_layers + 1);
    const struct sizes s = sizes_of(shape, want, n_tokens);
    bool failed = s.overflow;
    *c = (struct capture){
        .shape = *shape,
        .n_tokens = n_tokens,
        .first_state = shape->n_layers + 1 - want->n_states,
    };
    if (!failed) {
        c->last = take(s.last, &failed);
        c->sum = take(s.sum, &failed);
        c->states = take(s.states, &failed);
        c->router = take(s.router, &failed);
    }
    if (failed) {
        capture_deinit(c);
        return err_nomem(err, "a prompt's hidden states");
    }
    return 0;
}

void capture_deinit(struct capture *c)
{
    mem_free(c->last);
    mem_free(c->sum);
    mem_free(c->states);
    mem_free(c->router);
    *c = (struct capture){0};
}

uint32_t capture_rows(const struct capture *c, uint32_t position, uint32_t n)
{
    if (c->states != NULL || c->router != NULL || c->sum != NULL)
        return n;
    return c->last != NULL && position + n == c->n_tokens ? 1 : 0;
}

/* A sequence that is computed again begins again. */
static void add_rows(const struct capture *c, uint32_t position, uint32_t n,
                     const float *rows)
{
    const size_t hidden = c->shape.hidden;
    if (position == 0)
        memset(c->sum, 0, hidden * sizeof *c->sum);
    for (uint32_t t = 0; t < n; t++)
        for (size_t i = 0; i < hidden; i++)
            c->sum[i] += (double)rows[t * hidden + i];
}

void capture_put_state(const struct capture *c, uint32_t state,
                       uint32_t position, uint32_t n, const float *rows)
{
    const size_t hidden = c->shape.hidden;
    assert(position + n <= c->n_tokens);
    if (n == 0)
        return;
    if (c->states != NULL && state >= c->first_state)
        memcpy(c->states +
                   ((size_t)(state - c->first_state) * c->n_tokens + position) *
                       hidden,
               rows, n * hidden * sizeof *rows);
    if (state < c->shape.n_layers)
        return;
    if (c->sum != NULL)
        add_rows(c, position, n, rows);
    if (c->last != NULL && position + n == c->n_tokens)
        memcpy(c->last, rows + (n - 1) * hidden, hidden * sizeof *rows);
}

void capture_put_router(const struct capture *c, uint32_t index,
                        uint32_t position, uint32_t n, const float *rows)
{
    const size_t n_experts = c->shape.n_experts;
    assert(position + n <= c->n_tokens && index < c->shape.n_routed);
    if (c->router != NULL && n > 0)
        memcpy(c->router + ((size_t)index * c->n_tokens + position) * n_experts,
               rows, n * n_experts * sizeof *rows);
}
