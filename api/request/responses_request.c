/* responses_request.c -- see responses_request.h. */
#include "api/request/responses_request.h"

#include <stdio.h>
#include <string.h>

#include "api/base/error.h"
#include "api/request/request_body.h"
#include "api/request/responses_input.h"
#include "api/request/responses_tools.h"
#include "api/request/responses_words.h"

#define METADATA_MAX 16u
#define METADATA_KEY_BYTES_MAX 64u
#define METADATA_VALUE_BYTES_MAX 2048u /* 512 characters */

/* A request on its way. */
struct change {
    const json_t *body;
    bool truncates;
    int64_t max_tokens; /* 0: not asked for */
    json_t *chat;       /* owned: what chat_request_read gets */
    json_t *echo;       /* owned: what the answer repeats */
    struct err *err;
};

static int set(struct change *c, json_t *obj, const char *key, json_t *value)
{
    return json_object_set_new(obj, key, value) == 0
               ? 0
               : err_nomem(c->err, "the request");
}

/* Repeats a member as it came, null where there is none. */
static int echo(struct change *c, const char *key)
{
    json_t *v = json_object_get(c->body, key);
    return set(c, c->echo, key, v != NULL ? json_incref(v) : json_null());
}

static bool is_given(const json_t *obj, const char *key)
{
    const json_t *v = json_object_get(obj, key);
    return v != NULL && !json_is_null(v);
}

/* --- what a stateless server cannot do --------------------------------------
 */

static int refuse_state(struct change *c)
{
    static const char *const keys[] = {"previous_response_id", "conversation",
                                       "prompt"};
    bool background = false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (is_given(c->body, keys[i]))
            return err_field(c->err, keys[i],
                             "%s cannot be used: this server is stateless and "
                             "keeps nothing; send all of the input",
                             keys[i]);
    int rc = json_get_bool(c->body, "background", &background, "", c->err);
    if (rc >= 0 && background)
        return err_field(c->err, "background",
                         "background must be false: this server is stateless "
                         "and keeps no answer");
    if (rc >= 0)
        rc = set(c, c->echo, "background", json_false());
    return rc < 0 ? rc : set(c, c->echo, "previous_response_id", json_null());
}

/* --- fields with another name or shape --------------------------------------
 */

static int read_limits(struct change *c)
{
    int64_t v;
    int rc = json_get_range(c->body, "max_output_tokens", &c->max_tokens, 1,
                            INT32_MAX, "", c->err);
    if (rc >= 0)
        rc = echo(c, "max_output_tokens");
    if (rc >= 0)
        rc = json_get_range(c->body, "max_tool_calls", &v, 1, INT32_MAX, "",
                            c->err);
    return rc < 0 ? rc : echo(c, "max_tool_calls");
}

/* Asked for by either field; OpenAI's clients set both. */
static int read_logprobs(struct change *c)
{
    static const char *const known[] = {
        "message.output_text.logprobs",
        "reasoning.encrypted_content",
        "message.input_image.image_url",
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
    };
    json_t *list;
    int64_t top = 0;
    bool want = false;
    char path[64];
    int rc = json_get_array(c->body, "include", &list, "", c->err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; rc > 0 && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const char *s = json_string_value(v);
        size_t k = 0;
        while (s != NULL && k < 8 &&
               (strcmp(known[k], s) != 0 || strlen(s) != json_string_length(v)))
            k++;
        snprintf(path, sizeof path, "include[%zu]", i);
        if (s == NULL || k == 8)
            return err_field(c->err, path,
                             "%s is none of the extras that exist", path);
        want = want || k == 0;
    }
    rc = json_get_range(c->body, "top_logprobs", &top, 0, SAMPLING_LOGPROBS_MAX,
                        "", c->err);
    if (rc >= 0)
        rc = set(c, c->echo, "top_logprobs", json_integer(top));
    if (rc >= 0)
        rc = set(c, c->chat, "top_logprobs", json_integer(top));
    if (rc >= 0)
        rc = set(c, c->chat, "logprobs", json_boolean(want || top > 0));
    return rc;
}

