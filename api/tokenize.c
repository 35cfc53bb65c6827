/* tokenize.c -- POST /tokenize, /detokenize and /apply-template.
 *
 * Both dialects are understood: llama-server's ("content", "add_special",
 * "with_pieces") and vLLM's ("prompt" or "messages", "add_special_tokens",
 * "return_token_strs"). */
#include <string.h>

#include "api/api_state.h"
#include "api/base/writer.h"
#include "api/prompt/prepare.h"
#include "api/request/token_fields.h"
#include "api/task.h"
#include "api/tokenize.h"
#include "model/base/alloc.h"
#include "model/base/json.h"
#include "model/base/utf8.h"
#include "model/model.h"
#include "model/text/detok.h"
#include "server/engine/engine.h"
#include "server/http/http.h"

#define DETOKENIZE_MAX_TOKENS 900000u

/* --- the text to tokenize --------------------------------------------------
 */

struct text {
    struct buf rendered; /* of messages */
    const char *bytes;   /* [n] */
    size_t n;
    bool special; /* BOS and the like are added */
    bool parse_special;
};

static int text_of_messages(struct text *x, const struct task *t,
                            struct err *err)
{
    struct chat_request chat;
    size_t n;
    const char *body = exchange_body(t->ex, &n);
    int rc = chat_request_parse(&chat, body, n, t->api->model->hp.n_vocab,
                                api_request_bytes(t->api->options), err);
    if (rc != 0)
        return rc;
    chat.replay = t->api->replay;
    chat.tenant = t->tenant;
    rc = prepare_chat_text(&x->rendered, t->api->model, &chat, err);
    chat_request_deinit(&chat);
    x->bytes = buf_str(&x->rendered);
    x->n = x->rendered.len;
    return rc;
}

/* The text under one of its names; `found` stays as it is when there is none.
 */
static int take_text(struct text *x, const json_t *body, const char *key,
                     bool special, bool *found, struct err *err)
{
    int rc = json_get_text(body, key, &x->bytes, &x->n, "", err);
    if (rc > 0) {
        x->special = special;
        *found = true;
    }
    return rc < 0 ? rc : 0;
}

/* messages win over prompt, and prompt over content. */
static int find_text(struct text *x, const json_t *body, const struct task *t,
                     struct err *err)
{
    const json_t *messages = json_object_get(body, "messages");
    bool found = false;
    x->parse_special = true;
    int rc = take_text(x, body, "content", false, &found, err);
    if (rc == 0)
        rc = take_text(x, body, "prompt", true, &found, err);
    if (rc != 0)
        return rc;
    bool chat = messages != NULL && !json_is_null(messages);
    if (chat)
        x->special = false; /* the template writes them */
    if (json_get_bool(body, "add_special", &x->special, "", err) < 0 ||
        json_get_bool(body, "add_special_tokens", &x->special, "", err) < 0 ||
        json_get_bool(body, "parse_special", &x->parse_special, "", err) < 0)
        return -ERR_INVALID;
    if (chat)
        return text_of_messages(x, t, err);
    return found
               ? 0
               : err_field(err, "content",
                           "one of content, prompt and messages must be given");
}

/* A piece that is not UTF-8 by itself is told as its bytes, as llama-server
 * does. */
static void put_piece(struct writer *w, const struct tokenizer *tok,
                      token_id id)
{
    size_t n;
    const char *s = tokenizer_token_bytes(tok, id, &n);
    if (utf8_valid(s, n)) {
        writer_string_n(w, s, n);
        return;
    }
    writer_array(w);
    for (size_t i = 0; i < n; i++)
        writer_int(w, (unsigned char)s[i]);
    writer_end_array(w);
}

/* As vLLM types them: a string each, whatever the bytes. */
static void put_string(struct writer *w, const struct tokenizer *tok,
                       token_id id)
{
    struct buf text = {0};
    tokenize_join(&text, tok, &id, 1, false);
    writer_string_n(w, buf_str(&text), text.len);
    if (!buf_ok(&text))
        w->out->failed = true;
    buf_deinit(&text);
}

