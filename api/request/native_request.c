/* native_request.c -- see native_request.h. */
#include "api/request/native_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request/request_body.h"
#include "model/base/alloc.h"
#include "model/text/tokenizer.h"

static int set(json_t *obj, const char *key, const json_t *v, struct err *err)
{
    /* jansson counts references in the value: a shared one is not const. */
    json_t *shared = json_incref((json_t *)(uintptr_t)v);
    return json_object_set_new(obj, key, shared) == 0
               ? 0
               : err_nomem(err, "the request");
}

/* {"prompt_string": "..."}; pictures and sounds beside it are refused. */
static int unwrap(json_t **out, json_t *v, const char *path, struct err *err)
{
    const char *text;
    const json_t *media;
    if (!json_is_object(v)) {
        *out = json_incref(v);
        return 0;
    }
    media = json_object_get(v, "multimodal_data");
    if (media != NULL && !json_is_null(media))
        return err_field(err, "prompt",
                         "%s.multimodal_data is not supported: this model "
                         "reads text",
                         path);
    int rc = json_get_string(v, "prompt_string", &text, path, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return err_field(err, "prompt", "%s.prompt_string is missing", path);
    *out = json_incref(json_object_get(v, "prompt_string"));
    return 0;
}

static int append_ids(json_t *ids, const struct tokenizer *t, const char *text,
                      size_t n, bool first, struct err *err)
{
    token_id *encoded = NULL;
    size_t n_encoded = 0;
    int rc = tokenizer_encode(t, text, n,
                              TOKENIZE_SPECIAL | (first ? TOKENIZE_BOS : 0u),
                              &encoded, &n_encoded, err);
    for (size_t i = 0; rc == 0 && i < n_encoded; i++)
        if (json_array_append_new(ids, json_integer(encoded[i])) != 0)
            rc = err_nomem(err, "the prompt");
    mem_free(encoded);
    return rc;
}

static int wrong_element(const json_t *e, const char *path, size_t i,
                         uint32_t n_vocab, struct err *err)
{
    char full[64], text[64];
    snprintf(full, sizeof full, "%s[%zu]", path, i);
    return err_field(err, full,
                     "%s must be a string or a token id from 0 to %u, not %s",
                     full, n_vocab - 1, json_describe(e, text));
}

/* One prompt in which ids and texts alternate, as ids. */
static int join_mixed(json_t **out, const json_t *v, const struct tokenizer *t,
                      uint32_t n_vocab, const char *path, struct err *err)
{
    json_t *ids = json_array();
    int rc = ids != NULL ? 0 : err_nomem(err, "the prompt");
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        json_t *e = json_array_get(v, i);
        if (json_is_string(e))
            rc = append_ids(ids, t, json_string_value(e), json_string_length(e),
                            i == 0, err);
        else if (!json_is_integer(e) || json_integer_value(e) < 0 ||
                 json_integer_value(e) >= (json_int_t)n_vocab)
            rc = wrong_element(e, path, i, n_vocab, err);
        else if (json_array_append(ids, e) != 0)
            rc = err_nomem(err, "the prompt");
    }
    if (rc == 0)
        *out = ids;
    else
        json_decref(ids);
    return rc;
}

static bool is_mixed(const json_t *v)
{
    bool text = false, id = false;
    for (size_t i = 0; i < json_array_size(v); i++) {
        text = text || json_is_string(json_array_get(v, i));
        id = id || json_is_integer(json_array_get(v, i));
    }
    return text && id;
}

static int read_one(json_t **out, json_t *v, const struct tokenizer *t,
                    uint32_t n_vocab, const char *path, struct err *err)
{
    if (json_is_array(v) && is_mixed(v))
        return join_mixed(out, v, t, n_vocab, path, err);
    return unwrap(out, v, path, err);
}

/* The prompt as a completion has it. */
static int read_prompt(json_t **out, json_t *v, const struct tokenizer *t,
                       uint32_t n_vocab, struct err *err)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || is_mixed(v))
        return read_one(out, v, t, n_vocab, "prompt", err);
    json_t *all = json_array();
    int rc = all != NULL ? 0 : err_nomem(err, "the prompt");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char path[40];
        json_t *one = NULL;
        snprintf(path, sizeof path, "prompt[%zu]", i);
        rc = read_one(&one, json_array_get(v, i), t, n_vocab, path, err);
        if (rc == 0 && json_array_append_new(all, one) != 0)
            rc = err_nomem(err, "the prompt");
    }
    if (rc == 0)
        *out = all;
    else
        json_decref(all);
    return rc;
}

