/* machine.c -- see machine.h. */
#include "model/grammar/machine.h"

#include <string.h>

#include "model/base/alloc.h"

int machine_init(struct machine *m, uint32_t n_places, uint32_t n_nodes)
{
    uint32_t n_buckets = 1;
    while (n_buckets < n_nodes)
        n_buckets *= 2;
    *m = (struct machine){.cap_places = n_places,
                          .cap_nodes = n_nodes,
                          .bucket_mask = n_buckets - 1};
    m->places = mem_calloc(n_places, sizeof *m->places);
    m->nodes = mem_calloc(n_nodes, sizeof *m->nodes);
    m->buckets = mem_calloc(n_buckets, sizeof *m->buckets);
    if (m->places != NULL && m->nodes != NULL && m->buckets != NULL)
        return 0;
    machine_deinit(m);
    return -ERR_NOMEM;
}

void machine_deinit(struct machine *m)
{
    mem_free(m->places);
    mem_free(m->nodes);
    mem_free(m->buckets);
    *m = (struct machine){0};
}

void machine_reset(struct machine *m, const struct grammar *grammar)
{
    m->grammar = grammar;
    m->n_places = 0;
    m->n_nodes = 1;
    m->free_node = 0;
    m->left_out = false;
    m->nodes[BOTTOM] = (struct node){.key = 0x9E3779B97F4A7C15u};
    memset(m->buckets, 0, (m->bucket_mask + 1u) * sizeof *m->buckets);
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static uint32_t *bucket_of(struct machine *m, uint32_t to, uint32_t parent)
{
    uint64_t h = mix((uint64_t)to << 32 | parent);
    return &m->buckets[h & m->bucket_mask];
}

/* Finds the nodes that no place reaches and makes them free. */
static void collect(struct machine *m)
{
    for (uint32_t i = 0; i < m->n_nodes; i++)
        m->nodes[i].reached = 0;
    for (uint32_t i = 0; i < m->n_places; i++)
        for (uint32_t k = m->places[i].node;
             k != BOTTOM && !m->nodes[k].reached; k = m->nodes[k].parent)
            m->nodes[k].reached = 1;
    memset(m->buckets, 0, (m->bucket_mask + 1u) * sizeof *m->buckets);
    m->free_node = 0;
    for (uint32_t i = 1; i < m->n_nodes; i++) {
        struct node *node = &m->nodes[i];
        uint32_t *list = node->reached ? bucket_of(m, node->to, node->parent)
                                       : &m->free_node;
        node->next = *list;
        *list = i;
    }
}

/* The stack `parent` with `to` on top; BOTTOM when there is no room. */
static uint32_t push(struct machine *m, uint32_t to, uint32_t parent)
{
    for (uint32_t i = *bucket_of(m, to, parent); i != 0; i = m->nodes[i].next)
        if (m->nodes[i].to == to && m->nodes[i].parent == parent)
            return i;
    uint32_t i;
    if (m->free_node == 0 && m->n_nodes == m->cap_nodes)
        collect(m);
    if (m->free_node != 0) {
        i = m->free_node;
        m->free_node = m->nodes[i].next;
    } else if (m->n_nodes < m->cap_nodes) {
        i = m->n_nodes++;
    } else {
        m->left_out = true;
        return BOTTOM;
    }
    uint32_t *bucket = bucket_of(m, to, parent);
    m->nodes[i] = (struct node){.to = to,
                                .parent = parent,
                                .next = *bucket,
                                .depth = (uint8_t)(m->nodes[parent].depth + 1),
                                .key = mix(m->nodes[parent].key + to + 1)};
    return *bucket = i;
}

/* A place may be taken only if the text can still end from there. */
static bool can_finish(const struct machine *m, uint32_t state, unsigned depth)
{
    return depth + m->grammar->states[state].need <= GRAMMAR_MAX_DEPTH;
}

static void add(struct machine *m, struct set *set, uint32_t state,
                uint32_t node)
{
    for (uint32_t i = set->at; i < m->n_places; i++)
        if (m->places[i].state == state && m->places[i].node == node)
            return;
    if (m->n_places == m->cap_places ||
        m->n_places - set->at == SET_MAX_VISITED) {
        m->left_out = true;
        return;
    }
    m->places[m->n_places++] = (struct place){state, node};
}

/* Adds what place `i` reaches without a byte. */
static void expand(struct machine *m, struct set *set, uint32_t i)
{
    const struct grammar *g = m->grammar;
    struct place at = m->places[i];
    const struct state *s = &g->states[at.state];
    if (s->flags & STATE_ACCEPT) {
        if (at.node == BOTTOM)
            set->may_end = true;
        else
            add(m, set, m->nodes[at.node].to, m->nodes[at.node].parent);
    }
    unsigned depth = m->nodes[at.node].depth;
    for (uint32_t c = 0; c < s->n_calls; c++) {
        const struct call *call = &g->calls[s->calls + c];
        if (call->tail) {
            if (can_finish(m, call->start, depth))
                add(m, set, call->start, at.node);
            continue;
        }
        if (!can_finish(m, call->start, depth + 1) ||
            !can_finish(m, call->to, depth))
            continue;
        uint32_t node = push(m, call->to, at.node);
        if (node != BOTTOM)
            add(m, set, call->start, node);
    }
}

/* Expands all, then keeps those from which a byte leads on. */
static void complete(struct machine *m, struct set *set)
{
    const struct state *states = m->grammar->states;
    for (uint32_t i = set->at; i < m->n_places; i++)
        if (!(states[m->places[i].state].flags & STATE_SIMPLE))
            expand(m, set, i);
    uint32_t n = set->at;
    for (uint32_t i = set->at; i < m->n_places; i++) {
        if (states[m->places[i].state].n_ranges == 0)
            continue;
        if (n - set->at == SET_MAX_PLACES) {
            m->left_out = true;
            break;
        }
        m->places[n++] = m->places[i];
    }
    m->n_places = n;
    set->n = n - set->at;
}

struct set machine_start(struct machine *m)
{
    struct set set = {.at = m->n_places};
    add(m, &set, m->grammar->root, BOTTOM);
    complete(m, &set);
    return set;
}

struct set machine_step(struct machine *m, struct set from, uint8_t byte)
{
    const struct grammar *g = m->grammar;
    struct set set = {.at = m->n_places};
    bool simple = true;
    for (uint32_t i = from.at; i < from.at + from.n; i++) {
        struct place at = m->places[i];
        uint32_t to = state_step(g, at.state, byte);
        if (to == DFA_DEAD)
            continue;
        const struct state *s = &g->states[to];
        if (s->need > 0 && !can_finish(m, to, m->nodes[at.node].depth))
            continue;
        simple &= s->flags & STATE_SIMPLE ? true : false;
        add(m, &set, to, at.node);
    }
    if (simple)
        set.n = m->n_places - set.at;
    else
        complete(m, &set);
    return set;
}

struct set machine_import(struct machine *m, const struct machine *other,
                          struct set set)
{
    struct set copy = {.at = m->n_places, .may_end = set.may_end};
    for (uint32_t i = set.at; i < set.at + set.n; i++) {
        struct place at = other->places[i];
        uint32_t path[GRAMMAR_MAX_DEPTH + 1], n = 0;
        for (uint32_t k = at.node; k != BOTTOM; k = other->nodes[k].parent)
            path[n++] = other->nodes[k].to;
        uint32_t node = BOTTOM;
        bool room = true;
        while (n > 0 && room) {
            node = push(m, path[--n], node);
            room = node != BOTTOM;
        }
        if (room)
            add(m, &copy, at.state, node);
    }
    copy.n = m->n_places - copy.at;
    return copy;
}

uint64_t machine_key(const struct machine *m, struct set set)
{
    uint64_t key = mix(m->grammar->serial * 2 + (set.may_end ? 1 : 0));
    for (uint32_t i = set.at; i < set.at + set.n; i++) {
        struct place at = m->places[i];
        key += mix(m->nodes[at.node].key ^ mix(at.state + 1u));
    }
    return key;
}
