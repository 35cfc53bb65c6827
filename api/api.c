/* api.c -- the table of routes and the life of what they share. */
#include "api/api.h"

#include <string.h>

#include "api/api_state.h"
#include "api/embeddings.h"
#include "api/error.h"
#include "api/form.h"
#include "api/replay.h"
#include "api/turn.h"
#include "model/base/alloc.h"
#include "model/base/clock.h"

#define TICK_MS 1000u

static void chat(struct exchange *ex, void *user)
{
    turn_begin(user, ex, &form_chat);
}

static void completions(struct exchange *ex, void *user)
{
    turn_begin(user, ex, &form_completion);
}

static void native(struct exchange *ex, void *user)
{
    turn_begin(user, ex, &form_native);
}

/* Probes need no key and are answered to the end; the short names are what
 * llama-server's clients use. */
#define PROBE (ROUTE_PUBLIC | ROUTE_DRAINING | ROUTE_QUIET)

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", chat, 0},
    {"POST", "/chat/completions", chat, 0},
    {"POST", "/v1/completions", completions, 0},
    {"POST", "/completions", completions, 0},
    {"POST", "/completion", native, 0},
    {"POST", "/v1/embeddings", api_embeddings, 0},
    {"POST", "/embeddings", api_embeddings, 0},
    {"GET", "/v1/models", api_models, 0},
    {"GET", "/models", api_models, 0},
    {"GET", "/v1/models/*", api_model, 0},
    {"POST", "/tokenize", api_tokenize, 0},
    {"POST", "/detokenize", api_detokenize, 0},
    {"POST", "/apply-template", api_apply_template, 0},
    {"GET", "/version", api_version, ROUTE_PUBLIC},
    {"GET", "/health", api_health, PROBE},
    {"GET", "/v1/health", api_health, PROBE},
    {"GET", "/healthz", api_health, PROBE},
    {"GET", "/readyz", api_health, PROBE},
    {"GET", "/ping", api_health, PROBE},
    {"GET", "/livez", api_live, PROBE},
    {"GET", "/metrics", api_metrics, PROBE},
};

const struct route *api_routes(size_t *n)
{
    *n = sizeof routes / sizeof *routes;
    return routes;
}

static void tick(void *user)
{
    struct api *api = user;
    turn_ping_all(api);
    embeddings_go_on_all(api);
    loop_timer_again(api->ticks, TICK_MS);
}

int api_new(struct api **out, struct loop *loop,
            const struct api_options *options, const char *version,
            struct err *err)
{
    struct api *api = mem_calloc(1, sizeof *api);
    if (api == NULL)
        return err_nomem(err, "the API");
    api->loop = loop;
    api->options = options;
    api->version = version;
    api->started_s = clock_unix_s();
    list_init(&api->turns);
    list_init(&api->embeddings);
    int rc = auth_new(&api->auth, options->api_key, options->api_key_file, err);
    if (rc == 0)
        rc = replay_new(&api->replay, REPLAY_REPLIES, REPLAY_BYTES, err);
    if (rc == 0) {
        api->ticks = loop_after(loop, TICK_MS, tick, api);
        if (api->ticks == NULL)
            rc = err_nomem(err, "the API");
    }
    if (rc != 0) {
        api_free(api);
        return rc;
    }
    *out = api;
    return 0;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    loop_timer_free(api->ticks);
    replay_free(api->replay);
    auth_free(api->auth);
    mem_free(api);
}

void api_gate(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct err err = {0};
    if (exchange_flags(ex) & ROUTE_PUBLIC)
        return;
    int rc = auth_check(api->auth, exchange_header(ex, "Authorization"),
                        exchange_header(ex, "X-Api-Key"), &err);
    if (rc == 0)
        rc = api_check_serving(api, &err);
    if (rc != 0)
        error_reply(ex, &err);
}

void api_error_body(void *user, int status, const char *message,
                    struct buf *out)
{
    (void)user;
    error_write_status(out, status, message);
}

int api_check_serving(const struct api *api, struct err *err)
{
    switch (api->phase) {
    case API_LOADING:
        return err_set(err, ERR_UNAVAILABLE,
                       "The model is still loading; try again in a moment.");
    case API_DRAINING:
        return err_set(err, ERR_UNAVAILABLE,
                       "The server is shutting down; use another replica.");
    case API_SERVING:
        break;
    }
    return 0;
}

void api_progress(struct api *api, double progress)
{
    api->progress = progress;
}

void api_ready(struct api *api, struct model *model, struct engine *engine)
{
    api->model = model;
    api->engine = engine;
    if (api->phase == API_LOADING)
        api->phase = API_SERVING;
}

void api_drain(struct api *api)
{
    api->phase = API_DRAINING;
}

bool api_idle(const struct api *api)
{
    return list_empty(&api->turns) && list_empty(&api->embeddings) &&
           api->n_tasks == 0;
}

void api_cut(struct api *api)
{
    api->phase = API_DRAINING;
    turn_cut_all(api);
    embeddings_cut_all(api);
}
