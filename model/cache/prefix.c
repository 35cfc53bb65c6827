/* prefix.c -- see prefix.h.
 *
 * Full nodes are found by a hash of parent and tokens, and compared token by
 * token: a collision costs time, never a wrong key.  Partial leaves are found
 * among their parent's children. */
#include "model/cache/prefix.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"

/* Bounds the search for the longest branch: what many requests have in common
 * is in the newest as well. */
#define MAX_LOOKED_AT 64u

static const struct prefix_ages no_ages = {PREFIX_NONE, PREFIX_NONE, 0};

int prefix_init(struct prefix *p, uint32_t n_blocks, struct err *err)
{
    uint32_t n_buckets = 1;
    while (n_buckets < n_blocks && n_buckets < 1u << 31)
        n_buckets *= 2;
    *p = (struct prefix){
        .nodes = mem_calloc(n_blocks, sizeof *p->nodes),
        .buckets = mem_calloc(n_buckets, sizeof *p->buckets),
        .n_blocks = n_blocks,
        .n_buckets = n_buckets,
        .unused = no_ages,
        .kept = no_ages,
    };
    if (p->nodes == NULL || p->buckets == NULL) {
        prefix_deinit(p);
        return err_nomem(err, "the prefix index");
    }
    for (uint32_t i = 0; i < n_buckets; i++)
        p->buckets[i] = PREFIX_NONE;
    for (uint32_t i = 0; i < PREFIX_ROOT_LISTS; i++)
        p->roots[i] = PREFIX_NONE;
    return 0;
}

