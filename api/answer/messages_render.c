/* messages_render.c -- see messages_render.h. */
#include "api/answer/messages_render.h"

#include "api/base/writer.h"
#include "model/base/json.h"

static void put_usage(struct writer *w, const struct answer *a)
{
    writer_key(w, "usage");
    writer_object(w);
    writer_key_int(w, "input_tokens", (int64_t)a->n_prompt - a->n_cached);
    writer_key_int(w, "cache_creation_input_tokens", 0); /* that is billing */
    writer_key_int(w, "cache_read_input_tokens", a->n_cached);
    writer_key_int(w, "output_tokens", a->choices[0].n_completion);
    writer_key(w, "output_tokens_details");
    writer_object(w);
    writer_key_int(w, "thinking_tokens", a->choices[0].n_thought);
    writer_end_object(w);
    writer_end_object(w);
}

static const char *stop_reason(const struct choice *c, bool clipped)
{
    if (c->finish == FINISH_LENGTH)
        return clipped ? "model_context_window_exceeded" : "max_tokens";
    if (c->stop_string != NULL)
        return "stop_sequence";
    return c->parts.n_calls > 0 ? "tool_use" : "end_turn";
}

static void put_stop(struct writer *w, const struct choice *c, bool clipped)
{
    writer_key_string(w, "stop_reason", stop_reason(c, clipped));
    writer_key_string(w, "stop_sequence",
                      c->finish == FINISH_LENGTH ? NULL : c->stop_string);
}

static void open_message(struct writer *w, const struct answer *a)
{
    writer_object(w);
    writer_key_string(w, "id", a->id);
    writer_key_string(w, "type", "message");
    writer_key_string(w, "role", "assistant");
    writer_key_string(w, "model", a->model);
    writer_key(w, "content");
    writer_array(w);
}

static void open_event(struct writer *w, struct buf *out, const char *type)
{
    writer_init(w, out);
    writer_object(w);
    writer_key_string(w, "type", type);
}

/* {"type": ..., and what a block has from the start */
static void open_block(struct writer *w, const struct part *part)
{
    static const char *const types[] = {
        [PART_TEXT] = "text",
        [PART_REASONING] = "thinking",
        [PART_CALL] = "tool_use",
    };
    writer_object(w);
    writer_key_string(w, "type", types[part->kind]);
    if (part->kind != PART_CALL)
        return;
    writer_key_string(w, "id", part->id);
    writer_key(w, "name");
    writer_string_n(w, buf_str(&part->name), part->name.len);
}

void messages_render_start(struct buf *out, const struct answer *a)
{
    struct writer w;
    open_event(&w, out, "message_start");
    writer_key(&w, "message");
    open_message(&w, a);
    writer_end_array(&w);
    writer_key_null(&w, "stop_reason");
    writer_key_null(&w, "stop_sequence");
    put_usage(&w, a);
    writer_end_object(&w);
    writer_end_object(&w);
}

void messages_render_block(struct buf *out, const struct parts *p, uint32_t i)
{
    const struct part *part = &p->items[i];
    struct writer w;
    open_event(&w, out, "content_block_start");
    writer_key_int(&w, "index", i);
    writer_key(&w, "content_block");
    open_block(&w, part);
    switch (part->kind) {
    case PART_TEXT:
        writer_key_string(&w, "text", "");
        break;
    case PART_REASONING:
        writer_key_string(&w, "thinking", "");
        writer_key_string(&w, "signature", "");
        break;
    case PART_CALL:
        writer_key(&w, "input");
        writer_object(&w);
        writer_end_object(&w);
        break;
    }
    writer_end_object(&w);
    writer_end_object(&w);
}

static void open_delta(struct writer *w, struct buf *out, uint32_t i,
                       const char *type)
{
    open_event(w, out, "content_block_delta");
    writer_key_int(w, "index", i);
    writer_key(w, "delta");
    writer_object(w);
    writer_key_string(w, "type", type);
}

void messages_render_news(struct buf *out, const struct parts *p, uint32_t i)
{
    static const char *const names[][2] = {
        [PART_TEXT] = {"text_delta", "text"},
        [PART_REASONING] = {"thinking_delta", "thinking"},
        [PART_CALL] = {"input_json_delta", "partial_json"},
    };
    const struct part *part = &p->items[i];
    struct writer w;
    open_delta(&w, out, i, names[part->kind][0]);
    writer_key(&w, names[part->kind][1]);
    writer_string_n(&w, buf_str(&part->bytes) + part->n_told,
                    part->bytes.len - part->n_told);
    writer_end_object(&w);
    writer_end_object(&w);
}

void messages_render_signature(struct buf *out, uint32_t i)
{
    struct writer w;
    open_delta(&w, out, i, "signature_delta");
    writer_key_string(&w, "signature", "");
    writer_end_object(&w);
    writer_end_object(&w);
}

void messages_render_block_stop(struct buf *out, uint32_t i)
{
    struct writer w;
    open_event(&w, out, "content_block_stop");
    writer_key_int(&w, "index", i);
    writer_end_object(&w);
}

void messages_render_end(struct buf *out, const struct answer *a, bool clipped)
{
    struct writer w;
    open_event(&w, out, "message_delta");
    writer_key(&w, "delta");
    writer_object(&w);
    put_stop(&w, &a->choices[0], clipped);
    writer_end_object(&w);
    put_usage(&w, a);
    writer_end_object(&w);
}

void messages_render_stop(struct buf *out)
{
    struct writer w;
    open_event(&w, out, "message_stop");
    writer_end_object(&w);
}

/* Half a call would make half a document of all of it. */
static bool is_object(const struct buf *args)
{
    json_t *v;
    if (json_parse(&v, buf_str(args), args->len, 2 * JSON_DEPTH_DEFAULT,
                   JSON_NODES_DEFAULT, NULL) != 0)
        return false;
    bool is = json_is_object(v);
    json_decref(v);
    return is;
}

static void put_block(struct writer *w, const struct part *part)
{
    open_block(w, part);
    switch (part->kind) {
    case PART_TEXT:
        writer_key(w, "text");
        writer_string_n(w, buf_str(&part->bytes), part->bytes.len);
        break;
    case PART_REASONING:
        writer_key(w, "thinking");
        writer_string_n(w, buf_str(&part->bytes), part->bytes.len);
        writer_key_string(w, "signature", "");
        break;
    case PART_CALL:
        writer_key(w, "input");
        if (is_object(&part->bytes))
            writer_raw(w, buf_str(&part->bytes), part->bytes.len);
        else
            writer_raw(w, "{}", 2);
        break;
    }
    writer_end_object(w);
}

void messages_render_whole(struct buf *out, const struct answer *a,
                           bool clipped)
{
    const struct choice *c = &a->choices[0];
    struct writer w;
    writer_init(&w, out);
    open_message(&w, a);
    for (uint32_t i = 0; i < c->parts.n; i++)
        put_block(&w, &c->parts.items[i]);
    writer_end_array(&w);
    put_stop(&w, c, clipped);
    put_usage(&w, a);
    writer_end_object(&w);
}
