/* demo_server.c -- an HTTP server of toys, for test_framing.py to attack.
 *
 *     demo_server [name=value ...]      prints "port N" once it listens
 *
 * SIGTERM drains and leaves when the last exchange has ended; SIGINT stops at
 * once.  Exit status 0 only if the loop closed and no memory is left. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/base/log.h"
#include "server/http/http.h"
#include "server/http/sse.h"
#include "server/loop/loop.h"

struct demo {
    struct loop *loop;
    struct http *http;
    struct loop_timer *leaving;
    uint64_t n_gone, n_limit, n_drained;
};

static struct demo demo;

static uint64_t query_number(struct exchange *ex, const char *name,
                             uint64_t otherwise)
{
    const char *at = strstr(exchange_query(ex), name);

    if (at == NULL || at[strlen(name)] != '=')
        return otherwise;
    return strtoull(at + strlen(name) + 1, NULL, 10);
}

static void health(struct exchange *ex, void *user)
{
    (void)user;
    (void)exchange_reply(ex, 200, "text/plain", "ok", 2);
}

static void echo(struct exchange *ex, void *user)
{
    size_t n;
    const char *body = exchange_body(ex, &n);

    (void)user;
    (void)exchange_add_header(ex, "X-Method", exchange_method(ex));
    (void)exchange_reply(ex, 200, "application/octet-stream", body, n);
}

static void tail(struct exchange *ex, void *user)
{
    const char *t = exchange_tail(ex);

    (void)user;
    (void)exchange_reply(ex, 200, "text/plain", t, strlen(t));
}

static void big(struct exchange *ex, void *user)
{
    struct buf b;
    uint64_t n = query_number(ex, "n", 1000000);

    (void)user;
    buf_init(&b, 0);
    buf_puts(&b, "{\"x\":\"");
    for (uint64_t i = 0; i < n; i++)
        buf_putc(&b, (char)('a' + i % 26));
    buf_puts(&b, "\"}");
    (void)exchange_reply(ex, 200, "application/json", b.data, b.len);
    buf_deinit(&b);
}

/* -- Answers that come later. -----------------------------------------------
 */

struct ticker {
    struct exchange *ex;
    struct loop_timer *timer;
    uint64_t n, left, ms, pad;
    bool broken;
};

static void ticker_free(struct ticker *t)
{
    loop_timer_free(t->timer);
    mem_free(t);
}

static void ticker_gone(struct exchange *ex, void *user)
{
    (void)ex;
    demo.n_gone++;
    ticker_free(user);
}

static struct ticker *ticker_new(struct exchange *ex, loop_fn *fn)
{
    struct ticker *t = mem_calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->ex = ex;
    t->ms = query_number(ex, "ms", 20);
    t->n = t->left = query_number(ex, "n", 5);
    t->pad = query_number(ex, "pad", 0);
    t->timer = loop_after(demo.loop, t->ms, fn, t);
    exchange_on_gone(ex, ticker_gone, t);
    return t;
}

static void delay_over(void *user)
{
    struct ticker *t = user;

    (void)exchange_reply(t->ex, 200, "text/plain", "late", 4);
    ticker_free(t);
}

static void delay(struct exchange *ex, void *user)
{
    (void)user;
    (void)ticker_new(ex, delay_over);
}

static int tick(struct ticker *t)
{
    struct buf b;
    char text[64];

    buf_init(&b, 0);
    (void)snprintf(text, sizeof text, "{\"i\":%" PRIu64 "}", t->n - t->left);
    sse_event(&b, text, strlen(text));
    for (uint64_t i = 0; i < t->pad; i++)
        buf_putc(&b, ':');
    if (t->pad > 0)
        buf_puts(&b, "\n\n");
    if (--t->left == 0 && !t->broken)
        buf_puts(&b, SSE_DONE);
    int rc = exchange_stream_write(t->ex, b.data, b.len);
    buf_deinit(&b);
    return rc;
}

