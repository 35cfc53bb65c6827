/* embedding_request.c -- see embedding_request.h. */
#include "api/request/embedding_request.h"

#include <string.h>

#include "api/request/request_body.h"
#include "model/base/json.h"

/* Which of `names` [n] the member is; 0 when absent, names[0] the default. */
static int read_choice(int *out, const json_t *body, const char *key,
                       const char *const *names, int n, struct err *err)
{
    const char *s;
    int rc = json_get_string(body, key, &s, "", err);
    if (rc <= 0)
        return rc;
    for (int i = 0; i < n; i++) {
        if (strcmp(s, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return err_field(err, key, "%s must be %s%s%s%s%s, not \"%.40s\"", key,
                     names[0], n > 2 ? ", " : "", n > 2 ? names[1] : "", " or ",
                     names[n - 1], s);
}

static int read_shape(struct embedding_request *r, const json_t *body,
                      struct err *err)
{
    static const char *const poolings[] = {[POOLING_LAST] = "last",
                                           [POOLING_MEAN] = "mean",
                                           [POOLING_NONE] = "none"};
    static const char *const formats[] = {"float", "base64"};
    int pooling = POOLING_LAST, format = 0;
    int rc = read_choice(&pooling, body, "pooling", poolings, 3, err);
    if (rc == 0)
        rc = read_choice(&format, body, "encoding_format", formats, 2, err);
    r->pooling = (enum embedding_pooling)pooling;
    r->base64 = format == 1;
    r->normalize = r->pooling != POOLING_NONE;
    if (rc == 0)
        rc = json_get_bool(body, "normalize", &r->normalize, "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "hidden_states", &r->hidden_states, "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "router_logits", &r->router_logits, "", err);
    return rc < 0 ? rc : 0;
}

/* A model that was not trained to be cut has one length only. */
static int check_dimensions(const json_t *body, uint32_t hidden,
                            struct err *err)
{
    int64_t n = hidden;
    int rc = json_get_int(body, "dimensions", &n, "", err);
    if (rc >= 0 && n != hidden)
        return err_field(err, "dimensions",
                         "dimensions is %lld, but this model's embeddings "
                         "have %u and cannot be shortened",
                         (long long)n, (unsigned)hidden);
    return rc < 0 ? rc : 0;
}

static int read_truncation(struct embedding_request *r, const json_t *body,
                           struct err *err)
{
    static const char *const sides[] = {"left", "right"};
    int64_t n = 0;
    int side = 0;
    int rc = json_get_range(body, "truncate_prompt_tokens", &n, -1, INT32_MAX,
                            "", err);
    if (rc < 0)
        return rc;
    if (rc > 0 && n == 0)
        return err_field(err, "truncate_prompt_tokens",
                         "truncate_prompt_tokens must be -1 (as many as fit) "
                         "or at least 1");
    r->most_tokens = n < 0 ? UINT32_MAX : (uint32_t)n;
    rc = read_choice(&side, body, "truncation_side", sides, 2, err);
    r->cut_right = side == 1;
    return rc;
}

/* What is the engine's business. */
static int read_serving(struct embedding_request *r, const json_t *body,
                        struct err *err)
{
    int64_t priority = 0;
    bool cache = true;
    int rc = json_get_range(body, "priority", &priority, INT32_MIN, INT32_MAX,
                            "", err);
    if (rc >= 0)
        rc = json_get_bool(body, "cache_prompt", &cache, "", err);
    r->priority = (int32_t)priority;
    r->no_prefix = !cache;
    return rc < 0 ? rc : request_body_salt(&r->cache_salt, body, r->arena, err);
}

static int read_input(struct embedding_request *r, const json_t *body,
                      uint32_t n_vocab, struct err *err)
{
    const json_t *input = json_object_get(body, "input");
    const json_t *messages = json_object_get(body, "messages");
    r->is_chat = messages != NULL && !json_is_null(messages);
    if (r->is_chat && input != NULL && !json_is_null(input))
        return err_field(err, "input",
                         "input and messages cannot both be given");
    r->add_special = !r->is_chat;
    int rc = json_get_bool(body, "add_generation_prompt",
                           &r->add_generation_prompt, "", err);
    if (rc < 0 || r->is_chat)
        return rc;
    return completion_prompts_parse(&r->inputs, &r->n_inputs, input, "input",
                                    EMBEDDING_INPUTS_MAX, n_vocab, r->arena,
                                    err);
}

static int read_body(struct embedding_request *r, const json_t *body,
                     uint32_t n_vocab, uint32_t hidden, struct err *err)
{
    int rc = request_body_model(&r->model, body, r->arena, err);
    if (rc == 0)
        rc = read_input(r, body, n_vocab, err);
    if (rc >= 0)
        rc = check_dimensions(body, hidden, err);
    if (rc == 0)
        rc = read_shape(r, body, err);
    if (rc == 0)
        rc =
            json_get_bool(body, "add_special_tokens", &r->add_special, "", err);
    if (rc >= 0)
        rc = read_truncation(r, body, err);
    if (rc == 0)
        rc = read_serving(r, body, err);
    return rc;
}

int embedding_request_parse(struct embedding_request *r, const char *body,
                            size_t n, uint32_t n_vocab, uint32_t hidden,
                            size_t arena_limit, struct err *err)
{
    json_t *root;
    memset(r, 0, sizeof *r);
    int rc = request_body_parse(&root, body, n, err);
    if (rc != 0)
        return rc;
    r->arena = arena_new(arena_limit);
    rc = r->arena != NULL ? read_body(r, root, n_vocab, hidden, err)
                          : err_nomem(err, "the request");
    json_decref(root);
    if (rc != 0)
        embedding_request_deinit(r);
    return rc;
}

void embedding_request_deinit(struct embedding_request *r)
{
    arena_free(r->arena);
    memset(r, 0, sizeof *r);
}
