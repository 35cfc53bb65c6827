/* mhd_loop.c -- libmicrohttpd inside our loop.
 *
 * Rests on epoll fds being pollable: MHD's own epoll set is one fd for us.
 * Loop thread only. */
#include "server/http/mhd_loop.h"

#include <poll.h>

#include <microhttpd.h>

#define RUNS_PER_TURN 8 /* then others get their turn */

/* False when MHD waits for nothing but its fds. */
static bool next_timeout(struct MHD_Daemon *daemon, uint64_t *ms)
{
#if MHD_VERSION >= 0x01000000
    return MHD_get_timeout64(daemon, ms) == MHD_YES;
#else
    MHD_UNSIGNED_LONG_LONG t = 0;

    if (MHD_get_timeout(daemon, &t) != MHD_YES)
        return false;
    *ms = t;
    return true;
#endif
}

static void run(struct mhd_loop *m)
{
    m->kicked = false;
    m->n_runs++;
    MHD_run(m->daemon);
    m->after(m->user);
}

static void pump(struct mhd_loop *m)
{
    uint64_t ms = 0;

    if (m->pumping || m->closed)
        return;
    m->pumping = true;
    for (int i = 0; i < RUNS_PER_TURN; i++) {
        run(m);
        if (m->kicked)
            continue;
        if (!next_timeout(m->daemon, &ms)) {
            loop_timer_stop(m->timer);
            goto out;
        }
        if (ms > 0) {
            loop_timer_again(m->timer, ms);
            goto out;
        }
    }
    loop_timer_again(m->timer, 0);
out:
    m->pumping = false;
}

static void due(void *user)
{
    pump(user);
}

static void ready(void *user, unsigned events)
{
    (void)events;
    pump(user);
}

int mhd_loop_init(struct mhd_loop *m, struct loop *loop,
                  struct MHD_Daemon *daemon, loop_fn *after, void *user,
                  struct err *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

    *m = (struct mhd_loop){.daemon = daemon, .after = after, .user = user};
    if (info == NULL || info->epoll_fd < 0)
        return err_set(err, ERR_INTERNAL, "libmicrohttpd has no epoll fd");
    m->epoll_fd = info->epoll_fd;
    m->timer = loop_after(loop, 0, due, m);
    m->watch = loop_watch(loop, m->epoll_fd, LOOP_READABLE, ready, m);
    if (m->timer != NULL && m->watch != NULL)
        return 0;
    mhd_loop_deinit(m);
    return err_nomem(err, "the HTTP server");
}

void mhd_loop_deinit(struct mhd_loop *m)
{
    m->closed = true;
    loop_watch_free(m->watch);
    loop_timer_free(m->timer);
    m->watch = NULL;
    m->timer = NULL;
}

void mhd_loop_kick(struct mhd_loop *m)
{
    if (m->pumping)
        m->kicked = true;
    else if (!m->closed)
        loop_timer_again(m->timer, 0);
}

void mhd_loop_run_once(struct mhd_loop *m, int wait_ms)
{
    struct pollfd p = {.fd = m->epoll_fd, .events = POLLIN};

    if (m->closed || m->pumping)
        return;
    if (wait_ms > 0)
        (void)poll(&p, 1, wait_ms);
    m->pumping = true;
    run(m);
    m->pumping = false;
}
