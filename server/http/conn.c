/* conn.c -- an open connection and its deadline.
 *
 * Loop thread only. */
#include "server/http/conn.h"

#include <sys/socket.h>

#include <microhttpd.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "server/http/exchange.h"
#include "server/http/server.h"

#define SWEEP_LEAST_MS 10u
#define SWEEP_MOST_MS 250u

struct conn *conn_begin(struct http *http, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (info == NULL)
        return NULL;
    struct conn *c = mem_calloc(1, sizeof *c);
    if (c == NULL) {
        (void)shutdown(info->connect_fd, SHUT_RDWR);
        return NULL;
    }
    c->http = http;
    c->fd = info->connect_fd;
    if (list_empty(&http->conns))
        loop_timer_again(http->sweep, conn_sweep_ms(http));
    list_append(&http->conns, &c->node);
    http->n_conns++;
    conn_deadline(c, http->opt.header_deadline_ms);
    return c;
}

void conn_end(struct conn *c)
{
    if (c == NULL)
        return;
    list_remove(&c->node);
    c->http->n_conns--;
    /* At its limit MHD stops accepting, and it looks again only when run. */
    mhd_loop_kick(&c->http->mhd);
    mem_free(c);
}

struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

void conn_deadline(struct conn *c, uint64_t ms_from_now)
{
    c->deadline_ms = ms_from_now == 0 ? 0 : clock_now_ms() + ms_from_now;
}

void conn_shutdown(struct conn *c)
{
    (void)shutdown(c->fd, SHUT_RDWR);
    mhd_loop_kick(&c->http->mhd);
}

uint64_t conn_sweep_ms(const struct http *http)
{
    const uint32_t limits[] = {http->opt.header_deadline_ms,
                               http->opt.body_deadline_ms, http->opt.stall_ms,
                               http->opt.idle_ms};
    uint32_t ms = SWEEP_MOST_MS;

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i] != 0 && limits[i] / 4 < ms)
            ms = limits[i] / 4;
    return ms < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : ms;
}

void conn_sweep(struct http *http)
{
    uint64_t now = clock_now_ms();

    /* Nothing is closed in here (shutdown and flags only), so the list stands
     * still. */
    for (struct list *at = http->conns.next; at != &http->conns;
         at = at->next) {
        struct conn *c = list_owner(at, struct conn, node);
        if (c->deadline_ms != 0 && now >= c->deadline_ms) {
            c->deadline_ms = 0;
            http->stats.n_deadlines++;
            if (c->exchange != NULL)
                exchange_time_out(c->exchange);
            conn_shutdown(c);
        }
        if (c->exchange != NULL)
            exchange_check_stall(c->exchange, now);
    }
}
