/* memory_plan.c -- see memory_plan.h. */
#include "model/memory_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A context nobody asked for may shrink to this, and no further. */
#define LEAST_TOKENS 512u

static uint64_t add(uint64_t a, uint64_t b)
{
    return a < UINT64_MAX - b ? a + b : UINT64_MAX;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static double gb(uint64_t bytes)
{
    return (double)bytes / 1e9;
}

static int too_large(const struct memory_plan *p, const struct memory_need *n,
                     uint64_t memory, struct err *err)
{
    return err_set(
        err, ERR_LIMIT,
        "it needs %.2f GB (%.2f packed weights, %.2f cache for %" PRIu64
        " tokens, %.2f activations), but only %.2f GB are free: use a smaller "
        "--ctx-size, --parallel, --cache-size or --max-step-tokens, or weights "
        "of a smaller quantisation",
        gb(p->own_bytes), gb(n->packed_bytes), gb(p->cache_bytes),
        times(p->n_blocks, n->block_tokens), gb(n->work_bytes), gb(memory));
}

static void set_blocks(struct memory_plan *p, const struct memory_need *n,
                       uint64_t n_blocks)
{
    p->n_blocks = n_blocks;
    p->cache_bytes = times(n_blocks, n->block_bytes);
    p->own_bytes = add(add(n->packed_bytes, n->work_bytes), p->cache_bytes);
}

/* What fits well; see the header.  Too few are for the caller to see. */
static uint64_t choose_blocks(const struct memory_need *n, uint64_t memory)
{
    uint64_t wanted = times(n->context_blocks, n->n_sequences);
    uint64_t fixed = add(n->packed_bytes, n->work_bytes);
    if (memory == UINT64_MAX || n->block_bytes == 0)
        return wanted;
    uint64_t left = memory > fixed ? memory - fixed : 0;
    left = left > n->mapped_bytes ? left - n->mapped_bytes : left / 8;
    uint64_t most = left / 4 / n->block_bytes;
    if (most < n->context_blocks)
        most = least(n->context_blocks, 3 * most);
    return least(wanted, most);
}

int memory_plan_make(struct memory_plan *out, const struct memory_need *need,
                     uint64_t memory, struct err *err)
{
    struct memory_plan p = {0};
    uint64_t n_blocks = choose_blocks(need, memory);
    if (need->asked_cache_bytes > 0 && need->block_bytes > 0) {
        n_blocks = need->asked_cache_bytes / need->block_bytes;
        if (n_blocks == 0)
            return err_set(err, ERR_LIMIT,
                           "a cache of %" PRIu64 " bytes is too small: %u "
                           "tokens take %" PRIu64,
                           need->asked_cache_bytes,
                           (unsigned)need->block_tokens, need->block_bytes);
    } else {
        uint64_t few = need->context_blocks;
        if (!need->context_asked)
            few = least(few, LEAST_TOKENS / need->block_tokens);
        n_blocks = n_blocks > few ? n_blocks : few;
    }
    set_blocks(&p, need, n_blocks > 0 ? n_blocks : 1);
    if (memory != UINT64_MAX && p.own_bytes > memory)
        return too_large(&p, need, memory, err);
    p.crowded = add(p.own_bytes, need->mapped_bytes) > memory;
    *out = p;
    return 0;
}

/* Appends ", what N GB"; nothing when there is none of it. */
static void say(char *out, size_t n, uint64_t bytes, const char *what)
{
    size_t used = strlen(out);
    bool small = bytes < 1000000000;
    if (bytes > 0)
        snprintf(out + used, n - used, "%s%s %.*f %s", used > 0 ? ", " : "",
                 what, small ? 0 : 2, small ? (double)bytes / 1e6 : gb(bytes),
                 small ? "MB" : "GB");
}

void memory_plan_describe(char *out, size_t n, const struct memory_plan *plan,
                          const struct memory_need *need, uint64_t memory)
{
    out[0] = '\0';
    say(out, n, need->packed_bytes, "packed weights");
    say(out, n, need->mapped_bytes, "mapped weights");
    say(out, n, plan->cache_bytes, "cache up to");
    say(out, n, need->work_bytes, "activations");
    if (memory != UINT64_MAX)
        say(out, n, memory, "free before");
}
