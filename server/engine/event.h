/* event.h -- events as they lie in a job's ring.
 *
 * The text and the alternatives travel behind the fixed part, so an event
 * costs what it holds; the error keeps its class and the first
 * EVENT_ERROR_BYTES of its sentence. */
#ifndef LFMD_SERVER_ENGINE_EVENT_H
#define LFMD_SERVER_ENGINE_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "server/engine/job.h"
#include "server/engine/ring.h"

#define EVENT_ERROR_BYTES ((size_t)240)

/* Ring bytes of an event with so much text and so many alternatives. */
size_t event_bytes(size_t n_text, uint32_t n_top);

/* Engine thread.  False when the ring has no room (which the plan's accounting
 * rules out). */
bool event_write(struct ring *r, const struct job_event *event);

/* Loop thread: the oldest event, pointing into the ring until ring_pop. */
bool event_read(struct ring *r, struct job_event *event);

#endif
