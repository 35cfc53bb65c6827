/* form_messages.c -- POST /v1/messages, Anthropic's protocol, as a form. */
#include "api/answer/messages_render.h"
#include "api/api_state.h"
#include "api/base/messages_error.h"
#include "api/request/messages_request.h"
#include "api/turn_state.h"
#include "model/model.h"
#include "server/http/sse.h"

static int parse(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err)
{
    return messages_request_parse(&t->chat, body, n, t->api->model->hp.n_vocab,
                                  limit, MESSAGES_ANSWER, err);
}

static bool is_clipped(const struct turn *t)
{
    return t->jobs[0].job->max_tokens < t->chat.sampling.max_tokens;
}

static void close_block(struct turn *t, const struct parts *p, uint32_t i)
{
    if (p->items[i].kind == PART_REASONING) {
        messages_render_signature(&t->json, i);
        form_frame(t, "content_block_delta");
    }
    messages_render_block_stop(&t->json, i);
    form_frame(t, "content_block_stop");
}

/* The message starts with its first token: only then is it known how much of
 * the prompt was remembered. */
static void start_message(struct turn *t, struct choice *c)
{
    if (c->started)
        return;
    messages_render_start(&t->json, &t->answer);
    form_frame(t, "message_start");
    c->started = true;
}

static void say_chunks(struct turn *t, struct choice *c)
{
    const struct parts *p = &c->parts;
    start_message(t, c);
    for (uint32_t i = p->first_new; i < p->n; i++) {
        const struct part *part = &p->items[i];
        if (!part->begun) {
            if (i > 0)
                close_block(t, p, i - 1);
            messages_render_block(&t->json, p, i);
            form_frame(t, "content_block_start");
        }
        if (part->bytes.len > part->n_told) {
            messages_render_news(&t->json, p, i);
            form_frame(t, "content_block_delta");
        }
    }
    turn_forget_told(t, c);
}

static void say_end(struct turn *t)
{
    const struct parts *p = &t->answer.choices[0].parts;
    if (p->n > 0)
        close_block(t, p, p->n - 1);
    messages_render_end(&t->json, &t->answer, is_clipped(t));
    form_frame(t, "message_delta");
    messages_render_stop(&t->json);
    form_frame(t, "message_stop");
}

static void say_whole(struct turn *t)
{
    messages_render_whole(&t->out, &t->answer, is_clipped(t));
}

static void say_error(struct turn *t, const struct err *err)
{
    messages_error_write(&t->json, err);
    form_frame(t, "error");
}

const struct turn_form form_messages = {
    .id_prefix = IDS_MESSAGE,
    .call_prefix = IDS_TOOL_USE,
    .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    .is_chat = true,
    .parse = parse,
    .say_chunks = say_chunks,
    .say_end = say_end,
    .say_whole = say_whole,
    .error_body = messages_error_write,
    .say_error = say_error,
};
