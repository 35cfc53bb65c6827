/* clock.h -- what time it is, in one place, so that a test can say otherwise.
 *
 * Monotonic for every deadline and duration; the wall clock only for what is
 * printed.  Any thread; clock_fake only before threads start. */
#ifndef LFMD_MODEL_BASE_CLOCK_H
#define LFMD_MODEL_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_now_us(void); /* monotonic */
uint64_t clock_now_ms(void); /* monotonic */
int64_t clock_unix_s(void);  /* wall */

/* Tests: both clocks read `*now_us` from now on; NULL restores them. */
void clock_fake(const uint64_t *now_us);

#endif