static void ticker_due(void *user)
{
    struct ticker *t = user;
    int rc = tick(t);

    if (rc != 0) {
        demo.n_limit += rc == -ERR_LIMIT;
        return; /* on_gone follows */
    }
    if (t->left > 0) {
        loop_timer_again(t->timer, t->ms);
        return;
    }
    exchange_stream_end(t->ex, !t->broken);
    ticker_free(t);
}

static void sse(struct exchange *ex, void *user)
{
    struct ticker *t = ticker_new(ex, ticker_due);

    (void)user;
    t->broken = strcmp(exchange_path(ex), "/sse-break") == 0;
    (void)exchange_stream_begin(ex, 200, SSE_CONTENT_TYPE);
}

/* Everything in one go, inside the handler. */
static void burst(struct exchange *ex, void *user)
{
    (void)user;
    (void)exchange_stream_begin(ex, 200, SSE_CONTENT_TYPE);
    (void)exchange_stream_write(ex, SSE_PING SSE_DONE,
                                strlen(SSE_PING SSE_DONE));
    exchange_stream_end(ex, true);
}

/* As fast as the client reads: written up to the soft limit each time. */
static void flow_fill(struct exchange *ex, void *user)
{
    static const char piece[4096] = {0};
    struct ticker *t = user;

    while (t->left > 0 && exchange_stream_queued(ex) < 65536) {
        size_t n = t->left < sizeof piece ? (size_t)t->left : sizeof piece;
        if (exchange_stream_write(ex, piece, n) != 0)
            return;
        t->left -= n;
    }
    if (t->left == 0) {
        exchange_stream_end(ex, true);
        ticker_free(t);
    }
}

static void flow_drained(struct exchange *ex, void *user)
{
    demo.n_drained++;
    flow_fill(ex, user);
}

static void no_timer(void *user)
{
    (void)user;
}

static void flow(struct exchange *ex, void *user)
{
    struct ticker *t = ticker_new(ex, no_timer);

    (void)user;
    exchange_on_drained(ex, flow_drained, t);
    (void)exchange_stream_begin(ex, 200, "application/octet-stream");
    flow_fill(ex, t);
}

/* The body's sum, worked out on the pool while the exchange is held. */
struct sum {
    struct exchange *ex;
    const char *body;
    size_t n;
    uint64_t total;
};

static void sum_work(void *user)
{
    struct sum *s = user;

    for (size_t i = 0; i < s->n; i++)
        s->total += (unsigned char)s->body[i];
}

static void sum_done(void *user)
{
    struct sum *s = user;
    char text[32];

    (void)snprintf(text, sizeof text, "%" PRIu64, s->total);
    (void)exchange_reply(s->ex, 200, "text/plain", text, strlen(text));
    exchange_release(s->ex);
    mem_free(s);
}

static void sum(struct exchange *ex, void *user)
{
    struct sum *s = mem_calloc(1, sizeof *s);

    (void)user;
    if (s == NULL)
        abort();
    s->ex = ex;
    s->body = exchange_body(ex, &s->n);
    exchange_hold(ex);
    if (loop_background(demo.loop, sum_work, sum_done, s) != 0)
        abort();
}

static void stats(struct exchange *ex, void *user)
{
    struct http_stats st;
    struct buf b;

    (void)user;
    http_stats(demo.http, &st);
    buf_init(&b, 0);
    buf_printf(&b,
               "{\"connections\":%u,\"exchanges\":%u,\"requests\":%" PRIu64
               ",\"gone\":%" PRIu64 ",\"stalled\":%" PRIu64
               ",\"deadlines\":%" PRIu64 ",\"runs\":%" PRIu64,
               st.n_connections, st.n_exchanges, st.n_requests, st.n_gone,
               st.n_stalled, st.n_deadlines, st.n_runs);
    buf_printf(&b,
               ",\"told_gone\":%" PRIu64 ",\"limit\":%" PRIu64
               ",\"drained\":%" PRIu64 ",\"bytes_out\":%" PRIu64 "}",
               demo.n_gone, demo.n_limit, demo.n_drained, st.bytes_out);
    (void)exchange_reply(ex, 200, "application/json", b.data, b.len);
    buf_deinit(&b);
}

