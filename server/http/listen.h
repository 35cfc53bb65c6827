/* listen.h -- our own listening socket, so that its errors are sentences and
 * its options ours.
 *
 * Any thread. */
#ifndef LFMD_SERVER_HTTP_LISTEN_H
#define LFMD_SERVER_HTTP_LISTEN_H

#include <stdint.h>

#include "model/base/err.h"

struct listener {
    int fd;           /* owned until given away; -1 when there is none */
    uint16_t port;    /* 0 for a unix socket */
    const char *path; /* borrowed; of a unix socket, or NULL */
};

/* `host` is an address, a name, or "unix:/path"; a stale socket file (nobody
 * answers on it) is removed first, the new one gets mode 0660. */
int listener_open(struct listener *l, const char *host, uint16_t port,
                  struct err *err);

/* Removes the file of a unix socket; does not close the fd. */
void listener_unlink(struct listener *l);

/* What accepted TCP sockets inherit: keepalive and a limit on how long sent
 * data may stay unacknowledged, so that a silent peer is noticed; and a bounded
 * send buffer.  Does nothing to a unix socket. */
void listener_tune(const struct listener *l, uint32_t stall_ms);

#endif
