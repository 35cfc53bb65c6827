/* metrics.c -- GET /metrics: the engine and the process, for Prometheus.
 *
 * Public, as vLLM's is: scrapers seldom carry keys, and nothing here says what
 * anybody asked.  It reads counters and a few lines of /proc, so it answers
 * while every core computes, and before the model is there. */
#include "model/base/metrics.h"

#include <string.h>

#include "api/api.h"
#include "api/api_state.h"
#include "api/base/error.h"
#include "api/prompt/prepare.h"
#include "model/base/buf.h"
#include "model/base/process.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

/* The names that every Prometheus client library gives. */
static void put_process(const struct api *api, struct metrics_text *t)
{
    struct process_usage u;
    process_usage(&u);
    metrics_head(t, "process_cpu_seconds_total", METRIC_COUNTER,
                 "Processor time of all threads.");
    metrics_sample_real(t, "process_cpu_seconds_total", u.cpu_seconds);
    metrics_gauge(t, "process_resident_memory_bytes",
                  "Memory that is in RAM, mapped weights included.",
                  (double)u.resident_bytes);
    metrics_gauge(t, "process_virtual_memory_bytes", "Address space in use.",
                  (double)u.virtual_bytes);
    metrics_gauge(t, "process_open_fds", "Open file descriptors.", u.open_fds);
    metrics_gauge(t, "process_max_fds", "Most file descriptors there may be.",
                  u.max_fds);
    metrics_gauge(t, "process_start_time_seconds", "Start, in Unix time.",
                  (double)api->started_s);
}

static void put_build(const struct api *api, struct metrics_text *t)
{
    struct buf version = {0};
    metrics_label(&version, "version", api->version);
    if (!buf_ok(&version))
        t->out->failed = true;
    metrics_head(t, "lfmd_build_info", METRIC_GAUGE, "What is running.");
    metrics_sample(t, "lfmd_build_info", buf_str(&version), 1);
    buf_deinit(&version);
}

/* Routes of one path are one handler, told where the first of them stands. */
static bool is_first(const struct route *route)
{
    size_t n;
    for (const struct route *r = api_routes(&n); r < route; r++)
        if (strcmp(r->path, route->path) == 0)
            return false;
    return true;
}

static uint64_t n_answers(const struct exchange *ex, const struct route *route,
                          unsigned class_)
{
    size_t n;
    const struct route *routes = api_routes(&n);
    uint64_t sum = 0;
    if (route == NULL)
        return exchange_n_answers(ex, NULL, class_);
    for (size_t i = 0; i < n; i++)
        if (strcmp(routes[i].path, route->path) == 0)
            sum += exchange_n_answers(ex, &routes[i], class_);
    return sum;
}

/* As Python's servers name them. */
static void put_answers(const struct exchange *ex, const struct route *route,
                        struct metrics_text *t)
{
    static const char *const classes[HTTP_CLASSES] = {
        [2] = "2xx", [4] = "4xx", [5] = "5xx"};
    for (unsigned i = 0; i < HTTP_CLASSES; i++) {
        struct buf labels = {0};
        if (classes[i] == NULL)
            continue;
        metrics_label(&labels, "handler", route != NULL ? route->path : "none");
        metrics_label(&labels, "status", classes[i]);
        if (!buf_ok(&labels))
            t->out->failed = true;
        metrics_sample(t, "http_requests_total", buf_str(&labels),
                       n_answers(ex, route, i));
        buf_deinit(&labels);
    }
}

static void put_http(const struct exchange *ex, struct metrics_text *t)
{
    size_t n;
    const struct route *routes = api_routes(&n);
    metrics_head(t, "http_requests_total", METRIC_COUNTER,
                 "Requests that were answered, by path and status.");
    for (size_t i = 0; i < n; i++)
        if (is_first(&routes[i]))
            put_answers(ex, &routes[i], t);
    put_answers(ex, NULL, t);
}

static void put_engine(const struct api *api, struct metrics_text *t)
{
    struct buf labels = {0};
    metrics_label(&labels, "engine", "0");
    metrics_label(&labels, "model_name",
                  prepare_served_name(api->model, api->options));
    if (!buf_ok(&labels))
        t->out->failed = true;
    t->labels = buf_str(&labels);
    engine_metrics(api->engine, t);
    t->labels = "";
    buf_deinit(&labels);
}

void api_metrics(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct buf out = {0};
    struct metrics_text t = {.out = &out, .labels = ""};
    if (api->engine != NULL)
        put_engine(api, &t);
    put_build(api, &t);
    put_http(ex, &t);
    put_process(api, &t);
    if (buf_ok(&out)) {
        exchange_reply(ex, 200, METRICS_CONTENT_TYPE, buf_str(&out), out.len);
    } else {
        struct err err = {0};
        err_nomem(&err, "the metrics");
        error_reply(ex, &err);
    }
    buf_deinit(&out);
}
