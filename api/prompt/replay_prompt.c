/* replay_prompt.c -- see replay_prompt.h. */
#include "api/prompt/replay_prompt.h"

#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/dialect/dialect.h"

#define NONCE_PREFIX "said-"
#define NONCE_BYTES (sizeof NONCE_PREFIX - 1 + 24)
#define MARK_BYTES (NONCE_BYTES + 6) /* -t0007 */
#define THOUGHTS 't'
#define REST 'r'

/* ---- is it what the client was told? ---- */

struct hearing {
    const json_t *calls; /* the client's */
    struct buf text, thoughts, name, args;
    size_t n_calls;
    bool differs;
};

static bool is_string(const json_t *v, const struct buf *b)
{
    size_t n = json_string_length(v);
    return n == b->len &&
           (n == 0 || memcmp(json_string_value(v), b->data, n) == 0);
}

static bool is_call(const struct hearing *h)
{
    const json_t *f =
        json_object_get(json_array_get(h->calls, h->n_calls), "function");
    json_t *args;
    if (f == NULL || !is_string(json_object_get(f, "name"), &h->name) ||
        json_parse(&args, buf_str(&h->args), h->args.len, JSON_DEPTH_DEFAULT,
                   JSON_NODES_DEFAULT, NULL) != 0)
        return false;
    bool same = json_equal(args, json_object_get(f, "arguments")) != 0;
    json_decref(args);
    return same;
}

static void hear(void *user, enum speech_kind kind, const char *bytes, size_t n)
{
    struct hearing *h = user;
    switch (kind) {
    case SPEECH_TEXT:
        buf_put(&h->text, bytes, n);
        break;
    case SPEECH_REASONING:
        buf_put(&h->thoughts, bytes, n);
        break;
    case SPEECH_CALL_BEGIN:
        buf_clear(&h->name);
        buf_clear(&h->args);
        buf_put(&h->name, bytes, n);
        break;
    case SPEECH_CALL_ARGS:
        buf_put(&h->args, bytes, n);
        break;
    case SPEECH_CALL_END:
        h->differs |= !is_call(h);
        h->n_calls++;
        break;
    }
}

/* Reads the reply once more, all its calls: one of which the client was told
 * some only is not what he sends back. */
static bool is_unchanged(const struct buf *said, struct speech_options options,
                         const json_t *message, bool *same_thoughts)
{
    struct hearing h = {.calls = json_object_get(message, "tool_calls")};
    struct speech speech;
    options.single_call = false;
    speech_init(&speech, &options, hear, &h);
    int rc = speech_feed(&speech, buf_str(said), said->len);
    if (rc == 0)
        rc = speech_finish(&speech, false);
    bool same = rc == 0 && !h.differs && buf_ok(&h.text) &&
                buf_ok(&h.thoughts) && h.n_calls == json_array_size(h.calls) &&
                is_string(json_object_get(message, "content"), &h.text);
    *same_thoughts =
        h.thoughts.len > 0 &&
        is_string(json_object_get(message, "thinking"), &h.thoughts);
    speech_deinit(&speech);
    buf_deinit(&h.text);
    buf_deinit(&h.thoughts);
    buf_deinit(&h.name);
    buf_deinit(&h.args);
    return same;
}

/* ---- marks for replies ---- */

static const char *find(const char *in, size_t n, const char *what)
{
    size_t n_what = strlen(what);
    for (; n >= n_what; in++, n--)
        if (memcmp(in, what, n_what) == 0)
            return in;
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Where the thoughts of the reply lie; without, where its rest begins. */
static void split(struct replayed *r, const struct speech_options *options)
{
    const char *s = buf_str(&r->said), *end;
    size_t n = r->said.len, i = 0, n_open = sizeof DIALECT_THINK_START - 1;
    while (i < n && is_space(s[i]))
        i++;
    bool opens =
        n - i >= n_open && memcmp(s + i, DIALECT_THINK_START, n_open) == 0;
    if (options->in_reasoning)
        i = 0;
    else if (options->reasoning && opens)
        i += n_open;
    else
        return;
    end = find(s + i, n - i, DIALECT_THINK_END);
    if (end == NULL)
        return;
    r->thoughts = i;
    r->n_thoughts = (size_t)(end - s) - i;
    r->rest = (size_t)(end - s) + sizeof DIALECT_THINK_END - 1;
}

static bool has_ids(const json_t *calls, const struct buf *ids)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const char *id =
            json_string_value(json_object_get(json_array_get(calls, i), "id"));
        if (id == NULL || strcmp(id, ids->data + i * IDS_BYTES) != 0)
            return false;
    }
    return true;
}

