/* budget.h -- what one compilation may take: bytes, work, and its first error.
 *
 * Schemas, patterns and grammars are foreign text, and small text can stand for
 * a large automaton.  So every growing array of the compiler asks here, every
 * loop that a text can lengthen pays here, and whoever is refused stops.  Work
 * is counted in visited states and not in time, so a text that compiles today
 * compiles tomorrow on a slower machine.
 *
 * The first failure sticks: `rc` is set, `err` says why, and all later calls
 * do nothing.  One thread at a time. */
#ifndef LFMD_MODEL_GRAMMAR_BUDGET_H
#define LFMD_MODEL_GRAMMAR_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"

struct budget {
    size_t bytes, max_bytes;
    uint64_t work, max_work;
    int rc; /* 0 or the negative class of the first failure */
    struct err err;
};

void budget_init(struct budget *b, size_t max_bytes, uint64_t max_work);

/* Keeps the first failure only. */
void budget_fail(struct budget *b, enum err_class class_, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* True while there is work left (and nothing has failed). */
bool budget_spend(struct budget *b, uint64_t work);

/* `p`, which holds *cap elements of `size` bytes, grown to at least `need`;
 * `p` itself, still valid, when that is refused: ask b->rc. */
void *budget_grow(struct budget *b, void *p, uint32_t *cap, uint64_t need,
                  size_t size);

/* Frees what budget_grow gave and takes it off the account. */
void budget_drop(struct budget *b, void *p, uint32_t cap, size_t size);

#endif
