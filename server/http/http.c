/* http.c -- the server as a whole: start, drain, stop.
 *
 * Rests on the one legal order downwards: no new connections, every exchange
 * told, every suspended connection resumed and seen by MHD, and only then
 * MHD_stop_daemon, which panics on a suspended one.
 *
 * What MHD refuses before it calls anybody is answered by MHD, in HTML: a
 * request line or a header it cannot split, a Content-Length that is no number,
 * a chunk size likewise, headers beyond its pool, HTTP/2.0.  Neither 0.9.75
 * nor 1.0 has an option, callback or hook for the body of these
 * (transmit_error_response_len is static, its pages are literals), their
 * statuses are right, and the connection is closed.  Reading the socket first
 * (MSG_PEEK) does not get in between either: MHD accepts and reads in one run.
 *
 * It does not know the life of a single request (exchange.c).
 * Loop thread only. */
#include "server/http/http.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <microhttpd.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/log.h"
#include "server/http/conn.h"
#include "server/http/exchange.h"
#include "server/http/server.h"

#define EXIT_PANIC 70
#define SPARE_FDS 256u
#define STOP_MS 1000u
/* Twice what we accept: what is over it by less than that is seen and refused
 * in our words, and what is not, by MHD in its own. */
#define POOL_BYTES(header_bytes) (2 * (header_bytes))
#define DRAIN_RUNS 16 /* MHD accepts ten connections in each */

void http_options_default(struct http_options *options)
{
    *options = (struct http_options){
        .host = "127.0.0.1",
        .port = 8080,
        .max_connections = 2048,
        .max_connections_per_ip = 256,
        .max_headers = 100,
        .max_header_bytes = 32768,
        .max_target_bytes = 8192,
        .max_body_bytes = 4u << 20,
        .header_deadline_ms = 10000,
        .body_deadline_ms = 30000,
        .idle_ms = 60000,
        .stall_ms = 30000,
        .stream_soft_bytes = 65536,
        .stream_hard_bytes = 262144,
    };
}

/* -- What MHD calls. --------------------------------------------------------
 */

static void on_panic(void *user, const char *file, unsigned line,
                     const char *reason)
{
    (void)user;
    log_at(LOG_ERROR, "http", "libmicrohttpd gave up at %s:%u: %s", file, line,
           reason != NULL ? reason : "no reason given");
    _exit(EXIT_PANIC);
}

__attribute__((format(printf, 2, 0))) static void
on_log(void *user, const char *fmt, va_list args)
{
    char line[256];

    (void)user;
    if (!log_enabled(LOG_DEBUG))
        return;
    (void)vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\r\n")] = '\0';
    log_at(LOG_DEBUG, "http", "libmicrohttpd: %s", line);
}

static void on_connection(void *user, struct MHD_Connection *mhd,
                          void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = conn_begin(user, mhd);
    } else {
        conn_end(*context);
        *context = NULL;
    }
}

static void *on_target(void *user, const char *target,
                       struct MHD_Connection *mhd)
{
    return exchange_begin(user, mhd, target);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd,
                                  const char *url, const char *method,
                                  const char *version, const char *upload,
                                  size_t *n_upload, void **context)
{
    (void)user;
    (void)mhd;
    (void)url; /* decoded in place: not to be trusted */
    if (*context == NULL)
        return MHD_NO; /* memory was short */
    return exchange_serve(*context, method, version, upload, n_upload);
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode how)
{
    (void)user;
    (void)mhd;
    (void)how;
    if (*context != NULL)
        exchange_finish(*context);
    *context = NULL;
}

/* -- Start. -----------------------------------------------------------------
 */

static void sweep(void *user)
{
    struct http *http = user;

    conn_sweep(http);
    if (!list_empty(&http->conns))
        loop_timer_again(http->sweep, conn_sweep_ms(http));
}

static void after_run(void *user)
{
    http_run_pending(user);
}

void http_run_pending(struct http *http)
{
    while (!list_empty(&http->pending)) {
        struct exchange *ex =
            list_owner(http->pending.next, struct exchange, pending);
        list_remove(&ex->pending);
        exchange_hold(ex);
        exchange_tell(ex);
        exchange_release(ex);
    }
}

static void fit_connections(struct http *http)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= 1u << 30)
        return;
    uint32_t fds = (uint32_t)lim.rlim_cur;
    uint32_t most = fds > 2 * SPARE_FDS ? fds - SPARE_FDS : fds / 2;
    if (http->opt.max_connections <= most)
        return;
    log_at(LOG_WARN, "http",
           "%u connections instead of %u: the limit of open "
           "files is %u",
           most, http->opt.max_connections, fds);
    http->opt.max_connections = most;
}

static struct MHD_Daemon *start_daemon(struct http *http)
{
    const struct http_options *o = &http->opt;
    /* Ours come first, or there are none. */
    uint64_t ms = (uint64_t)o->stall_ms + o->idle_ms;
    unsigned backstop_s =
        o->stall_ms == 0 || o->idle_ms == 0 ? 0 : (unsigned)(ms / 1000 + 2);

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, http->listener.fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)o->max_connections_per_ip,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES(o->max_header_bytes),
        MHD_OPTION_CONNECTION_TIMEOUT, backstop_s,