/* A key of logit_bias is an id if all of it is a number, else a text. */
static json_t *bias_key(const char *key)
{
    const char *digits = key + (*key == '-');
    const size_t n = strspn(digits, "0123456789");
    return n > 0 && digits[n] == '\0' ? json_integer(strtoll(key, NULL, 10))
                                      : json_string(key);
}

/* {"Hello": -1} as [["Hello", -1]], which completions take too. */
static int pair_biases(json_t *to, const json_t *from, struct err *err)
{
    json_t *map, *v;
    const char *key;
    int rc = 0;
    if (!json_is_object(json_object_get(from, "logit_bias")))
        return 0;
    map = json_object_get(from, "logit_bias");
    json_t *pairs = json_array();
    json_object_foreach(map, key, v)
    {
        json_t *pair = json_array();
        if (rc != 0 || json_array_append_new(pair, bias_key(key)) != 0 ||
            json_array_append(pair, v) != 0 ||
            json_array_append(pairs, pair) != 0)
            rc = -ERR_NOMEM;
        json_decref(pair);
    }
    if (rc == 0)
        rc = json_object_set(to, "logit_bias", pairs);
    json_decref(pairs);
    return rc == 0 ? 0 : err_nomem(err, "logit_bias");
}

static int rename_fields(json_t *to, const json_t *from, struct err *err)
{
    static const struct {
        const char *native, *ours;
    } names[] = {
        {"n_probs", "logprobs"},
        {"return_tokens", "return_token_ids"},
        {"n_cmpl", "n"},
    };
    int64_t n_predict = -1, n_probs = 0, beaten;
    int rc =
        json_get_range(from, "n_predict", &n_predict, -1, INT32_MAX, "", err);
    if (rc >= 0)
        rc = json_get_range(from, "max_tokens", &beaten, 0, INT32_MAX, "", err);
    if (rc >= 0)
        rc = json_get_range(from, "n_probs", &n_probs, 0, SAMPLING_LOGPROBS_MAX,
                            "", err);
    if (rc < 0)
        return rc;
    (void)json_object_del(to, "n_predict");
    (void)json_object_del(to, "best_of"); /* not a word of this language */
    if (n_predict >= 0)
        rc = set(to, "max_tokens", json_object_get(from, "n_predict"), err);
    else
        rc = 0;
    if (rc == 0)
        rc = pair_biases(to, from, err);
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++) {
        const json_t *v = json_object_get(from, names[i].native);
        if (v != NULL && (i > 0 || n_probs > 0))
            rc = set(to, names[i].ours, v, err);
    }
    return rc;
}

/* What its answers have no place for is not computed. */
static void settle(struct completion_request *r)
{
    struct sampling_fields *f = &r->sampling;
    r->echo = false;
    f->has &= ~(unsigned)SAMPLING_PROMPT_LOGPROBS;
    r->warms_cache = f->has & SAMPLING_MAX_TOKENS && f->max_tokens == 0;
}

static int read_body(struct completion_request *r, json_t *body,
                     const struct tokenizer *t, uint32_t n_vocab,
                     size_t arena_limit, struct err *err)
{
    json_t *prompt = NULL, *given = json_object_get(body, "prompt");
    json_t *plain = json_copy_object(body);
    int rc = plain != NULL ? rename_fields(plain, body, err)
                           : err_nomem(err, "the request");
    if (rc == 0 && given != NULL && !json_is_null(given)) {
        rc = read_prompt(&prompt, given, t, n_vocab, err);
        if (rc == 0 && json_object_set_new(plain, "prompt", prompt) != 0)
            rc = err_nomem(err, "the request");
    }
    if (rc == 0)
        rc = completion_request_read(r, plain, n_vocab, arena_limit, err);
    if (rc == 0)
        settle(r);
    json_decref(plain);
    return rc;
}

int native_request_parse(struct completion_request *r, const char *body,
                         size_t n, const struct tokenizer *t, uint32_t n_vocab,
                         size_t arena_limit, struct err *err)
{
    json_t *root;
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    rc = read_body(r, root, t, n_vocab, arena_limit, err);
    json_decref(root);
    return rc;
}
