/* messages_blocks.c -- see messages_blocks.h. */
#include "api/request/messages_blocks.h"

#include <stdio.h>
#include <string.h>

#include "api/request/chat_messages.h"

#define PATH_BYTES 160 /* "messages[4095].content[99].content[99].text" */

/* One message taken apart. */
struct blocks {
    struct buf text, thoughts;
    json_t *calls;   /* owned: of a chat message's tool_calls */
    json_t *results; /* owned: whole tool messages */
};

static int nomem(struct err *err)
{
    return err_nomem(err, "the messages");
}

static int put(json_t *obj, const char *key, json_t *value, struct err *err)
{
    return json_object_set_new(obj, key, value) == 0 ? 0 : nomem(err);
}

static int is_missing(const char *key, const char *path, struct err *err)
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%.120s.%s", path, key);
    return err_field(err, full, "%s is missing", full);
}

/* A required name of an object, borrowed. */
static int need_string(const json_t **out, const json_t *obj, const char *key,
                       const char *path, struct err *err)
{
    const char *s;
    int rc = json_get_string(obj, key, &s, path, err);
    if (rc == 0)
        return is_missing(key, path, err);
    *out = json_object_get(obj, key);
    return rc < 0 ? rc : 0;
}

/* A required text of a block. */
static int add_text(struct buf *b, const json_t *block, const char *key,
                    const char *path, struct err *err)
{
    const char *s;
    size_t n;
    int rc = json_get_text(block, key, &s, &n, path, err);
    if (rc == 0)
        return is_missing(key, path, err);
    if (rc > 0)
        buf_put(b, s, n);
    return rc < 0 ? rc : 0;
}

static const char *type_of(const json_t *block)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    return type != NULL ? type : "";
}

static int check_block(const json_t *block, const char *path, struct err *err)
{
    const json_t *type;
    char text[64];
    if (!json_is_object(block))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(block, text));
    return need_string(&type, block, "type", path, err);
}

static int refuse_type(const char *path, const char *accepted, struct err *err)
{
    char full[PATH_BYTES];
    snprintf(full, sizeof full, "%.120s.type", path);
    return err_field(err, full,
                     "%s must be %s here: this model reads no images and no "
                     "documents, and the server runs no tools",
                     full, accepted);
}

/* A string, or an array of text blocks. */
static int add_texts(struct buf *b, const json_t *v, const char *path,
                     struct err *err)
{
    char full[PATH_BYTES], text[64];
    if (json_is_string(v)) {
        buf_put(b, json_string_value(v), json_string_length(v));
        return 0;
    }
    if (!json_is_array(v))
        return err_field(err, path,
                         "%s must be a string or an array of blocks, not %s",
                         path, json_describe(v, text));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        const json_t *block = json_array_get(v, i);
        snprintf(full, sizeof full, "%.120s[%zu]", path, i);
        rc = check_block(block, full, err);
        if (rc == 0 && strcmp(type_of(block), "text") != 0)
            rc = refuse_type(full, "text", err);
        if (rc == 0)
            rc = add_text(b, block, "text", full, err);
    }
    return rc;
}

/* --- tools -----------------------------------------------------------------
 */

static int add_call(struct blocks *b, const json_t *block, const char *path,
                    struct err *err)
{
    const json_t *id, *name;
    json_t *input = NULL;
    char full[PATH_BYTES];
    if (json_array_size(b->calls) == CHAT_CALLS_MAX)
        return err_field(err, path,
                         "%s is one call more than the %u accepted in a "
                         "message",
                         path, CHAT_CALLS_MAX);
    int rc = need_string(&id, block, "id", path, err);
    if (rc == 0)
        rc = need_string(&name, block, "name", path, err);
    if (rc != 0)
        return rc;
    size_t n = strlen(json_string_value(name));
    if (n == 0 || n > CHAT_TOOL_NAME_BYTES_MAX) {
        snprintf(full, sizeof full, "%.120s.name", path);
        return err_field(err, full, "%s must have 1 to %u bytes", full,
                         CHAT_TOOL_NAME_BYTES_MAX);
    }
    rc = json_get_object(block, "input", &input, path, err);
    if (rc < 0)
        return rc;
    input = rc > 0 ? json_incref(input) : json_object();
    json_t *call = input == NULL ? NULL
                                 : json_pack("{s:O, s:s, s:{s:O, s:O}}", "id",
                                             id, "type", "function", "function",
                                             "name", name, "arguments", input);
    json_decref(input);
    return json_array_append_new(b->calls, call) == 0 ? 0 : nomem(err);
}

