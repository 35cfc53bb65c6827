/* chat_prompt.c -- see chat_prompt.h. */
#include "api/chat_prompt.h"

#include <string.h>

#include "api/replay_prompt.h"
#include "model/dialect/call_text.h"
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
                  struct err *err)
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
                                  json_boolean(r->add_generation_prompt));
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
                           struct err *err)
{
    const struct chat_request *r = f->r;
    struct replay_prompt p;
    struct buf text = {0};
    json_t *messages =
        replay_prompt_mark(&p, r->replay, r->tenant, r->messages);
    int rc = messages == NULL   ? err_nomem(err, "the prompt")
             : p.n_replies == 0 ? 1
                                : render(&text, f, messages, err);
    if (rc == 0 && !replay_prompt_expand(out, &p, &text))
        rc = 1;
    if (rc <= 0 && !buf_ok(out))
        rc = err_nomem(err, "the prompt");
    buf_deinit(&text);
    json_decref(messages);
    replay_prompt_deinit(&p);
    return rc == -ERR_INVALID ? 1 : rc;
}

int chat_prompt_render(struct buf *out, const struct template *t,
                       const char *bos_text, const char *eos_text,
                       const struct chat_request *r, struct err *err)
{
    const struct frame f = {t, bos_text, eos_text, r};
    int rc = 1;
    if (r->has_past_calls && r->replay != NULL)
        rc = render_replayed(out, &f, err);
    if (rc == 1)
        rc = render(out, &f, r->messages, err);
    if (rc == -ERR_INVALID)
        rc = err_wrap(err, "the chat template refuses the messages");
    return rc;
}
