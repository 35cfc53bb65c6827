/* list.h -- intrusive doubly linked list with a head that is a node.
 *
 * A node sits inside its owner, so linking costs no memory and cannot fail; a
 * node is in at most one list.  list_owner() finds the struct around it. */
#ifndef LFMD_MODEL_BASE_LIST_H
#define LFMD_MODEL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define list_owner(node, type, member) \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_after(struct list *at, struct list *node)
{
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
}

static inline void list_append(struct list *head, struct list *node)
{
    list_add_after(head->prev, node);
}

/* The node is afterwards a list of its own, so removing twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#endif
