/* logprob_render.c -- see logprob_render.h. */
#include "api/answer/logprob_render.h"

#include <math.h>
#include <stdio.h>

#include "api/base/writer.h"
#include "model/base/json.h"
#include "model/base/utf8.h"
#include "model/text/tokenizer.h"

/* Starts the next element of a comma-joined list, as a document of its own. */
static void element(struct writer *w, struct buf *list)
{
    if (list->len > 0)
        buf_putc(list, ',');
    writer_init(w, list);
}

/* Bytes as UTF-8, what is not becoming U+FFFD. */
static void put_lossy(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = utf8_decode(s + i, n - i, &cp);
        if (len > 0) {
            buf_put(out, s + i, (size_t)len);
            i += (size_t)len;
        } else {
            buf_puts(out, "\xEF\xBF\xBD");
            i += len < 0 ? (size_t)-len : n - i;
        }
    }
}

/* A code point counts where its first byte stands, since a token may hold no
 * more of it than that; 10xxxxxx continues one. */
static uint32_t points_begun(const char *s, size_t n)
{
    uint32_t n_points = 0;
    for (size_t i = 0; i < n; i++)
        n_points += ((unsigned char)s[i] & 0xC0u) != 0x80u;
    return n_points;
}

/* In the legacy shape tokens are the keys of a dictionary, so they must differ:
 * bytes that are no UTF-8 by themselves are spelled out, as OpenAI does. */
static void token_key(struct buf *out, const struct tokenizer *t, token_id id,
                      bool as_id)
{
    size_t n;
    const char *bytes = tokenizer_token_bytes(t, id, &n);
    if (as_id) {
        buf_printf(out, "token_id:%d", id);
    } else if (utf8_valid(bytes, n)) {
        buf_put(out, bytes, n);
    } else {
        buf_puts(out, "bytes:");
        for (size_t i = 0; i < n; i++)
            buf_printf(out, "\\x%02x", (unsigned char)bytes[i]);
    }
}

/* JSON has no infinity; OpenAI's floor is -9999. */
static float finite(float logprob)
{
    return isfinite(logprob) ? logprob : -9999.0f;
}

/* A token whose text did not fit in memory must fail the list, not be empty. */
static void put_text(struct writer *w, struct buf *text)
{
    if (!buf_ok(text))
        w->out->failed = true;
    writer_string_n(w, buf_str(text), text->len);
    buf_deinit(text);
}

static void put_token(struct writer *w, const char *key,
                      const struct tokenizer *t, token_id id, bool as_id)
{
    struct buf text = {0};
    size_t n;
    const char *bytes = tokenizer_token_bytes(t, id, &n);
    if (as_id)
        buf_printf(&text, "token_id:%d", id);
    else
        put_lossy(&text, bytes, n);
    writer_key(w, key);
    put_text(w, &text);
}

static void chat_members(struct writer *w, const struct tokenizer *t,
                         token_id id, float logprob, bool as_id)
{
    size_t n;
    const char *bytes = tokenizer_token_bytes(t, id, &n);
    put_token(w, "token", t, id, as_id);
    writer_key_float(w, "logprob", finite(logprob));
    writer_key(w, "bytes");
    writer_array(w);
    for (size_t i = 0; i < n; i++)
        writer_int(w, (unsigned char)bytes[i]);
    writer_end_array(w);
}

static void chat_element(struct logprob_lists *lists, const struct tokenizer *t,
                         const struct job_event *e, bool ids, bool as_ids)
{
    struct writer w;
    element(&w, &lists->content);
    writer_object(&w);
    if (ids)
        writer_key_int(&w, "id", e->token);
    chat_members(&w, t, e->token, e->logprob, as_ids);
    writer_key(&w, "top_logprobs");
    writer_array(&w);
    for (uint32_t i = 0; i < e->n_top; i++) {
        writer_object(&w);
        if (ids)
            writer_key_int(&w, "id", e->top[i].id);
        chat_members(&w, t, e->top[i].id, e->top[i].logprob, as_ids);
        writer_end_object(&w);
    }
    writer_end_array(&w);
    writer_end_object(&w);
}

void logprob_render_chat(struct logprob_lists *lists, const struct tokenizer *t,
                         const struct job_event *e, bool tokens_as_ids)
{
    chat_element(lists, t, e, false, tokens_as_ids);
}

void logprob_render_native(struct logprob_lists *lists,
                           const struct tokenizer *t, const struct job_event *e)
{
    chat_element(lists, t, e, true, false);
}

static void prompt_member(struct writer *w, const struct tokenizer *t,
                          token_id id, float logprob, uint32_t rank)
{
    char key[16];
    snprintf(key, sizeof key, "%d", id);
    writer_key(w, key);
    writer_object(w);
    writer_key_float(w, "logprob", finite(logprob));
    writer_key_int(w, "rank", rank);
    put_token(w, "decoded_token", t, id, false);
    writer_end_object(w);
}

void logprob_render_prompt(struct buf *list, const struct tokenizer *t,
                           const struct job_event *e, uint32_t n_top)
{
    struct writer w;
    element(&w, list);
    writer_object(&w);
    prompt_member(&w, t, e->token, e->logprob, e->rank);
    for (uint32_t i = 0; i < e->n_top && i < n_top; i++)
        if (e->top[i].id != e->token)
            prompt_member(&w, t, e->top[i].id, e->top[i].logprob, i + 1);
    writer_end_object(&w);
}

/* {"token": logprob, ...}: the likeliest, and the token itself if it is not
 * among them. */
static void top_object(struct buf *list, const struct tokenizer *t,
                       const struct job_event *e, bool as_ids)
{
    struct buf text = {0};
    bool has_own = false;
    if (list->len > 0)
        buf_putc(list, ',');
    buf_putc(list, '{');
    for (uint32_t i = 0; i <= e->n_top; i++) {
        bool own = i == e->n_top;
        token_id id = own ? e->token : e->top[i].id;
        if (own && has_own)
            break;
        has_own = has_own || id == e->token;
        buf_clear(&text);
        token_key(&text, t, id, as_ids);
        if (i > 0)
            buf_putc(list, ',');
        if (!buf_ok(&text))
            list->failed = true;
        json_quote(list, buf_str(&text), text.len);
        buf_putc(list, ':');
        struct writer w;
        writer_init(&w, list);
        writer_float(&w, finite(own ? e->logprob : e->top[i].logprob));
    }
    buf_putc(list, '}');
    buf_deinit(&text);
}

void logprob_render_completion(struct logprob_lists *lists,
                               const struct tokenizer *t,
                               const struct job_event *e, bool certain,
                               bool tokens_as_ids, uint32_t *offset)
{
    struct writer w;
    struct buf text = {0};
    size_t n;
    const char *bytes = tokenizer_token_bytes(t, e->token, &n);
    token_key(&text, t, e->token, tokens_as_ids);
    element(&w, &lists->tokens);
    put_text(&w, &text);

    element(&w, &lists->offsets);
    writer_uint(&w, *offset);
    *offset += points_begun(bytes, n);

    element(&w, &lists->values);
    if (certain) {
        writer_float(&w, finite(e->logprob));
        top_object(&lists->tops, t, e, tokens_as_ids);
    } else {
        writer_null(&w);
        buf_puts(&lists->tops, lists->tops.len > 0 ? ",null" : "null");
    }
}