void prefix_deinit(struct prefix *p)
{
    mem_free(p->nodes);
    mem_free(p->buckets);
    *p = (struct prefix){0};
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t *bucket_of(const struct prefix *p, uint32_t parent,
                           uint64_t salt, const token_id *tokens)
{
    uint64_t hash = mixed(salt + parent);
    for (uint32_t i = 0; i < KV_BLOCK_TOKENS; i += 2)
        hash = mixed(hash + (((uint64_t)(uint32_t)tokens[i] << 32) |
                             (uint32_t)tokens[i + 1]));
    return &p->buckets[hash & (p->n_buckets - 1)];
}

static bool is_child(const struct prefix_node *node, uint32_t parent,
                     uint64_t salt)
{
    return node->parent == parent && node->salt == salt;
}

uint32_t prefix_find(const struct prefix *p, uint32_t parent, uint64_t salt,
                     const token_id *tokens)
{
    uint32_t b = *bucket_of(p, parent, salt, tokens);
    for (; b != PREFIX_NONE; b = p->nodes[b].next_in_bucket) {
        const struct prefix_node *node = &p->nodes[b];
        if (is_child(node, parent, salt) &&
            memcmp(node->tokens, tokens, sizeof node->tokens) == 0)
            break;
    }
    return b;
}

/* Where the children of `parent` begin, the newest first. */
static uint32_t *children_of(struct prefix *p, uint32_t parent, uint64_t salt)
{
    return parent == PREFIX_NONE ? &p->roots[salt % PREFIX_ROOT_LISTS]
                                 : &p->nodes[parent].first_child;
}

static uint32_t first_child(const struct prefix *p, uint32_t parent,
                            uint64_t salt)
{
    return parent == PREFIX_NONE ? p->roots[salt % PREFIX_ROOT_LISTS]
                                 : p->nodes[parent].first_child;
}

static uint32_t common(const struct prefix_node *node, const token_id *tokens,
                       uint32_t n)
{
    uint32_t most = n < node->n_tokens ? n : node->n_tokens, i = 0;
    while (i < most && node->tokens[i] == tokens[i])
        i++;
    return i;
}

uint32_t prefix_best_child(const struct prefix *p, uint32_t parent,
                           uint64_t salt, const token_id *tokens, uint32_t n,
                           uint32_t *n_common)
{
    uint32_t best = PREFIX_NONE, b = first_child(p, parent, salt);
    *n_common = 0;
    for (uint32_t i = 0; b != PREFIX_NONE && *n_common < n && i < MAX_LOOKED_AT;
         i++) {
        const struct prefix_node *node = &p->nodes[b];
        uint32_t k = is_child(node, parent, salt) ? common(node, tokens, n) : 0;
        if (k > *n_common) {
            *n_common = k;
            best = b;
        }
        b = node->next_sibling;
    }
    return best;
}

uint32_t prefix_covered(const struct prefix *p, uint32_t parent, uint64_t salt,
                        const token_id *tokens, uint32_t n)
{
    uint32_t b = first_child(p, parent, salt);
    for (uint32_t i = 0; b != PREFIX_NONE && i < MAX_LOOKED_AT; i++) {
        const struct prefix_node *node = &p->nodes[b];
        if (node->unused && !node->kept && node->n_tokens < n &&
            is_child(node, parent, salt) &&
            common(node, tokens, n) == node->n_tokens)
            return b;
        b = node->next_sibling;
    }
    return PREFIX_NONE;
}

static void put_in_bucket(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    uint32_t *at = bucket_of(p, node->parent, node->salt, node->tokens);
    node->next_in_bucket = *at;
    *at = block;
}

static void take_from_bucket(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    uint32_t *at = bucket_of(p, node->parent, node->salt, node->tokens);
    while (*at != block)
        at = &p->nodes[*at].next_in_bucket;
    *at = node->next_in_bucket;
}

void prefix_add(struct prefix *p, uint32_t block, uint32_t parent,
                uint64_t salt, const token_id *tokens, uint32_t n)
{
    struct prefix_node *node = &p->nodes[block];
    uint32_t *head = children_of(p, parent, salt);
    assert(block < p->n_blocks && node->n_tokens == 0);
    assert(n > 0 && n <= KV_BLOCK_TOKENS);
    assert(parent == PREFIX_NONE ||
           (p->nodes[parent].n_tokens == KV_BLOCK_TOKENS &&
            !p->nodes[parent].unused));
    *node = (struct prefix_node){
        .salt = salt,
        .n_tokens = n,
        .parent = parent,
        .first_child = PREFIX_NONE,
        .next_sibling = *head,
        .prev_sibling = PREFIX_NONE,
    };
    memcpy(node->tokens, tokens, n * sizeof *tokens);
    if (*head != PREFIX_NONE)
        p->nodes[*head].prev_sibling = block;
    *head = block;
    if (n == KV_BLOCK_TOKENS)
        put_in_bucket(p, block);
    p->n_nodes++;
}

void prefix_extend(struct prefix *p, uint32_t block, const token_id *tokens,
                   uint32_t n)
{
    struct prefix_node *node = &p->nodes[block];
    assert(n > node->n_tokens && n <= KV_BLOCK_TOKENS);
    assert(common(node, tokens, n) == node->n_tokens);
    memcpy(node->tokens, tokens, n * sizeof *tokens);
    node->n_tokens = n;
    if (n == KV_BLOCK_TOKENS)
        put_in_bucket(p, block);
}

void prefix_remove(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    assert(node->n_tokens > 0 && node->first_child == PREFIX_NONE);
    assert(!node->kept);
    if (node->unused)
        prefix_use(p, block);
    if (node->n_tokens == KV_BLOCK_TOKENS)
        take_from_bucket(p, block);
    if (node->prev_sibling != PREFIX_NONE)
        p->nodes[node->prev_sibling].next_sibling = node->next_sibling;
    else
        *children_of(p, node->parent, node->salt) = node->next_sibling;
    if (node->next_sibling != PREFIX_NONE)
        p->nodes[node->next_sibling].prev_sibling = node->prev_sibling;
    node->n_tokens = 0;
    p->n_nodes--;
}

static struct prefix_ages *ages_of(struct prefix *p, uint32_t block)
{
    return p->nodes[block].kept ? &p->kept : &p->unused;
}

/* Now the newest. */
static void append(struct prefix *p, struct prefix_ages *ages, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    node->newer = PREFIX_NONE;
    node->older = ages->newest;
    if (ages->newest != PREFIX_NONE)
        p->nodes[ages->newest].newer = block;
    else
        ages->oldest = block;
    ages->newest = block;
    ages->n++;
}

void prefix_unuse(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    assert(node->n_tokens > 0 && !node->unused);
    node->unused = true;
    node->age = ++p->clock;
    append(p, ages_of(p, block), block);
}

void prefix_use(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    struct prefix_ages *ages = ages_of(p, block);
    assert(node->unused);
    node->unused = false;
    if (node->older != PREFIX_NONE)
        p->nodes[node->older].newer = node->newer;
    else
        ages->oldest = node->newer;
    if (node->newer != PREFIX_NONE)
        p->nodes[node->newer].older = node->older;
    else
        ages->newest = node->older;
    ages->n--;
}

void prefix_keep(struct prefix *p)
{
    assert(p->kept.n == 0);
    for (uint32_t b = 0; b < p->n_blocks; b++)
        p->nodes[b].kept = p->nodes[b].n_tokens == KV_BLOCK_TOKENS ||
                           (prefix_has(p, b) && p->nodes[b].unused);
    p->kept = p->unused;
    p->unused = no_ages;
}

void prefix_unkeep(struct prefix *p)
{
    uint32_t a = p->unused.oldest, b = p->kept.oldest;
    p->unused = p->kept = no_ages;
    while (a != PREFIX_NONE || b != PREFIX_NONE) {
        bool take_a = b == PREFIX_NONE ||
                      (a != PREFIX_NONE && p->nodes[a].age < p->nodes[b].age);
        uint32_t block = take_a ? a : b;
        *(take_a ? &a : &b) = p->nodes[block].newer;
        append(p, &p->unused, block);
    }
    for (b = 0; b < p->n_blocks; b++)
        p->nodes[b].kept = false;
}

/* Unused itself, it has a full parent that is either used or became unused
 * later; and it is where a search looks for it. */
static bool is_in_place(const struct prefix *p, uint32_t block)
{
    const struct prefix_node *node = &p->nodes[block];
    if (node->parent != PREFIX_NONE) {
        const struct prefix_node *up = &p->nodes[node->parent];
        if (up->n_tokens != KV_BLOCK_TOKENS || up->salt != node->salt)
            return false;
        if (up->unused && (!node->unused || up->age < node->age))
            return false;
    }
    if (node->prev_sibling == PREFIX_NONE) {
        if (first_child(p, node->parent, node->salt) != block)
            return false;
    } else if (p->nodes[node->prev_sibling].next_sibling != block) {
        return false;
    }
    return node->n_tokens < KV_BLOCK_TOKENS
               ? node->first_child == PREFIX_NONE
               : prefix_find(p, node->parent, node->salt, node->tokens) ==
                     block;
}

static bool are_in_order(const struct prefix *p, const struct prefix_ages *ages)
{
    bool kept = ages == &p->kept;
    uint32_t n = 0, last = PREFIX_NONE;
    uint64_t age = 0;
    for (uint32_t b = ages->oldest; b != PREFIX_NONE; b = p->nodes[b].newer) {
        const struct prefix_node *node = &p->nodes[b];
        if (!node->unused || node->kept != kept || node->age <= age ||
            node->older != last)
            return false;
        age = node->age;
        last = b;
        n++;
    }
    return n == ages->n && last == ages->newest;
}

bool prefix_validate(const struct prefix *p)
{
    uint32_t n_nodes = 0, n_unused = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++) {
        if (!prefix_has(p, b))
            continue;
        n_nodes++;
        n_unused += p->nodes[b].unused;
        if (!is_in_place(p, b))
            return false;
    }
    return n_nodes == p->n_nodes && n_unused == p->unused.n + p->kept.n &&
           are_in_order(p, &p->unused) && are_in_order(p, &p->kept);
}
