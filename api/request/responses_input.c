/* responses_input.c -- see responses_input.h. */
#include "api/request/responses_input.h"

#include <stdio.h>
#include <string.h>

#include "api/request/chat_messages.h"
#include "api/request/responses_words.h"

#define ID_BYTES_MAX 256u
#define PATH_BYTES 64
#define THOUGHTS "reasoning_content"
#define ITEM_BYTES 32 /* "input[18446744073709551615]" */

/* Where the walk over the items is. */
struct walk {
    json_t *messages; /* owned by the caller */
    json_t *open;     /* borrowed: the assistant message that may still grow */
    struct buf thoughts;   /* owned: its, until something else follows */
    char path[ITEM_BYTES]; /* of the item */
};

static int nomem(struct err *err)
{
    return err_nomem(err, "the input");
}

static int put(json_t *obj, const char *key, json_t *value, struct err *err)
{
    return json_object_set_new(obj, key, value) == 0 ? 0 : nomem(err);
}

static int put_buf(json_t *obj, const char *key, struct buf *b, struct err *err)
{
    json_t *v = buf_ok(b) ? json_stringn(buf_str(b), b->len) : NULL;
    buf_deinit(b);
    return put(obj, key, v, err);
}

/* A new message at the end; it belongs to the list. */
static json_t *add_message(struct walk *w, const char *role, struct err *err)
{
    json_t *m = json_object();
    if (json_array_append_new(w->messages, m) != 0 ||
        put(m, "role", json_string(role), err) != 0) {
        (void)nomem(err);
        return NULL;
    }
    return m;
}

static json_t *open_reply(struct walk *w, struct err *err)
{
    if (w->open == NULL)
        w->open = add_message(w, "assistant", err);
    return w->open;
}

/* The thoughts so far become the message's. */
static int close_thoughts(struct walk *w, struct err *err)
{
    if (w->thoughts.len == 0 && buf_ok(&w->thoughts))
        return 0;
    json_t *m = open_reply(w, err);
    return m != NULL ? put_buf(m, THOUGHTS, &w->thoughts, err) : -ERR_NOMEM;
}

/* What has said its text or its calls does not think again. */
static bool has_spoken(const json_t *message)
{
    return json_object_get(message, "content") != NULL ||
           json_object_get(message, "tool_calls") != NULL;
}

/* A string that must be there, with 1 to `max` bytes. */
static int need_string(json_t **out, const json_t *item, const char *key,
                       size_t max, const char *path, struct err *err)
{
    const char *s;
    char full[PATH_BYTES];
    int rc = json_get_string(item, key, &s, path, err);
    if (rc < 0)
        return rc;
    *out = json_object_get(item, key);
    size_t n = rc > 0 ? json_string_length(*out) : 0;
    if (n > 0 && n <= max)
        return 0;
    snprintf(full, sizeof full, "%.40s.%s", path, key);
    if (rc == 0)
        return err_field(err, full, "%s is missing", full);
    return err_field(err, full, "%s must have 1 to %zu bytes", full, max);
}

/* --- content ----------------------------------------------------------------
 */

/* The text of one part of a list, whose kinds are `kinds`. */
static int append_part(struct buf *b, const json_t *part,
                       const char *const *kinds, const char *path,
                       struct err *err)
{
    const char *type, *key = "text", *s;
    size_t n = 0;
    char full[PATH_BYTES], text[64];
    if (!json_is_object(part))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(part, text));
    int rc = json_get_string(part, "type", &type, path, err);
    if (rc < 0)
        return rc;
    size_t i = 0;
    while (rc > 0 && kinds[i] != NULL && strcmp(kinds[i], type) != 0)
        i++;
    if (rc == 0 || kinds[i] == NULL) {
        snprintf(full, sizeof full, "%.50s.type", path);
        return err_field(err, full,
                         "%s must be \"%s\": this model reads no images, "
                         "audio or files",
                         full, kinds[0]);
    }
    if (strcmp(type, "refusal") == 0)
        key = "refusal";
    rc = json_get_text(part, key, &s, &n, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        snprintf(full, sizeof full, "%.50s.%s", path, key);
        return err_field(err, full, "%s is missing", full);
    }
    buf_put(b, s, n);
    return 0;
}

