/* hangup.h -- notices that the client left while its exchange waits.
 *
 * MHD takes a suspended connection out of its epoll set, and never asks for
 * EPOLLRDHUP: without this, a client that hung up would keep its place until
 * its whole answer was computed.
 *
 * Policy: a half-close (shutdown of the client's sending side) counts as
 * leaving, as in HAProxy with abortonclose, Go and Node.  Loop thread only. */
#ifndef LFMD_SERVER_HTTP_HANGUP_H
#define LFMD_SERVER_HTTP_HANGUP_H

#include <stdbool.h>

struct exchange;

/* Watches ex->fd until hangup_stop, which must come before MHD closes it.
 * False when that cannot be had. */
bool hangup_start(struct exchange *ex);
void hangup_stop(struct exchange *ex);

#endif
