/* conn.h -- an open connection and its deadline.
 *
 * MHD's own timeout starts again with every byte, so a client that drips would
 * stay for ever: here deadlines are absolute, looked at by a sweep, and
 * enforced with shutdown(2), never close(2), which would break MHD's epoll.
 *
 * Loop thread only. */
#ifndef LFMD_SERVER_HTTP_CONN_H
#define LFMD_SERVER_HTTP_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/list.h"

struct exchange;
struct http;
struct MHD_Connection;

struct conn {
    struct list node; /* in http->conns */
    struct http *http;
    struct exchange *exchange; /* the one that MHD has, or NULL */
    uint64_t deadline_ms;      /* 0: none */
    int fd;                    /* MHD's */
    bool reused;               /* keepalive: a request has ended on it */
};

/* MHD's notice that a connection began or ended; `*context` holds its conn. */
struct conn *conn_begin(struct http *http, struct MHD_Connection *mhd);
void conn_end(struct conn *c); /* NULL is fine */

/* The conn of an MHD connection; NULL if memory was short at its begin. */
struct conn *conn_of(struct MHD_Connection *mhd);

void conn_deadline(struct conn *c, uint64_t ms_from_now); /* 0: none */
void conn_shutdown(struct conn *c);

/* Cuts what is over its deadline and streams whose reader takes nothing. */
void conn_sweep(struct http *http);
uint64_t conn_sweep_ms(const struct http *http); /* how often */

#endif
