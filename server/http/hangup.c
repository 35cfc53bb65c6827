/* hangup.c -- notices that the client left.
 *
 * Two epoll sets may hold one fd, so this watch and MHD's do not disturb each
 * other; the event is level-triggered, hence the stop on first sight.
 * Loop thread only. */
#include "server/http/hangup.h"

#include <stddef.h>

#include "server/http/exchange.h"
#include "server/http/server.h"

static void seen(void *user, unsigned events)
{
    struct exchange *ex = user;

    (void)events;
    hangup_stop(ex);
    exchange_cut(ex);
}

bool hangup_start(struct exchange *ex)
{
    ex->hangup = loop_watch(ex->http->loop, ex->fd, LOOP_HANGUP, seen, ex);
    return ex->hangup != NULL;
}

void hangup_stop(struct exchange *ex)
{
    loop_watch_free(ex->hangup);
    ex->hangup = NULL;
}
