/* loop.c -- libuv behind few words.
 *
 * Rests on one habit: every libuv handle sits first in a struct of ours on the
 * heap and carries that struct as `data`, so one close callback frees them all
 * and loop_free can sweep whatever was left.
 *
 * It knows nothing of sockets, HTTP or who waits.  Loop thread only, except
 * loop_wake_send. */
#include "server/loop/loop.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uv.h>

#include "model/base/alloc.h"
#include "model/base/log.h"

#define MAX_FDS 65536u

struct loop {
    uv_loop_t uv;
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn *fn;
    void *user;
};

struct loop_watch {
    uv_poll_t uv;
    unsigned events;
    loop_watch_fn *fn;
    void *user;
};

struct loop_wake {
    uv_async_t uv;
    loop_fn *fn;
    void *user;
};

struct loop_signal {
    uv_signal_t uv;
    loop_signal_fn *fn;
    void *user;
};

struct loop_work {
    uv_work_t uv;
    loop_fn *work, *done;
    void *user;
};

static void closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, closed);
}

static void close_left(uv_handle_t *handle, void *user)
{
    (void)user;
    close_handle(handle);
}

/* -- Files: enough of them, and a table that never grows again. -------------
 */

static unsigned settle_fd_limit(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return 1024;
    rlim_t want = lim.rlim_max < MAX_FDS ? lim.rlim_max : MAX_FDS;
    if (lim.rlim_cur != want) {
        lim.rlim_cur = want;
        if (setrlimit(RLIMIT_NOFILE, &lim) != 0 &&
            getrlimit(RLIMIT_NOFILE, &lim) != 0)
            return 1024;
    }
    return lim.rlim_cur < MAX_FDS ? (unsigned)lim.rlim_cur : MAX_FDS;
}

/* A free number as high as may be, so that no fd can come above it. */
static int highest_free_fd(unsigned limit)
{
    int fd = (int)limit - 1;

    for (int i = 0; i < 16 && fd > 3; i++, fd--)
        if (fcntl(fd, F_GETFD) == -1)
            return fd;
    return -1;
}

/* Watches the highest fd once: libuv's table of watchers is indexed by fd, and
 * its growth calls abort() when memory is short. */
static void grow_table(struct loop *loop, unsigned limit)
{
    int high = highest_free_fd(limit);
    int fd = epoll_create1(EPOLL_CLOEXEC);
    uv_poll_t *poll = NULL;

    if (fd < 0 || high < 0 || dup2(fd, high) != high)
        goto out;
    poll = mem_alloc(sizeof *poll);
    if (poll != NULL && uv_poll_init(&loop->uv, poll, high) == 0) {
        poll->data = poll;
        if (uv_poll_start(poll, UV_READABLE, NULL) == 0)
            uv_poll_stop(poll);
        close_handle((uv_handle_t *)poll);
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    } else {
        mem_free(poll);
    }
    close(high);
out:
    if (fd >= 0)
        close(fd);
}

/* -- The loop. --------------------------------------------------------------
 */

int loop_new(struct loop **out, struct err *err)
{
    struct loop *loop = mem_calloc(1, sizeof *loop);

    if (loop == NULL)
        return err_nomem(err, "the event loop");
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        mem_free(loop);
        return err_set(err, ERR_IO, "cannot start the event loop: %s",
                       uv_strerror(rc));
    }
    grow_table(loop, settle_fd_limit());
    *out = loop;
    return 0;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int loop_free(struct loop *loop)
{
    if (loop == NULL)
        return 0;
    int rc = UV_EBUSY;
    /* The `done` of background work may open handles again: a few rounds. */
    for (int i = 0; i < 8 && rc == UV_EBUSY; i++) {
        uv_walk(&loop->uv, close_left, NULL);
        uv_run(&loop->uv, UV_RUN_DEFAULT);
        rc = uv_loop_close(&loop->uv);
    }
    if (rc != 0) {
        log_at(LOG_ERROR, "loop", "cannot close the event loop: %s",
               uv_strerror(rc));
        return -ERR_INTERNAL; /* its memory is still referred to */
    }
    mem_free(loop);
    return 0;
}

/* -- Timers. ----------------------------------------------------------------
 */

static void timer_due(uv_timer_t *uv)
{
    struct loop_timer *t = uv->data;

    t->fn(t->user);
}

struct loop_timer *loop_after(struct loop *loop, uint64_t ms, loop_fn *fn,
                              void *user)
{
    struct loop_timer *t = mem_calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    t->fn = fn;
    t->user = user;
    loop_timer_again(t, ms);
    return t;
}

void loop_timer_again(struct loop_timer *timer, uint64_t ms)
{
    /* libuv's idea of now is the start of this turn; a long callback before us
     * would make the timer early. */
    if (ms > 0)
        uv_update_time(timer->uv.loop);
    uv_timer_start(&timer->uv, timer_due, ms, 0);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL)
        close_handle((uv_handle_t *)&timer->uv);
}