static int read_reasoning(struct change *c)
{
    static const char *const words[] = {"auto", "concise", "detailed", NULL};
    const char *effort = NULL, *summary = NULL;
    json_t *reasoning, *to = json_object();
    int rc = set(c, c->echo, "reasoning", to);
    if (rc == 0)
        rc = json_get_object(c->body, "reasoning", &reasoning, "", c->err);
    if (rc > 0) {
        rc = json_get_string(reasoning, "effort", &effort, "reasoning", c->err);
        if (rc >= 0)
            rc = responses_word(reasoning, "generate_summary", &summary, words,
                                "reasoning", c->err);
        if (rc >= 0)
            rc = responses_word(reasoning, "summary", &summary, words,
                                "reasoning", c->err);
    }
    if (rc >= 0 && effort != NULL)
        rc = set(c, c->chat, "reasoning_effort", json_string(effort));
    if (rc >= 0)
        rc = set(c, to, "effort",
                 effort != NULL ? json_string(effort) : json_null());
    if (rc >= 0)
        rc = set(c, to, "summary",
                 summary != NULL ? json_string(summary) : json_null());
    return rc;
}

/* {"type": "json_schema", "name", "schema", "strict"}: a chat has the last
 * three one level deeper. */
static int read_schema(struct change *c, json_t *format)
{
    static const char at[] = "text.format";
    const char *name;
    bool strict;
    int rc = json_get_string(format, "name", &name, at, c->err);
    if (rc >= 0)
        rc = json_get_bool(format, "strict", &strict, at, c->err);
    if (rc < 0)
        return rc;
    if (!is_given(format, "schema"))
        return err_field(c->err, "text.format.schema",
                         "text.format.schema is missing");
    return set(
        c, c->chat, "response_format",
        json_pack("{s:s, s:O}", "type", "json_schema", "json_schema", format));
}

