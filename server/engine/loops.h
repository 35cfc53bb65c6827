/* loops.h -- notices a reply that says the same thing again and again.
 *
 *     ... x y z  a b  a b  a b     a pattern of 2 tokens, 3 times
 *
 * For every length of a pattern that is looked for it knows how many tokens at
 * the end equal the one a pattern before, so that a token costs one comparison
 * a length, however long the reply.
 *
 * Engine thread, after loops_init; never allocates then. */
#ifndef LFMD_SERVER_ENGINE_LOOPS_H
#define LFMD_SERVER_ENGINE_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/base/token.h"
#include "server/engine/job.h"

struct loops {
    struct job_loops asked;
    uint32_t *runs; /* owned; one a length, from the shortest; NULL: nothing is
                       looked for */
};

int loops_init(struct loops *l, const struct job_loops *asked, struct err *err);
void loops_deinit(struct loops *l); /* zeroed is fine */

/* After the last of output[n_output], and after each before it: the reply now
 * ends in a pattern that stands there min_count times. */
bool loops_hear(struct loops *l, const token_id *output, uint32_t n_output);

#endif
