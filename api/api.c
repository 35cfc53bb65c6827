/* api.c -- the table of routes and the life of what they share. */
#include "api/api.h"

#include <string.h>
#include <strings.h>

#include "api/api_state.h"
#include "api/base/error.h"
#include "api/base/messages_error.h"
#include "api/embeddings.h"
#include "api/form.h"
#include "api/prompt/replay.h"
#include "api/reply.h"
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

static void responses(struct exchange *ex, void *user)
{
    turn_begin(user, ex, &form_responses);
}

static void messages(struct exchange *ex, void *user)
{
    turn_begin(user, ex, &form_messages);
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
    {"POST", "/v1/responses", responses, 0},
    {"POST", "/responses", responses, 0},
    {"POST", "/v1/responses/input_tokens", api_count_responses, 0},
    {"POST", "/responses/input_tokens", api_count_responses, 0},
    {"GET", "/v1/responses/*", api_no_response, 0},
    {"DELETE", "/v1/responses/*", api_no_response, 0},
    {"POST", "/v1/messages", messages, 0},
    {"POST", "/v1/messages/count_tokens", api_count_messages, 0},
    {"POST", "/v1/embeddings", api_embeddings, 0},
    {"POST", "/embeddings", api_embeddings, 0},
    {"GET", "/v1/models", api_models, 0},
    {"GET", "/models", api_models, 0},
    {"GET", "/v1/models/*", api_model, 0},
    {"POST", "/tokenize", api_tokenize, 0},
    {"POST", "/detokenize", api_detokenize, 0},
    {"POST", "/v1/tokenize", api_tokenize, 0},
    {"POST", "/v1/detokenize", api_detokenize, 0},
    {"POST", "/apply-template", api_apply_template, 0},
    {"POST", "/v1/chat/completions/render", api_render_chat, 0},
    {"POST", "/v1/completions/render", api_render_completion, 0},
    {"POST", "/v1/chat/completions/input_tokens", api_count_chat, 0},
    {"POST", "/chat/completions/input_tokens", api_count_chat, 0},
    {"GET", "/tokenizer_info", api_tokenizer_info, 0},
    {"GET", "/props", api_props, 0},
    {"GET", "/slots", api_slots, 0},
    {"GET", "/load", api_load, 0},
    {"GET", "/openapi.json", api_openapi, ROUTE_PUBLIC | ROUTE_DRAINING},
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

/* application/json or anything "+json", whatever the parameters.  A type that
 * a page of another origin can send without asking (text/plain, a form) is
 * none, so no web site drives a server on its reader's machine. */
static bool is_json(const char *type)
{
    size_t n = strcspn(type, ";");
    while (n > 0 && (type[n - 1] == ' ' || type[n - 1] == '\t'))
        n--;
    return (n == 16 && strncasecmp(type, "application/json", n) == 0) ||
           (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

/* Whoever asks there reads errors in Anthropic's words, whatever finds them. */
static bool is_anthropic(const char *path)
{
    static const char root[] = "/v1/messages";
    const size_t n = sizeof root - 1;
    return path != NULL && strncmp(path, root, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || path[n] == '?');
}

void api_error_body(void *user, const char *path, int status,
                    const char *message, struct buf *out)
{
    (void)user;
    if (is_anthropic(path))
        messages_error_write_status(out, status, message);
    else
        error_write_status(out, status, message);
}

static void refuse(struct exchange *ex, int status, const char *message)
{
    struct buf body = {0};
    api_error_body(NULL, exchange_path(ex), status, message, &body);
    reply_json(ex, status, &body);
}

void api_gate(struct exchange *ex, void *user)
{
    const struct api *api = user;
    const bool anthropic = is_anthropic(exchange_path(ex));
    struct err err = {0};
    if (anthropic) /* the name that Anthropic's clients look for */
        (void)exchange_add_header(ex, "request-id", exchange_request_id(ex));
    if (exchange_flags(ex) & ROUTE_PUBLIC)
        return;
    int rc = auth_check(api->auth, exchange_header(ex, "Authorization"),
                        exchange_header(ex, "X-Api-Key"), &err);
    if (rc == 0)
        rc = api_check_serving(api, &err);
    const char *type = exchange_header(ex, "Content-Type");
    if (rc != 0)
        error_reply_as(ex, &err, 0, anthropic ? messages_error_write : NULL);
    else if (type != NULL && strcmp(exchange_method(ex), "POST") == 0 &&
             !is_json(type))
        refuse(ex, 415,
               "the body must be JSON: send "
               "\"Content-Type: application/json\"");
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
