/* snapshot.c -- notes the tree of prefixes and keeps it as it is.
 *
 * The tokens are copied, the keys stay where they are: a node's block is
 * complete and nobody writes it again.  So the inference thread is held up for
 * the notes only, and another one reads the blocks.
 *
 * It knows no file.  Threads: prefix_file.h. */
#include "model/cache/snapshot.h"

#include <string.h>

#include "model/base/alloc.h"

int cache_snapshot_new(struct cache_snapshot **out, const struct cache *c,
                       struct err *err)
{
    uint32_t n = c->kv.n_blocks;
    struct cache_snapshot *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "a snapshot of the cache");
    s->kv = &c->kv;
    s->nodes = mem_calloc(n, sizeof *s->nodes);
    s->place = mem_calloc(n, sizeof *s->place);
    if (s->nodes == NULL || s->place == NULL) {
        cache_snapshot_free(s);
        return err_nomem(err, "a snapshot of the cache");
    }
    *out = s;
    return 0;
}

void cache_snapshot_free(struct cache_snapshot *s)
{
    if (s == NULL)
        return;
    mem_free(s->nodes);
    mem_free(s->place);
    mem_free(s);
}

static void note(struct cache_snapshot *s, const struct prefix *p,
                 uint32_t block, uint32_t at)
{
    const struct prefix_node *node = &p->nodes[block];
    struct snapshot_node *to = &s->nodes[at];
    *to = (struct snapshot_node){
        .salt = node->salt,
        .n_tokens = node->n_tokens,
        .parent =
            node->parent == PREFIX_NONE ? PREFIX_NONE : s->place[node->parent],
        .block = block,
    };
    memcpy(to->tokens, node->tokens, node->n_tokens * sizeof *to->tokens);
}

/* A node and those above it that are not noted yet, the uppermost first.  Twice
 * up the same way: to count, and to give places from the last one back. */
static void note_chain(struct cache_snapshot *s, const struct prefix *p,
                       uint32_t block)
{
    uint32_t n_new = 0, b;
    for (b = block; b != PREFIX_NONE && s->place[b] == PREFIX_NONE;
         b = p->nodes[b].parent)
        n_new++;
    uint32_t end = s->n + n_new, at = end;
    for (b = block; at > s->n; b = p->nodes[b].parent)
        s->place[b] = --at;
    for (at = end, b = block; at > s->n; b = p->nodes[b].parent)
        note(s, p, b, --at);
    s->n = end;
}

void cache_snapshot_take(struct cache *c, struct cache_snapshot *s)
{
    struct prefix *p = &c->prefix;
    s->n = 0;
    for (uint32_t b = 0; b < p->n_blocks; b++)
        s->place[b] = PREFIX_NONE;
    prefix_keep(p);
    /* What is in use now was used last of all. */
    for (uint32_t b = 0; b < p->n_blocks; b++)
        if (prefix_has(p, b) && p->nodes[b].kept && !p->nodes[b].unused)
            note_chain(s, p, b);
    for (uint32_t b = p->kept.newest; b != PREFIX_NONE; b = p->nodes[b].older)
        note_chain(s, p, b);
}

void cache_snapshot_drop(struct cache *c, struct cache_snapshot *s)
{
    prefix_unkeep(&c->prefix);
    s->n = 0;
}
