/* responses_tools.c -- see responses_tools.h. */
#include "api/request/responses_tools.h"

#include <stdio.h>
#include <string.h>

#include "api/request/chat_messages.h"
#include "api/request/chat_request.h"
#include "api/request/responses_words.h"

#define PATH_BYTES 64

static int nomem(struct err *err)
{
    return err_nomem(err, "the tools");
}

static int put(json_t *obj, const char *key, json_t *value, struct err *err)
{
    return json_object_set_new(obj, key, value) == 0 ? 0 : nomem(err);
}

/* {"type": "function", "name": ...}, in `tools` and wherever one of them is
 * pointed at. */
static int check_function(const json_t *tool, const char *path, struct err *err)
{
    const char *s;
    char full[PATH_BYTES], text[64];
    if (!json_is_object(tool))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(tool, text));
    int rc = json_get_string(tool, "type", &s, path, err);
    if (rc < 0)
        return rc;
    snprintf(full, sizeof full, "%.50s.type", path);
    if (rc == 0)
        return err_field(err, full, "%s is missing", full);
    if (strcmp(s, "function") != 0)
        return err_field(err, full,
                         "%s must be function: a tool of the type %s cannot be "
                         "used here",
                         full, responses_name(s));
    rc = json_get_string(tool, "name", &s, path, err);
    if (rc < 0)
        return rc;
    size_t n = rc > 0 ? json_string_length(json_object_get(tool, "name")) : 0;
    if (n > 0 && n <= CHAT_TOOL_NAME_BYTES_MAX)
        return 0;
    snprintf(full, sizeof full, "%.50s.name", path);
    return err_field(err, full, "%s must have 1 to %u bytes", full,
                     CHAT_TOOL_NAME_BYTES_MAX);
}

static int check_tool(const json_t *tool, const char *path, struct err *err)
{
    const char *s;
    size_t n;
    json_t *parameters;
    bool strict;
    int rc = check_function(tool, path, err);
    if (rc == 0)
        rc = json_get_text(tool, "description", &s, &n, path, err);
    if (rc >= 0)
        rc = json_get_object(tool, "parameters", &parameters, path, err);
    if (rc >= 0)
        rc = json_get_bool(tool, "strict", &strict, path, err);
    return rc < 0 ? rc : 0;
}

/* The tool in the shape of a chat: what was given, in the order in which a
 * chat's clients write it, since templates show it to the model like that. */
static json_t *as_chat(const json_t *tool)
{
    static const char *const keys[] = {"name", "description", "parameters",
                                       "strict"};
    json_t *function = json_object(), *out = json_object();
    int failed = function == NULL;
    for (size_t i = 0; i < 4; i++) {
        json_t *v = json_object_get(tool, keys[i]);
        if (v != NULL && !json_is_null(v))
            failed |= json_object_set(function, keys[i], v);
    }
    failed |= json_object_set_new(out, "type", json_string("function"));
    failed |= json_object_set_new(out, "function", function);
    if (!failed)
        return out;
    json_decref(out);
    return NULL;
}

/* What the answer repeats: all members, so that typed clients find them. */
static json_t *as_echo(const json_t *tool)
{
    json_t *description = json_object_get(tool, "description");
    json_t *parameters = json_object_get(tool, "parameters");
    return json_pack("{s:s, s:O, s:O?, s:O?, s:b}", "type", "function", "name",
                     json_object_get(tool, "name"), "description", description,
                     "parameters", parameters, "strict",
                     json_is_true(json_object_get(tool, "strict")));
}

static int read_tools(json_t *chat, json_t *echo, const json_t *body,
                      struct err *err)
{
    json_t *tools = NULL;
    char path[PATH_BYTES];
    int rc = json_get_array(body, "tools", &tools, "", err);
    if (rc < 0)
        return rc;
    if (json_array_size(tools) > CHAT_TOOLS_MAX)
        return err_field(err, "tools",
                         "tools holds %zu tools, more than the %u accepted",
                         json_array_size(tools), CHAT_TOOLS_MAX);
    json_t *list = json_array(), *echoed = json_array();
    rc = put(chat, "tools", list, err); /* owned there, even if empty */
    if (put(echo, "tools", echoed, err) != 0)
        rc = -ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        snprintf(path, sizeof path, "tools[%zu]", i);
        rc = check_tool(tool, path, err);
        if (rc == 0 && (json_array_append_new(list, as_chat(tool)) != 0 ||
                        json_array_append_new(echoed, as_echo(tool)) != 0))
            rc = nomem(err);
    }
    return rc;
}

/* {"type": "function", "function": {"name": ...}} */
static json_t *pointer(const json_t *tool)
{
    return json_pack("{s:s, s:{s:O}}", "type", "function", "function", "name",
                     json_object_get(tool, "name"));
}

/* {"type": "allowed_tools", "mode", "tools": [{"type", "name"}, ...]} */
static int read_allowed(json_t *chat, const json_t *choice, struct err *err)
{
    static const char at[] = "tool_choice";
    const char *mode = "auto";
    json_t *tools;
    char path[PATH_BYTES];
    int rc = json_get_string(choice, "mode", &mode, at, err);
    if (rc < 0)
        return rc;
    if (strcmp(mode, "auto") != 0 && strcmp(mode, "required") != 0)
        return err_field(err, "tool_choice.mode",
                         "tool_choice.mode must be auto or required");
    rc = json_get_array(choice, "tools", &tools, at, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || json_array_size(tools) == 0)
        return err_field(err, "tool_choice.tools",
                         "tool_choice.tools must name at least one tool");
    json_t *list = json_array();
    json_t *made = json_pack("{s:s, s:{s:s, s:O}}", "type", "allowed_tools",
                             "allowed_tools", "mode", mode, "tools", list);
    rc = list != NULL ? put(chat, at, made, err) : nomem(err);
    for (size_t i = 0; rc == 0 && i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        snprintf(path, sizeof path, "tool_choice.tools[%zu]", i);
        rc = check_function(tool, path, err);
        if (rc == 0 && json_array_append_new(list, pointer(tool)) != 0)
            rc = nomem(err);
    }
    json_decref(list);
    return rc;
}

static int read_choice(json_t *chat, json_t *echo, const json_t *body,
                       struct err *err)
{
    static const char at[] = "tool_choice";
    json_t *choice = json_object_get(body, at);
    const char *type;
    if (choice == NULL || json_is_null(choice))
        return put(echo, at, json_string("auto"), err);
    int rc = put(echo, at, json_incref(choice), err);
    if (rc != 0 || !json_is_object(choice))
        return rc != 0 ? rc : put(chat, at, json_incref(choice), err);
    rc = json_get_string(choice, "type", &type, at, err);
    if (rc > 0 && strcmp(type, "allowed_tools") == 0)
        return read_allowed(chat, choice, err);
    if (rc >= 0)
        rc = check_function(choice, at, err);
    return rc == 0 ? put(chat, at, pointer(choice), err) : rc;
}

int responses_tools(json_t *chat, json_t *echo, const json_t *body,
                    struct err *err)
{
    int rc = read_tools(chat, echo, body, err);
    return rc == 0 ? read_choice(chat, echo, body, err) : rc;
}
