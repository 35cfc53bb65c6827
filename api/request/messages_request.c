/* messages_request.c -- see messages_request.h. */
#include "api/request/messages_request.h"

#include <stdio.h>
#include <string.h>

#include "api/request/chat_messages.h"
#include "api/request/messages_blocks.h"
#include "api/request/request_body.h"

#define PATH_BYTES 96

static int put(json_t *obj, const char *key, json_t *value, struct err *err)
{
    if (json_object_set_new(obj, key, value) != 0)
        return err_nomem(err, "the request");
    return 0;
}

/* NULL where the client says null. */
static json_t *given(const json_t *obj, const char *key)
{
    json_t *v = json_object_get(obj, key);
    return json_is_null(v) ? NULL : v;
}

/* Fields that a chat has under the same name, ours among them. */
static int copy_same(json_t *chat, const json_t *body, struct err *err)
{
    static const char *const keys[] = {
        "model",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stream",
        "min_p",
        "seed",
        "cache_prompt",
        "cache_salt",
        "repetition_penalty",
        "priority",
        "min_tokens",
        "ignore_eos",
        "chat_template_kwargs",
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof keys / sizeof *keys; i++) {
        json_t *v = json_object_get(body, keys[i]);
        if (v != NULL)
            rc = put(chat, keys[i], json_incref(v), err);
    }
    return rc;
}

static int read_limits(json_t *chat, const json_t *body, enum messages_use use,
                       struct err *err)
{
    json_t *stops;
    if (use == MESSAGES_ANSWER && given(body, "max_tokens") == NULL)
        return err_field(err, "max_tokens", "max_tokens is missing");
    int rc = json_get_array(body, "stop_sequences", &stops, "", err);
    return rc > 0 ? put(chat, "stop", json_incref(stops), err) : rc;
}

static int read_messages(json_t *chat, const json_t *body, struct err *err)
{
    json_t *messages, *list = json_array();
    int rc = put(chat, "messages", list, err);
    if (rc == 0)
        rc = messages_add_system(list, json_object_get(body, "system"), err);
    if (rc != 0)
        return rc;
    rc = json_get_array(body, "messages", &messages, "", err);
    if (rc == 0)
        return err_field(err, "messages", "messages is missing");
    return rc < 0 ? rc : messages_add_all(list, messages, err);
}

/* --- tools -----------------------------------------------------------------
 */

static int check_name(const char *name, const char *path, struct err *err)
{
    char full[PATH_BYTES];
    if (*name != '\0' && strlen(name) <= CHAT_TOOL_NAME_BYTES_MAX)
        return 0;
    snprintf(full, sizeof full, "%.80s.name", path);
    return err_field(err, full, "%s must have 1 to %u bytes", full,
                     CHAT_TOOL_NAME_BYTES_MAX);
}

/* {"name", "description", "input_schema", "strict"}; `type` is custom. */
static int add_tool(json_t *list, const json_t *tool, const char *path,
                    struct err *err)
{
    const char *type = "custom", *name = "", *about;
    char full[PATH_BYTES], text[64];
    json_t *schema;
    bool strict;
    size_t n;
    if (!json_is_object(tool))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(tool, text));
    int rc = json_get_string(tool, "type", &type, path, err);
    if (rc >= 0 && strcmp(type, "custom") != 0) {
        snprintf(full, sizeof full, "%.80s.type", path);
        return err_field(err, full,
                         "%s must be custom: tools that Anthropic defines or "
                         "runs are not known here",
                         full);
    }
    if (rc >= 0)
        rc = json_get_string(tool, "name", &name, path, err);
    if (rc >= 0)
        rc = check_name(name, path, err);
    if (rc >= 0)
        rc = json_get_text(tool, "description", &about, &n, path, err);
    if (rc >= 0)
        rc = json_get_bool(tool, "strict", &strict, path, err);
    if (rc >= 0)
        rc = json_get_object(tool, "input_schema", &schema, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        snprintf(full, sizeof full, "%.80s.input_schema", path);
        return err_field(err, full, "%s is missing", full);
    }
    json_t *made =
        json_pack("{s:s, s:{s:O, s:O*, s:O, s:O*}}", "type", "function",
                  "function", "name", json_object_get(tool, "name"),
                  "description", given(tool, "description"), "parameters",
                  schema, "strict", given(tool, "strict"));
    if (json_array_append_new(list, made) != 0)
        return err_nomem(err, "the tools");
    return 0;
}

