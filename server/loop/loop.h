/* loop.h -- one thread's event loop in few words: run, after, watch,
 * background, on_signal, wake.
 *
 * libuv lives behind this header and nowhere else.  Callbacks run on the loop
 * thread, one at a time, and should return within 5 ms; what takes longer goes
 * to loop_background.
 *
 * Loop thread only, except loop_wake_send (any thread). */
#ifndef LFMD_SERVER_LOOP_LOOP_H
#define LFMD_SERVER_LOOP_LOOP_H

#include <stdint.h>

#include "model/base/err.h"

struct loop;
struct loop_timer;
struct loop_watch;
struct loop_wake;

typedef void loop_fn(void *user);
typedef void loop_watch_fn(void *user, unsigned events);
typedef void loop_signal_fn(void *user, int signo);

/* Also settles the process's soft limit of open files (raised to the hard one,
 * at most 65536) and grows libuv's table of watchers to it, because libuv
 * abort()s when that growth fails later. */
int loop_new(struct loop **out, struct err *err);

/* Returns when loop_stop was called or nothing is left to wait for. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* loop_run returns after this turn */

/* Closes every timer, watch, signal and wake handle that is left, waits for
 * background work that is running, and frees the loop.  Returns 0, or
 * -ERR_INTERNAL if libuv says something was still open.  NULL is fine. */
int loop_free(struct loop *loop);

/* Calls fn(user) once, `ms` from now.  The timer stays valid afterwards, to be
 * armed again, until loop_timer_free; NULL when memory is short. */
struct loop_timer *loop_after(struct loop *loop, uint64_t ms, loop_fn *fn,
                              void *user);
void loop_timer_again(struct loop_timer *timer, uint64_t ms); /* from now */
void loop_timer_stop(struct loop_timer *timer); /* disarm; may be armed again */
void loop_timer_free(struct loop_timer *timer); /* NULL is fine */

enum {
    LOOP_READABLE = 1u,
    LOOP_WRITABLE = 2u,
    LOOP_HANGUP = 4u /* the peer closed, half-closed or reset */
};

/* Watches `fd` (borrowed, at most one watch each) until loop_watch_free, which
 * must come before the fd is closed.  An error on the fd is reported as all of
 * the events asked for, once; nothing more comes after it.  NULL when memory is
 * short or the fd cannot be watched. */
struct loop_watch *loop_watch(struct loop *loop, int fd, unsigned events,
                              loop_watch_fn *fn, void *user);
void loop_watch_free(struct loop_watch *watch); /* NULL is fine */

/* Runs work(user) on a thread of the pool, then done(user) on the loop thread.
 * `done` is called exactly once if 0 is returned, at the latest during
 * loop_free, which lets what is queued run; never if -ERR_NOMEM is. */
int loop_background(struct loop *loop, loop_fn *work, loop_fn *done,
                    void *user);

/* From now on the signal calls fn on the loop thread, until loop_free. */
int loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *user,
                   struct err *err);

/* A doorbell: after loop_wake_send, fn(user) is called on the loop thread.
 * Several sends may become one call, so fn drains whatever it serves.  NULL
 * when memory is short.  The sender must be silent before loop_wake_free. */
struct loop_wake *loop_wake_new(struct loop *loop, loop_fn *fn, void *user);
void loop_wake_send(void *wake); /* any thread, a struct loop_wake; lock-free */
void loop_wake_free(struct loop_wake *wake); /* NULL is fine */

#endif
