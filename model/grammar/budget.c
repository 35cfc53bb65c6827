/* budget.c -- see budget.h. */
#include "model/grammar/budget.h"

#include <stdarg.h>
#include <stdio.h>

#include "model/base/alloc.h"

void budget_init(struct budget *b, size_t max_bytes, uint64_t max_work)
{
    *b = (struct budget){.max_bytes = max_bytes, .max_work = max_work};
}

void budget_fail(struct budget *b, enum err_class class_, const char *fmt, ...)
{
    if (b->rc != 0)
        return;
    va_list args;
    va_start(args, fmt);
    char text[sizeof b->err.text];
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    b->rc = err_set(&b->err, class_, "%s", text);
}

bool budget_spend(struct budget *b, uint64_t work)
{
    b->work += work;
    if (b->work > b->max_work)
        budget_fail(b, ERR_LIMIT,
                    "the constraint takes more work to compile than is "
                    "allowed: make it smaller or less ambiguous");
    return b->rc == 0;
}

void *budget_grow(struct budget *b, void *p, uint32_t *cap, uint64_t need,
                  size_t size)
{
    if (need <= *cap || b->rc != 0)
        return p;
    uint64_t wanted = *cap < 16 ? 16 : (uint64_t)*cap * 2;
    if (wanted < need)
        wanted = need;
    if (wanted > b->max_bytes / size)
        wanted = need;
    uint64_t more =
        need > b->max_bytes / size ? b->max_bytes + 1 : (wanted - *cap) * size;
    if (more > b->max_bytes - b->bytes) {
        budget_fail(b, ERR_LIMIT,
                    "the constraint takes more than the %zu MiB allowed to "
                    "compile: make it smaller",
                    b->max_bytes >> 20);
        return p;
    }
    void *grown = mem_realloc_array(p, (size_t)wanted, size);
    if (grown == NULL) {
        budget_fail(b, ERR_NOMEM, "out of memory for a grammar");
        return p;
    }
    b->bytes += (size_t)more;
    *cap = (uint32_t)wanted;
    return grown;
}

void budget_drop(struct budget *b, void *p, uint32_t cap, size_t size)
{
    mem_free(p);
    b->bytes -= (size_t)cap * size;
}
