/* chat_messages.c -- see chat_messages.h. */
#include "api/request/chat_messages.h"

#include <stdio.h>
#include <string.h>

#define ROLE_BYTES_MAX 64u
/* "messages[4095].tool_calls[127].function.arguments" */
#define PATH_BYTES 160

static int put(json_t *obj, const char *key, json_t *value, struct err *err)
{
    if (json_object_set_new(obj, key, value) != 0)
        return err_nomem(err, "the messages");
    return 0;
}

static int put_buf(json_t *obj, const char *key, struct buf *b, struct err *err)
{
    json_t *v = buf_ok(b) ? json_stringn(buf_str(b), b->len) : NULL;
    buf_deinit(b);
    return put(obj, key, v, err);
}

static bool role_is_plain(const char *role)
{
    size_t n = strlen(role);
    return n > 0 && n <= ROLE_BYTES_MAX &&
           strspn(role, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-") == n;
}

static int normalise_role(json_t *to, const json_t *message, const char *path,
                          struct err *err)
{
    const char *role;
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%s.role", path);
    int rc = json_get_string(message, "role", &role, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, full, "%s is missing", full);
    if (!role_is_plain(role))
        return err_field(err, full,
                         "%s must be 1 to %u letters, digits, "
                         "\"_\" or \"-\"",
                         full, ROLE_BYTES_MAX);
    if (strcmp(role, "developer") == 0)
        role = "system";
    return put(to, "role", json_string(role), err);
}

/* One part of a content array.  Parts are joined with nothing between them, as
 * the family's own templates do with a list (LFM2.5's among them): the prompt
 * is then what Hugging Face renders.  llama.cpp and vLLM put a newline. */
static int append_part(struct buf *b, const json_t *part, size_t i,
                       const char *path, struct err *err)
{
    char full[PATH_BYTES], text[64];
    const char *type = NULL;
    const json_t *v = part;
    if (json_is_object(part)) {
        snprintf(full, sizeof full, "%s.content[%zu]", path, i);
        if (json_get_string(part, "type", &type, full, err) < 0)
            return -ERR_INVALID;
        if (type == NULL ||
            (strcmp(type, "text") != 0 && strcmp(type, "input_text") != 0 &&
             strcmp(type, "output_text") != 0 &&
             strcmp(type, "refusal") != 0)) {
            snprintf(full, sizeof full, "%s.content[%zu].type", path, i);
            return err_field(err, full,
                             "%s must be \"text\": this model reads "
                             "no images, audio or files",
                             full);
        }
        v = json_object_get(part, strcmp(type, "refusal") ? "text" : type);
    }
    if (!json_is_string(v)) {
        snprintf(full, sizeof full, "%s.content[%zu]%s", path, i,
                 json_is_object(part) ? ".text" : "");
        return err_field(err, full, "%s must be a string, not %s", full,
                         v == NULL ? "absent" : json_describe(v, text));
    }
    buf_put(b, json_string_value(v), json_string_length(v));
    return 0;
}

static int normalise_content(json_t *to, const json_t *message,
                             const char *path, struct err *err)
{
    const json_t *v = json_object_get(message, "content");
    const char *role = json_string_value(json_object_get(to, "role"));
    char full[PATH_BYTES], text[64];
    struct buf b = {0};
    snprintf(full, sizeof full, "%s.content", path);
    if (v == NULL || json_is_null(v)) {
        if (strcmp(role, "assistant") != 0 && strcmp(role, "tool") != 0)
            return err_field(err, full,
                             "%s is missing, but only an assistant "
                             "message and a tool's may have none",
                             full);
    } else if (json_is_string(v)) {
        buf_put(&b, json_string_value(v), json_string_length(v));
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            int rc = append_part(&b, json_array_get(v, i), i, path, err);
            if (rc != 0) {
                buf_deinit(&b);
                return rc;
            }
        }
    } else {
        return err_field(err, full,
                         "%s must be a string or an array of "
                         "parts, not %s",
                         full, json_describe(v, text));
    }
    return put_buf(to, "content", &b, err);
}

/* Thoughts arrive under three names and are read by templates under two. */
static int normalise_thoughts(json_t *to, const json_t *message,
                              const char *path, struct err *err)
{
    static const char *const names[] = {"thinking", "reasoning",
                                        "reasoning_content"};
    const char *found = NULL, *s;
    size_t n;
    for (size_t i = 0; i < 3; i++) {
        int rc = json_get_text(message, names[i], &s, &n, path, err);
        if (rc < 0)
            return rc;
        if (rc > 0 && n > 0)
            found = names[i];
    }
    if (found == NULL)
        return 0;
    json_t *v = json_object_get(message, found);
    int rc = put(to, "thinking", json_incref(v), err);
    return rc != 0 ? rc : put(to, "reasoning_content", json_incref(v), err);
}

int chat_messages_arguments(json_t **out, const char *text, size_t n,
                            const char *path, struct err *err)
{
    struct err why = {0};
    char what[64];
    int rc =
        json_parse(out, text, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, &why);
    if (rc == -ERR_NOMEM)
        return err_nomem(err, "the messages");
    if (rc != 0)
        return err_field(err, path, "%s is %s", path, why.text);
    if (json_is_object(*out))
        return 0;
    rc = err_field(err, path, "%s must hold a JSON object, not %s", path,
                   json_describe(*out, what));
    json_decref(*out);
    return rc;
}

