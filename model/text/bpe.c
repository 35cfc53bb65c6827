/* bpe.c -- see bpe.h.
 *
 * Symbols are a doubly linked list inside an array; candidate pairs wait in a
 * heap ordered by (rank, position), four children to a node so that the heap
 * of a word of a megabyte is half as many cache misses deep.  A merge removes
 * its right symbol and pushes at most two new candidates; candidates made stale
 * by it stay in the heap and are recognised when they come up.  At most n - 1
 * candidates exist at first and each of the at most n - 1 merges adds one on
 * balance, so 2 n entries always suffice. */
#include "model/text/bpe.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/base/hash.h"

#define NO_PAIR UINT64_MAX
#define ARITY 4u

struct bpe_symbol {
    token_id id;        /* TOKEN_NONE once merged into its left neighbour */
    int32_t prev, next; /* -1 at the ends */
};

struct bpe_entry {
    uint64_t order; /* rank << 32 | position: smallest first */
    token_id made;
};

int bpe_init(struct bpe *b, uint32_t n_merges, struct err *err)
{
    uint32_t size = 16;
    while (size / 2 < n_merges)
        size *= 2;
    b->merges = mem_calloc(size, sizeof *b->merges);
    if (b->merges == NULL)
        return err_nomem(err, "the merge table");
    b->mask = size - 1;
    for (uint32_t i = 0; i < size; i++)
        b->merges[i].pair = NO_PAIR;
    for (int i = 0; i < 256; i++)
        b->of_byte[i] = TOKEN_NONE;
    return 0;
}

void bpe_deinit(struct bpe *b)
{
    mem_free(b->merges);
    b->merges = NULL;
}

static struct bpe_merge *slot_of(const struct bpe *b, token_id left,
                                 token_id right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = (uint32_t)hash_bytes(&pair, sizeof pair, 0) & b->mask;
    while (b->merges[i].pair != NO_PAIR && b->merges[i].pair != pair)
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

void bpe_add(struct bpe *b, token_id left, token_id right, uint32_t rank,
             token_id made)
{
    struct bpe_merge *m = slot_of(b, left, right);
    m->pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    m->rank = rank;
    m->made = made;
}

void bpe_scratch_deinit(struct bpe_scratch *s)
{
    mem_free(s->symbols);
    mem_free(s->heap);
    memset(s, 0, sizeof *s);
}

static int scratch_reserve(struct bpe_scratch *s, uint32_t n)
{
    if (n <= s->cap)
        return 0;
    uint32_t cap = n < 64 ? 64 : n;
    mem_free(s->symbols);
    mem_free(s->heap);
    s->cap = 0;
    s->symbols = mem_calloc(cap, sizeof *s->symbols);
    s->heap = mem_calloc(2 * (size_t)cap, sizeof *s->heap);
    if (s->symbols == NULL || s->heap == NULL)
        return -ERR_NOMEM;
    s->cap = cap;
    return 0;
}

static void sift_down(struct bpe_scratch *s, uint32_t n, uint32_t i)
{
    struct bpe_entry *h = s->heap;
    struct bpe_entry moving = h[i];
    for (uint32_t child; (child = ARITY * i + 1) < n; i = child) {
        uint32_t end = child + ARITY < n ? child + ARITY : n;
        s->n_steps++;
        for (uint32_t k = child + 1; k < end; k++)
            if (h[k].order < h[child].order)
                child = k;
        if (h[child].order >= moving.order)
            break;
        h[i] = h[child];
    }
    h[i] = moving;
}

static void push(struct bpe_scratch *s, uint32_t *n, struct bpe_entry e)
{
    uint32_t i = (*n)++, up;
    for (; i > 0 && s->heap[up = (i - 1) / ARITY].order > e.order; i = up) {
        s->n_steps++;
        s->heap[i] = s->heap[up];
    }
    s->heap[i] = e;
}

static struct bpe_entry pop(struct bpe_scratch *s, uint32_t *n)
{
    struct bpe_entry top = s->heap[0];
    s->heap[0] = s->heap[--*n];
    sift_down(s, *n, 0);
    return top;
}

/* The candidate that starts at symbol `at`, if its pair is in the table. */
static const struct bpe_merge *candidate(const struct bpe *b,
                                         const struct bpe_symbol *symbols,
                                         int32_t at, struct bpe_entry *e)
{
    if (at < 0 || symbols[at].next < 0)
        return NULL;
    const struct bpe_merge *m =
        slot_of(b, symbols[at].id, symbols[symbols[at].next].id);
    if (m->pair == NO_PAIR)
        return NULL;
    e->order = (uint64_t)m->rank << 32 | (uint32_t)at;
    e->made = m->made;
    return m;
}

static uint32_t spell(const struct bpe *b, struct bpe_symbol *symbols,
                      const char *piece, size_t n)
{
    uint32_t n_symbols = 0;
    for (size_t i = 0; i < n; i++) {
        token_id id = b->of_byte[(unsigned char)piece[i]];
        if (id == TOKEN_NONE)
            continue;
        symbols[n_symbols].id = id;
        symbols[n_symbols].prev = (int32_t)n_symbols - 1;
        symbols[n_symbols].next = (int32_t)n_symbols + 1;
        n_symbols++;
    }
    if (n_symbols > 0)
        symbols[n_symbols - 1].next = -1;
    return n_symbols;
}

/* Merges until no candidate is left. */
static void merge_all(const struct bpe *b, struct bpe_scratch *s, uint32_t n)
{
    struct bpe_symbol *symbols = s->symbols;
    struct bpe_entry e;
    uint32_t n_heap = 0;
    for (uint32_t i = 0; i < n; i++)
        if (candidate(b, symbols, (int32_t)i, &e) != NULL)
            s->heap[n_heap++] = e;
    for (uint32_t i = (n_heap + ARITY - 1) / ARITY; i-- > 0;)
        sift_down(s, n_heap, i);

    while (n_heap > 0) {
        struct bpe_entry top = pop(s, &n_heap);
        int32_t at = (int32_t)(uint32_t)top.order;
        /* Stale when either symbol changed -- unless the pair that is there
         * now happens to make the same token. */
        if (symbols[at].id == TOKEN_NONE ||
            candidate(b, symbols, at, &e) == NULL || e.made != top.made)
            continue;
        struct bpe_symbol *right = &symbols[symbols[at].next];
        symbols[at].id = top.made;
        symbols[at].next = right->next;
        right->id = TOKEN_NONE;
        if (right->next >= 0)
            symbols[right->next].prev = at;
        if (candidate(b, symbols, symbols[at].prev, &e) != NULL)
            push(s, &n_heap, e);
        if (candidate(b, symbols, at, &e) != NULL)
            push(s, &n_heap, e);
    }
}

long bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *piece,
                size_t n, token_id *out)
{
    if (scratch_reserve(s, (uint32_t)n) != 0)
        return -ERR_NOMEM;
    uint32_t n_symbols = spell(b, s->symbols, piece, n);
    if (n_symbols == 0)
        return 0;
    merge_all(b, s, n_symbols);
    long n_out = 0;
    for (int32_t i = 0; i >= 0; i = s->symbols[i].next)
        out[n_out++] = s->symbols[i].id;
    return n_out;
}
