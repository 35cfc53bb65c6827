/* job_state.h -- the engine's own side of a job; server/engine only.
 *
 * Made with the job, filled at submit, freed with the last reference.  Fields
 * say whose they are; those shared are atomic. */
#ifndef LFMD_SERVER_ENGINE_JOB_STATE_H
#define LFMD_SERVER_ENGINE_JOB_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/base/list.h"
#include "model/text/stop.h"
#include "server/engine/job.h"
#include "server/engine/ring.h"

struct sequence;

struct job_state {
    atomic_uint refs;
    atomic_bool cancelled; /* set by any thread, never cleared */
    atomic_bool in_outbox;
    struct job *outbox_next; /* whoever holds the job in the outbox */
    bool paused;             /* loop thread */

    struct ring ring;      /* engine thread produces, loop thread consumes */
    struct stop_set stop;  /* const after submit; in the job's arena */
    struct sequence *seqs; /* [n_choices], owned; engine thread */

    /* Engine thread. */
    struct job *self;
    struct list node;    /* in the inbox, then among the engine's jobs */
    uint32_t n_open;     /* choices without their end */
    uint32_t room;       /* events the next plan may cause */
    bool failed, dirty;  /* an EVENT_ERROR was sent; events since the last
                            publishing */
    size_t worst_bytes;  /* ring bytes of the largest event */
    uint64_t arrived_us; /* clock_now_us() at its submit; const */
    bool started;        /* some choice was in a plan */
};

#endif
