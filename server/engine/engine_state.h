/* engine_state.h -- what the engine's two files share; server/engine only.
 *
 * engine.c is what others call: birth, submit, cancel, dispatch, counters.
 * step.c is what the engine thread does.  Each field says whose it is; those
 * without a word are const after engine_new. */
#ifndef LFMD_SERVER_ENGINE_ENGINE_STATE_H
#define LFMD_SERVER_ENGINE_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/list.h"
#include "server/engine/emit.h"
#include "server/engine/engine.h"
#include "server/engine/event.h"
#include "server/engine/mailbox.h"
#include "server/engine/observe.h"
#include "server/engine/pace.h"
#include "server/engine/save.h"
#include "server/engine/scheduler.h"
#include "server/engine/share.h"

struct counters {
    atomic_ullong steps, tokens_prompt, tokens_generated, preemptions;
    atomic_ullong prefix_query, prefix_hit, prefix_evictions;
    atomic_ullong accepted, refused, cancelled, finished, failed;
    atomic_ullong last_step_us;
    atomic_uint running, waiting, free_blocks;
};

struct engine {
    struct engine_model model;
    struct engine_options options;
    engine_wake_fn *wake;
    void *wake_user;
    pthread_t thread;
    bool joined; /* loop thread */

    struct inbox inbox;
    struct outbox outbox;
    atomic_uint n_jobs; /* accepted and not ended */
    atomic_bool draining, stopping;
    atomic_bool blocked; /* nothing can move until a ring is read */
    struct counters count;
    struct observer seen;
    struct saver saver;

    /* Engine thread. */
    struct scheduler scheduler;
    struct sharing sharing;
    struct pace pace;
    struct emitter emitter;
    struct batch *batch; /* owned */
    struct list jobs;    /* job_state.node; a reference each */
    uint64_t next_number;
};

/* The engine thread, from beginning to end; `user` is the engine. */
void *engine_run(void *user);

static inline void engine_count(atomic_ullong *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Ring bytes of an end that was not planned (deadline, stop), which must always
 * find room. */
static inline size_t engine_end_bytes(void)
{
    return event_bytes(EVENT_ERROR_BYTES, 0);
}

static inline size_t engine_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
