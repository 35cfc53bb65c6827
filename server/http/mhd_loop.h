/* mhd_loop.h -- libmicrohttpd's epoll fd and its timeout inside our loop.
 *
 * MHD is run when its epoll fd is readable, when its timeout is over, and when
 * somebody kicks; and then again until it has nothing left to do, because one
 * run per wake-up leaves a stream's last chunk unsent.
 *
 * It does not know requests.  Loop thread only. */
#ifndef LFMD_SERVER_HTTP_MHD_LOOP_H
#define LFMD_SERVER_HTTP_MHD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "server/loop/loop.h"

struct MHD_Daemon;

struct mhd_loop {
    struct MHD_Daemon *daemon; /* borrowed */
    struct loop_watch *watch;  /* owned, of MHD's epoll fd */
    struct loop_timer *timer;  /* owned */
    int epoll_fd;              /* MHD's */
    bool pumping, kicked, closed;
    uint64_t n_runs;
    loop_fn *after; /* after every run: what must not happen inside it */
    void *user;
};

int mhd_loop_init(struct mhd_loop *m, struct loop *loop,
                  struct MHD_Daemon *daemon, loop_fn *after, void *user,
                  struct err *err);

/* Lets go of MHD's fd; must come before MHD_stop_daemon. */
void mhd_loop_deinit(struct mhd_loop *m);

/* MHD has something new to do: it is run soon, or again if it runs now.  Cheap;
 * many kicks in one turn of the loop are one run. */
void mhd_loop_kick(struct mhd_loop *m);

/* One run, now, and what follows it; waits up to `wait_ms` for work first.
 * For the way down, when the loop itself no longer turns. */
void mhd_loop_run_once(struct mhd_loop *m, int wait_ms);

#endif