/* Whether the message is a known reply as it was told.  `budget` is what may
 * still be read, and becomes less. */
static bool recall(struct replayed *r, struct replay *store, uint64_t tenant,
                   const json_t *message, size_t *budget, bool *same_thoughts)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    const char *id =
        json_string_value(json_object_get(json_array_get(calls, 0), "id"));
    struct speech_options options;
    struct buf ids = {0};
    bool found = id != NULL && *budget > 0 &&
                 replay_get(store, tenant, id, (uint32_t)json_array_size(calls),
                            &ids, &r->said, &options);
    *budget -= r->said.len < *budget ? r->said.len : *budget;
    found = found && has_ids(calls, &ids) &&
            is_unchanged(&r->said, options, message, same_thoughts);
    if (found)
        split(r, &options);
    else
        buf_deinit(&r->said);
    buf_deinit(&ids);
    return found;
}

static int set_mark(json_t *message, const char *key,
                    const struct replay_prompt *p, char part)
{
    char mark[IDS_BYTES + 16];
    snprintf(mark, sizeof mark, "%s-%c%04x", p->nonce, part, p->n_replies);
    return json_object_set_new(message, key, json_string(mark));
}

/* The message with marks: its calls are in the mark of its content. */
static json_t *marked(const struct replay_prompt *p, const json_t *message,
                      bool same_thoughts)
{
    json_t *copy = json_copy_object(message);
    int failed = set_mark(copy, "content", p, REST);
    (void)json_object_del(copy, "tool_calls");
    if (same_thoughts) {
        failed |= set_mark(copy, "thinking", p, THOUGHTS);
        failed |= set_mark(copy, "reasoning_content", p, THOUGHTS);
    }
    if (failed == 0)
        return copy;
    json_decref(copy);
    return NULL;
}

json_t *replay_prompt_mark(struct replay_prompt *p, struct replay *store,
                           uint64_t tenant, json_t *messages)
{
    size_t n = json_array_size(messages), budget = REPLAY_BYTES;
    *p = (struct replay_prompt){.replies = mem_calloc(n, sizeof *p->replies)};
    ids_new(p->nonce, NONCE_PREFIX);
    json_t *list = p->replies != NULL ? json_array() : NULL;
    for (size_t i = 0; list != NULL && i < n; i++) {
        json_t *message = json_array_get(messages, i), *shown;
        struct replayed *r = &p->replies[p->n_replies];
        bool same_thoughts = false;
        if (recall(r, store, tenant, message, &budget, &same_thoughts)) {
            shown = marked(p, message, same_thoughts);
            p->n_replies++;
        } else {
            shown = json_incref(message);
        }
        if (json_array_append_new(list, shown) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void replay_prompt_deinit(struct replay_prompt *p)
{
    for (uint32_t i = 0; i < p->n_replies; i++)
        buf_deinit(&p->replies[i].said);
    mem_free(p->replies);
    *p = (struct replay_prompt){0};
}

/* ---- replies for marks ---- */

/* White space between thoughts and text goes with the thoughts. */
static void put_rest(struct buf *out, const struct replayed *r,
                     bool with_thoughts)
{
    const char *s = buf_str(&r->said);
    size_t i = r->rest;
    while (!with_thoughts && i < r->said.len && is_space(s[i]))
        i++;
    buf_put(out, s + i, r->said.len - i);
}

bool replay_prompt_expand(struct buf *out, const struct replay_prompt *p,
                          const struct buf *text)
{
    const char *s = buf_str(text), *end = s + text->len, *mark;
    size_t was = out->len;
    uint32_t n_shown = 0;
    bool with_thoughts = false, as_expected = true;
    while ((mark = find(s, (size_t)(end - s), p->nonce)) != NULL) {
        unsigned number;
        char part;
        as_expected =
            (size_t)(end - mark) >= MARK_BYTES &&
            sscanf(mark + NONCE_BYTES, "-%c%4x", &part, &number) == 2 &&
            number == n_shown;
        if (!as_expected)
            break;
        const struct replayed *r = &p->replies[number];
        buf_put(out, s, (size_t)(mark - s));
        if (part == THOUGHTS) {
            buf_put(out, buf_str(&r->said) + r->thoughts, r->n_thoughts);
            with_thoughts = true;
        } else {
            put_rest(out, r, with_thoughts);
            with_thoughts = false;
            n_shown++;
        }
        s = mark + MARK_BYTES;
    }
    buf_put(out, s, (size_t)(end - s));
    if (as_expected && n_shown == p->n_replies)
        return true;
    if (buf_ok(out))
        out->len = was;
    return false;
}