static int call_arguments(json_t **out, const json_t *function,
                          const char *path, struct err *err)
{
    json_t *v = json_object_get(function, "arguments");
    char full[PATH_BYTES], text[64];
    snprintf(full, sizeof full, "%.140s.arguments", path);
    if (v == NULL || json_is_null(v) ||
        (json_is_string(v) && json_string_length(v) == 0)) {
        *out = json_object();
        return *out != NULL ? 0 : err_nomem(err, "the messages");
    }
    if (json_is_object(v)) {
        *out = json_incref(v);
        return 0;
    }
    if (!json_is_string(v))
        return err_field(err, full,
                         "%s must be a string that holds a JSON "
                         "object, not %s",
                         full, json_describe(v, text));
    return chat_messages_arguments(out, json_string_value(v),
                                   json_string_length(v), full, err);
}

static int normalise_call(json_t *to, const json_t *call, const char *path,
                          struct err *err)
{
    json_t *function, *args;
    const char *name;
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%.120s.function", path);
    int rc = json_get_object(call, "function", &function, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, full, "%s must be an object with a name", full);
    rc = json_get_string(function, "name", &name, full, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || *name == '\0')
        return err_field(err, full, "%s.name is missing", full);
    rc = call_arguments(&args, function, full, err);
    if (rc != 0)
        return rc;
    json_t *id = json_object_get(call, "id");
    if (json_is_string(id))
        rc = put(to, "id", json_incref(id), err);
    if (rc == 0)
        rc = put(to, "type", json_string("function"), err);
    json_t *f = json_pack("{s:O, s:O}", "name",
                          json_object_get(function, "name"), "arguments", args);
    json_decref(args);
    if (rc == 0)
        return put(to, "function", f, err);
    json_decref(f);
    return rc;
}

static int normalise_calls(json_t *to, const json_t *message, const char *path,
                           bool *any, struct err *err)
{
    json_t *calls;
    char full[PATH_BYTES];
    int rc = json_get_array(message, "tool_calls", &calls, path, err);
    if (rc <= 0 || json_array_size(calls) == 0)
        return rc < 0 ? rc : 0;
    snprintf(full, sizeof full, "%s.tool_calls", path);
    if (json_array_size(calls) > CHAT_CALLS_MAX)
        return err_field(err, full,
                         "%s holds %zu calls, more than the %u "
                         "accepted",
                         full, json_array_size(calls), CHAT_CALLS_MAX);
    json_t *list = json_array();
    rc = put(to, "tool_calls", list, err); /* `to` owns it, even empty */
    for (size_t i = 0; rc == 0 && i < json_array_size(calls); i++) {
        json_t *call = json_object();
        if (json_array_append_new(list, call) != 0)
            return err_nomem(err, "the messages");
        snprintf(full, sizeof full, "%s.tool_calls[%zu]", path, i);
        rc = normalise_call(call, json_array_get(calls, i), full, err);
    }
    *any = true;
    return rc;
}

static int copy_string(json_t *to, const json_t *message, const char *key,
                       const char *path, struct err *err)
{
    const char *s;
    int rc = json_get_string(message, key, &s, path, err);
    if (rc <= 0)
        return rc;
    return put(to, key, json_incref(json_object_get(message, key)), err);
}

static int normalise_message(json_t *to, const json_t *message, size_t i,
                             bool *has_past_calls, struct err *err)
{
    char path[40], text[64];
    snprintf(path, sizeof path, "messages[%zu]", i);
    if (!json_is_object(message))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(message, text));
    int rc = normalise_role(to, message, path, err);
    if (rc == 0)
        rc = normalise_content(to, message, path, err);
    if (rc == 0)
        rc = copy_string(to, message, "name", path, err);
    if (rc == 0)
        rc = copy_string(to, message, "tool_call_id", path, err);
    if (rc != 0 || strcmp(json_string_value(json_object_get(to, "role")),
                          "assistant") != 0)
        return rc;
    rc = normalise_thoughts(to, message, path, err);
    if (rc == 0)
        rc = normalise_calls(to, message, path, has_past_calls, err);
    return rc;
}

bool chat_messages_is(const json_t *message, const char *role)
{
    const char *is = json_string_value(json_object_get(message, "role"));
    return is != NULL && strcmp(is, role) == 0;
}

/* Templates read messages[0] alone as the system prompt. */
static int merge_system(json_t *messages, struct err *err)
{
    struct buf b = {0};
    size_t n = 0;
    while (chat_messages_is(json_array_get(messages, n), "system"))
        n++;
    if (n < 2)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *v =
            json_object_get(json_array_get(messages, i), "content");
        buf_puts(&b, i > 0 ? "\n" : "");
        buf_put(&b, json_string_value(v), json_string_length(v));
    }
    int rc = put_buf(json_array_get(messages, 0), "content", &b, err);
    while (rc == 0 && n-- > 1)
        json_array_remove(messages, 1);
    return rc;
}

int chat_messages_normalise(json_t **out, const json_t *messages,
                            bool *has_past_calls, struct err *err)
{
    size_t n = json_array_size(messages);
    if (n == 0)
        return err_field(err, "messages",
                         "messages must hold at least one message");
    if (n > CHAT_MESSAGES_MAX)
        return err_field(err, "messages",
                         "messages holds %zu entries, more "
                         "than the %u accepted",
                         n, CHAT_MESSAGES_MAX);
    json_t *list = json_array();
    int rc = list != NULL ? 0 : err_nomem(err, "the messages");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        json_t *to = json_object();
        rc = json_array_append_new(list, to) == 0
                 ? normalise_message(to, json_array_get(messages, i), i,
                                     has_past_calls, err)
                 : err_nomem(err, "the messages");
    }
    if (rc == 0)
        rc = merge_system(list, err);
    if (rc == 0) {
        *out = list;
        return 0;
    }
    json_decref(list);
    return rc;
}
