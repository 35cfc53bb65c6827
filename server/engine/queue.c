/* queue.c -- see queue.h. */
#include "server/engine/queue.h"

#include <stddef.h>

#include "server/engine/scheduler.h"

static struct sched_entry *entry_of(struct queue_node *node)
{
    return list_owner(node, struct sched_entry, node);
}

static uint32_t place_of(const struct sched_entry *e)
{
    return (uint32_t)(e->tenant % QUEUE_TENANTS);
}

struct queue_tenant *queue_tenant(struct queue *q, const struct sched_entry *e)
{
    return &q->tenants[place_of(e)];
}

static bool is_due_before(const struct sched_entry *a,
                          const struct sched_entry *b)
{
    return a->due != b->due ? a->due < b->due : a->number < b->number;
}

bool queue_before(const struct queue *q, const struct sched_entry *a,
                  const struct sched_entry *b)
{
    uint64_t by_a = q->tenants[place_of(a)].served;
    uint64_t by_b = q->tenants[place_of(b)].served;
    return by_a != by_b ? by_a < by_b : is_due_before(a, b);
}

/* ---- the heap of one tenant ------------------------------------------- */

/* Two heaps become one; either may be NULL. */
static struct queue_node *join(struct queue_node *a, struct queue_node *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (is_due_before(entry_of(b), entry_of(a))) {
        struct queue_node *first = b;
        b = a;
        a = first;
    }
    b->next = a->child;
    b->prev = a;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    a->next = a->prev = NULL;
    return a;
}

/* The heap of all siblings from `node` on: pairs from left to right, then all
 * from right to left, which is what makes it O(log n) amortized. */
static struct queue_node *join_all(struct queue_node *node)
{
    struct queue_node *pairs = NULL, *all = NULL;
    while (node != NULL) {
        struct queue_node *b = node->next;
        struct queue_node *rest = b != NULL ? b->next : NULL;
        struct queue_node *pair = join(node, b);
        pair->next = pairs;
        pairs = pair;
        node = rest;
    }
    while (pairs != NULL) {
        struct queue_node *next = pairs->next;
        all = join(all, pairs);
        pairs = next;
    }
    if (all != NULL)
        all->next = all->prev = NULL;
    return all;
}

void queue_put(struct queue *q, struct sched_entry *e)
{
    struct queue_tenant *t = queue_tenant(q, e);
    e->node = (struct queue_node){0};
    t->first = join(t->first, &e->node);
    q->n_waiting++;
}

void queue_remove(struct queue *q, struct sched_entry *e)
{
    struct queue_tenant *t = queue_tenant(q, e);
    struct queue_node *node = &e->node;
    struct queue_node *below = join_all(node->child);
    q->n_waiting--;
    if (t->first == node) {
        t->first = below;
        return;
    }
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    t->first = join(t->first, below);
}

/* ---- tenants ---------------------------------------------------------- */

/* What a tenant that had nobody waiting has been served at least. */
static uint64_t least_served(const struct queue *q)
{
    bool any = false;
    uint64_t least = 0, most = 0;
    for (uint32_t i = 0; i < QUEUE_TENANTS; i++) {
        const struct queue_tenant *t = &q->tenants[i];
        if (t->first != NULL && (!any || t->served < least)) {
            any = true;
            least = t->served;
        }
        if (t->served > most)
            most = t->served;
    }
    return any ? least : most;
}

void queue_add(struct queue *q, struct sched_entry *e)
{
    struct queue_tenant *t = queue_tenant(q, e);
    if (t->first == NULL) {
        uint64_t least = least_served(q);
        if (t->served < least)
            t->served = least;
    }
    e->n_paid = 0;
    e->due = (int64_t)q->clock + e->n_tokens +
             (int64_t)e->priority * QUEUE_LEVEL_TOKENS;
    queue_put(q, e);
}

static uint32_t owed_by(const struct sched_entry *e)
{
    return e->n_tokens > e->n_paid ? e->n_tokens - e->n_paid : 0;
}

static int64_t advance_of(const struct sched_entry *e)
{
    int32_t levels = e->priority > 0 ? 1 : e->priority < 0 ? -1 : 0;
    return levels * QUEUE_LEVEL_TOKENS;
}

/* The first of the tenant whose turn it is, or NULL. */
static struct sched_entry *first_of_all(const struct queue *q,
                                        const uint64_t *served)
{
    struct sched_entry *best = NULL;
    int64_t best_rank = 0;
    for (uint32_t i = 0; i < QUEUE_TENANTS; i++) {
        if (q->tenants[i].first == NULL)
            continue;
        struct sched_entry *e = entry_of(q->tenants[i].first);
        int64_t rank = (int64_t)served[i] + advance_of(e);
        if (best == NULL || rank < best_rank ||
            (rank == best_rank && e->number < best->number)) {
            best = e;
            best_rank = rank;
        }
    }
    return best;
}

uint32_t queue_take(struct queue *q, struct sched_entry **out, uint32_t n)
{
    uint64_t served[QUEUE_TENANTS];
    struct queue_node *aside = NULL;
    uint32_t n_taken = 0;
    for (uint32_t i = 0; i < QUEUE_TENANTS; i++)
        served[i] = q->tenants[i].served;
    while (n_taken < n) {
        struct sched_entry *e = first_of_all(q, served);
        if (e == NULL)
            break;
        queue_remove(q, e);
        if (*e->room < 2) { /* it would compute only to stall again */
            e->node.next = aside;
            aside = &e->node;
            continue;
        }
        served[place_of(e)] += owed_by(e);
        out[n_taken++] = e;
    }
    while (aside != NULL) {
        struct queue_node *next = aside->next;
        queue_put(q, entry_of(aside));
        aside = next;
    }
    return n_taken;
}

void queue_pay(struct queue *q, struct sched_entry *e)
{
    q->clock += e->n_planned;
    if (e->n_paid < e->n_computed)
        e->n_paid = e->n_computed; /* found in the cache */
    queue_tenant(q, e)->served += owed_by(e);
    if (e->n_paid < e->n_tokens)
        e->n_paid = e->n_tokens;
}