static void put_tokens(struct task *t, const token_id *ids, size_t n,
                       bool with_pieces, bool with_strings)
{
    const struct tokenizer *tok = t->api->model->tokenizer;
    struct writer w;
    writer_init(&w, &t->out);
    writer_object(&w);
    writer_key(&w, "tokens");
    writer_array(&w);
    for (size_t i = 0; i < n; i++) {
        if (!with_pieces) {
            writer_int(&w, ids[i]);
            continue;
        }
        writer_object(&w);
        writer_key_int(&w, "id", ids[i]);
        writer_key(&w, "piece");
        put_piece(&w, tok, ids[i]);
        writer_end_object(&w);
    }
    writer_end_array(&w);
    writer_key_int(&w, "count", (int64_t)n);
    writer_key_int(&w, "max_model_len", engine_context_tokens(t->api->engine));
    if (with_strings) {
        writer_key(&w, "token_strs");
        writer_array(&w);
        for (size_t i = 0; i < n; i++)
            put_string(&w, tok, ids[i]);
        writer_end_array(&w);
    }
    writer_end_object(&w);
}

static int tokenize(struct task *t)
{
    struct text x = {0};
    json_t *body;
    token_id *ids = NULL;
    size_t n = 0;
    bool pieces = false, strings = false;
    int rc = task_body(t, &body, &t->err);
    if (rc != 0)
        return rc;
    rc = find_text(&x, body, t, &t->err);
    if (rc == 0 &&
        (json_get_bool(body, "with_pieces", &pieces, "", &t->err) < 0 ||
         json_get_bool(body, "return_token_strs", &strings, "", &t->err) < 0))
        rc = -ERR_INVALID;
    if (rc == 0)
        rc = tokenizer_encode(t->api->model->tokenizer, x.bytes, x.n,
                              (x.special ? TOKENIZE_BOS : 0u) |
                                  (x.parse_special ? TOKENIZE_SPECIAL : 0u),
                              &ids, &n, &t->err);
    if (rc == 0)
        put_tokens(t, ids, n, pieces, strings);
    mem_free(ids);
    buf_deinit(&x.rendered);
    json_decref(body);
    return rc;
}

void api_tokenize(struct exchange *ex, void *user)
{
    task_start(user, ex, tokenize);
}

/* --- the way back ----------------------------------------------------------
 */

void tokenize_join(struct buf *text, const struct tokenizer *tok,
                   const token_id *ids, uint32_t n_ids, bool skip_special)
{
    struct detok d;
    detok_init(&d);
    for (uint32_t i = 0; i < n_ids; i++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(tok, ids[i], &n);
        if (skip_special && tokenizer_is_special(tok, ids[i]))
            continue;
        char *room = buf_room(text, DETOK_ROOM(n));
        if (room == NULL)
            return;
        buf_added(text, detok_push(&d, bytes, n, room));
    }
    char *room = buf_room(text, DETOK_ROOM(0));
    if (room != NULL)
        buf_added(text, detok_finish(&d, room));
}

static int detokenize(struct task *t)
{
    json_t *body, *array = NULL;
    const token_id *ids = NULL;
    uint32_t n = 0;
    struct buf text = {0};
    int rc = task_body(t, &body, &t->err);
    if (rc != 0)
        return rc;
    struct arena *arena = arena_new(0);
    if (arena == NULL)
        rc = err_nomem(&t->err, "the request");
    if (rc == 0 && json_get_array(body, "tokens", &array, "", &t->err) < 0)
        rc = -ERR_INVALID;
    if (rc == 0 && array == NULL)
        rc = err_field(&t->err, "tokens", "tokens must be an array of ids");
    if (rc == 0)
        rc = token_fields_ids(&ids, &n, array, t->api->model->hp.n_vocab,
                              DETOKENIZE_MAX_TOKENS, "tokens", arena, &t->err);
    if (rc == 0) {
        struct writer w;
        tokenize_join(&text, t->api->model->tokenizer, ids, n, false);
        writer_init(&w, &t->out);
        writer_object(&w);
        writer_key(&w, "content");
        writer_string_n(&w, buf_str(&text), text.len);
        writer_key(&w, "prompt");
        writer_string_n(&w, buf_str(&text), text.len);
        writer_end_object(&w);
        if (!buf_ok(&text))
            t->out.failed = true;
    }
    buf_deinit(&text);
    arena_free(arena);
    json_decref(body);
    return rc;
}

void api_detokenize(struct exchange *ex, void *user)
{
    task_start(user, ex, detokenize);
}

static int apply_template(struct task *t)
{
    struct text x = {0};
    int rc = text_of_messages(&x, t, &t->err);
    if (rc == 0) {
        struct writer w;
        writer_init(&w, &t->out);
        writer_object(&w);
        writer_key(&w, "prompt");
        writer_string_n(&w, x.bytes, x.n);
        writer_end_object(&w);
        if (!buf_ok(&x.rendered))
            t->out.failed = true;
    }
    buf_deinit(&x.rendered);
    return rc;
}

void api_apply_template(struct exchange *ex, void *user)
{
    task_start(user, ex, apply_template);
}