#if MHD_VERSION >= 0x01000000
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
        MHD_OPTION_STRICT_FOR_CLIENT, -1, /* sic: the one that is strict */
#endif
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, http, MHD_OPTION_END);
}

static int start(struct http *http, struct err *err)
{
    if (listener_open(&http->listener, http->opt.host, http->opt.port, err) !=
        0)
        return -(int)err->class_;
    listener_tune(&http->listener, http->opt.stall_ms);
    MHD_set_panic_func(on_panic, NULL);
    http->daemon = start_daemon(http);
    if (http->daemon == NULL) {
        close(http->listener.fd);
        listener_unlink(&http->listener);
        return err_set(err, ERR_IO, "cannot start libmicrohttpd %s",
                       MHD_get_version());
    }
    return mhd_loop_init(&http->mhd, http->loop, http->daemon, after_run, http,
                         err);
}

int http_new(struct http **out, struct loop *loop,
             const struct http_options *options, const struct route *routes,
             size_t n_routes, http_gate_fn *gate, void *user, struct err *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct http *http = mem_calloc(1, sizeof *http);
    struct err local;

    if (http == NULL)
        return err_nomem(err, "the HTTP server");
    err = err != NULL ? err : &local;
    http->loop = loop;
    http->opt = *options;
    http->router = (struct router){routes, n_routes};
    http->gate = gate;
    http->user = user;
    http->refs = 1;
    http->listener.fd = -1;
    list_init(&http->conns);
    list_init(&http->exchanges);
    list_init(&http->pending);
    request_ids_init(&http->ids);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    fit_connections(http);
    http->scratch =
        mem_calloc((size_t)options->max_headers + 1, sizeof *http->scratch);
    http->sweep = loop_after(loop, 0, sweep, http);
    http->answers =
        mem_calloc((n_routes + 1) * HTTP_CLASSES, sizeof *http->answers);
    if (http->scratch == NULL || http->sweep == NULL || http->answers == NULL)
        err_nomem(err, "the HTTP server");
    else if (start(http, err) == 0) {
        *out = http;
        return 0;
    }
    http->listener.fd = -1; /* MHD's, or closed, or never there */
    int class_ = (int)err->class_;
    http_stop(http);
    return -class_;
}

uint16_t http_port(const struct http *http)
{
    return http->listener.port;
}

void http_stats(const struct http *http, struct http_stats *out)
{
    *out = http->stats;
    out->n_connections = http->n_conns;
    out->n_exchanges = http->n_exchanges;
    out->n_runs = http->mhd.n_runs;
}

/* -- Down. ------------------------------------------------------------------
 */

void http_unref(struct http *http)
{
    if (--http->refs > 0)
        return;
    mem_free(http->scratch);
    mem_free(http->answers);
    mem_free(http);
}

void http_drain(struct http *http)
{
    if (http->draining || http->daemon == NULL)
        return;
    http->draining = true;
    for (int i = 0; i < DRAIN_RUNS; i++) /* who is in the backlog gets a 503 */
        mhd_loop_run_once(&http->mhd, 0);
    listener_unlink(&http->listener);
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0)
        close(fd);
    http->listener.fd = -1;
    mhd_loop_kick(&http->mhd);
}

/* Tells every exchange whose answer is not complete that it is over. */
static void cut_all(struct http *http, bool answered_too)
{
    for (struct list *at = http->exchanges.next; at != &http->exchanges;
         at = at->next) {
        struct exchange *ex = list_owner(at, struct exchange, node);
        bool answered = ex->ended || ex->answer == ANSWER_REPLY;
        if (answered && !answered_too) {
            exchange_wake(ex);
            continue;
        }
        exchange_cut(ex);
        conn_shutdown(ex->conn);
    }
    http_run_pending(http);
}

static bool any_suspended(const struct http *http)
{
    for (const struct list *at = http->exchanges.next; at != &http->exchanges;
         at = at->next) {
        const struct exchange *ex = list_owner(at, const struct exchange, node);
        if (ex->flow != FLOW_ACTIVE)
            return true;
    }
    return false;
}

static void stop_daemon(struct http *http)
{
    uint64_t until = clock_now_ms() + STOP_MS;

    http_drain(http);
    cut_all(http, false);
    do
        mhd_loop_run_once(&http->mhd, 10);
    while (http->n_exchanges > 0 && clock_now_ms() < until);
    cut_all(http, true);
    for (int i = 0; i < 8 && http->n_exchanges > 0; i++)
        mhd_loop_run_once(&http->mhd, 5);
    mhd_loop_deinit(&http->mhd);
    if (any_suspended(http)) {
        /* Leaking is better than MHD's panic. */
        log_at(LOG_ERROR, "http", "a connection is still suspended at stop");
        return;
    }
    MHD_stop_daemon(http->daemon);
    http_run_pending(http);
}

void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        stop_daemon(http);
    http->daemon = NULL;
    loop_timer_free(http->sweep);
    http->sweep = NULL;
    http_unref(http);
}
