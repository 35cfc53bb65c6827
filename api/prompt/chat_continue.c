/* chat_continue.c -- see chat_continue.h. */
#include "api/prompt/chat_continue.h"

#include <string.h>

#include "model/template/text.h"

/* transformers' own, for templates look for it: some write the rest of a
 * message behind its content. */
#define TAG "CONTINUE_FINAL_MESSAGE_TAG"
#define TAG_LEN (sizeof TAG - 1)

static const json_t *last_of(const json_t *messages)
{
    return json_array_get(messages, json_array_size(messages) - 1);
}

static bool is_empty(const json_t *message, const char *key)
{
    return json_string_length(json_object_get(message, key)) == 0;
}

bool chat_continue_thought(const json_t *messages)
{
    const json_t *last = last_of(messages);
    return is_empty(last, "content") && !is_empty(last, "thinking");
}

static int tag(json_t *message, const char *key)
{
    const json_t *v = json_object_get(message, key);
    struct buf b = {0};
    buf_put(&b, json_string_value(v), json_string_length(v));
    buf_puts(&b, TAG " ");
    int rc = buf_ok(&b) ? json_object_set_new(message, key,
                                              json_stringn(b.data, b.len))
                        : -1;
    buf_deinit(&b);
    return rc;
}

json_t *chat_continue_mark(json_t *messages)
{
    const size_t at = json_array_size(messages) - 1;
    json_t *list = json_array();
    json_t *last = json_copy_object(last_of(messages));
    int failed = json_array_extend(list, messages);
    if (chat_continue_thought(messages))
        failed |= tag(last, "thinking") | tag(last, "reasoning_content");
    else
        failed |= tag(last, "content");
    failed |= json_array_set_new(list, at, last);
    if (!failed)
        return list;
    json_decref(list);
    return NULL;
}

/* The last tag: a message may hold one of its own. */
static const char *find_tag(const struct buf *text)
{
    const char *s = buf_str(text);
    for (size_t i = text->len; i >= TAG_LEN; i--)
        if (memcmp(s + i - TAG_LEN, TAG, TAG_LEN) == 0)
            return s + i - TAG_LEN;
    return NULL;
}

bool chat_continue_cut(struct buf *text, const json_t *messages)
{
    const char *key = chat_continue_thought(messages) ? "thinking" : "content";
    const json_t *v = json_object_get(last_of(messages), key);
    const char *said = json_string_value(v), *at = find_tag(text);
    size_t n_said = json_string_length(v);
    if (at == NULL)
        return false;
    size_t n = (size_t)(at - text->data);
    const size_t end = n - text_space_back(text->data, n);
    n_said -= text_space_back(said, n_said);
    const size_t front = text_space_front(said, n_said);
    said += front;
    n_said -= front;
    if (end < n_said || memcmp(text->data + end - n_said, said, n_said) != 0)
        return false;
    /* A template that trims took the space behind the tag; what it would have
     * trimmed without a tag is then before it. */
    if (at[TAG_LEN] != ' ')
        n = end;
    text->len = n;
    text->data[n] = '\0';
    return true;
}
