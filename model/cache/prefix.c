/* prefix.c -- see prefix.h.
 *
 * Among strings in order, the one that shares most first tokens with a text is
 * its neighbour there, and a search for the text passes by both neighbours. */
#include "model/cache/prefix.h"

#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"

static const struct prefix_ages no_ages = {PREFIX_NONE, PREFIX_NONE, 0};

int prefix_init(struct prefix *p, uint32_t n_blocks, struct err *err)
{
    *p = (struct prefix){
        .nodes = mem_calloc(n_blocks, sizeof *p->nodes),
        .n_blocks = n_blocks,
        .roots = PREFIX_NONE,
        .unused = no_ages,
        .kept = no_ages,
    };
    return p->nodes == NULL ? err_nomem(err, "the prefix index") : 0;
}

void prefix_deinit(struct prefix *p)
{
    mem_free(p->nodes);
    *p = (struct prefix){0};
}

/* ---- the order of siblings ---- */

/* What a node is compared with: the first `n` tokens of somebody's. */
struct text {
    const token_id *tokens;
    uint64_t salt;
    uint32_t n;
};

static struct text text_of(const struct prefix_node *node)
{
    return (struct text){node->tokens, node->salt, node->n_tokens};
}

/* How many first tokens of `t` the node has; 0 if it is another tenant's. */
static uint32_t common(const struct prefix_node *node, const struct text *t)
{
    uint32_t most = t->n < node->n_tokens ? t->n : node->n_tokens, i = 0;
    if (node->salt != t->salt)
        return 0;
    while (i < most && node->tokens[i] == t->tokens[i])
        i++;
    return i;
}

/* Negative, 0 or positive: the text comes before the node, is the node's, comes
 * after it.  They have the first n_common tokens in common. */
static int order(const struct text *t, const struct prefix_node *node,
                 uint32_t n_common)
{
    if (t->salt != node->salt)
        return t->salt < node->salt ? -1 : 1;
    if (n_common < t->n && n_common < node->n_tokens)
        return t->tokens[n_common] < node->tokens[n_common] ? -1 : 1;
    return (t->n > node->n_tokens) - (t->n < node->n_tokens);
}

static bool comes_before(const struct text *t, const struct prefix_node *node)
{
    return order(t, node, common(node, t)) < 0;
}

static const uint32_t *children_of(const struct prefix *p, uint32_t parent)
{
    return parent == PREFIX_NONE ? &p->roots : &p->nodes[parent].children;
}

/* The same, to be written. */
static uint32_t *children_in(struct prefix *p, uint32_t parent)
{
    return parent == PREFIX_NONE ? &p->roots : &p->nodes[parent].children;
}

/* Numbers that differ have hashes that differ, so no two are alike. */
static uint32_t hash_of(uint32_t block)
{
    block = (block ^ (block >> 16)) * 0x85EBCA6Bu;
    block = (block ^ (block >> 13)) * 0xC2B2AE35u;
    return block ^ (block >> 16);
}

static bool is_above(uint32_t a, uint32_t b)
{
    return hash_of(a) > hash_of(b);
}

/* Puts `block` above those below it, split in what comes before and after. */
static void put_in_order(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    struct text t = text_of(node);
    uint32_t *at = children_in(p, node->parent);
    while (*at != PREFIX_NONE && is_above(*at, block))
        at = comes_before(&t, &p->nodes[*at]) ? &p->nodes[*at].less
                                              : &p->nodes[*at].more;
    uint32_t rest = *at, *less = &node->less, *more = &node->more;
    *at = block;
    while (rest != PREFIX_NONE) {
        uint32_t b = rest;
        if (comes_before(&t, &p->nodes[b])) {
            *more = b;
            more = &p->nodes[b].less;
            rest = *more;
        } else {
            *less = b;
            less = &p->nodes[b].more;
            rest = *less;
        }
    }
    *less = *more = PREFIX_NONE;
}

/* What was below `block` on its two sides takes its place. */
static void take_from_order(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    struct text t = text_of(node);
    uint32_t *at = children_in(p, node->parent);
    while (*at != block)
        at = comes_before(&t, &p->nodes[*at]) ? &p->nodes[*at].less
                                              : &p->nodes[*at].more;
    uint32_t less = node->less, more = node->more;
    while (less != PREFIX_NONE && more != PREFIX_NONE) {
        if (is_above(less, more)) {
            *at = less;
            at = &p->nodes[less].more;
            less = *at;
        } else {
            *at = more;
            at = &p->nodes[more].less;
            more = *at;
        }
    }
    *at = less != PREFIX_NONE ? less : more;
}

