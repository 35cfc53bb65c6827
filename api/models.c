/* models.c -- GET /v1/models and /v1/models/{id}: the one model served. */
#include <string.h>

#include "api/api_state.h"
#include "api/base/error.h"
#include "api/base/writer.h"
#include "api/prompt/prepare.h"
#include "api/reply.h"
#include "model/base/buf.h"
#include "model/model.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

static void put_model(struct writer *w, const struct api *api)
{
    const struct model *m = api->model;
    const char *name = prepare_served_name(m, api->options);
    writer_object(w);
    writer_key_string(w, "id", name);
    writer_key_string(w, "object", "model");
    writer_key_int(w, "created", api->started_s);
    writer_key_string(w, "owned_by", "lfmd");
    writer_key_string(w, "root", name);
    writer_key_null(w, "parent");
    writer_key_int(w, "max_model_len", engine_context_tokens(api->engine));
    writer_key(w, "meta");
    writer_object(w);
    writer_key_int(w, "n_ctx", engine_context_tokens(api->engine));
    writer_key_int(w, "n_ctx_train", m->hp.max_positions);
    writer_key_int(w, "n_embd", m->hp.hidden);
    writer_key_int(w, "n_vocab", m->hp.n_vocab);
    writer_key_int(w, "n_params", (int64_t)m->weights->n_params);
    writer_key_int(w, "size", (int64_t)m->weights->bytes);
    writer_end_object(w);
    writer_end_object(w);
}

void api_models(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    writer_object(&w);
    writer_key_string(&w, "object", "list");
    writer_key(&w, "data");
    writer_array(&w);
    put_model(&w, api);
    writer_end_array(&w);
    writer_end_object(&w);
    reply_json(ex, 200, &out);
}

void api_model(struct exchange *ex, void *user)
{
    const struct api *api = user;
    const char *name = prepare_served_name(api->model, api->options);
    struct err err = {0};
    if (strcmp(exchange_tail(ex), name) != 0) {
        (void)prepare_no_model(name, &err);
        error_reply(ex, &err);
        return;
    }
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    put_model(&w, api);
    reply_json(ex, 200, &out);
}