/* Appends a string, or the texts of a list of parts. */
static int append_text(struct buf *b, const json_t *v, const char *const *kinds,
                       const char *path, struct err *err)
{
    char full[PATH_BYTES], text[64];
    if (json_is_string(v)) {
        buf_put(b, json_string_value(v), json_string_length(v));
        return 0;
    }
    if (v == NULL || json_is_null(v))
        return err_field(err, path, "%s is missing", path);
    if (!json_is_array(v))
        return err_field(err, path,
                         "%s must be a string or an array of parts, not %s",
                         path, json_describe(v, text));
    for (size_t i = 0; i < json_array_size(v); i++) {
        snprintf(full, sizeof full, "%.40s[%zu]", path, i);
        int rc = append_part(b, json_array_get(v, i), kinds, full, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The member `key` of an item, as a text under `as` in the message. */
static int put_text(json_t *message, const char *as, const json_t *item,
                    const char *key, const char *path, struct err *err)
{
    static const char *const kinds[] = {"input_text", "output_text", "text",
                                        "refusal", NULL};
    char full[PATH_BYTES];
    struct buf b = {0};
    snprintf(full, sizeof full, "%.40s.%s", path, key);
    int rc = append_text(&b, json_object_get(item, key), kinds, full, err);
    if (rc != 0) {
        buf_deinit(&b);
        return rc;
    }
    return put_buf(message, as, &b, err);
}

/* --- items ------------------------------------------------------------------
 */

static int read_message(struct walk *w, const json_t *item, struct err *err)
{
    static const char *const roles[] = {"user", "assistant", "system",
                                        "developer", NULL};
    const char *role;
    char full[PATH_BYTES];
    int rc = responses_word(item, "role", &role, roles, w->path, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        snprintf(full, sizeof full, "%s.role", w->path);
        return err_field(err, full, "%s is missing", full);
    }
    json_t *m;
    if (strcmp(role, "assistant") == 0) {
        if (w->open != NULL && has_spoken(w->open))
            w->open = NULL;
        m = open_reply(w, err);
    } else {
        w->open = NULL;
        m = add_message(w, role, err);
    }
    return m != NULL ? put_text(m, "content", item, "content", w->path, err)
                     : -ERR_NOMEM;
}

/* Templates want the arguments as an object. */
static int read_arguments(json_t **out, const json_t *item, const char *path,
                          struct err *err)
{
    const char *s;
    size_t n = 0;
    char full[PATH_BYTES];
    int rc = json_get_text(item, "arguments", &s, &n, path, err);
    if (rc < 0)
        return rc;
    if (n == 0) {
        *out = json_object();
        return *out != NULL ? 0 : nomem(err);
    }
    snprintf(full, sizeof full, "%.40s.arguments", path);
    return chat_messages_arguments(out, s, n, full, err);
}

static int add_call(struct walk *w, json_t *call, struct err *err)
{
    json_t *m = open_reply(w, err);
    if (m == NULL)
        return -ERR_NOMEM;
    json_t *calls = json_object_get(m, "tool_calls");
    if (calls == NULL) {
        calls = json_array();
        if (put(m, "tool_calls", calls, err) != 0)
            return -ERR_NOMEM;
    }
    if (json_array_size(calls) == CHAT_CALLS_MAX)
        return err_field(err, w->path,
                         "%s is one more than the %u calls in a row that are "
                         "accepted",
                         w->path, CHAT_CALLS_MAX);
    return json_array_append(calls, call) == 0 ? 0 : nomem(err);
}

static int read_call(struct walk *w, const json_t *item, struct err *err)
{
    json_t *id, *name, *args;
    int rc = need_string(&id, item, "call_id", ID_BYTES_MAX, w->path, err);
    if (rc == 0)
        rc = need_string(&name, item, "name", CHAT_TOOL_NAME_BYTES_MAX, w->path,
                         err);
    if (rc == 0)
        rc = read_arguments(&args, item, w->path, err);
    if (rc != 0)
        return rc;
    json_t *call = json_object(), *function = json_object();
    rc = put(call, "id", json_incref(id), err);
    if (rc == 0)
        rc = put(call, "type", json_string("function"), err);
    if (rc == 0)
        rc = put(call, "function", json_incref(function), err);
    if (rc == 0)
        rc = put(function, "name", json_incref(name), err);
    if (rc == 0)
        rc = put(function, "arguments", json_incref(args), err);
    if (rc == 0)
        rc = add_call(w, call, err);
    json_decref(args);
    json_decref(function);
    json_decref(call);
    return rc;
}

static int read_call_output(struct walk *w, const json_t *item, struct err *err)
{
    json_t *id;
    int rc = need_string(&id, item, "call_id", ID_BYTES_MAX, w->path, err);
    if (rc != 0)
        return rc;
    w->open = NULL;
    json_t *m = add_message(w, "tool", err);
    if (m == NULL || put(m, "tool_call_id", json_incref(id), err) != 0)
        return -ERR_NOMEM;
    return put_text(m, "content", item, "output", w->path, err);
}

/* Thoughts whose text is not here (a summary, something encrypted elsewhere)
 * are not shown to the model; several in a row are lines of one. */
static int read_reasoning(struct walk *w, const json_t *item, struct err *err)
{
    static const char *const kinds[] = {"reasoning_text", "text", NULL};
    const json_t *v = json_object_get(item, "content");
    char full[PATH_BYTES];
    struct buf *b = &w->thoughts;
    if (w->open != NULL && has_spoken(w->open))
        w->open = NULL;
    if (v == NULL || json_is_null(v))
        return 0;
    const size_t before = b->len;
    if (before > 0)
        buf_putc(b, '\n');
    const size_t n = b->len;
    snprintf(full, sizeof full, "%s.content", w->path);
    int rc = append_text(b, v, kinds, full, err);
    if (b->len == n)
        b->len = before;
    return rc;
}

static int read_item(struct walk *w, const json_t *item, struct err *err)
{
    static const struct {
        const char *type;
        int (*read)(struct walk *w, const json_t *item, struct err *err);
    } rows[] = {
        {"message", read_message},
        {"function_call", read_call},
        {"function_call_output", read_call_output},
        {"reasoning", read_reasoning},
    };
    const char *type = "message";
    char full[PATH_BYTES], text[64];
    if (!json_is_object(item))
        return err_field(err, w->path, "%s must be an object, not %s", w->path,
                         json_describe(item, text));
    int rc = json_get_string(item, "type", &type, w->path, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].type, type) != 0)
            continue;
        if (rows[i].read != read_reasoning)
            rc = close_thoughts(w, err);
        return rc < 0 ? rc : rows[i].read(w, item, err);
    }
    snprintf(full, sizeof full, "%s.type", w->path);
    if (strcmp(type, "item_reference") == 0)
        return err_field(err, full,
                         "%s is item_reference, but this server is stateless: "
                         "it keeps no items; send the item itself",
                         full);
    return err_field(err, full,
                     "%s must be message, function_call, function_call_output "
                     "or reasoning, not %s",
                     full, responses_name(type));
}

