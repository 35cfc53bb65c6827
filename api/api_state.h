/* api_state.h -- what the files of this room share; nobody else includes it. */
#ifndef LFMD_API_API_STATE_H
#define LFMD_API_API_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api_options.h"
#include "api/base/auth.h"
#include "model/base/err.h"
#include "model/base/list.h"
#include "server/loop/loop.h"

struct exchange;

enum api_phase { API_LOADING, API_SERVING, API_DRAINING };

struct api {
    struct loop *loop;                 /* borrowed */
    const struct api_options *options; /* borrowed */
    const char *version;               /* borrowed */
    struct auth *auth;                 /* owned */
    struct replay *replay;             /* owned */
    struct model *model;               /* borrowed, NULL while loading */
    struct engine *engine;             /* borrowed, NULL while loading */
    enum api_phase phase;
    double progress;
    int64_t started_s;        /* wall clock: "created" of the model */
    struct list turns;        /* of struct turn */
    struct list embeddings;   /* of struct embed */
    uint32_t n_tasks;         /* tokenize and the like, in the pool */
    struct loop_timer *ticks; /* owned; pings silent streams */
};

/* 0, or -ERR_UNAVAILABLE with the reason. */
int api_check_serving(const struct api *api, struct err *err);

/* The handlers, one endpoint each. */
void api_models(struct exchange *ex, void *user);
void api_model(struct exchange *ex, void *user);
void api_embeddings(struct exchange *ex, void *user);
void api_tokenize(struct exchange *ex, void *user);
void api_detokenize(struct exchange *ex, void *user);
void api_apply_template(struct exchange *ex, void *user);
void api_count_responses(struct exchange *ex, void *user);
void api_render_chat(struct exchange *ex, void *user);
void api_render_completion(struct exchange *ex, void *user);
void api_count_chat(struct exchange *ex, void *user);
void api_count_messages(struct exchange *ex, void *user);
void api_tokenizer_info(struct exchange *ex, void *user);
void api_props(struct exchange *ex, void *user);
void api_slots(struct exchange *ex, void *user);
void api_load(struct exchange *ex, void *user);
void api_openapi(struct exchange *ex, void *user);
void api_no_response(struct exchange *ex, void *user);
void api_health(struct exchange *ex, void *user);
void api_live(struct exchange *ex, void *user);
void api_metrics(struct exchange *ex, void *user);
void api_version(struct exchange *ex, void *user);

#endif