static int read_format(struct change *c, json_t *text)
{
    static const char *const words[] = {"text", "json_object", "json_schema",
                                        NULL};
    json_t *format;
    const char *type = "";
    int rc = json_get_object(text, "format", &format, "text", c->err);
    if (rc <= 0)
        return rc;
    rc = responses_word(format, "type", &type, words, "text.format", c->err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(c->err, "text.format.type",
                         "text.format.type is missing");
    rc = strcmp(type, "json_schema") == 0
             ? read_schema(c, format)
             : set(c, c->chat, "response_format",
                   json_pack("{s:s}", "type", type));
    return rc < 0 ? rc : 1;
}

static int read_text(struct change *c)
{
    static const char *const words[] = {"low", "medium", "high", NULL};
    const char *verbosity = "medium";
    json_t *text = NULL, *to = json_object();
    int has_format = 0;
    int rc = set(c, c->echo, "text", to);
    if (rc == 0)
        rc = json_get_object(c->body, "text", &text, "", c->err);
    if (rc > 0) {
        has_format = rc = read_format(c, text);
        if (rc >= 0)
            rc = responses_word(text, "verbosity", &verbosity, words, "text",
                                c->err);
    }
    if (rc >= 0)
        rc = set(c, to, "format",
                 has_format > 0 ? json_incref(json_object_get(text, "format"))
                                : json_pack("{s:s}", "type", "text"));
    return rc < 0 ? rc : set(c, to, "verbosity", json_string(verbosity));
}

/* --- fields that are only repeated ------------------------------------------
 */

static int read_metadata(struct change *c)
{
    json_t *pairs = NULL, *v;
    const char *key;
    char path[64];
    int rc = json_get_object(c->body, "metadata", &pairs, "", c->err);
    if (rc < 0)
        return rc;
    if (json_object_size(pairs) > METADATA_MAX)
        return err_field(c->err, "metadata",
                         "metadata holds %zu pairs, more than the %u accepted",
                         json_object_size(pairs), METADATA_MAX);
    json_object_foreach(pairs, key, v)
    {
        snprintf(path, sizeof path, "metadata.%s", responses_name(key));
        if (strlen(key) > METADATA_KEY_BYTES_MAX || !json_is_string(v) ||
            json_string_length(v) > METADATA_VALUE_BYTES_MAX)
            return err_field(c->err, path,
                             "%s must be a string of at most %u bytes under a "
                             "name of at most %u",
                             path, METADATA_VALUE_BYTES_MAX,
                             METADATA_KEY_BYTES_MAX);
    }
    return set(c, c->echo, "metadata",
               pairs != NULL ? json_incref(pairs) : json_object());
}

static int read_names(struct change *c)
{
    static const char *const keys[] = {"prompt_cache_key", "safety_identifier",
                                       "user"};
    const char *s;
    int rc = echo(c, "instructions"); /* responses_input has looked */
    if (rc >= 0)
        rc = json_get_string(c->body, "service_tier", &s, "", c->err);
    for (size_t i = 0; rc >= 0 && i < sizeof keys / sizeof *keys; i++) {
        rc = json_get_string(c->body, keys[i], &s, "", c->err);
        if (rc >= 0)
            rc = echo(c, keys[i]);
    }
    return rc < 0 ? rc
                  : set(c, c->echo, "service_tier", json_string("default"));
}

static int read_switches(struct change *c)
{
    static const char *const words[] = {"auto", "disabled", NULL};
    const char *truncation = "disabled";
    bool parallel = true, other;
    json_t *options = NULL;
    int rc =
        json_get_bool(c->body, "parallel_tool_calls", &parallel, "", c->err);
    if (rc >= 0)
        rc = json_get_bool(c->body, "store", &other, "", c->err);
    if (rc >= 0)
        rc = json_get_object(c->body, "stream_options", &options, "", c->err);
    if (rc > 0)
        rc = json_get_bool(options, "include_obfuscation", &other,
                           "stream_options", c->err);
    if (rc >= 0)
        rc = responses_word(c->body, "truncation", &truncation, words, "",
                            c->err);
    c->truncates = strcmp(truncation, "auto") == 0;
    if (rc >= 0)
        rc = set(c, c->echo, "parallel_tool_calls", json_boolean(parallel));
    if (rc >= 0)
        rc = set(c, c->echo, "store", json_false());
    return rc < 0 ? rc : set(c, c->echo, "truncation", json_string(truncation));
}

/* --- the whole --------------------------------------------------------------
 */

/* The body without what has another shape in a chat; what a chat calls
 * otherwise is set below, where the request has it. */
static json_t *copy_body(const json_t *body)
{
    static const char *const gone[] = {
        "input",   "instructions", "text",     "tools",    "tool_choice",
        "include", "reasoning",    "messages", "logprobs",
    };
    json_t *copy = json_copy_object(body);
    for (size_t i = 0; copy != NULL && i < sizeof gone / sizeof *gone; i++)
        (void)json_object_del(copy, gone[i]);
    return copy;
}

/* A reply at the end is history here, where a chat would go on from it; who
 * wants that says so with the chat's own field. */
static int begin_new_turn(struct change *c)
{
    static const char field[] = "continue_final_message";
    return is_given(c->body, field) ? 0 : set(c, c->chat, field, json_false());
}

static int convert(struct change *c)
{
    json_t *messages;
    int rc = refuse_state(c);
    if (rc == 0)
        rc = begin_new_turn(c);
    if (rc == 0)
        rc = responses_input(&messages, c->body, c->err);
    if (rc == 0)
        rc = set(c, c->chat, "messages", messages);
    if (rc == 0)
        rc = read_names(c);
    if (rc == 0)
        rc = read_limits(c);
    if (rc == 0)
        rc = read_logprobs(c);
    if (rc == 0)
        rc = read_reasoning(c);
    if (rc == 0)
        rc = read_text(c);
    if (rc == 0)
        rc = responses_tools(c->chat, c->echo, c->body, c->err);
    if (rc == 0)
        rc = read_metadata(c);
    return rc == 0 ? read_switches(c) : rc;
}

static void put_members(struct buf *out, const json_t *obj)
{
    struct buf text = {0};
    json_write(&text, obj, false);
    if (!buf_ok(&text) || text.len < 2)
        out->failed = true;
    else
        buf_put(out, text.data + 1, text.len - 2);
    buf_deinit(&text);
}

/* What wins over a chat's own: the limit under its name here, and that a
 * response is one reply without a place for ids or what the prompt is worth. */
static void settle(struct sampling_fields *f, const struct change *c)
{
    f->n = 1;
    f->return_token_ids = false;
    f->has &= ~(unsigned)SAMPLING_PROMPT_LOGPROBS;
    if (c->max_tokens == 0)
        return;
    f->max_tokens = (uint32_t)c->max_tokens;
    f->has |= SAMPLING_MAX_TOKENS;
}

int responses_request_parse(struct chat_request *r,
                            struct responses_asked *asked, const char *body,
                            size_t n, uint32_t n_vocab, size_t arena_limit,
                            struct err *err)
{
    json_t *root;
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    struct change c = {.body = root, .err = err};
    c.chat = copy_body(root);
    c.echo = json_object();
    rc = c.chat != NULL && c.echo != NULL ? convert(&c)
                                          : err_nomem(err, "the request");
    if (rc == 0)
        put_members(&asked->echo, c.echo);
    if (rc == 0 && !buf_ok(&asked->echo))
        rc = err_nomem(err, "the request");
    asked->truncates = c.truncates;
    if (rc == 0) {
        rc = chat_request_read(r, c.chat, n_vocab, arena_limit, err);
        responses_rename(err, c.body);
    }
    if (rc == 0)
        settle(&r->sampling, &c);
    json_decref(c.chat);
    json_decref(c.echo);
    json_decref(root);
    return rc;
}

/* Puts `to` where `from` is in a text, once. */
static void replace(char *text, size_t size, const char *from, const char *to)
{
    char old[640];
    char *at = strstr(text, from);
    if (at == NULL)
        return;
    snprintf(old, sizeof old, "%s", at + strlen(from));
    snprintf(at, size - (size_t)(at - text), "%s%s", to, old);
}

void responses_rename(struct err *err, const json_t *body)
{
    static const struct {
        const char *chat, *ours;
        const char *keys[2]; /* where ours is in a body; NULL: always */
    } rows[] = {
        {"response_format.json_schema", "text.format", {"text", "format"}},
        {"response_format", "text.format", {"text", "format"}},
        {"reasoning_effort", "reasoning.effort", {"reasoning", "effort"}},
        {"max_tokens", "max_output_tokens", {NULL, NULL}},
        {"messages", "input", {NULL, NULL}},
    };
    if (err == NULL || err->param[0] == '\0')
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *chat = rows[i].chat, *const *keys = rows[i].keys;
        if (keys[0] != NULL &&
            !is_given(json_object_get(body, keys[0]), keys[1]))
            continue;
        if (strncmp(err->param, chat, strlen(chat)) == 0)
            replace(err->param, sizeof err->param, chat, rows[i].ours);
        replace(err->text, sizeof err->text, chat, rows[i].ours);
    }
    if (strncmp(err->param, "tool", 4) != 0)
        return;
    replace(err->param, sizeof err->param, ".function", "");
    replace(err->text, sizeof err->text, ".function", "");
}

void responses_error_body(struct buf *out, const struct err *err)
{
    struct err ours = *err;
    responses_rename(&ours, NULL);
    error_write(out, &ours);
}
