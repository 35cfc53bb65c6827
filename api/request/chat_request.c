/* chat_request.c -- see chat_request.h. */
#include "api/request/chat_request.h"

#include <stdio.h>
#include <string.h>

#include "api/request/chat_messages.h"
#include "api/request/constraint.h"
#include "api/request/request_body.h"
#include "model/grammar/grammar.h"

/* What the template gets from us and from nobody else. */
static const char *const reserved_kwargs[] = {
    "messages",      "tools",     "documents", "add_generation_prompt",
    "tokenize",      "bos_token", "eos_token", "continue_final_message",
    "chat_template",
};

static const char *tool_name_of(const json_t *tool)
{
    return json_string_value(
        json_object_get(json_object_get(tool, "function"), "name"));
}

/* {"type": "function", "function": {"name": ...}}, in `tools` and wherever one
 * of them is pointed at. */
static int check_tool(const json_t *tool, const char *path, struct err *err)
{
    char full[128], text[64];
    const char *s;
    size_t n;
    json_t *function, *parameters;
    bool strict;
    if (!json_is_object(tool))
        return err_field(err, path, "%s must be an object, not %s", path,
                         json_describe(tool, text));
    int rc = json_get_string(tool, "type", &s, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || strcmp(s, "function") != 0) {
        snprintf(full, sizeof full, "%s.type", path);
        return err_field(err, full, "%s must be \"function\"", full);
    }
    snprintf(full, sizeof full, "%s.function", path);
    rc = json_get_object(tool, "function", &function, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, full, "%s is missing", full);
    rc = json_get_string(function, "name", &s, full, err);
    if (rc >= 0 &&
        (rc == 0 || *s == '\0' || strlen(s) > CHAT_TOOL_NAME_BYTES_MAX)) {
        snprintf(full, sizeof full, "%s.function.name", path);
        return err_field(err, full, "%s must have 1 to %u bytes", full,
                         CHAT_TOOL_NAME_BYTES_MAX);
    }
    if (rc >= 0)
        rc = json_get_text(function, "description", &s, &n, full, err);
    if (rc >= 0)
        rc = json_get_object(function, "parameters", &parameters, full, err);
    if (rc >= 0)
        rc = json_get_bool(function, "strict", &strict, full, err);
    return rc < 0 ? rc : 0;
}

static int read_tools(struct chat_request *r, const json_t *body,
                      struct err *err)
{
    json_t *tools;
    char path[64];
    int rc = json_get_array(body, "tools", &tools, "", err);
    if (rc <= 0)
        return rc;
    size_t n = json_array_size(tools);
    if (n > CHAT_TOOLS_MAX)
        return err_field(err, "tools",
                         "tools holds %zu tools, more than the "
                         "%u accepted",
                         n, CHAT_TOOLS_MAX);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "tools[%zu]", i);
        rc = check_tool(json_array_get(tools, i), path, err);
        if (rc != 0)
            return rc;
    }
    if (n > 0) {
        r->tools = json_incref(tools);
        r->listed_tools = json_incref(tools);
    }
    return 0;
}

static json_t *find_tool(const struct chat_request *r, const char *name)
{
    for (size_t i = 0; i < json_array_size(r->tools); i++)
        if (strcmp(tool_name_of(json_array_get(r->tools, i)), name) == 0)
            return json_array_get(r->tools, i);
    return NULL;
}

static int read_named_choice(struct chat_request *r, const json_t *choice,
                             struct err *err)
{
    int rc = check_tool(choice, "tool_choice", err);
    if (rc != 0)
        return rc;
    const char *name = tool_name_of(choice);
    if (find_tool(r, name) == NULL)
        return err_field(err, "tool_choice",
                         "tool_choice names a function "
                         "that is not in tools");
    r->tool_choice = TOOL_CHOICE_NAMED;
    r->tool_name = arena_strdup(r->arena, name);
    return r->tool_name != NULL ? 0 : err_nomem(err, "tool_choice");
}

static bool holds(const json_t *tools, const json_t *tool)
{
    for (size_t i = 0; i < json_array_size(tools); i++)
        if (json_array_get(tools, i) == tool)
            return true;
    return false;
}

/* {"type": "allowed_tools", "allowed_tools": {"mode", "tools": [...]}}; one
 * that is named again and again is in the prompt once. */