static int read_input(struct walk *w, const json_t *input, struct err *err)
{
    char text[64];
    if (input == NULL || json_is_null(input))
        return err_field(err, "input", "input is missing");
    if (json_is_string(input)) {
        json_t *m = add_message(w, "user", err);
        return m != NULL ? put(m, "content", json_incref((json_t *)input), err)
                         : -ERR_NOMEM;
    }
    if (!json_is_array(input))
        return err_field(err, "input",
                         "input must be a string or an array of items, not %s",
                         json_describe(input, text));
    if (json_array_size(input) == 0)
        return err_field(err, "input", "input must hold at least one item");
    for (size_t i = 0; i < json_array_size(input); i++) {
        snprintf(w->path, sizeof w->path, "input[%zu]", i);
        int rc = read_item(w, json_array_get(input, i), err);
        if (rc != 0)
            return rc;
    }
    return close_thoughts(w, err);
}

int responses_input(json_t **out, const json_t *body, struct err *err)
{
    struct walk w = {.messages = json_array()};
    const char *s;
    size_t n;
    int rc = w.messages != NULL ? 0 : nomem(err);
    if (rc == 0)
        rc = json_get_text(body, "instructions", &s, &n, "", err);
    if (rc > 0) {
        json_t *v = json_object_get(body, "instructions");
        json_t *m = add_message(&w, "system", err);
        rc = m != NULL ? put(m, "content", json_incref(v), err) : -ERR_NOMEM;
    }
    if (rc == 0)
        rc = read_input(&w, json_object_get(body, "input"), err);
    buf_deinit(&w.thoughts);
    if (rc != 0)
        json_decref(w.messages);
    else
        *out = w.messages;
    return rc;
}
