/* daemon.c -- see daemon.h.
 *
 * The order of stopping is libmicrohttpd's: no new connections first, then the
 * answers end, then every suspended connection is resumed, and only then may
 * it be stopped (http_stop); the engine stops between, since its events end
 * the answers. */
#define _GNU_SOURCE
#include "server/daemon.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "model/base/alloc.h"
#include "model/base/clock.h"
#include "model/base/log.h"
#include "model/model.h"
#include "server/banner.h"
#include "server/engine/engine.h"
#include "server/http/http.h"
#include "server/loop/loop.h"
#include "server/prefix_store.h"

#define POLL_MS 20u  /* how often draining looks whether it is done */
#define CUT_MS 1000u /* for the last bytes to leave after the cut */

struct daemon {
    const struct daemon_options *options;
    struct loop *loop;
    struct http *http;
    struct api *api;
    struct model *model;
    struct engine *engine;
    struct loop_wake *wake;
    struct loop_timer *poll;
    atomic_uint permille; /* of the weights in memory; load thread writes */
    char demo[4096];
    struct prefix_store store;
    bool loading, saving, stopping, cut;
    uint64_t cut_at_ms, give_up_ms;
    int rc;
    struct err err;
};

/* While it loads, the model and the engine belong to the pool's thread. */
static bool has_engine(const struct daemon *d)
{
    return !d->loading && d->engine != NULL;
}

static void on_wake(void *user)
{
    struct daemon *d = user;
    if (has_engine(d))
        engine_dispatch(d->engine);
}

/* --- stopping ---------------------------------------------------------------
 */

static void cut(struct daemon *d)
{
    if (d->cut)
        return;
    d->cut = true;
    d->give_up_ms = clock_now_ms() + CUT_MS;
    if (has_engine(d))
        engine_drain(d->engine); /* nor what the pool still prepares */
    api_cut(d->api);
}

/* Calls that the pool is preparing are always waited for: they hold the api and
 * the model, and their work is bounded.  So is a save, which holds the engine.
 */
static bool finished(const struct daemon *d, uint64_t now)
{
    struct http_stats stats;
    if (d->loading || d->saving || !api_idle(d->api))
        return false;
    http_stats(d->http, &stats);
    return stats.n_exchanges == 0 || (d->cut && now >= d->give_up_ms);
}

static void poll_stopping(void *user)
{
    struct daemon *d = user;
    uint64_t now = clock_now_ms();
    if (d->loading)
        api_progress(d->api, atomic_load(&d->permille) / 1000.0);
    if (d->stopping) {
        if (!d->cut && now >= d->cut_at_ms)
            cut(d);
        if (finished(d, now)) {
            loop_stop(d->loop);
            return;
        }
    }
    if (d->loading || d->stopping)
        loop_timer_again(d->poll, POLL_MS);
}

static void stop(struct daemon *d)
{
    d->stopping = true;
    d->cut_at_ms = clock_now_ms() + d->options->drain_timeout_ms;
    api_drain(d->api);
    /* Calls that were taken may have prompts left for the engine. */
    http_drain(d->http);
    loop_timer_again(d->poll, 0);
}

static void on_signal(void *user, int signo)
{
    struct daemon *d = user;
    if (d->loading) {
        log_at(LOG_INFO, "daemon", "stopped while loading");
        _exit(0); /* nobody is served yet, and the loader cannot be asked */
    }
    if (d->stopping) {
        log_at(LOG_WARN, "daemon", "second signal: cutting what still runs");
        cut(d);
        return;
    }
    log_at(LOG_INFO, "daemon", "%s: draining for at most %u s",
           signo == SIGINT ? "interrupt" : "terminate",
           d->options->drain_timeout_ms / 1000);
    stop(d);
}

/* The weights are a mapped file: if it shrinks, or its disk fails, the next
 * read of a page is this signal.  Going on with zeros would answer nonsense. */
static void on_sigbus(int signo)
{
    static const char text[] = "lfmd: a file of the model could not be read "
                               "any more (truncated, or the disk failed)\n";
    (void)signo;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(70); /* EX_SOFTWARE */
}

static void watch_for_sigbus(void)
{
    struct sigaction a = {.sa_handler = on_sigbus};
    (void)sigaction(SIGBUS, &a, NULL);
}

/* From before the loop takes signals until after it gives them back: one that
 * asks for a save, or for a stop that is nearly done, must not kill. */
static void ignore_signal(int signo)
{
    struct sigaction a = {.sa_handler = SIG_IGN};
    (void)sigaction(signo, &a, NULL);
}

/* --- saving -----------------------------------------------------------------
 */

static void save(void *user)
{
    struct daemon *d = user;
    prefix_store_save(&d->store, d->engine);
}

static void saved(void *user)
{
    struct daemon *d = user;
    d->saving = false;
}

static void on_save_signal(void *user, int signo)
{
    struct daemon *d = user;
    (void)signo;
    if (!has_engine(d) || !prefix_store_is_open(&d->store) || d->stopping ||
        d->saving) {
        log_at(LOG_WARN, "daemon", "not saved on SIGUSR1: %s",
               d->saving        ? "a save is running"
               : d->stopping    ? "stopping, which saves anyway"
               : !has_engine(d) ? "loading"
                                : "there is no --cache-dir");
        return;
    }
    d->saving = loop_background(d->loop, save, saved, d) == 0;
    if (!d->saving)
        log_at(LOG_WARN, "daemon", "not saved on SIGUSR1: memory is short");
}

