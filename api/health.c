/* health.c -- probes: is it alive, may it be sent requests, what is it.
 *
 * They look at the api's phase and at the engine's lock-free counters, so they
 * answer within milliseconds while every core computes. */
#include "api/api_state.h"
#include "api/base/writer.h"
#include "api/reply.h"
#include "model/base/buf.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

static void put_load(struct writer *w, const struct engine *e)
{
    struct engine_stats s = engine_stats(e);
    writer_key_int(w, "running", s.running);
    writer_key_int(w, "waiting", s.waiting);
    writer_key_int(w, "free_blocks", s.free_blocks);
    writer_key_int(w, "total_blocks", s.total_blocks);
    writer_key_int(w, "prompt_tokens_computed", (int64_t)s.tokens_prompt);
    writer_key_int(w, "prefix_query_tokens", (int64_t)s.prefix_query_tokens);
    writer_key_int(w, "prefix_hit_tokens", (int64_t)s.prefix_hit_tokens);
}

/* llama-server's clients look for "status": "ok". */
void api_health(struct exchange *ex, void *user)
{
    static const char *const names[] = {"loading", "ok", "draining"};
    const struct api *api = user;
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    writer_object(&w);
    writer_key_string(&w, "status", names[api->phase]);
    if (api->phase == API_LOADING) {
        writer_key_float(&w, "progress", (float)api->progress);
        exchange_add_header(ex, "Retry-After", "1");
    } else if (api->engine != NULL) {
        put_load(&w, api->engine);
    }
    writer_end_object(&w);
    reply_json(ex, api->phase == API_SERVING ? 200 : 503, &out);
}

void api_live(struct exchange *ex, void *user)
{
    static const char body[] = "{\"status\":\"alive\"}";
    (void)user;
    exchange_reply(ex, 200, "application/json", body, sizeof body - 1);
}

void api_version(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    writer_object(&w);
    writer_key_string(&w, "version", api->version);
    writer_end_object(&w);
    reply_json(ex, 200, &out);
}
