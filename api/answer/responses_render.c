/* responses_render.c -- see responses_render.h. */
#include "api/answer/responses_render.h"

#include <stdio.h>
#include <string.h>

#include "api/base/error.h"
#include "model/base/clock.h"

const char *responses_status(const struct choice *c)
{
    return !c->ended                    ? "in_progress"
           : c->finish == FINISH_LENGTH ? "incomplete"
                                        : "completed";
}

/* --- items ------------------------------------------------------------------
 */

static bool lacks_message(const struct choice *c)
{
    const struct parts *p = &c->parts;
    if (!c->ended || p->n_calls > 0 || parts_have(p, PART_TEXT))
        return false;
    return p->n == 0 || c->finish != FINISH_LENGTH;
}

uint32_t responses_n_items(const struct choice *c)
{
    return c->parts.n + (lacks_message(c) ? 1 : 0);
}

static const struct part *part_of(const struct choice *c, uint32_t i)
{
    static const struct part nothing = {.kind = PART_TEXT};
    return i < c->parts.n ? &c->parts.items[i] : &nothing;
}

enum part_kind responses_item_kind(const struct choice *c, uint32_t i)
{
    return part_of(c, i)->kind;
}

void responses_item_id(char out[IDS_BYTES], const struct choice *c, uint32_t i)
{
    static const char *const prefixes[] = {
        [PART_TEXT] = "msg_", [PART_REASONING] = "rs_", [PART_CALL] = "fc_"};
    snprintf(out, IDS_BYTES, "%s%.30s%02x", prefixes[part_of(c, i)->kind],
             c->answer->id + strlen(IDS_RESPONSE), (unsigned)i);
}

/* Only the last one was cut, or is being said. */
static const char *item_status(const struct choice *c, uint32_t i, bool failed)
{
    return i + 1 < responses_n_items(c) ? "completed"
           : failed                     ? "incomplete"
                                        : responses_status(c);
}

static void put_bytes(struct writer *w, const char *key, const struct buf *b)
{
    writer_key(w, key);
    writer_string_n(w, buf_str(b), b->len);
}

static void item_open(struct writer *w, const struct choice *c, uint32_t i,
                      const char *status)
{
    static const char *const types[] = {[PART_TEXT] = "message",
                                        [PART_REASONING] = "reasoning",
                                        [PART_CALL] = "function_call"};
    char id[IDS_BYTES];
    responses_item_id(id, c, i);
    writer_object(w);
    writer_key_string(w, "id", id);
    writer_key_string(w, "type", types[part_of(c, i)->kind]);
    writer_key_string(w, "status", status);
}

void responses_content(struct writer *w, struct responses *x,
                       const struct choice *c, uint32_t i, bool empty)
{
    static const struct buf none = {0};
    const struct part *part = part_of(c, i);
    const bool is_text = part->kind == PART_TEXT;
    struct text_logprobs *probs = responses_logprobs_of(&x->logprobs, i);
    writer_object(w);
    writer_key_string(w, "type", is_text ? "output_text" : "reasoning_text");
    put_bytes(w, "text", empty ? &none : &part->bytes);
    if (is_text) {
        writer_key(w, "annotations");
        writer_array(w);
        writer_end_array(w);
        writer_key(w, "logprobs");
        writer_array(w);
        if (!empty && probs != NULL)
            writer_raw(w, buf_str(&probs->list), probs->list.len);
        writer_end_array(w);
    }
    writer_end_object(w);
}

static void put_item(struct writer *w, struct responses *x,
                     const struct choice *c, uint32_t i, const char *status,
                     bool begun)
{
    static const struct buf none = {0};
    const struct part *part = part_of(c, i);
    item_open(w, c, i, status);
    if (part->kind == PART_CALL) {
        put_bytes(w, "arguments", begun ? &none : &part->bytes);
        writer_key_string(w, "call_id", part->id);
        put_bytes(w, "name", &part->name);
        writer_end_object(w);
        return;
    }
    if (part->kind == PART_TEXT) {
        writer_key_string(w, "role", "assistant");
    } else {
        writer_key(w, "summary");
        writer_array(w);
        writer_end_array(w);
    }
    writer_key(w, "content");
    writer_array(w);
    if (!begun)
        responses_content(w, x, c, i, false);
    writer_end_array(w);
    writer_end_object(w);
}