/* A failure is told by its text alone; models are shown no flag. */
static int add_result(struct blocks *b, const json_t *block, const char *path,
                      struct err *err)
{
    const json_t *id, *content = json_object_get(block, "content");
    struct buf text = {0};
    bool failed;
    char full[PATH_BYTES];
    if (json_array_size(b->results) == CHAT_MESSAGES_MAX)
        return err_field(err, path,
                         "%s is one result more than the %u accepted", path,
                         CHAT_MESSAGES_MAX);
    int rc = need_string(&id, block, "tool_use_id", path, err);
    if (rc == 0)
        rc = json_get_bool(block, "is_error", &failed, path, err);
    if (rc < 0)
        return rc;
    snprintf(full, sizeof full, "%.120s.content", path);
    rc = content == NULL || json_is_null(content)
             ? 0
             : add_texts(&text, content, full, err);
    if (rc == 0) {
        json_t *message =
            buf_ok(&text)
                ? json_pack("{s:s, s:s%, s:O}", "role", "tool", "content",
                            buf_str(&text), text.len, "tool_call_id", id)
                : NULL;
        rc = json_array_append_new(b->results, message) == 0 ? 0 : nomem(err);
    }
    buf_deinit(&text);
    return rc;
}

/* --- messages --------------------------------------------------------------
 */

static int add_user_block(struct blocks *b, const json_t *block,
                          const char *path, struct err *err)
{
    if (strcmp(type_of(block), "tool_result") == 0)
        return add_result(b, block, path, err);
    return refuse_type(path, "text or tool_result", err);
}

static int add_assistant_block(struct blocks *b, const json_t *block,
                               const char *path, struct err *err)
{
    const char *type = type_of(block);
    if (strcmp(type, "thinking") == 0)
        return add_text(&b->thoughts, block, "thinking", path, err);
    if (strcmp(type, "redacted_thinking") == 0)
        return 0; /* for whoever has the key */
    if (strcmp(type, "tool_use") == 0)
        return add_call(b, block, path, err);
    return refuse_type(path, "text, thinking, redacted_thinking or tool_use",
                       err);
}

static int add_block(struct blocks *b, const char *role, const json_t *block,
                     const char *path, struct err *err)
{
    int rc = check_block(block, path, err);
    if (rc != 0)
        return rc;
    if (strcmp(type_of(block), "text") == 0)
        return add_text(&b->text, block, "text", path, err);
    if (strcmp(role, "user") == 0)
        return add_user_block(b, block, path, err);
    if (strcmp(role, "assistant") == 0)
        return add_assistant_block(b, block, path, err);
    return refuse_type(path, "text", err);
}

static int read_blocks(struct blocks *b, const char *role,
                       const json_t *content, const char *path, struct err *err)
{
    char full[PATH_BYTES];
    int rc = 0;
    snprintf(full, sizeof full, "%s.content", path);
    if (content == NULL || json_is_null(content))
        return err_field(err, full, "%s is missing", full);
    if (!json_is_array(content))
        return add_texts(&b->text, content, full, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(content); i++) {
        snprintf(full, sizeof full, "%s.content[%zu]", path, i);
        rc = add_block(b, role, json_array_get(content, i), full, err);
    }
    return rc;
}

static int put_text(json_t *to, const char *key, const struct buf *b,
                    struct err *err)
{
    return put(to, key, buf_ok(b) ? json_stringn(buf_str(b), b->len) : NULL,
               err);
}

/* The results, then the message itself unless they were all of it. */
static int add_told(json_t *list, const char *role, const struct blocks *b,
                    struct err *err)
{
    const bool results = json_array_size(b->results) > 0;
    if (json_array_extend(list, b->results) != 0)
        return nomem(err);
    if (results && b->text.len == 0 && buf_ok(&b->text))
        return 0;
    json_t *to = json_object();
    if (json_array_append_new(list, to) != 0)
        return nomem(err);
    int rc = put(to, "role", json_string(role), err);
    if (rc == 0)
        rc = put_text(to, "content", &b->text, err);
    if (rc == 0 && (b->thoughts.len > 0 || !buf_ok(&b->thoughts)))
        rc = put_text(to, "reasoning_content", &b->thoughts, err);
    if (rc == 0 && json_array_size(b->calls) > 0)
        rc = put(to, "tool_calls", json_incref(b->calls), err);
    return rc;
}

