/* props.c -- what this server is: llama-server's /props and /slots, vLLM's
 * /tokenizer_info and /load.
 *
 * A slot of ours is a place in the batch: none belongs to a client and each has
 * the whole context, so /slots tells how many are taken and nothing of what is
 * in them.  No path of the machine is told either, only the model's name. */
#include <stdio.h>
#include <string.h>

#include "api/answer/answer_render.h"
#include "api/api_state.h"
#include "api/base/error.h"
#include "api/base/writer.h"
#include "api/prompt/prepare.h"
#include "api/reply.h"
#include "api/task.h"
#include "model/base/alloc.h"
#include "model/model.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

/* What a request gets that names nothing. */
static void put_generation(struct writer *w, const struct api *api)
{
    struct sample_params p = prepare_defaults(api->model);
    writer_key(w, "default_generation_settings");
    writer_object(w);
    writer_key_int(w, "n_ctx", engine_context_tokens(api->engine));
    writer_key(w, "params");
    writer_object(w);
    writer_key_int(w, "seed", UINT32_MAX); /* llama-server's "by chance" */
    answer_params(w, &p, "repeat_penalty");
    writer_key_int(w, "max_tokens", -1); /* the rest of the context */
    writer_key_int(w, "n_predict", -1);
    writer_end_object(w);
    writer_end_object(w);
}

static void put_names(struct writer *w, const struct api *api)
{
    const struct model *m = api->model;
    char file[sizeof m->name + sizeof ".gguf"], build[64];
    snprintf(file, sizeof file, "%s%s", m->name, m->is_gguf ? ".gguf" : "");
    snprintf(build, sizeof build, "lfmd-%s", api->version);
    writer_key_string(w, "model_alias", prepare_served_name(m, api->options));
    writer_key_string(w, "model_path", file);
    writer_key(w, "modalities");
    writer_object(w);
    writer_key_bool(w, "vision", false);
    writer_key_bool(w, "audio", false);
    writer_end_object(w);
    writer_key_string(w, "chat_template", m->template_text);
    writer_key_string(w, "bos_token", tokenizer_bos_text(m->tokenizer));
    writer_key_string(w, "eos_token", tokenizer_eos_text(m->tokenizer));
    writer_key_string(w, "build_info", build);
    writer_key_bool(w, "is_sleeping", false);
}

void api_props(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    writer_object(&w);
    put_generation(&w, api);
    writer_key_int(&w, "total_slots", engine_max_sequences(api->engine));
    put_names(&w, api);
    writer_key_bool(&w, "endpoint_slots", true);
    writer_key_bool(&w, "endpoint_props", false); /* nothing can be set */
    writer_key_bool(&w, "endpoint_metrics", true);
    writer_end_object(&w);
    reply_json(ex, 200, &out);
}

/* Whether `name` is asked for with a value other than 0: "name", "name=1". */
static bool asks(const char *query, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = query; *at != '\0';) {
        size_t len = strcspn(at, "&");
        if (len >= n && strncmp(at, name, n) == 0 && (len == n || at[n] == '='))
            return !(len == n + 2 && at[n + 1] == '0');
        at += len + (at[len] == '&');
    }
    return false;
}

void api_slots(struct exchange *ex, void *user)
{
    const struct api *api = user;
    uint32_t n = engine_max_sequences(api->engine);
    uint32_t n_busy = engine_stats(api->engine).running;
    struct buf out = {0};
    struct writer w;
    if (n_busy >= n && asks(exchange_query(ex), "fail_on_no_slot")) {
        struct err err = {0};
        err_set(&err, ERR_UNAVAILABLE, "all %u slots are taken", n);
        error_reply(ex, &err);
        return;
    }
    writer_init(&w, &out);
    writer_array(&w);
    for (uint32_t i = 0; i < n; i++) {
        writer_object(&w);
        writer_key_int(&w, "id", i);
        writer_key_int(&w, "n_ctx", engine_context_tokens(api->engine));
        writer_key_bool(&w, "is_processing", i < n_busy);
        writer_end_object(&w);
    }
    writer_end_array(&w);
    reply_json(ex, 200, &out);
}

/* Requests that are in, running or waiting. */
void api_load(struct exchange *ex, void *user)
{
    const struct api *api = user;
    struct engine_stats s = engine_stats(api->engine);
    struct buf out = {0};
    struct writer w;
    writer_init(&w, &out);
    writer_object(&w);
    writer_key_int(&w, "server_load", (int64_t)s.running + s.waiting);
    writer_end_object(&w);
    reply_json(ex, 200, &out);
}

/* --- the tokenizer, as its tokenizer_config.json would say it --------------
 */

static void put_token(struct writer *w, const char *key,
                      const struct tokenizer *tok, token_id id)
{
    size_t n = 0;
    const char *s = "";
    writer_key(w, key);
    if (id != TOKEN_NONE)
        s = tokenizer_token_bytes(tok, id, &n);
    if (n > 0)
        writer_string_n(w, s, n);
    else
        writer_null(w);
}

static void put_special(struct writer *w, const struct tokenizer *tok)
{
    writer_key(w, "added_tokens_decoder");
    writer_object(w);
    for (uint32_t id = 0; id < tokenizer_n_vocab(tok); id++) {
        size_t n;
        char key[16];
        if (!tokenizer_is_special(tok, (token_id)id))
            continue;
        const char *s = tokenizer_token_bytes(tok, (token_id)id, &n);
        snprintf(key, sizeof key, "%u", id);
        writer_key(w, key);
        writer_object(w);
        writer_key(w, "content");
        writer_string_n(w, s, n);
        writer_key_bool(w, "special", true);
        writer_end_object(w);
    }
    writer_end_object(w);
}

static int tokenizer_info(struct task *t)
{
    const struct model *m = t->api->model;
    const struct tokenizer *tok = m->tokenizer;
    token_id *ids = NULL;
    size_t n = 0;
    struct writer w;
    int rc = tokenizer_encode(tok, "", 0, TOKENIZE_BOS, &ids, &n, &t->err);
    if (rc != 0)
        return rc;
    mem_free(ids);
    writer_init(&w, &t->out);
    writer_object(&w);
    writer_key_string(&w, "tokenizer_class", "PreTrainedTokenizerFast");
    writer_key_string(&w, "bos_token", tokenizer_bos_text(tok));
    writer_key_string(&w, "eos_token", tokenizer_eos_text(tok));
    put_token(&w, "pad_token", tok, m->hp.pad);
    writer_key_bool(&w, "add_bos_token", n > 0);
    writer_key_bool(&w, "add_eos_token", false);
    writer_key_bool(&w, "clean_up_tokenization_spaces", false);
    writer_key_int(&w, "model_max_length",
                   engine_context_tokens(t->api->engine));
    writer_key_int(&w, "vocab_size", tokenizer_n_vocab(tok));
    put_special(&w, tok);
    writer_key_string(&w, "chat_template", m->template_text);
    writer_end_object(&w);
    return 0;
}

void api_tokenizer_info(struct exchange *ex, void *user)
{
    task_start(user, ex, tokenizer_info);
}
