/* mailbox.c -- see mailbox.h. */
#include "server/engine/mailbox.h"

#include <time.h>

#include "server/engine/job_state.h"

int inbox_init(struct inbox *in, struct err *err)
{
    pthread_condattr_t attr;
    list_init(&in->jobs);
    in->closed = false;
    atomic_init(&in->nudged, false);
    if (pthread_condattr_init(&attr) != 0)
        return err_nomem(err, "the engine's inbox");
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&in->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc != 0)
        return err_nomem(err, "the engine's inbox");
    if (pthread_mutex_init(&in->mutex, NULL) != 0) {
        (void)pthread_cond_destroy(&in->cond);
        return err_nomem(err, "the engine's inbox");
    }
    return 0;
}

void inbox_deinit(struct inbox *in)
{
    (void)pthread_mutex_destroy(&in->mutex);
    (void)pthread_cond_destroy(&in->cond);
}

static void nudge_locked(struct inbox *in)
{
    atomic_store(&in->nudged, true);
    (void)pthread_cond_signal(&in->cond);
}

bool inbox_put(struct inbox *in, struct job *job)
{
    (void)pthread_mutex_lock(&in->mutex);
    bool open = !in->closed;
    if (open) {
        list_append(&in->jobs, &job->state->node);
        nudge_locked(in);
    }
    (void)pthread_mutex_unlock(&in->mutex);
    return open;
}

void inbox_close(struct inbox *in)
{
    (void)pthread_mutex_lock(&in->mutex);
    in->closed = true;
    nudge_locked(in);
    (void)pthread_mutex_unlock(&in->mutex);
}

void inbox_nudge(struct inbox *in)
{
    (void)pthread_mutex_lock(&in->mutex);
    nudge_locked(in);
    (void)pthread_mutex_unlock(&in->mutex);
}

void inbox_take(struct inbox *in, struct list *to)
{
    (void)pthread_mutex_lock(&in->mutex);
    while (!list_empty(&in->jobs)) {
        struct list *node = in->jobs.next;
        list_remove(node);
        list_append(to, node);
    }
    (void)pthread_mutex_unlock(&in->mutex);
}

static struct timespec in_ms(unsigned ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}

void inbox_wait(struct inbox *in, unsigned timeout_ms)
{
    struct timespec until = in_ms(timeout_ms);
    int rc = 0;
    (void)pthread_mutex_lock(&in->mutex);
    while (rc == 0 && !atomic_load(&in->nudged)) {
        rc = timeout_ms == 0
                 ? pthread_cond_wait(&in->cond, &in->mutex)
                 : pthread_cond_timedwait(&in->cond, &in->mutex, &until);
    }
    (void)pthread_mutex_unlock(&in->mutex);
}

bool inbox_was_nudged(struct inbox *in)
{
    return atomic_load(&in->nudged) && atomic_exchange(&in->nudged, false);
}

void outbox_put(struct outbox *out, struct job *job)
{
    if (atomic_exchange(&job->state->in_outbox, true))
        return; /* whoever clears it will see what was just written */
    job_retain(job);
    struct job *top = atomic_load(&out->top);
    do
        job->state->outbox_next = top;
    while (!atomic_compare_exchange_weak(&out->top, &top, job));
}

struct job *outbox_take(struct outbox *out)
{
    struct job *top = atomic_exchange(&out->top, NULL), *first = NULL;
    while (top != NULL) {
        struct job *next = top->state->outbox_next;
        top->state->outbox_next = first;
        first = top;
        top = next;
    }
    return first;
}

struct job *outbox_leave(struct job *job)
{
    struct job *next = job->state->outbox_next;
    (void)atomic_exchange(&job->state->in_outbox, false);
    return next;
}