void responses_item_begun(struct writer *w, const struct choice *c, uint32_t i)
{
    put_item(w, NULL, c, i, "in_progress", true);
}

void responses_item(struct writer *w, struct responses *x,
                    const struct choice *c, uint32_t i)
{
    put_item(w, x, c, i, item_status(c, i, false), false);
}

/* --- the response -----------------------------------------------------------
 */

static void put_usage(struct writer *w, const struct choice *c)
{
    const struct answer *a = c->answer;
    if (!c->ended) {
        writer_key_null(w, "usage");
        return;
    }
    writer_key(w, "usage");
    writer_object(w);
    writer_key_int(w, "input_tokens", a->n_prompt);
    writer_key(w, "input_tokens_details");
    writer_object(w);
    writer_key_int(w, "cached_tokens", a->n_cached);
    writer_key_int(w, "cache_write_tokens", 0); /* nobody pays for them here */
    writer_end_object(w);
    writer_key_int(w, "output_tokens", c->n_completion);
    writer_key(w, "output_tokens_details");
    writer_object(w);
    writer_key_int(w, "reasoning_tokens", c->n_thought);
    writer_end_object(w);
    writer_key_int(w, "total_tokens", (int64_t)a->n_prompt + c->n_completion);
    writer_end_object(w);
}

static void put_outcome(struct writer *w, const struct choice *c,
                        const struct err *err)
{
    writer_key(w, "error");
    if (err != NULL) {
        writer_object(w);
        writer_key_string(w, "code",
                          err->class_ == ERR_BUSY ? "rate_limit_exceeded"
                                                  : "server_error");
        writer_key_string(w, "message", err->text);
        writer_end_object(w);
    } else {
        writer_null(w);
    }
    writer_key(w, "incomplete_details");
    if (err == NULL && c->ended && c->finish == FINISH_LENGTH) {
        writer_object(w);
        writer_key_string(w, "reason", "max_output_tokens");
        writer_end_object(w);
    } else {
        writer_null(w);
    }
}

/* The numbers in force, asked for or not. */
static void put_params(struct writer *w, const struct sample_params *p)
{
    const struct {
        const char *key;
        float value;
    } rows[] = {
        {"temperature", p->temperature},
        {"top_p", p->top_p},
        {"presence_penalty", p->presence_penalty},
        {"frequency_penalty", p->frequency_penalty},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        writer_key_float(w, rows[i].key, rows[i].value);
    }
}

void responses_object(struct writer *w, struct responses *x,
                      const struct choice *c, const struct job *job,
                      const struct err *err)
{
    const struct answer *a = c->answer;
    const char *status = err != NULL ? "failed" : responses_status(c);
    writer_object(w);
    writer_key_string(w, "id", a->id);
    writer_key_string(w, "object", "response");
    writer_key_int(w, "created_at", a->created);
    writer_key_string(w, "status", status);
    writer_key(w, "completed_at");
    if (strcmp(status, "completed") == 0)
        writer_int(w, clock_unix_s());
    else
        writer_null(w);
    put_outcome(w, c, err);
    writer_key_string(w, "model", a->model);
    writer_key(w, "output");
    writer_array(w);
    const bool tells = c->ended || err != NULL;
    for (uint32_t i = 0; tells && i < responses_n_items(c); i++)
        put_item(w, x, c, i, item_status(c, i, err != NULL), false);
    writer_end_array(w);
    put_usage(w, c);
    put_params(w, &job->params);
    writer_members(w, buf_str(&x->asked.echo), x->asked.echo.len);
    writer_end_object(w);
}
