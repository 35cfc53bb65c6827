/* thinking.c -- see thinking.h. */
#include "api/request/thinking.h"

#include <string.h>

static int set_kwarg(json_t **kwargs, const char *key, json_t *v,
                     struct err *err)
{
    if (*kwargs == NULL)
        *kwargs = json_object();
    json_t *given = json_object_get(*kwargs, key);
    if (given != NULL && !json_is_null(given)) {
        json_decref(v); /* the explicit one wins */
        return 0;
    }
    return json_object_set_new(*kwargs, key, v) == 0
               ? 0
               : err_nomem(err, "chat_template_kwargs");
}

/* Only "none" means the same everywhere; the other levels are the template's
 * to read. */
static int read_effort(json_t **kwargs, const json_t *body, struct err *err)
{
    static const char *const levels[] = {"none", "minimal", "low", "medium",
                                         "high", "xhigh",   "max"};
    const char *effort;
    int rc = json_get_string(body, "reasoning_effort", &effort, "", err);
    if (rc <= 0)
        return rc;
    size_t i = 0;
    while (i < 7 && strcmp(levels[i], effort) != 0)
        i++;
    if (i == 7)
        return err_field(err, "reasoning_effort",
                         "reasoning_effort must be "
                         "none, minimal, low, medium, high, xhigh or max");
    rc = set_kwarg(kwargs, "reasoning_effort", json_string(effort), err);
    if (rc == 0 && i == 0)
        rc = set_kwarg(kwargs, "enable_thinking", json_false(), err);
    return rc;
}

/* Templates call the switch by either name. */
static int read_switch(struct thinking *t, const json_t *kwargs,
                       struct err *err)
{
    bool on = true;
    int rc = json_get_bool(kwargs, "enable_thinking", &on,
                           "chat_template_kwargs", err);
    t->off = !on || json_is_false(json_object_get(kwargs, "thinking"));
    return rc < 0 ? rc : 0;
}

/* -1 is llama-server's "as long as it likes". */
static int read_budget(struct thinking *t, const json_t *body, struct err *err)
{
    static const char *const keys[] = {"thinking_token_budget",
                                       "reasoning_budget_tokens",
                                       "thinking_budget_tokens"};
    int64_t v;
    t->budget = THINKING_FREE;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int rc = json_get_range(body, keys[i], &v, -1, INT32_MAX, "", err);
        if (rc < 0)
            return rc;
        if (rc > 0)
            t->budget = v < 0 ? THINKING_FREE : (uint32_t)v;
    }
    return 0;
}

/* deepseek-legacy is what llama-server makes of it: apart in a whole answer, in
 * the content of a stream. */
static int read_format(struct thinking *t, const json_t *body, struct err *err)
{
    const char *format;
    bool stream = false;
    int rc = json_get_string(body, "reasoning_format", &format, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_bool(body, "stream", &stream, "", err);
    if (rc < 0)
        return rc;
    if (strcmp(format, "none") == 0 ||
        (strcmp(format, "deepseek-legacy") == 0 && stream))
        t->shown = THINKING_INLINE;
    else if (strcmp(format, "auto") != 0 && strcmp(format, "deepseek") != 0 &&
             strcmp(format, "deepseek-legacy") != 0)
        return err_field(err, "reasoning_format",
                         "reasoning_format must be none, auto, deepseek or "
                         "deepseek-legacy");
    return 0;
}

static int read_shown(struct thinking *t, const json_t *body, struct err *err)
{
    bool apart = true, included = true;
    t->shown = THINKING_APART;
    int rc = read_format(t, body, err);
    if (rc >= 0)
        rc = json_get_bool(body, "separate_reasoning", &apart, "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "include_reasoning", &included, "", err);
    if (!apart)
        t->shown = THINKING_INLINE;
    if (!included)
        t->shown = THINKING_HIDDEN;
    return rc < 0 ? rc : 0;
}

int thinking_parse(struct thinking *t, json_t **kwargs, const json_t *body,
                   struct err *err)
{
    int rc = read_effort(kwargs, body, err);
    if (rc == 0)
        rc = read_switch(t, *kwargs, err);
    if (rc == 0)
        rc = read_budget(t, body, err);
    if (rc == 0)
        rc = read_shown(t, body, err);
    return rc;
}