static int read_tools(json_t *chat, const json_t *body, struct err *err)
{
    json_t *tools, *list;
    char path[PATH_BYTES];
    int rc = json_get_array(body, "tools", &tools, "", err);
    if (rc <= 0)
        return rc;
    if (json_array_size(tools) > CHAT_TOOLS_MAX)
        return err_field(err, "tools",
                         "tools holds %zu tools, more than the %u accepted",
                         json_array_size(tools), CHAT_TOOLS_MAX);
    list = json_array();
    rc = put(chat, "tools", list, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(tools); i++) {
        snprintf(path, sizeof path, "tools[%zu]", i);
        rc = add_tool(list, json_array_get(tools, i), path, err);
    }
    return rc;
}

static int put_choice(json_t *chat, const json_t *choice, struct err *err)
{
    static const char at[] = "tool_choice";
    const char *type, *name = "";
    int rc = json_get_string(choice, "type", &type, at, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, "tool_choice.type",
                         "tool_choice.type is missing");
    if (strcmp(type, "auto") == 0 || strcmp(type, "none") == 0)
        return put(chat, at, json_string(type), err);
    if (strcmp(type, "any") != 0 && strcmp(type, "tool") != 0)
        return err_field(err, "tool_choice.type",
                         "tool_choice.type must be auto, any, tool or none");
    if (json_array_size(json_object_get(chat, "tools")) == 0)
        return err_field(err, at,
                         "tool_choice wants a call, but there are no "
                         "tools");
    if (strcmp(type, "any") == 0)
        return put(chat, at, json_string("required"), err);
    rc = json_get_string(choice, "name", &name, at, err);
    if (rc >= 0)
        rc = check_name(name, at, err);
    if (rc < 0)
        return rc;
    return put(chat, at,
               json_pack("{s:s, s:{s:O}}", "type", "function", "function",
                         "name", json_object_get(choice, "name")),
               err);
}

static int read_tool_choice(json_t *chat, const json_t *body, struct err *err)
{
    json_t *choice;
    bool single = false;
    int rc = json_get_object(body, "tool_choice", &choice, "", err);
    if (rc <= 0)
        return rc;
    rc = put_choice(chat, choice, err);
    if (rc == 0)
        rc = json_get_bool(choice, "disable_parallel_tool_use", &single,
                           "tool_choice", err);
    if (rc >= 0 && single)
        rc = put(chat, "parallel_tool_calls", json_false(), err);
    return rc < 0 ? rc : 0;
}

/* --- how to think and what to say ------------------------------------------
 */

/* "adaptive" and "between_tools" leave it to the model, as silence does.
 * Thoughts whose display is "omitted" are not shown. */
