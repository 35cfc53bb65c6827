/* completion_request.c -- see completion_request.h. */
#include "api/request/completion_request.h"

#include <stdio.h>
#include <string.h>

#include "api/request/constraint.h"
#include "api/request/request_body.h"
#include "api/request/token_fields.h"
#include "model/base/json.h"
#include "model/grammar/grammar.h"

#define PROMPT_TOKENS_MAX (1u << 20)
#define CHOICES_MAX 128u /* prompts times n, or best_of */

static int read_text(struct completion_prompt *p, const json_t *v,
                     const char *path, struct arena *arena, struct err *err)
{
    size_t n = json_string_length(v);
    if (n == 0)
        return err_field(err, path, "%s must not be empty", path);
    p->text = arena_strndup(arena, json_string_value(v), n);
    p->n_text = n;
    return p->text != NULL ? 0 : err_nomem(err, "the prompt");
}

static int read_ids(struct completion_prompt *p, const json_t *v,
                    uint32_t n_vocab, const char *path, struct arena *arena,
                    struct err *err)
{
    if (json_array_size(v) == 0)
        return err_field(err, path, "%s must not be empty", path);
    return token_fields_ids(&p->ids, &p->n_ids, v, n_vocab, PROMPT_TOKENS_MAX,
                            path, arena, err);
}

static int wrong_prompt(const json_t *v, const char *path, struct err *err)
{
    char text[64];
    return err_field(err, path,
                     "%s must be a string, an array of strings, an "
                     "array of token ids or an array of these, not %s",
                     path, v == NULL ? "absent" : json_describe(v, text));
}

/* One element of an array of prompts. */
static int read_element(struct completion_prompt *p, const json_t *v,
                        const char *key, size_t i, uint32_t n_vocab,
                        struct arena *arena, struct err *err)
{
    char path[40];
    snprintf(path, sizeof path, "%s[%zu]", key, i);
    if (json_is_string(v))
        return read_text(p, v, path, arena, err);
    if (json_is_array(v))
        return read_ids(p, v, n_vocab, path, arena, err);
    return wrong_prompt(v, path, err);
}

int completion_prompts_parse(const struct completion_prompt **out, uint32_t *n,
                             const json_t *v, const char *key, uint32_t most,
                             uint32_t n_vocab, struct arena *arena,
                             struct err *err)
{
    bool many = json_is_array(v) && !json_is_integer(json_array_get(v, 0));
    size_t n_prompts = many ? json_array_size(v) : 1;
    if (v == NULL || json_is_null(v))
        return err_field(err, key, "%s is missing", key);
    if (!json_is_string(v) && !json_is_array(v))
        return wrong_prompt(v, key, err);
    if (n_prompts == 0)
        return err_field(err, key, "%s must not be empty", key);
    if (n_prompts > most)
        return err_field(err, key,
                         "%s holds %zu prompts, more than the %u accepted", key,
                         n_prompts, most);
    struct completion_prompt *p = arena_calloc(arena, n_prompts, sizeof *p);
    if (p == NULL)
        return err_nomem(err, "the prompt");
    int rc = 0;
    for (size_t i = 0; many && rc == 0 && i < n_prompts; i++)
        rc = read_element(&p[i], json_array_get(v, i), key, i, n_vocab, arena,
                          err);
    if (json_is_string(v))
        rc = read_text(p, v, key, arena, err);
    else if (!many)
        rc = read_ids(p, v, n_vocab, key, arena, err);
    *out = p;
    *n = (uint32_t)n_prompts;
    return rc;
}

static int read_logprobs(struct completion_request *r, const json_t *body,
                         struct err *err)
{
    int64_t top = 0;
    const json_t *v = json_object_get(body, "logprobs");
    if (json_is_false(v)) /* routers add it */
        return 0;
    int rc = json_get_range(body, "logprobs", &top, 0, SAMPLING_LOGPROBS_MAX,
                            "", err);
    r->want_logprobs = rc > 0;
    r->n_logprobs = (uint32_t)top;
    return rc < 0 ? rc : 0;
}

