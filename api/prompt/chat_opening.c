/* chat_opening.c -- see chat_opening.h. */
#include "api/prompt/chat_opening.h"

#include <string.h>

#include "api/prompt/chat_continue.h"
#include "model/dialect/dialect.h"

#define THINK_START_LEN (sizeof DIALECT_THINK_START - 1)

static bool ends_with(const struct buf *text, const char *marker)
{
    const char *s = buf_str(text);
    size_t n = text->len, n_marker = strlen(marker);
    while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\n'))
        n--;
    return n >= n_marker && memcmp(s + n - n_marker, marker, n_marker) == 0;
}

bool chat_opening_awaits(const struct buf *text)
{
    return ends_with(text, DIALECT_THINK_START);
}

/* A thought may stand in the content too, as the model would write it. */
static bool opens_thought(const char *content)
{
    content += strspn(content, " \n");
    return strncmp(content, DIALECT_THINK_START, THINK_START_LEN) == 0 &&
           strstr(content, DIALECT_THINK_END) == NULL;
}

/* What is continued; "" when there is none, or nothing in it. */
static const char *content_of(const struct chat_request *r)
{
    const json_t *last =
        json_array_get(r->messages, json_array_size(r->messages) - 1);
    const char *s = json_string_value(json_object_get(last, "content"));
    return r->continues && s != NULL ? s : "";
}

bool chat_opening_is_thought(const struct buf *text,
                             const struct chat_request *r)
{
    const char *content = content_of(r);
    if (r->continues && chat_continue_thought(r->messages))
        return true;
    if (*content != '\0')
        return opens_thought(content);
    return (r->continues || r->add_generation_prompt) &&
           chat_opening_awaits(text);
}

struct chat_opening chat_opening_of(const struct buf *text,
                                    const struct chat_request *r)
{
    const char *content = content_of(r);
    const bool thinks = chat_opening_is_thought(text, r) && !r->thinking.off;
    const bool after = !thinks && ends_with(text, DIALECT_THINK_END);
    return (struct chat_opening){
        .in_thought = thinks,
        .after_thought = after,
        .in_answer = *content != '\0' && !thinks && !after,
        .resumes = thinks && !chat_opening_awaits(text),
    };
}

void chat_opening_close(struct buf *text)
{
    const char *s = buf_str(text);
    size_t at = text->len;
    while (at > THINK_START_LEN &&
           memcmp(s + at - THINK_START_LEN, DIALECT_THINK_START,
                  THINK_START_LEN) != 0)
        at--;
    buf_puts(text,
             s[at] == '\n' ? "\n" DIALECT_THINK_END "\n\n" : DIALECT_THINK_END);
}