/* -- File descriptors. ------------------------------------------------------
 */

static void watch_ready(uv_poll_t *uv, int status, int events)
{
    struct loop_watch *w = uv->data;
    unsigned seen = 0;

    if (status < 0) {
        /* A reset arrives as UV_EBADF with no events at all. */
        uv_poll_stop(uv);
        seen = w->events;
    }
    if (events & UV_READABLE)
        seen |= LOOP_READABLE;
    if (events & UV_WRITABLE)
        seen |= LOOP_WRITABLE;
    if (events & UV_DISCONNECT)
        seen |= LOOP_HANGUP;
    w->fn(w->user, seen);
}

struct loop_watch *loop_watch(struct loop *loop, int fd, unsigned events,
                              loop_watch_fn *fn, void *user)
{
    struct loop_watch *w = mem_calloc(1, sizeof *w);
    int uv_events = 0;

    if (w == NULL)
        return NULL;
    if (uv_poll_init(&loop->uv, &w->uv, fd) != 0) {
        mem_free(w);
        return NULL;
    }
    w->uv.data = w;
    w->events = events;
    w->fn = fn;
    w->user = user;
    uv_events |= events & LOOP_READABLE ? UV_READABLE : 0;
    uv_events |= events & LOOP_WRITABLE ? UV_WRITABLE : 0;
    uv_events |= events & LOOP_HANGUP ? UV_DISCONNECT : 0;
    if (uv_poll_start(&w->uv, uv_events, watch_ready) != 0) {
        loop_watch_free(w);
        return NULL;
    }
    return w;
}

void loop_watch_free(struct loop_watch *watch)
{
    if (watch == NULL || uv_is_closing((uv_handle_t *)&watch->uv))
        return;
    uv_poll_stop(&watch->uv);
    close_handle((uv_handle_t *)&watch->uv);
}

/* -- Background work. -------------------------------------------------------
 */

static void work_run(uv_work_t *uv)
{
    struct loop_work *w = uv->data;

    w->work(w->user);
}

static void work_done(uv_work_t *uv, int status)
{
    struct loop_work *w = uv->data;
    loop_fn *done = w->done;
    void *user = w->user;

    (void)status; /* never cancelled */
    mem_free(w);
    done(user);
}

int loop_background(struct loop *loop, loop_fn *work, loop_fn *done, void *user)
{
    struct loop_work *w = mem_calloc(1, sizeof *w);

    if (w == NULL)
        return -ERR_NOMEM;
    w->uv.data = w;
    w->work = work;
    w->done = done;
    w->user = user;
    if (uv_queue_work(&loop->uv, &w->uv, work_run, work_done) != 0) {
        mem_free(w);
        return -ERR_NOMEM;
    }
    return 0;
}

/* -- Signals and the doorbell. ----------------------------------------------
 */

static void signal_seen(uv_signal_t *uv, int signo)
{
    struct loop_signal *s = uv->data;

    s->fn(s->user, signo);
}

int loop_on_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *user,
                   struct err *err)
{
    struct loop_signal *s = mem_calloc(1, sizeof *s);

    if (s == NULL)
        return err_nomem(err, "a signal handler");
    int rc = uv_signal_init(&loop->uv, &s->uv);
    if (rc != 0) {
        mem_free(s);
        return err_set(err, ERR_IO, "cannot watch signal %d: %s", signo,
                       uv_strerror(rc));
    }
    s->uv.data = s;
    s->fn = fn;
    s->user = user;
    rc = uv_signal_start(&s->uv, signal_seen, signo);
    if (rc != 0) {
        close_handle((uv_handle_t *)&s->uv);
        return err_set(err, ERR_IO, "cannot watch signal %d: %s", signo,
                       uv_strerror(rc));
    }
    uv_unref((uv_handle_t *)&s->uv); /* alone it keeps no loop running */
    return 0;
}

static void wake_rung(uv_async_t *uv)
{
    struct loop_wake *w = uv->data;

    w->fn(w->user);
}

struct loop_wake *loop_wake_new(struct loop *loop, loop_fn *fn, void *user)
{
    struct loop_wake *w = mem_calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    if (uv_async_init(&loop->uv, &w->uv, wake_rung) != 0) {
        mem_free(w);
        return NULL;
    }
    w->uv.data = w;
    w->fn = fn;
    w->user = user;
    return w;
}

void loop_wake_send(void *wake)
{
    struct loop_wake *w = wake;

    uv_async_send(&w->uv);
}

void loop_wake_free(struct loop_wake *wake)
{
    if (wake != NULL)
        close_handle((uv_handle_t *)&wake->uv);
}