/* The last child of `parent` that does not come after the text. */
static uint32_t last_not_after(const struct prefix *p, uint32_t parent,
                               const struct text *t)
{
    uint32_t last = PREFIX_NONE, b = *children_of(p, parent);
    while (b != PREFIX_NONE) {
        if (comes_before(t, &p->nodes[b])) {
            b = p->nodes[b].less;
        } else {
            last = b;
            b = p->nodes[b].more;
        }
    }
    return last;
}

/* ---- searches ---- */

uint32_t prefix_best_child(const struct prefix *p, uint32_t parent,
                           uint64_t salt, const token_id *tokens, uint32_t n,
                           uint32_t *n_common)
{
    struct text t = {tokens, salt, n < KV_BLOCK_TOKENS ? n : KV_BLOCK_TOKENS};
    uint32_t best = PREFIX_NONE, b = *children_of(p, parent);
    *n_common = 0;
    while (b != PREFIX_NONE && *n_common < t.n) {
        const struct prefix_node *node = &p->nodes[b];
        uint32_t k = common(node, &t);
        if (k > *n_common) {
            *n_common = k;
            best = b;
        }
        b = order(&t, node, k) < 0 ? node->less : node->more;
    }
    return best;
}

/* Whoever begins a text comes before it, and so does all between the two, which
 * it begins as well.  So of those that begin the text the longest begins its
 * neighbour too: it has no more tokens than the two have in common. */
uint32_t prefix_covered(const struct prefix *p, uint32_t parent, uint64_t salt,
                        const token_id *tokens, uint32_t n)
{
    struct text t = {tokens, salt, n};
    while (t.n > 1) {
        t.n--;
        uint32_t b = last_not_after(p, parent, &t);
        if (b == PREFIX_NONE)
            break;
        uint32_t k = common(&p->nodes[b], &t);
        bool begins = k > 0 && k == p->nodes[b].n_tokens;
        if (begins && p->nodes[b].unused && !p->nodes[b].kept)
            return b;
        t.n = begins ? k : k + 1;
    }
    return PREFIX_NONE;
}

/* ---- nodes ---- */

void prefix_add(struct prefix *p, uint32_t block, uint32_t parent,
                uint64_t salt, const token_id *tokens, uint32_t n)
{
    struct prefix_node *node = &p->nodes[block];
    assert(block < p->n_blocks && node->n_tokens == 0);
    assert(n > 0 && n <= KV_BLOCK_TOKENS);
    assert(parent == PREFIX_NONE ||
           (p->nodes[parent].n_tokens == KV_BLOCK_TOKENS &&
            !p->nodes[parent].unused));
    *node = (struct prefix_node){
        .salt = salt,
        .n_tokens = n,
        .parent = parent,
        .children = PREFIX_NONE,
    };
    memcpy(node->tokens, tokens, n * sizeof *tokens);
    put_in_order(p, block);
    p->n_nodes++;
}

void prefix_extend(struct prefix *p, uint32_t block, const token_id *tokens,
                   uint32_t n)
{
    struct prefix_node *node = &p->nodes[block];
    assert(n > node->n_tokens && n <= KV_BLOCK_TOKENS);
    assert(memcmp(node->tokens, tokens, node->n_tokens * sizeof *tokens) == 0);
    take_from_order(p, block);
    memcpy(node->tokens, tokens, n * sizeof *tokens);
    node->n_tokens = n;
    put_in_order(p, block);
}

void prefix_remove(struct prefix *p, uint32_t block)
{
    struct prefix_node *node = &p->nodes[block];
    assert(node->n_tokens > 0 && node->children == PREFIX_NONE);
    assert(!node->kept);
    if (node->unused)
        prefix_use(p, block);
    take_from_order(p, block);
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

/* A search for its tokens ends there: it is on the right side of all above. */
static bool is_found(const struct prefix *p, uint32_t block)
{
    const struct prefix_node *node = &p->nodes[block];
    struct text t = text_of(node);
    uint32_t b = *children_of(p, node->parent);
    while (b != PREFIX_NONE && b != block) {
        const struct prefix_node *up = &p->nodes[b];
        int side = order(&t, up, common(up, &t));
        uint32_t down = side < 0 ? up->less : up->more;
        if (side == 0 || up->parent != node->parent || up->n_tokens == 0 ||
            (down != PREFIX_NONE && !is_above(b, down)))
            return false;
        b = down;
    }
    return b == block;
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
    if (node->n_tokens < KV_BLOCK_TOKENS && node->children != PREFIX_NONE)
        return false;
    return is_found(p, block);
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