static int read_allowed_tools(struct chat_request *r, const json_t *choice,
                              struct err *err)
{
    static const char at[] = "tool_choice.allowed_tools";
    json_t *allowed, *list;
    const char *mode = "auto";
    char path[64];
    int rc =
        json_get_object(choice, "allowed_tools", &allowed, "tool_choice", err);
    if (rc == 0)
        return err_field(err, at, "%s is missing", at);
    if (rc > 0)
        rc = json_get_string(allowed, "mode", &mode, at, err);
    if (rc < 0)
        return rc;
    if (strcmp(mode, "auto") != 0 && strcmp(mode, "required") != 0)
        return err_field(err, "tool_choice.allowed_tools.mode",
                         "%s.mode must be auto or required", at);
    rc = json_get_array(allowed, "tools", &list, at, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || json_array_size(list) == 0)
        return err_field(err, "tool_choice.allowed_tools.tools",
                         "%s.tools must name at least one tool", at);
    json_t *kept = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        snprintf(path, sizeof path, "%s.tools[%zu]", at, i);
        rc = check_tool(json_array_get(list, i), path, err);
        json_t *tool = rc == 0
                           ? find_tool(r, tool_name_of(json_array_get(list, i)))
                           : NULL;
        if (rc == 0 && tool == NULL)
            rc = err_field(err, path, "%s is not in tools", path);
        if (rc == 0 && !holds(kept, tool) && json_array_append(kept, tool) != 0)
            rc = err_nomem(err, "tool_choice");
        if (rc != 0) {
            json_decref(kept);
            return rc;
        }
    }
    json_decref(r->tools);
    r->tools = kept;
    if (strcmp(mode, "required") == 0)
        r->tool_choice = TOOL_CHOICE_REQUIRED;
    return 0;
}

static int read_tool_choice(struct chat_request *r, const json_t *body,
                            struct err *err)
{
    const json_t *v = json_object_get(body, "tool_choice");
    const char *type;
    int rc = 0;
    if (v == NULL || json_is_null(v))
        return 0;
    if (json_is_string(v)) {
        const char *s;
        rc = json_get_string(body, "tool_choice", &s, "", err);
        if (rc < 0)
            return rc;
        rc = 0;
        if (strcmp(s, "none") == 0)
            r->tool_choice = TOOL_CHOICE_NONE;
        else if (strcmp(s, "required") == 0)
            r->tool_choice = TOOL_CHOICE_REQUIRED;
        else if (strcmp(s, "auto") != 0)
            return err_field(err, "tool_choice",
                             "tool_choice must be none, "
                             "auto, required or an object");
    } else if (json_is_object(v)) {
        rc = json_get_string(v, "type", &type, "tool_choice", err);
        if (rc < 0)
            return rc;
        if (rc > 0 && strcmp(type, "allowed_tools") == 0)
            rc = read_allowed_tools(r, v, err);
        else
            rc = read_named_choice(r, v, err);
    } else {
        return err_field(err, "tool_choice",
                         "tool_choice must be none, auto, "
                         "required or an object");
    }
    if (rc == 0 && r->tools == NULL && r->tool_choice == TOOL_CHOICE_REQUIRED)
        return err_field(err, "tool_choice",
                         "tool_choice is required, but there are no tools");
    return rc;
}

static int read_kwargs(struct chat_request *r, const json_t *body,
                       struct err *err)
{
    static const char at[] = "chat_template_kwargs";
    json_t *kwargs;
    char full[64];
    int rc = json_get_object(body, at, &kwargs, "", err);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; i < sizeof reserved_kwargs / sizeof *reserved_kwargs;
         i++) {
        if (json_object_get(kwargs, reserved_kwargs[i]) == NULL)
            continue;
        snprintf(full, sizeof full, "%s.%s", at, reserved_kwargs[i]);
        return err_field(err, full, "%s cannot be set: the server sets %s",
                         full, reserved_kwargs[i]);
    }
    r->template_kwargs = json_copy_object(kwargs);
    return r->template_kwargs != NULL ? 0 : err_nomem(err, at);
}

static int read_logprobs(struct chat_request *r, const json_t *body,
                         struct err *err)
{
    int64_t top = 0;
    int rc = json_get_bool(body, "logprobs", &r->want_logprobs, "", err);
    if (rc >= 0)
        rc = json_get_range(body, "top_logprobs", &top, 0,
                            SAMPLING_LOGPROBS_MAX, "", err);
    if (rc < 0)
        return rc;
    if (top > 0 && !r->want_logprobs)
        return err_field(err, "top_logprobs",
                         "top_logprobs needs logprobs to be true");
    r->n_top_logprobs = (uint32_t)top;
    return 0;
}

static bool is_assistant(const json_t *message)
{
    return chat_messages_is(message, "assistant");
}

