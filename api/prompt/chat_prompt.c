/* chat_prompt.c -- see chat_prompt.h. */
#include "api/prompt/chat_prompt.h"

#include <string.h>

#include "api/prompt/chat_continue.h"
#include "api/prompt/chat_opening.h"
#include "api/prompt/replay_prompt.h"
#include "model/dialect/call_text.h"
#include "model/dialect/dialect.h"
#include "model/template/template.h"

/* content + <|tool_call_start|>[f(a="b"), g()]<|tool_call_end|> */
static json_t *with_calls_as_text(const json_t *message, const json_t *calls)
{
    json_t *content = json_object_get(message, "content");
    struct buf b = {0};
    buf_put(&b, json_string_value(content), json_string_length(content));
    call_text_write(&b, calls);
    /* A shallow copy: the request keeps its own. */
    json_t *copy = buf_ok(&b) ? json_copy_object(message) : NULL;
    if (copy != NULL &&
        json_object_set_new(copy, "content",
                            json_stringn(buf_str(&b), b.len)) != 0) {
        json_decref(copy);
        copy = NULL;
    }
    buf_deinit(&b);
    return copy;
}

/* The messages as this template can show them; a new reference. */
static json_t *messages_for(const struct template *t, json_t *messages)
{
    if (template_mentions(t, "tool_calls"))
        return json_incref(messages);
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i);
        const json_t *calls = json_object_get(message, "tool_calls");
        json_t *shown = calls != NULL ? with_calls_as_text(message, calls)
                                      : json_incref(message);
        if (json_array_append_new(list, shown) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *string_or_empty(const char *s)
{
    return json_string(s != NULL ? s : "");
}

/* What does not depend on the messages. */
struct frame {
    const struct template *t;
    const char *bos_text, *eos_text;
    const struct chat_request *r;
};

static int render(struct buf *out, const struct frame *f, json_t *messages,
                  bool opens, struct err *err)
{
    const struct chat_request *r = f->r;
    json_t *context = r->template_kwargs != NULL
                          ? json_copy_object(r->template_kwargs)
                          : json_object();
    json_t *tools = r->tools != NULL ? json_incref(r->tools) : json_null();
    json_t *shown = r->has_past_calls ? messages_for(f->t, messages)
                                      : json_incref(messages);
    int failed = json_object_set_new(context, "messages", shown);
    failed |= json_object_set_new(context, "tools", tools);
    failed |= json_object_set_new(context, "add_generation_prompt",
                                  json_boolean(opens));
    failed |=
        json_object_set_new(context, "bos_token", string_or_empty(f->bos_text));
    failed |=
        json_object_set_new(context, "eos_token", string_or_empty(f->eos_text));
    int rc = failed ? err_nomem(err, "the prompt")
                    : template_render(f->t, context, NULL, out, err);
    json_decref(context);
    return rc;
}

/* The prompt with past replies as the model wrote them.  1 where there are
 * none or the template does not let them be. */
static int render_replayed(struct buf *out, const struct frame *f,
                           json_t *messages, bool opens, struct err *err)
{
    const struct chat_request *r = f->r;
    struct replay_prompt p;
    struct buf text = {0};
    json_t *marked = replay_prompt_mark(&p, r->replay, r->tenant, messages);
    int rc = marked == NULL     ? err_nomem(err, "the prompt")
             : p.n_replies == 0 ? 1
                                : render(&text, f, marked, opens, err);
    if (rc == 0 && !replay_prompt_expand(out, &p, &text))
        rc = 1;
    if (rc <= 0 && !buf_ok(out))
        rc = err_nomem(err, "the prompt");
    buf_deinit(&text);
    json_decref(marked);
    replay_prompt_deinit(&p);
    return rc == -ERR_INVALID ? 1 : rc;
}

/* Appends `messages`, and the opening of a reply if `opens`. */
static int show(struct buf *out, const struct frame *f, json_t *messages,
                bool opens, struct err *err)
{
    int rc = 1;
    if (f->r->has_past_calls && f->r->replay != NULL)
        rc = render_replayed(out, f, messages, opens, err);
    return rc == 1 ? render(out, f, messages, opens, err) : rc;
}

/* Appends `messages` up to where the last one is to be continued.  1: the
 * template does not show that. */
static int show_open(struct buf *out, const struct frame *f, json_t *messages,
                     struct err *err)
{
    struct buf text = {0};
    json_t *marked = chat_continue_mark(messages);
    int rc = marked != NULL ? show(&text, f, marked, false, err)
                            : err_nomem(err, "the prompt");
    if (rc == 0 && !chat_continue_cut(&text, messages))
        rc = 1;
    if (rc == 0)
        buf_put(out, buf_str(&text), text.len);
    if (rc == 0 && !buf_ok(out))
        rc = err_nomem(err, "the prompt");
    buf_deinit(&text);
    json_decref(marked);
    return rc;
}

/* The thought of the last message by hand, as llama.cpp does, where the
 * template has no place for it. */
static int show_thought(struct buf *out, const struct frame *f, struct err *err)
{
    const size_t n = json_array_size(f->r->messages) - 1;
    const json_t *v =
        json_object_get(json_array_get(f->r->messages, n), "thinking");
    json_t *before = json_array();
    int failed = json_array_extend(before, f->r->messages);
    failed |= json_array_remove(before, n);
    int rc =
        failed ? err_nomem(err, "the prompt") : show(out, f, before, true, err);
    json_decref(before);
    if (rc != 0)
        return rc;
    if (!chat_opening_awaits(out))
        buf_puts(out, DIALECT_THINK_START);
    buf_put(out, json_string_value(v), json_string_length(v));
    return buf_ok(out) ? 0 : err_nomem(err, "the prompt");
}

static int show_continued(struct buf *out, const struct frame *f,
                          struct err *err)
{
    int rc = show_open(out, f, f->r->messages, err);
    if (rc <= 0)
        return rc;
    if (chat_continue_thought(f->r->messages))
        return show_thought(out, f, err);
    return err_field(err, "messages",
                     "it does not show the content of the last message as it "
                     "is, so that cannot be continued");
}

/* What the template writes of a message whose thought is empty, in place of the
 * opening that is in `out` from `from` on: the same with a closed thought
 * behind it, or nothing that it shows. */
static int show_no_thought(struct buf *out, size_t from, const struct frame *f,
                           struct err *err)
{
    struct buf text = {0};
    struct err refused = {0};
    const size_t n = out->len - from;
    json_t *messages = json_array();
    int failed = json_array_extend(messages, f->r->messages);
    failed |= json_array_append_new(
        messages,
        json_pack("{s:s, s:s, s:s, s:s}", "role", "assistant", "content", "",
                  "thinking", "", "reasoning_content", ""));
    int rc = failed ? -ERR_NOMEM : show_open(&text, f, messages, &refused);
    if (rc == 0 && text.len > n &&
        memcmp(text.data, buf_str(out) + from, n) == 0)
        buf_put(out, text.data + n, text.len - n);
    buf_deinit(&text);
    json_decref(messages);
    return rc == -ERR_NOMEM || !buf_ok(out) ? err_nomem(err, "the prompt") : 0;
}

/* A reply that must not think finds its thought closed.  A model that always
 * thinks (LFM2.5-8B-A1B) has next to nothing to say where a thought should
 * begin, so that to forbid it there would be to draw from noise; behind an
 * empty one it answers.  That is how Qwen3's template switches thoughts off and
 * llama.cpp continues an LFM2 message.  A template that has a switch of its own
 * was given it, and one that shows no thoughts belongs to a model that can do
 * without: there the marker is forbidden, and no more (prepare.c). */
static int keep_from_thinking(struct buf *out, size_t from,
                              const struct frame *f, struct err *err)
{
    const struct chat_request *r = f->r;
    if (chat_opening_is_thought(out, r)) {
        chat_opening_close(out);
        return buf_ok(out) ? 0 : err_nomem(err, "the prompt");
    }
    if (r->continues || !r->add_generation_prompt ||
        template_mentions(f->t, "enable_thinking"))
        return 0;
    return show_no_thought(out, from, f, err);
}

int chat_prompt_render(struct buf *out, const struct template *t,
                       const char *bos_text, const char *eos_text,
                       const struct chat_request *r, struct err *err)
{
    const struct frame f = {t, bos_text, eos_text, r};
    const size_t from = out->len;
    int rc = r->continues
                 ? show_continued(out, &f, err)
                 : show(out, &f, r->messages, r->add_generation_prompt, err);
    if (rc == 0 && r->thinking.off)
        rc = keep_from_thinking(out, from, &f, err);
    if (rc == -ERR_INVALID)
        rc = err_wrap(err, "the chat template refuses the messages");
    return rc;
}