static int refuse_suffix(const json_t *body, struct err *err)
{
    const char *suffix = "";
    int rc = json_get_string(body, "suffix", &suffix, "", err);
    if (rc >= 0 && *suffix != '\0')
        return err_field(err, "suffix",
                         "suffix is not supported: this model does not fill in "
                         "the middle");
    return rc < 0 ? rc : 0;
}

static int read_best_of(struct completion_request *r, const json_t *body,
                        struct err *err)
{
    int64_t best_of = r->sampling.n;
    int rc = json_get_range(body, "best_of", &best_of, r->sampling.n,
                            SAMPLING_N_MAX, "", err);
    if (rc >= 0 && best_of > r->sampling.n && r->sampling.stream)
        return err_field(err, "best_of",
                         "best_of above n cannot be streamed: which are best "
                         "is known at the end");
    r->best_of = (uint32_t)best_of;
    return rc < 0 ? rc : 0;
}

/* Where the request is silent the reply has 16 tokens. */
static void settle_length(struct sampling_fields *f)
{
    const unsigned given = SAMPLING_MAX_TOKENS | SAMPLING_UNLIMITED;
    if (!(f->has & given))
        f->max_tokens = COMPLETION_MAX_TOKENS_DEFAULT > f->min_tokens
                            ? COMPLETION_MAX_TOKENS_DEFAULT
                            : f->min_tokens;
}

/* An answer without a token that says nothing of the prompt either. */
static int refuse_nothing(const struct completion_request *r, struct err *err)
{
    const struct sampling_fields *f = &r->sampling;
    if ((f->has & SAMPLING_MAX_TOKENS) && f->max_tokens == 0 && !r->echo &&
        !(f->has & SAMPLING_PROMPT_LOGPROBS))
        return err_field(err, "max_tokens",
                         "max_tokens may be 0 only together with echo or "
                         "prompt_logprobs");
    return 0;
}

static int read_body(struct completion_request *r, const json_t *body,
                     uint32_t n_vocab, struct err *err)
{
    const struct sampling_rules rules = {n_vocab, 0};
    struct sampling_fields *f = &r->sampling;
    int rc = request_body_model(&r->model, body, r->arena, err);
    if (rc == 0)
        rc = completion_prompts_parse(
            &r->prompts, &r->n_prompts, json_object_get(body, "prompt"),
            "prompt", COMPLETION_PROMPTS_MAX, n_vocab, r->arena, err);
    if (rc == 0)
        rc = sampling_fields_parse(f, body, &rules, r->arena, err);
    if (rc == 0)
        rc = json_get_bool(body, "echo", &r->echo, "", err);
    if (rc >= 0)
        rc = read_logprobs(r, body, err);
    if (rc == 0)
        rc = refuse_suffix(body, err);
    if (rc == 0)
        rc = read_best_of(r, body, err);
    if (rc == 0)
        rc = constraint_parse(&r->grammar, body, err);
    if (rc < 0)
        return rc;
    settle_length(f);
    if (r->n_prompts * r->best_of > CHOICES_MAX)
        return err_field(err, r->best_of > f->n ? "best_of" : "n",
                         "%u prompts with %u choices each are more than the "
                         "%u choices accepted",
                         r->n_prompts, r->best_of, CHOICES_MAX);
    return 0;
}

int completion_request_read(struct completion_request *r, const json_t *body,
                            uint32_t n_vocab, size_t arena_limit,
                            struct err *err)
{
    memset(r, 0, sizeof *r);
    r->arena = arena_new(arena_limit);
    int rc = r->arena != NULL ? read_body(r, body, n_vocab, err)
                              : err_nomem(err, "the request");
    if (rc != 0)
        completion_request_deinit(r);
    return rc;
}

int completion_request_parse(struct completion_request *r, const char *body,
                             size_t n, uint32_t n_vocab, size_t arena_limit,
                             struct err *err)
{
    json_t *root;
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    rc = completion_request_read(r, root, n_vocab, arena_limit, err);
    json_decref(root);
    if (rc == 0 && (rc = refuse_nothing(r, err)) != 0)
        completion_request_deinit(r);
    return rc;
}

void completion_request_deinit(struct completion_request *r)
{
    grammar_unref(r->grammar);
    arena_free(r->arena);
    memset(r, 0, sizeof *r);
}
