/* mask.c -- see mask.h. */
#include "model/grammar/mask.h"

#include <string.h>

#include "model/base/alloc.h"
#include "model/grammar/mask_vocab.h"
#include "model/grammar/matcher_state.h"

#define WALK_PLACES 65536u
#define WALK_NODES 4096u
#define WAYS 4u /* a mask is remembered in one of so many slots */

struct memory {
    uint64_t key;
    uint64_t used; /* when last, by `asked`; 0 is free */
    uint32_t n_allowed;
};

struct masker {
    const struct mask_vocab *vocab; /* borrowed */
    struct machine machine;         /* for walking, reset for each mask */
    struct set *path;               /* [max_depth + 1]: after each byte */
    struct memory *memories;        /* [n_memories] */
    uint32_t *masks;                /* [n_memories * n_words] */
    uint32_t n_memories;            /* a multiple of WAYS */
    uint64_t asked, made;
};

int masker_new(struct masker **out, const struct mask_vocab *v,
               uint32_t n_masks, struct err *err)
{
    struct masker *k = mem_calloc(1, sizeof *k);
    *out = k;
    if (k == NULL)
        return err_nomem(err, "masks of tokens");
    k->vocab = v;
    k->n_memories = (n_masks + WAYS - 1) / WAYS * WAYS;
    if (k->n_memories == 0)
        k->n_memories = WAYS;
    k->path = mem_calloc(v->max_depth + 1u, sizeof *k->path);
    k->memories = mem_calloc(k->n_memories, sizeof *k->memories);
    k->masks = mem_calloc(k->n_memories, v->n_words * sizeof *k->masks);
    int rc = machine_init(&k->machine, WALK_PLACES, WALK_NODES);
    if (rc == 0 && k->path != NULL && k->memories != NULL && k->masks != NULL)
        return 0;
    masker_free(k);
    *out = NULL;
    return err_nomem(err, "masks of tokens");
}

void masker_free(struct masker *k)
{
    if (k == NULL)
        return;
    machine_deinit(&k->machine);
    mem_free(k->path);
    mem_free(k->memories);
    mem_free(k->masks);
    mem_free(k);
}

static void set_tokens(const struct trie *t, const struct trie_node *node,
                       uint32_t *words)
{
    for (uint32_t i = 0; i < node->n_tokens; i++) {
        uint32_t id = (uint32_t)t->tokens[node->token + i];
        words[id / 32] |= (uint32_t)1 << (id % 32);
    }
}

/* Tries every token of the trie from path[0]. */
static void walk(struct masker *k, const struct trie *t, uint32_t *words)
{
    struct machine *m = &k->machine;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const struct trie_node *node = &t->nodes[i];
        struct set from = k->path[node->depth - 1];
        m->n_places = from.at + from.n;
        struct set to = machine_step(m, from, node->byte);
        if (!set_alive(to)) {
            i = node->skip;
            continue;
        }
        k->path[node->depth] = to;
        if (node->n_tokens > 0)
            set_tokens(t, node, words);
        i++;
    }
}

static unsigned plain_of(const struct machine *m, struct set set)
{
    unsigned best = 0;
    for (uint32_t i = set.at; i < set.at + set.n; i++) {
        unsigned plain = m->grammar->states[m->places[i].state].plain;
        best = plain > best ? plain : best;
    }
    return best;
}

static void make(struct masker *k, const struct matcher *m, uint32_t *words)
{
    const struct mask_vocab *v = k->vocab;
    machine_reset(&k->machine, m->grammar);
    k->path[0] = machine_import(&k->machine, &m->machine, matcher_set(m));
    unsigned plain = plain_of(&k->machine, k->path[0]);
    memset(words, 0, v->n_words * sizeof *words);
    for (unsigned i = 0; i < N_SLICES; i++) {
        if (i == N_SLICES - 1 || plain < slice_chars[i]) {
            walk(k, &v->tries[i], words);
            continue;
        }
        for (uint32_t w = 0; w < v->n_words; w++)
            words[w] |= v->bits[i][w];
    }
}

static uint32_t count(const uint32_t *words, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)__builtin_popcount(words[i]);
    return sum;
}

/* The slot of the mask for `m`, made if it is not remembered. */
static uint32_t remember(struct masker *k, const struct matcher *m)
{
    uint64_t key = machine_key(&m->machine, matcher_set(m));
    uint32_t first = (uint32_t)(key % (k->n_memories / WAYS)) * WAYS;
    uint32_t oldest = first;
    k->asked++;
    for (uint32_t i = first; i < first + WAYS; i++) {
        if (k->memories[i].used != 0 && k->memories[i].key == key) {
            k->memories[i].used = k->asked;
            return i;
        }
        if (k->memories[i].used < k->memories[oldest].used)
            oldest = i;
    }
    uint32_t n_words = k->vocab->n_words;
    uint32_t *words = k->masks + (size_t)oldest * n_words;
    make(k, m, words);
    k->made++;
    k->memories[oldest] = (struct memory){
        .key = key, .used = k->asked, .n_allowed = count(words, n_words)};
    return oldest;
}

uint32_t mask_fill(struct masker *k, const struct matcher *m,
                   const token_id *ends, size_t n_ends, uint32_t *words)
{
    uint32_t slot = remember(k, m), n_words = k->vocab->n_words;
    uint32_t n = k->memories[slot].n_allowed;
    memcpy(words, k->masks + (size_t)slot * n_words, n_words * sizeof *words);
    for (size_t i = 0; i < n_ends; i++) {
        uint32_t id = (uint32_t)ends[i], bit = (uint32_t)1 << (id % 32);
        if (id >= k->vocab->n_ids)
            continue;
        n -= words[id / 32] & bit ? 1 : 0;
        words[id / 32] &= ~bit;
        if (!matcher_may_end(m))
            continue;
        words[id / 32] |= bit;
        n++;
    }
    return n;
}

void masker_counts(const struct masker *k, uint64_t *asked, uint64_t *made)
{
    *asked = k->asked;
    *made = k->made;
}