/* --- loading ----------------------------------------------------------------
 */

/* <where the binary is>/../model/demo in the tree, ../share/lfmd/demo when
 * installed. */
static int find_demo(char *out, size_t n, struct err *err)
{
    static const char *const places[] = {"../model/demo", "../../model/demo",
                                         "../share/lfmd/demo"};
    char exe[2048];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (len <= 0)
        return err_errno(err, "read", "/proc/self/exe");
    exe[len] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char file[4096];
        snprintf(out, n, "%s/%s", exe, places[i]);
        snprintf(file, sizeof file, "%.4000s/config.json", out);
        if (access(file, R_OK) == 0)
            return 0;
    }
    return err_set(err, ERR_IO,
                   "the demo model is not beside %s; name a model with "
                   "--model MODEL",
                   exe);
}

static void on_progress(void *user, size_t done, size_t total)
{
    struct daemon *d = user;
    unsigned permille =
        total ? (unsigned)((double)done * 1000.0 / (double)total) : 0;
    unsigned before = atomic_exchange(&d->permille, permille);
    banner_progress(before, permille, done, total);
}

static void load(void *user)
{
    struct daemon *d = user;
    d->rc = model_open(&d->model, d->options->model, on_progress, d, &d->err);
    banner_progress_end();
    if (d->rc == 0 && d->options->engine->prefix_cache)
        prefix_store_open(&d->store, d->options->cache_dir, d->model,
                          d->options->version);
    if (d->rc == 0)
        d->rc = engine_new(&d->engine, d->model, d->options->engine,
                           loop_wake_send, d->wake, &d->err);
}

static void loaded(void *user)
{
    struct daemon *d = user;
    d->loading = false;
    if (d->rc != 0) {
        loop_stop(d->loop);
        return;
    }
    api_ready(d->api, d->model, d->engine);
    banner_ready(d->model, d->engine, d->options, http_port(d->http),
                 d->demo[0] != '\0');
}

static int start_loading(struct daemon *d, struct err *err)
{
    struct model_options *m = d->options->model;
    struct engine_options *e = d->options->engine;
    if (m->path == NULL) {
        int rc = find_demo(d->demo, sizeof d->demo, err);
        if (rc != 0)
            return rc;
        m->path = d->demo;
    }
    if (e->max_step_tokens < e->max_sequences)
        e->max_step_tokens = e->max_sequences;
    m->max_batch_tokens = e->max_step_tokens;
    m->max_slices = e->max_sequences;
    /* One each, and what few of them may guess ahead. */
    m->max_logit_rows = e->max_logit_rows = e->max_sequences + JOB_DRAFT_MAX;
    log_at(LOG_INFO, "daemon", "listening on %s port %u, loading %s",
           d->options->http->host, http_port(d->http), m->path);
    d->loading = true;
    if (loop_background(d->loop, load, loaded, d) != 0)
        return err_nomem(err, "the model's loader");
    loop_timer_again(d->poll, POLL_MS);
    return 0;
}

/* --- the whole --------------------------------------------------------------
 */

static int open_doors(struct daemon *d, struct err *err)
{
    const struct daemon_options *o = d->options;
    size_t n_routes;
    int rc = loop_new(&d->loop, err);
    if (rc != 0)
        return rc;
    d->wake = loop_wake_new(d->loop, on_wake, d);
    d->poll = loop_after(d->loop, POLL_MS, poll_stopping, d);
    if (d->wake == NULL || d->poll == NULL)
        return err_nomem(err, "the event loop");
    rc = api_new(&d->api, d->loop, o->api, o->version, err);
    if (rc != 0)
        return rc;
    const struct route *routes = api_routes(&n_routes);
    o->http->error_body = api_error_body;
    o->http->error_user = d->api;
    rc = http_new(&d->http, d->loop, o->http, routes, n_routes, api_gate,
                  d->api, err);
    if (rc == 0)
        rc = loop_on_signal(d->loop, SIGTERM, on_signal, d, err);
    if (rc == 0)
        rc = loop_on_signal(d->loop, SIGINT, on_signal, d, err);
    if (rc == 0)
        rc = loop_on_signal(d->loop, SIGUSR1, on_save_signal, d, err);
    return rc;
}

static void close_doors(struct daemon *d)
{
    if (d->api != NULL)
        api_cut(d->api);
    if (d->engine != NULL)
        engine_stop(d->engine);
    http_stop(d->http);
    if (d->engine != NULL)
        prefix_store_save(&d->store, d->engine);
    loop_timer_free(d->poll);
    engine_free(d->engine);
    loop_wake_free(d->wake);
    api_free(d->api);
    loop_free(d->loop);
    ignore_signal(SIGUSR1);
    ignore_signal(SIGTERM);
    ignore_signal(SIGINT);
    model_close(d->model);
}

int daemon_run(const struct daemon_options *options, struct err *err)
{
    struct daemon *d = mem_calloc(1, sizeof *d);
    if (d == NULL)
        return err_nomem(err, "the daemon");
    d->options = options;
    watch_for_sigbus();
    ignore_signal(SIGUSR1);
    int rc = prefix_store_check(options->cache_dir, err);
    if (rc == 0)
        rc = open_doors(d, err);
    if (rc == 0)
        rc = start_loading(d, err);
    if (rc == 0) {
        loop_run(d->loop);
        rc = d->rc;
        *err = d->err;
    }
    close_doors(d);
    mem_free(d);
    return rc;
}