/* An assistant's last message is continued unless the request says what else
 * to do with it, as llama-server, Ollama and Anthropic do: a turn of the
 * assistant's behind a turn of the assistant's is nothing a model has seen, and
 * who sends one wants it finished. */
static int read_continuation(struct chat_request *r, const json_t *body,
                             struct err *err)
{
    static const char field[] = "continue_final_message";
    const size_t n = json_array_size(r->messages);
    const json_t *last = json_array_get(r->messages, n - 1);
    const bool fits =
        is_assistant(last) && json_object_get(last, "tool_calls") == NULL;
    bool wanted = false;
    r->add_generation_prompt = true;
    const int opens = json_get_bool(body, "add_generation_prompt",
                                    &r->add_generation_prompt, "", err);
    if (opens < 0)
        return opens;
    const int rc = json_get_bool(body, field, &wanted, "", err);
    if (rc < 0)
        return rc;
    if (wanted && opens > 0 && r->add_generation_prompt)
        return err_field(err, field,
                         "%s and add_generation_prompt cannot both be true",
                         field);
    if (wanted && !fits)
        return err_field(err, field,
                         "%s needs an assistant message without tool_calls at "
                         "the end of messages",
                         field);
    r->continues = wanted || (fits && rc == 0 && opens == 0);
    if (r->continues && n > 1 &&
        is_assistant(json_array_get(r->messages, n - 2)))
        return err_field(err, "messages",
                         "messages ends with two assistant messages, but only "
                         "one can be continued");
    return 0;
}

static int read_switches(struct chat_request *r, const json_t *body,
                         struct err *err)
{
    r->parallel_tool_calls = true;
    int rc = json_get_bool(body, "parallel_tool_calls", &r->parallel_tool_calls,
                           "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "echo", &r->echo, "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "verbose", &r->verbose, "", err);
    return rc < 0 ? rc : read_continuation(r, body, err);
}

static int read_messages(struct chat_request *r, const json_t *body,
                         struct err *err)
{
    json_t *messages;
    int rc = json_get_array(body, "messages", &messages, "", err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, "messages", "messages is missing");
    return chat_messages_normalise(&r->messages, messages, &r->has_past_calls,
                                   err);
}

static int read_body(struct chat_request *r, const json_t *body,
                     uint32_t n_vocab, struct err *err)
{
    const struct sampling_rules rules = {n_vocab, 1};
    int rc = request_body_model(&r->model, body, r->arena, err);
    if (rc == 0)
        rc = read_messages(r, body, err);
    if (rc == 0)
        rc = sampling_fields_parse(&r->sampling, body, &rules, r->arena, err);
    if (rc == 0)
        rc = read_logprobs(r, body, err);
    if (rc == 0)
        rc = read_switches(r, body, err);
    if (rc == 0)
        rc = constraint_parse(&r->grammar, body, err);
    if (rc == 0)
        rc = read_tools(r, body, err);
    if (rc == 0)
        rc = read_tool_choice(r, body, err);
    if (rc == 0)
        rc = read_kwargs(r, body, err);
    if (rc == 0)
        rc = thinking_parse(&r->thinking, &r->template_kwargs, body, err);
    if (rc == 0 && r->tool_choice == TOOL_CHOICE_NONE) {
        json_decref(r->tools);
        r->tools = NULL;
    }
    return rc;
}

int chat_request_read(struct chat_request *r, const json_t *body,
                      uint32_t n_vocab, size_t arena_limit, struct err *err)
{
    memset(r, 0, sizeof *r);
    r->arena = arena_new(arena_limit);
    int rc = r->arena != NULL ? read_body(r, body, n_vocab, err)
                              : err_nomem(err, "the request");
    if (rc != 0)
        chat_request_deinit(r);
    return rc;
}

int chat_request_parse(struct chat_request *r, const char *body, size_t n,
                       uint32_t n_vocab, size_t arena_limit, struct err *err)
{
    json_t *root;
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    rc = chat_request_read(r, root, n_vocab, arena_limit, err);
    json_decref(root);
    return rc;
}

void chat_request_deinit(struct chat_request *r)
{
    json_decref(r->messages);
    json_decref(r->tools);
    json_decref(r->listed_tools);
    json_decref(r->template_kwargs);
    grammar_unref(r->grammar);
    arena_free(r->arena);
    memset(r, 0, sizeof *r);
}

bool chat_request_reads_calls(const struct chat_request *r)
{
    return r->tool_choice != TOOL_CHOICE_NONE &&
           (r->tools != NULL || (r->has_past_calls && r->grammar == NULL));
}
