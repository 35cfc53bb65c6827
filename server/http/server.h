/* server.h -- the inside of struct http, for this room only.
 *
 * Loop thread only. */
#ifndef LFMD_SERVER_HTTP_SERVER_H
#define LFMD_SERVER_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/list.h"
#include "server/http/headers.h"
#include "server/http/http.h"
#include "server/http/listen.h"
#include "server/http/mhd_loop.h"
#include "server/http/request_id.h"
#include "server/http/router.h"

struct MHD_Daemon;

struct http {
    struct loop *loop; /* borrowed */
    struct http_options opt;
    struct router router;
    http_gate_fn *gate;
    void *user;
    struct listener listener;
    struct MHD_Daemon *daemon; /* owned */
    struct mhd_loop mhd;
    struct loop_timer *sweep; /* owned; armed while a connection is open */
    struct list conns;        /* struct conn */
    struct list exchanges;    /* struct exchange that MHD still has */
    struct list pending;      /* struct exchange with a callback due */
    uint32_t n_conns, n_exchanges;
    uint32_t refs; /* one for the owner, one for each struct exchange */
    bool draining;
    struct request_ids ids;
    struct header *scratch; /* [max_headers + 1], of the request at hand */
    struct http_stats stats;
    uint64_t *answers; /* owned; [n_routes + 1][HTTP_CLASSES], the last of no
                          route, by the hundreds of the status */
};

void http_unref(struct http *http);

/* Calls the on_gone and on_drained that are due. */
void http_run_pending(struct http *http);

#endif
