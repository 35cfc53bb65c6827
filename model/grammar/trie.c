/* trie.c -- see trie.h. */
#include "model/grammar/trie.h"

#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"

static int by_bytes(const void *a, const void *b)
{
    const struct trie_word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    if (order != 0)
        return order;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static uint32_t shared(const struct trie_word *x, const struct trie_word *y)
{
    uint32_t i = 0;
    while (i < x->n && i < y->n && x->bytes[i] == y->bytes[i])
        i++;
    return i;
}

static void fill(struct trie *t, const struct trie_word *words, uint32_t n,
                 uint32_t *open)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct trie_word *w = &words[i];
        uint32_t depth = i == 0 ? 0 : shared(&words[i - 1], w);
        for (uint32_t d = i == 0 ? 0 : words[i - 1].n; d > depth; d--)
            t->nodes[open[d]].skip = at;
        for (; depth < w->n; depth++) {
            open[depth + 1] = at;
            t->nodes[at++] =
                (struct trie_node){.token = i,
                                   .depth = (uint16_t)(depth + 1),
                                   .byte = (uint8_t)w->bytes[depth]};
        }
        if (t->nodes[open[w->n]].n_tokens == 0)
            t->nodes[open[w->n]].token = i;
        if (t->nodes[open[w->n]].n_tokens < UINT16_MAX)
            t->nodes[open[w->n]].n_tokens++;
        t->tokens[i] = w->id;
    }
    for (uint32_t d = n == 0 ? 0 : words[n - 1].n; d > 0; d--)
        t->nodes[open[d]].skip = at;
}

int trie_init(struct trie *t, struct trie_word *words, uint32_t n)
{
    size_t n_nodes = 0;
    *t = (struct trie){.n_tokens = n};
    qsort(words, n, sizeof *words, by_bytes);
    for (uint32_t i = 0; i < n; i++) {
        n_nodes += words[i].n - (i == 0 ? 0 : shared(&words[i - 1], &words[i]));
        if (words[i].n > t->max_depth)
            t->max_depth = words[i].n;
    }
    uint32_t *open = mem_calloc(t->max_depth + 1u, sizeof *open);
    t->nodes =
        n_nodes <= UINT32_MAX ? mem_calloc(n_nodes, sizeof *t->nodes) : NULL;
    t->tokens = mem_calloc(n, sizeof *t->tokens);
    t->n_nodes = (uint32_t)n_nodes;
    if (open == NULL || t->nodes == NULL || t->tokens == NULL) {
        mem_free(open);
        trie_deinit(t);
        return -ERR_NOMEM;
    }
    fill(t, words, n, open);
    mem_free(open);
    return 0;
}

void trie_deinit(struct trie *t)
{
    mem_free(t->nodes);
    mem_free(t->tokens);
    *t = (struct trie){0};
}
