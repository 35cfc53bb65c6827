/* fuzz_http.c -- a live server and what a client may send it.
 *
 * Input: one byte of mode, then the bytes of a connection, sent in pieces; the
 * client then half-closes, closes, resets or waits.  The server must close the
 * connection within its deadlines and end with no exchange left. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "model/base/log.h"
#include "server/http/http.h"
#include "server/http/sse.h"
#include "server/loop/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define PATH_FORMAT "/tmp/lfmd-fuzz-http-%d"

static struct {
    struct loop *loop;
    struct http *http;
    struct loop_timer *guard, *tick;
    struct loop_watch *watch;
    struct exchange *waiting;
    char host[64];
    int fd;
} f;

static void hung(void *user)
{
    (void)user;
    (void)fprintf(stderr, "the server did not close within 3 s\n");
    abort();
}

static void gone(struct exchange *ex, void *user)
{
    (void)user;
    if (f.waiting == ex)
        f.waiting = NULL;
}

static void tick(void *user)
{
    struct exchange *ex = f.waiting;

    (void)user;
    f.waiting = NULL;
    if (ex == NULL)
        return;
    (void)exchange_stream_write(ex, SSE_DONE, strlen(SSE_DONE));
    exchange_stream_end(ex, true);
}

static void echo(struct exchange *ex, void *user)
{
    size_t n;
    const char *body = exchange_body(ex, &n);

    (void)user;
    (void)exchange_reply(ex, 200, "text/plain", body, n);
}

static void stream(struct exchange *ex, void *user)
{
    (void)user;
    (void)exchange_stream_begin(ex, 200, SSE_CONTENT_TYPE);
    if (f.waiting != NULL) {
        exchange_stream_end(ex, false);
        return;
    }
    f.waiting = ex;
    exchange_on_gone(ex, gone, NULL);
    loop_timer_again(f.tick, 1);
}

static const struct route routes[] = {
    {"POST", "/e", echo, 0},
    {"GET", "/e", echo, 0},
    {"GET", "/s/*", stream, 0},
};

static void finish(void)
{
    http_stop(f.http);
    if (loop_free(f.loop) != 0)
        abort();
}

static void start(void)
{
    struct http_options o;
    struct err err;

    log_set_level(LOG_ERROR);
    http_options_default(&o);
    (void)snprintf(f.host, sizeof f.host, "unix:" PATH_FORMAT, (int)getpid());
    o.host = f.host;
    o.header_deadline_ms = o.body_deadline_ms = o.idle_ms = 20;
    o.max_body_bytes = 4096;
    o.keepalive = true;
    o.cors_origin = "*";
    if (loop_new(&f.loop, &err) != 0 ||
        http_new(&f.http, f.loop, &o, routes, sizeof routes / sizeof routes[0],
                 NULL, NULL, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    (void)atexit(finish);
    f.guard = loop_after(f.loop, 3000, hung, NULL);
    f.tick = loop_after(f.loop, 0, tick, NULL);
}

static void readable(void *user, unsigned events)
{
    char bytes[4096];

    (void)user;
    (void)events;
    if (recv(f.fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        return;
    loop_watch_free(f.watch);
    f.watch = NULL;
    loop_stop(f.loop);
}

static void stop_now(void *user)
{
    (void)user;
    loop_stop(f.loop);
}

static void settle(void)
{
    struct http_stats stats;
    struct loop_timer *t = loop_after(f.loop, 0, stop_now, NULL);

    for (int i = 0; i < 2000; i++) {
        http_stats(f.http, &stats);
        if (stats.n_exchanges == 0 && stats.n_connections == 0)
            break;
        if (i == 1999)
            abort();
        loop_timer_again(t, i < 20 ? 0 : 1);
        loop_run(f.loop);
    }
    loop_timer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (n < 1 || n > 60000)
        return 0;
    if (f.loop == NULL)
        start();
    (void)snprintf(un.sun_path, sizeof un.sun_path, PATH_FORMAT, (int)getpid());
    f.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (f.fd < 0 || connect(f.fd, (struct sockaddr *)&un, sizeof un) != 0)
        abort();
    loop_timer_again(f.guard, 3000);
    size_t half = data[0] & 4 ? (n - 1) / 2 : 0;
    (void)send(f.fd, data + 1, half, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (data[0] & 8) {
        struct loop_timer *t = loop_after(f.loop, 0, stop_now, NULL);
        loop_run(f.loop);
        loop_timer_free(t);
    }
    (void)send(f.fd, data + 1 + half, n - 1 - half,
               MSG_NOSIGNAL | MSG_DONTWAIT);
    if (data[0] & 1)
        (void)shutdown(f.fd, SHUT_WR);
    if ((data[0] & 3) != 2) {
        f.watch = loop_watch(f.loop, f.fd, LOOP_READABLE, readable, NULL);
        if (f.watch != NULL)
            loop_run(f.loop);
    }
    close(f.fd);
    settle();
    return 0;
}