/* The role of a message; NULL: the error says what is wrong. */
static const char *role_of(const json_t *message, const char *path,
                           struct err *err)
{
    char full[64], text[64];
    const json_t *v;
    if (!json_is_object(message)) {
        (void)err_field(err, path, "%s must be an object, not %s", path,
                        json_describe(message, text));
        return NULL;
    }
    if (need_string(&v, message, "role", path, err) != 0)
        return NULL;
    const char *role = json_string_value(v);
    if (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 ||
        strcmp(role, "system") == 0)
        return role;
    snprintf(full, sizeof full, "%.40s.role", path);
    (void)err_field(err, full, "%s must be user, assistant or system", full);
    return NULL;
}

static bool is_assistant(const json_t *message)
{
    return chat_messages_is(message, "assistant");
}

static int read_message(struct blocks *b, const char **role,
                        const json_t *message, size_t i, struct err *err)
{
    char path[40];
    snprintf(path, sizeof path, "messages[%zu]", i);
    *role = role_of(message, path, err);
    if (*role == NULL)
        return -ERR_INVALID;
    return read_blocks(b, *role, json_object_get(message, "content"), path,
                       err);
}

/* One turn from messages[*i] on, which is behind it afterwards: several
 * messages of an assistant in a row are one. */
static int add_turn(json_t *list, const json_t *messages, size_t *i,
                    struct err *err)
{
    const char *role = NULL;
    const json_t *message;
    struct blocks b = {.calls = json_array(), .results = json_array()};
    int rc = b.calls != NULL && b.results != NULL ? 0 : nomem(err);
    do {
        message = json_array_get(messages, *i);
        if (rc == 0)
            rc = read_message(&b, &role, message, *i, err);
        ++*i;
    } while (rc == 0 && is_assistant(message) &&
             is_assistant(json_array_get(messages, *i)));
    if (rc == 0)
        rc = add_told(list, role, &b, err);
    buf_deinit(&b.text);
    buf_deinit(&b.thoughts);
    json_decref(b.calls);
    json_decref(b.results);
    return rc;
}

int messages_add_all(json_t *list, const json_t *messages, struct err *err)
{
    int rc = 0;
    const size_t n = json_array_size(messages);
    if (n == 0)
        return err_field(err, "messages",
                         "messages must hold at least one message");
    if (n > CHAT_MESSAGES_MAX)
        return err_field(err, "messages",
                         "messages holds %zu messages, more than the %u "
                         "accepted",
                         n, CHAT_MESSAGES_MAX);
    for (size_t i = 0; rc == 0 && i < n;) {
        rc = add_turn(list, messages, &i, err);
        if (rc == 0 && json_array_size(list) > CHAT_MESSAGES_MAX)
            rc = err_field(err, "messages",
                           "messages holds more turns and tool results than "
                           "the %u accepted",
                           CHAT_MESSAGES_MAX);
    }
    return rc;
}

/* --- the system prompt -----------------------------------------------------
 */

/* Claude Code begins with a line about itself whose "cch=a5145;" differs from
 * request to request: with it, no prompt would share a prefix with another. */
static void drop_stamp(struct buf *b)
{
    static const char head[] = "x-anthropic-billing-header:";
    if (!buf_ok(b) || strncmp(buf_str(b), head, sizeof head - 1) != 0)
        return;
    char *stamp = strstr(b->data, "cch=");
    const char *line = strchr(b->data, '\n');
    if (stamp == NULL || (line != NULL && line < stamp))
        return;
    size_t n = strcspn(stamp, ";\n");
    memmove(stamp, stamp + n, b->len - (size_t)(stamp - b->data) - n + 1);
    b->len -= n;
}

int messages_add_system(json_t *list, const json_t *system, struct err *err)
{
    struct buf text = {0};
    if (system == NULL || json_is_null(system))
        return 0;
    int rc = add_texts(&text, system, "system", err);
    drop_stamp(&text);
    if (rc == 0 && (text.len > 0 || !buf_ok(&text))) {
        json_t *message = buf_ok(&text)
                              ? json_pack("{s:s, s:s%}", "role", "system",
                                          "content", buf_str(&text), text.len)
                              : NULL;
        rc = json_array_append_new(list, message) == 0 ? 0 : nomem(err);
    }
    buf_deinit(&text);
    return rc;
}
