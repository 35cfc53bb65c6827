/* follow_grammar.h -- what was compiled can be followed to an end, for fuzz
 * targets. */
#ifndef LFMD_TESTS_LIB_FOLLOW_GRAMMAR_H
#define LFMD_TESTS_LIB_FOLLOW_GRAMMAR_H

#include <stdbool.h>
#include <stdlib.h>

#include "model/grammar/matcher.h"

/* Refused for a reason, or followed a byte at a time: the first that is
 * allowed, from a place that moves.  Aborts if neither; takes the reference. */
static inline void follow_grammar(int rc, struct grammar *g,
                                  const struct err *err)
{
    struct matcher *m;
    if (rc != 0) {
        if (err->class_ == ERR_INTERNAL || err->text[0] == '\0')
            abort();
        return;
    }
    if (matcher_new(&m, g, 1, NULL) != 0)
        abort();
    for (unsigned i = 0; i < 200 && !matcher_must_end(m); i++) {
        bool found = false;
        for (unsigned j = 0; j < 256 && !found; j++) {
            char byte = (char)(i * 37 + j);
            found = matcher_accept(m, &byte, 1);
        }
        if (!found)
            abort();
    }
    matcher_free(m);
    grammar_unref(g);
}

#endif
