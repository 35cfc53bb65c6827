/* listen.c -- our own listening socket.
 *
 * Any thread. */
#define _GNU_SOURCE /* TCP_USER_TIMEOUT, accept-side TCP options */
#include "server/http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024
#define SEND_BUFFER_BYTES (128 * 1024)

static int socket_new(int family)
{
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int refuse(struct err *err, const char *host, uint16_t port, int code)
{
    bool v6 = strchr(host, ':') != NULL;

    return err_set(err, ERR_IO, "cannot listen on %s%s%s:%u: %s", v6 ? "[" : "",
                   host, v6 ? "]" : "", (unsigned)port, strerror(code));
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage ss;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    socklen_t n = sizeof ss;

    if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
        return 0;
    if (ss.ss_family == AF_INET6) {
        memcpy(&in6, &ss, sizeof in6);
        return ntohs(in6.sin6_port);
    }
    memcpy(&in, &ss, sizeof in);
    return ntohs(in.sin_port);
}

static int try_listen(const struct addrinfo *ai)
{
    int on = 1;
    int fd = socket_new(ai->ai_family);

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_tcp(struct listener *l, const char *host, uint16_t port,
                    struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    int code = EADDRNOTAVAIL;

    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_IO, "cannot listen on %s:%u: %s", host,
                       (unsigned)port, gai_strerror(rc));
    for (struct addrinfo *ai = found; ai != NULL && l->fd < 0;
         ai = ai->ai_next) {
        l->fd = try_listen(ai);
        if (l->fd < 0)
            code = errno;
    }
    freeaddrinfo(found);
    if (l->fd < 0)
        return refuse(err, host, port, code);
    l->port = bound_port(l->fd);
    return 0;
}

/* A socket file that nobody listens on is left over from a crash. */
static void remove_stale(const struct sockaddr_un *un)
{
    struct stat st;

    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket_new(AF_UNIX);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)un, sizeof *un) != 0 &&
        errno == ECONNREFUSED)
        (void)unlink(un->sun_path);
    close(fd);
}

static int open_unix(struct listener *l, const char *path, struct err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof un.sun_path)
        return err_set(err, ERR_INVALID,
                       "cannot listen on unix:%s: the path has %zu bytes, "
                       "1 to %zu are possible",
                       path, n, sizeof un.sun_path - 1);
    memcpy(un.sun_path, path, n + 1);
    remove_stale(&un);
    int fd = socket_new(AF_UNIX);
    if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof un) != 0 ||
        chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
        err_set(err, ERR_IO, "cannot listen on unix:%s: %s", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
        return -ERR_IO;
    }
    l->fd = fd;
    l->path = path;
    return 0;
}

int listener_open(struct listener *l, const char *host, uint16_t port,
                  struct err *err)
{
    *l = (struct listener){.fd = -1};
    if (strncmp(host, "unix:", 5) == 0)
        return open_unix(l, host + 5, err);
    return open_tcp(l, host, port, err);
}

void listener_unlink(struct listener *l)
{
    if (l->path != NULL)
        (void)unlink(l->path);
    l->path = NULL;
}

void listener_tune(const struct listener *l, uint32_t stall_ms)
{
    int fd = l->fd;
    int on = 1, idle = 15, interval = 5, count = 3;
    int send_bytes = SEND_BUFFER_BYTES;
    unsigned timeout = stall_ms;

    if (l->path != NULL)
        return;

    /* Without this the kernel would swallow megabytes for a client that reads
     * nothing, and our own limits would never be seen. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval,
                     sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
                     sizeof timeout);
}
