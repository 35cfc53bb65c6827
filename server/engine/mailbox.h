/* mailbox.h -- the two ways between the engine thread and everybody else.
 *
 * Inbox: jobs and nudges for the engine; a mutex and a condition, because the
 * engine sleeps on it.  A step looks only at one atomic flag and takes the lock
 * when it is set.  Outbox: jobs with events for the loop thread; a stack that
 * is taken whole, so neither side ever waits. */
#ifndef LFMD_SERVER_ENGINE_MAILBOX_H
#define LFMD_SERVER_ENGINE_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "model/base/err.h"
#include "model/base/list.h"
#include "server/engine/job.h"

struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t cond; /* on the monotonic clock */
    struct list jobs;    /* job_state.node; under the mutex */
    bool closed;         /* no more jobs; under the mutex */
    atomic_bool nudged;  /* something is to be looked at */
};

int inbox_init(struct inbox *in, struct err *err);
void inbox_deinit(struct inbox *in);

/* Any thread.  False when closed, the job is then untouched. */
bool inbox_put(struct inbox *in, struct job *job);
void inbox_close(struct inbox *in);
void inbox_nudge(struct inbox *in);

/* Engine thread: moves all jobs to the end of `to`, in order. */
void inbox_take(struct inbox *in, struct list *to);

/* Engine thread: returns once nudged (at once if already), or after
 * timeout_ms; 0 waits without end.  The nudge stays for inbox_was_nudged. */
void inbox_wait(struct inbox *in, unsigned timeout_ms);

/* Engine thread: whether nudged; forgets it.  Takes no lock. */
bool inbox_was_nudged(struct inbox *in);

struct outbox {
    _Atomic(struct job *) top;
};

/* Any thread.  Holds a reference to the job while it is in; a job is in at most
 * once.  What the caller wrote before is seen by whoever takes the job. */
void outbox_put(struct outbox *out, struct job *job);

/* Loop thread: the job that waited longest first, linked by outbox_next; NULL
 * when empty.  Each is to be passed to outbox_leave before its ring is read. */
struct job *outbox_take(struct outbox *out);

/* Loop thread: from here on the job may be put again.  Returns the next; the
 * caller now has the reference. */
struct job *outbox_leave(struct job *job);

#endif