static int read_thinking(json_t *chat, const json_t *body, struct err *err)
{
    static const char at[] = "thinking";
    const char *type, *display = "summarized";
    int64_t budget = 0;
    json_t *v;
    int rc = json_get_object(body, at, &v, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_string(v, "type", &type, at, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, "thinking.type", "thinking.type is missing");
    if (strcmp(type, "disabled") == 0)
        return put(chat, "reasoning_effort", json_string("none"), err);
    if (strcmp(type, "enabled") == 0) {
        rc = json_get_range(v, "budget_tokens", &budget, 1, INT32_MAX, at, err);
        if (rc == 0)
            return err_field(err, "thinking.budget_tokens",
                             "thinking.budget_tokens is missing");
        if (rc > 0)
            rc = put(chat, "thinking_token_budget", json_integer(budget), err);
    } else if (strcmp(type, "adaptive") != 0 &&
               strcmp(type, "between_tools") != 0) {
        return err_field(err, "thinking.type",
                         "thinking.type must be enabled, adaptive, "
                         "between_tools or disabled");
    }
    if (rc >= 0)
        rc = json_get_string(v, "display", &display, at, err);
    if (rc < 0)
        return rc;
    if (strcmp(display, "omitted") == 0)
        return put(chat, "include_reasoning", json_false(), err);
    if (strcmp(display, "summarized") != 0)
        return err_field(err, "thinking.display",
                         "thinking.display must be summarized or omitted");
    return 0;
}

/* {"type": "json_schema", "schema": {...}} */
static int put_format(json_t *chat, const json_t *format, const char *path,
                      struct err *err)
{
    const char *type = "";
    char full[PATH_BYTES];
    json_t *schema;
    int rc = json_get_string(format, "type", &type, path, err);
    if (rc < 0)
        return rc;
    if (strcmp(type, "json_schema") != 0) {
        snprintf(full, sizeof full, "%.80s.type", path);
        return err_field(err, full, "%s must be json_schema", full);
    }
    rc = json_get_object(format, "schema", &schema, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        snprintf(full, sizeof full, "%.80s.schema", path);
        return err_field(err, full, "%s is missing", full);
    }
    return put(chat, "response_format",
               json_pack("{s:s, s:{s:O}}", "type", "json_schema", "json_schema",
                         "schema", schema),
               err);
}

/* output_format is what the field was called first. */
static int read_output(json_t *chat, const json_t *body, struct err *err)
{
    const char *effort;
    json_t *config, *format;
    int rc = json_get_object(body, "output_format", &format, "", err);
    if (rc > 0)
        rc = put_format(chat, format, "output_format", err);
    if (rc >= 0)
        rc = json_get_object(body, "output_config", &config, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_object(config, "format", &format, "output_config", err);
    if (rc > 0)
        rc = put_format(chat, format, "output_config.format", err);
    if (rc >= 0)
        rc = json_get_string(config, "effort", &effort, "output_config", err);
    if (rc > 0 && json_object_get(chat, "reasoning_effort") == NULL)
        rc = put(chat, "reasoning_effort", json_string(effort), err);
    return rc < 0 ? rc : 0;
}

/* --- errors of the chat, in the client's words -----------------------------
 */

/* `from` at the beginning of param and text becomes `to`. */
static bool rename_field(struct err *err, const char *from, const char *to)
{
    const size_t n = strlen(from);
    const struct err was = *err;
    if (strncmp(was.param, from, n) != 0 || strchr("[.", was.param[n]) == NULL)
        return false; /* strchr finds the NUL too */
    snprintf(err->param, sizeof err->param, "%s%s", to, was.param + n);
    if (strncmp(was.text, from, n) == 0)
        snprintf(err->text, sizeof err->text, "%s%s", to, was.text + n);
    return true;
}

static void rename_fields(struct err *err, const json_t *body)
{
    const bool config = json_is_object(
        json_object_get(json_object_get(body, "output_config"), "format"));
    if (rename_field(err, "stop", "stop_sequences") ||
        rename_field(err, "reasoning_effort", "output_config.effort"))
        return;
    (void)rename_field(err, "response_format.json_schema",
                       config ? "output_config.format" : "output_format");
}

/* --- all of it -------------------------------------------------------------
 */

static int convert(json_t *chat, const json_t *body, enum messages_use use,
                   struct err *err)
{
    int rc = copy_same(chat, body, err);
    if (rc == 0)
        rc = read_limits(chat, body, use, err);
    if (rc == 0)
        rc = read_messages(chat, body, err);
    if (rc == 0)
        rc = read_tools(chat, body, err);
    if (rc == 0)
        rc = read_tool_choice(chat, body, err);
    if (rc == 0)
        rc = read_thinking(chat, body, err);
    return rc == 0 ? read_output(chat, body, err) : rc;
}

int messages_request_parse(struct chat_request *r, const char *body, size_t n,
                           uint32_t n_vocab, size_t arena_limit,
                           enum messages_use use, struct err *err)
{
    json_t *root, *chat;
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    chat = json_object();
    rc = chat != NULL ? convert(chat, root, use, err)
                      : err_nomem(err, "the request");
    if (rc == 0) {
        rc = chat_request_read(r, chat, n_vocab, arena_limit, err);
        if (rc == -ERR_INVALID)
            rename_fields(err, root);
    }
    if (rc == 0)
        r->sampling.clips_max_tokens = true;
    json_decref(chat);
    json_decref(root);
    return rc;
}
