/* loops.c -- see loops.h. */
#include "server/engine/loops.h"

#include "model/base/alloc.h"

int loops_init(struct loops *l, const struct job_loops *asked, struct err *err)
{
    *l = (struct loops){.asked = *asked};
    if (asked->max_size == 0 || asked->min_count < 2)
        return 0;
    if (l->asked.min_size == 0)
        l->asked.min_size = 1;
    if (l->asked.min_size > asked->max_size)
        return 0;
    l->runs =
        mem_calloc(asked->max_size - l->asked.min_size + 1, sizeof *l->runs);
    return l->runs != NULL ? 0 : err_nomem(err, "a sequence's patterns");
}

void loops_deinit(struct loops *l)
{
    mem_free(l->runs);
    *l = (struct loops){0};
}

bool loops_hear(struct loops *l, const token_id *output, uint32_t n_output)
{
    const struct job_loops *a = &l->asked;
    bool found = false;
    if (l->runs == NULL)
        return false;
    const token_id last = output[n_output - 1];
    /* A pattern is before its first repetition. */
    for (uint32_t size = a->min_size; size <= a->max_size && size < n_output;
         size++) {
        uint32_t *run = &l->runs[size - a->min_size];
        *run = output[n_output - 1 - size] == last ? *run + 1 : 0;
        found = found || *run >= (uint64_t)size * (a->min_count - 1);
    }
    return found;
}