static void gate(struct exchange *ex, void *user)
{
    const char *key = exchange_header(ex, "Authorization");

    (void)user;
    if (key != NULL && strcmp(key, "Bearer bad") == 0)
        (void)exchange_reply(ex, 401, "text/plain", "no", 2);
}

static const struct route routes[] = {
    {"GET", "/health", health, ROUTE_PUBLIC | ROUTE_DRAINING | ROUTE_QUIET},
    {"GET", "/stats", stats, ROUTE_PUBLIC | ROUTE_DRAINING | ROUTE_QUIET},
    {"GET", "/echo", echo, 0},
    {"POST", "/echo", echo, 0},
    {"GET", "/tail/*", tail, 0},
    {"GET", "/big", big, 0},
    {"POST", "/delay", delay, 0},
    {"GET", "/sse", sse, 0},
    {"POST", "/sse", sse, 0},
    {"GET", "/sse-break", sse, 0},
    {"GET", "/burst", burst, 0},
    {"GET", "/flow", flow, 0},
    {"POST", "/sum", sum, 0},
};

/* -- The process. -----------------------------------------------------------
 */

static void leave(void *user)
{
    struct http_stats st;

    (void)user;
    http_stats(demo.http, &st);
    if (st.n_exchanges > 0) {
        loop_timer_again(demo.leaving, 10);
        return;
    }
    http_stop(demo.http);
    loop_stop(demo.loop);
}

static void on_term(void *user, int signo)
{
    (void)user;
    (void)signo;
    http_drain(demo.http);
    if (demo.leaving == NULL)
        demo.leaving = loop_after(demo.loop, 0, leave, NULL);
}

static void on_int(void *user, int signo)
{
    (void)user;
    (void)signo;
    http_stop(demo.http);
    loop_stop(demo.loop);
}

static void set(struct http_options *o, const char *name, const char *value)
{
    uint32_t n = (uint32_t)strtoul(value, NULL, 10);
    static const char *hosts[1];

    if (strcmp(name, "host") == 0)
        o->host = value;
    else if (strcmp(name, "port") == 0)
        o->port = (uint16_t)n;
    else if (strcmp(name, "header_ms") == 0)
        o->header_deadline_ms = n;
    else if (strcmp(name, "body_ms") == 0)
        o->body_deadline_ms = n;
    else if (strcmp(name, "stall_ms") == 0)
        o->stall_ms = n;
    else if (strcmp(name, "idle_ms") == 0)
        o->idle_ms = n;
    else if (strcmp(name, "max_body") == 0)
        o->max_body_bytes = n;
    else if (strcmp(name, "max_conn") == 0)
        o->max_connections = n;
    else if (strcmp(name, "per_ip") == 0)
        o->max_connections_per_ip = n;
    else if (strcmp(name, "keepalive") == 0)
        o->keepalive = n != 0;
    else if (strcmp(name, "cors") == 0)
        o->cors_origin = value;
    else if (strcmp(name, "allow_host") == 0) {
        hosts[0] = value;
        o->allowed_hosts = hosts;
        o->n_allowed_hosts = 1;
    }
}

int main(int argc, char **argv)
{
    struct http_options options;
    struct err err = {0};

    log_set_level(LOG_INFO);
    http_options_default(&options);
    options.port = 0;
    for (int i = 1; i < argc; i++) {
        char *eq = strchr(argv[i], '=');
        if (eq == NULL)
            return 2;
        *eq = '\0';
        set(&options, argv[i], eq + 1);
    }
    if (loop_new(&demo.loop, &err) != 0 ||
        http_new(&demo.http, demo.loop, &options, routes,
                 sizeof routes / sizeof routes[0], gate, NULL, &err) != 0 ||
        loop_on_signal(demo.loop, SIGTERM, on_term, NULL, &err) != 0 ||
        loop_on_signal(demo.loop, SIGINT, on_int, NULL, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        (void)loop_free(demo.loop);
        return mem_live_count() == 0 ? 1 : 4;
    }
    (void)printf("port %u\n", (unsigned)http_port(demo.http));
    (void)fflush(stdout);
    loop_run(demo.loop);
    if (loop_free(demo.loop) != 0)
        return 3;
    return mem_live_count() == 0 ? 0 : 4;
}
