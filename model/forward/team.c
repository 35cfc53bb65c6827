/* team.c -- fork and join by claiming parts.
 *
 * A round opens when `next` is set to 0; whoever is awake, the caller included,
 * claims parts by raising it, and the round is over when `n_done` has counted
 * them all.  A worker that the kernel has not let run claims nothing and nobody
 * waits for it: with a fixed part for each worker, one busy neighbour on the
 * machine made small models eighty times slower.
 *
 * Both sides spin first and then sleep on a condition; the mutex is taken only
 * around sleeping and waking, so a busy step never meets it.  The order that
 * makes this safe: a sleeper announces itself in `n_sleeping` before it looks
 * at `next` for the last time, and the caller opens the round before it looks
 * at `n_sleeping` (both sequentially consistent), so one of the two sees the
 * other.
 *
 * It does not know what is computed. */
#include "model/forward/team.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "model/base/alloc.h"

/* Turns of the waiting loop before sleeping: some tens of microseconds, the
 * length of the gaps between the operations of one step. */
#define SPIN_TURNS 4000

struct team {
    uint32_t n_threads; /* also the parts of a round */
    pthread_t *workers; /* [n_threads - 1], owned */
    uint32_t n_started;
    team_fn *fn; /* published by opening the round */
    void *arg;
    atomic_bool stopping;

    _Alignas(64) atomic_uint next;   /* part to claim; n_threads: none left */
    atomic_uint n_sleeping;          /* workers asleep or about to be */
    _Alignas(64) atomic_uint n_done; /* parts of this round */
    atomic_bool caller_sleeps;

    pthread_mutex_t lock;
    pthread_cond_t work;     /* a round is open */
    pthread_cond_t finished; /* n_done is complete */
};

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool claim(struct team *t, uint32_t *part)
{
    unsigned now = atomic_load_explicit(&t->next, memory_order_relaxed);
    while (now < t->n_threads)
        if (atomic_compare_exchange_weak_explicit(&t->next, &now, now + 1,
                                                  memory_order_acquire,
                                                  memory_order_relaxed)) {
            *part = now;
            return true;
        }
    return false;
}

/* Runs parts until none is left.  `fn` and `arg` are read after a claim only:
 * the round cannot end, nor the next one begin, while a claimed part runs. */
static void run_parts(struct team *t)
{
    uint32_t part;
    while (claim(t, &part)) {
        t->fn(t->arg, part, t->n_threads);
        if (atomic_fetch_add(&t->n_done, 1) + 1 == t->n_threads &&
            atomic_load(&t->caller_sleeps)) {
            pthread_mutex_lock(&t->lock);
            pthread_cond_signal(&t->finished);
            pthread_mutex_unlock(&t->lock);
        }
    }
}

static bool has_work(struct team *t)
{
    return atomic_load(&t->next) < t->n_threads || atomic_load(&t->stopping);
}

static void wait_for_work(struct team *t)
{
    for (int i = 0; i < SPIN_TURNS; i++) {
        if (has_work(t))
            return;
        pause_cpu();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->n_sleeping, 1);
    while (!has_work(t))
        pthread_cond_wait(&t->work, &t->lock);
    atomic_fetch_sub(&t->n_sleeping, 1);
    pthread_mutex_unlock(&t->lock);
}

static void *work(void *arg)
{
    struct team *t = arg;
    while (!atomic_load(&t->stopping)) {
        run_parts(t);
        wait_for_work(t);
    }
    return NULL;
}

static void wake_sleepers(struct team *t)
{
    if (atomic_load(&t->n_sleeping) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
}

static void wait_until_done(struct team *t)
{
    for (int i = 0; i < SPIN_TURNS; i++) {
        if (atomic_load_explicit(&t->n_done, memory_order_acquire) ==
            t->n_threads)
            return;
        pause_cpu();
    }
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->caller_sleeps, true);
    while (atomic_load(&t->n_done) != t->n_threads)
        pthread_cond_wait(&t->finished, &t->lock);
    atomic_store(&t->caller_sleeps, false);
    pthread_mutex_unlock(&t->lock);
}

void team_run(struct team *t, team_fn *fn, void *arg)
{
    if (t->n_threads == 1) {
        fn(arg, 0, 1);
        return;
    }
    t->fn = fn;
    t->arg = arg;
    atomic_store_explicit(&t->n_done, 0, memory_order_relaxed);
    atomic_store(&t->next, 0);
    wake_sleepers(t);
    run_parts(t);
    wait_until_done(t);
}

/* The workers take no signals: those are for the loop. */
static int start_workers(struct team *t, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    /* Blocked, a fault of the thread's own would go past any handler. */
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGFPE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    while (rc == 0 && t->n_started < t->n_threads - 1) {
        rc = pthread_create(&t->workers[t->n_started], NULL, work, t);
        if (rc == 0)
            t->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return 0;
    errno = rc;
    return err_errno(err, "start", "a compute thread");
}

int team_new(struct team **out, uint32_t n_threads, struct err *err)
{
    assert(n_threads >= 1);
    struct team *t = mem_alloc_aligned(64, sizeof *t);
    if (t == NULL)
        return err_nomem(err, "the team of threads");
    *t = (struct team){.n_threads = n_threads};
    atomic_init(&t->next, n_threads);
    t->workers = mem_calloc(n_threads, sizeof *t->workers);
    if (t->workers == NULL) {
        mem_free_aligned(t);
        return err_nomem(err, "the team of threads");
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->finished, NULL);
    int rc = start_workers(t, err);
    if (rc != 0) {
        team_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void team_free(struct team *t)
{
    if (t == NULL)
        return;
    atomic_store(&t->stopping, true);
    wake_sleepers(t);
    for (uint32_t i = 0; i < t->n_started; i++)
        pthread_join(t->workers[i], NULL);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->finished);
    mem_free(t->workers);
    mem_free_aligned(t);
}

uint32_t team_size(const struct team *t)
{
    return t->n_threads;
}
