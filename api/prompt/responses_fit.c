/* responses_fit.c -- see responses_fit.h. */
#include "api/prompt/responses_fit.h"

#include "api/prompt/prepare.h"
#include "api/request/chat_messages.h"
#include "api/request/chat_request.h"
#include "model/model.h"

static bool is_role(const json_t *messages, size_t i, const char *role)
{
    return chat_messages_is(json_array_get(messages, i), role);
}

/* The messages without [from, to). */
static json_t *without(const json_t *messages, size_t from, size_t to)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < json_array_size(messages); i++)
        if ((i < from || i >= to) &&
            json_array_append(list, json_array_get(messages, i)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* 1: with [from, to) left out it fits; 0: it does not. */
static int fits(const struct chat_request *r, const struct model *m,
                size_t from, size_t to, size_t room, struct err *err)
{
    struct chat_request less = *r;
    size_t n = 0;
    less.messages = without(r->messages, from, to);
    if (less.messages == NULL)
        return err_nomem(err, "the messages");
    int rc = prepare_chat_count(&n, m, &less, err);
    json_decref(less.messages);
    return rc != 0 ? rc : n <= room;
}

/* The first place at or after `i` where a conversation may begin. */
static size_t next_cut(const json_t *messages, size_t i, size_t last)
{
    while (i < last && is_role(messages, i, "tool"))
        i++;
    return i;
}

static size_t room_of(const struct chat_request *r, const struct model *m)
{
    size_t ctx = m->ctx_tokens;
    size_t reply = r->sampling.has & SAMPLING_MAX_TOKENS
                       ? r->sampling.max_tokens
                       : ctx / 8;
    return reply < ctx ? ctx - reply : 0;
}

int responses_truncate(struct chat_request *r, const struct model *m,
                       struct err *err)
{
    const size_t from = is_role(r->messages, 0, "system") ? 1 : 0;
    const size_t room = room_of(r, m);
    const size_t last = json_array_size(r->messages) - 1;
    size_t low = from, high = last; /* the answer is in [low, high] */
    int rc = fits(r, m, from, from, room, err);
    if (rc != 0 || from >= last)
        return rc < 0 ? rc : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        rc = fits(r, m, from, next_cut(r->messages, middle, last), room, err);
        if (rc < 0)
            return rc;
        if (rc > 0)
            high = middle;
        else
            low = middle + 1;
    }
    json_t *kept =
        without(r->messages, from, next_cut(r->messages, high, last));
    if (kept == NULL)
        return err_nomem(err, "the messages");
    json_decref(r->messages);
    r->messages = kept;
    return 0;
}
