/* unicode.h -- the tables behind text.c, in the order of its enums.
 *
 * Constant data, any thread.  Source: tests/oracle/template/make_unicode.py. */
#ifndef LFMD_MODEL_TEMPLATE_UNICODE_H
#define LFMD_MODEL_TEMPLATE_UNICODE_H

#include <stdint.h>

struct unicode_range {
    uint32_t first, last;
};

struct unicode_class { /* sorted */
    const struct unicode_range *ranges;
    uint32_t n;
};

/* first, first + step, ... last map to themselves plus delta. */
struct unicode_run {
    uint32_t first, last, step;
    int32_t delta;
};

struct unicode_many {
    uint32_t cp, to[3]; /* zero ends */
};

struct unicode_case {
    const struct unicode_run *runs; /* sorted */
    uint32_t n_runs;
    const struct unicode_many *many; /* sorted */
    uint32_t n_many;
};

extern const struct unicode_class unicode_classes[]; /* by text_class */
extern const struct unicode_case unicode_cases[];    /* by text_case */

#endif
