/* sampling_fields.c -- see sampling_fields.h. */
#include "api/sampling_fields.h"

#include <stdio.h>
#include <string.h>

#define CACHE_SALT_BYTES_MAX 1024u

static int set_number(struct sampling_fields *f, enum sampling_has bit,
                      float *out, const json_t *body, const char *key,
                      double low, double high, bool low_itself, struct err *err)
{
    double v;
    int rc = json_get_number(body, key, &v, "", err);
    if (rc <= 0)
        return rc;
    if (!(v <= high) || v < low || (v <= low && !low_itself))
        return err_field(err, key, "%s must be %s %g and at most %g, not %g",
                         key, low_itself ? "at least" : "above", low, high, v);
    *out = (float)v;
    f->has |= bit;
    return 0;
}

static int numbers(struct sampling_fields *f, const json_t *body,
                   struct err *err)
{
    const struct {
        enum sampling_has bit;
        float *out;
        const char *key;
        double low, high;
        bool low_itself;
    } rows[] = {
        {SAMPLING_TEMPERATURE, &f->temperature, "temperature", 0, 2, true},
        {SAMPLING_TOP_P, &f->top_p, "top_p", 0, 1, true},
        {SAMPLING_MIN_P, &f->min_p, "min_p", 0, 1, true},
        {SAMPLING_REPETITION, &f->repetition_penalty, "repeat_penalty", 0, 100,
         false},
        {SAMPLING_REPETITION, &f->repetition_penalty, "repetition_penalty", 0,
         100, false},
        {SAMPLING_PRESENCE, &f->presence_penalty, "presence_penalty", -2, 2,
         true},
        {SAMPLING_FREQUENCY, &f->frequency_penalty, "frequency_penalty", -2, 2,
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = set_number(f, rows[i].bit, rows[i].out, body, rows[i].key,
                            rows[i].low, rows[i].high, rows[i].low_itself, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int integers(struct sampling_fields *f, const json_t *body,
                    const struct sampling_rules *rules, struct err *err)
{
    int64_t v = 0, seed = 0, priority = 0, n = 1, min_tokens = 0;
    int64_t n_draft = 0;
    int rc = json_get_range(body, "top_k", &v, -1, INT32_MAX, "", err);
    if (rc > 0)
        f->has |= SAMPLING_TOP_K;
    f->top_k = v > 0 ? (int32_t)v : 0;
    if (rc >= 0 && (rc = json_get_int(body, "seed", &seed, "", err)) > 0)
        f->has |= SAMPLING_SEED;
    f->seed = (uint64_t)seed;
    if (rc >= 0)
        rc = json_get_range(body, "n", &n, 1, SAMPLING_N_MAX, "", err);
    f->n = (uint32_t)n;
    if (rc >= 0)
        rc = json_get_range(body, "priority", &priority, INT32_MIN, INT32_MAX,
                            "", err);
    f->priority = (int32_t)priority;
    if (rc >= 0)
        rc = json_get_range(body, "min_tokens", &min_tokens, 0, INT32_MAX, "",
                            err);
    f->min_tokens = (uint32_t)min_tokens;
    if (rc >= 0)
        rc = json_get_range(body, "speculative.n_max", &n_draft, 0,
                            SAMPLING_DRAFT_MAX, "", err);
    if (rc > 0)
        f->has |= SAMPLING_DRAFT;
    f->n_draft = (uint32_t)n_draft;
    static const char *const limits[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; rc >= 0 && i < 2; i++) {
        rc = json_get_range(body, limits[i], &v, rules->min_max_tokens,
                            INT32_MAX, "", err);
        if (rc > 0) {
            f->max_tokens = (uint32_t)v;
            f->has |= SAMPLING_MAX_TOKENS;
        }
    }
    if (rc >= 0 && (f->has & SAMPLING_MAX_TOKENS) &&
        f->min_tokens > f->max_tokens)
        return err_field(err, "min_tokens",
                         "min_tokens is %u, more than the %u of max_tokens",
                         f->min_tokens, f->max_tokens);
    return rc < 0 ? rc : 0;
}

static int flags(struct sampling_fields *f, const json_t *body, struct err *err)
{
    json_t *stream_options;
    bool cache_prompt = true;
    f->skip_special = true;
    const struct {
        bool *out;
        const char *key;
    } rows[] = {
        {&f->ignore_eos, "ignore_eos"},
        {&f->include_stop, "include_stop_str_in_output"},
        {&f->skip_special, "skip_special_tokens"},
        {&f->return_token_ids, "return_token_ids"},
        {&f->timings_per_token, "timings_per_token"},
        {&cache_prompt, "cache_prompt"},
        {&f->stream, "stream"},
    };
    int rc;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rc = json_get_bool(body, rows[i].key, rows[i].out, "", err);
        if (rc < 0)
            return rc;
    }
    f->no_prefix = !cache_prompt;
    bool usage = false, continuous = false;
    rc = json_get_object(body, "stream_options", &stream_options, "", err);
    if (rc > 0)
        rc = json_get_bool(stream_options, "include_usage", &usage,
                           "stream_options", err);
    if (rc >= 0 && json_is_object(json_object_get(body, "stream_options")))
        rc = json_get_bool(json_object_get(body, "stream_options"),
                           "continuous_usage_stats", &continuous,
                           "stream_options", err);
    /* Without stream OpenAI refuses them; clients send them. */
    f->include_usage = f->stream && usage;
    f->continuous_usage = f->stream && continuous;
    return rc < 0 ? rc : 0;
}

static int one_stop(const char **out, const json_t *v, const char *path,
                    struct arena *arena, struct err *err)
{
    char text[64];
    if (!json_is_string(v))
        return err_field(err, path, "%s must be a string, not %s", path,
                         json_describe(v, text));
    size_t n = json_string_length(v);
    if (n == 0)
        return err_field(err, path, "%s must not be empty", path);
    if (n > SAMPLING_STOP_BYTES_MAX)
        return err_field(err, path,
                         "%s has %zu bytes, more than the %u "
                         "accepted",
                         path, n, SAMPLING_STOP_BYTES_MAX);
    if (memchr(json_string_value(v), '\0', n) != NULL)
        return err_field(err, path, "%s must not hold a NUL character", path);
    *out = arena_strndup(arena, json_string_value(v), n);
    return *out != NULL ? 0 : err_nomem(err, "the stop strings");
}

static int stops(struct sampling_fields *f, const json_t *body,
                 struct arena *arena, struct err *err)
{
    const json_t *v = json_object_get(body, "stop");
    char text[64];
    if (v == NULL || json_is_null(v))
        return 0;
    bool list = json_is_array(v);
    if (!list && !json_is_string(v))
        return err_field(err, "stop",
                         "stop must be a string or an array of strings, not "
                         "%s",
                         json_describe(v, text));
    size_t n = list ? json_array_size(v) : 1;
    if (n > SAMPLING_STOPS_MAX)
        return err_field(err, "stop",
                         "stop holds %zu strings, more than the "
                         "%u accepted",
                         n, SAMPLING_STOPS_MAX);
    const char **stop = arena_calloc(arena, n, sizeof *stop);
    if (stop == NULL)
        return err_nomem(err, "the stop strings");
    for (size_t i = 0; i < n; i++) {
        char path[32] = "stop";
        if (list)
            snprintf(path, sizeof path, "stop[%zu]", i);
        int rc = one_stop(&stop[i], list ? json_array_get(v, i) : v, path,
                          arena, err);
        if (rc != 0)
            return rc;
    }
    f->stop = stop;
    f->n_stop = (uint32_t)n;
    return 0;
}

/* A decimal id below n_vocab, or TOKEN_NONE. */
static token_id parse_id(const char *s, uint32_t n_vocab)
{
    uint32_t id = 0;
    if (*s == '\0')
        return TOKEN_NONE;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return TOKEN_NONE;
        id = id * 10 + (uint32_t)(*s - '0');
        if (id >= n_vocab)
            return TOKEN_NONE;
    }
    return (token_id)id;
}

static int biases(struct sampling_fields *f, const json_t *body,
                  uint32_t n_vocab, struct arena *arena, struct err *err)
{
    json_t *map, *v;
    const char *key;
    int rc = json_get_object(body, "logit_bias", &map, "", err);
    if (rc <= 0)
        return rc;
    size_t n = json_object_size(map);
    if (n > SAMPLING_BIAS_MAX)
        return err_field(err, "logit_bias",
                         "logit_bias holds %zu entries, "
                         "more than the %u accepted",
                         n, SAMPLING_BIAS_MAX);
    struct logit_bias *bias = arena_calloc(arena, n, sizeof *bias);
    if (bias == NULL)
        return err_nomem(err, "logit_bias");
    json_object_foreach(map, key, v)
    {
        token_id id = parse_id(key, n_vocab);
        if (id == TOKEN_NONE)
            return err_field(err, "logit_bias",
                             "logit_bias names the token "
                             "\"%.20s\", but ids are 0 to %u",
                             key, n_vocab - 1);
        double value = json_number_value(v);
        if (!json_is_number(v) || !(value >= -100 && value <= 100))
            return err_field(err, "logit_bias",
                             "logit_bias[\"%d\"] must be a "
                             "number from -100 to 100",
                             id);
        bias[f->n_bias++] = (struct logit_bias){id, (float)value};
    }
    f->bias = bias;
    return 0;
}

static int salt(struct sampling_fields *f, const json_t *body,
                struct arena *arena, struct err *err)
{
    const char *s;
    int rc = json_get_string(body, "cache_salt", &s, "", err);
    if (rc <= 0)
        return rc;
    size_t n = strlen(s);
    if (n == 0 || n > CACHE_SALT_BYTES_MAX)
        return err_field(err, "cache_salt",
                         "cache_salt must have 1 to %u bytes",
                         CACHE_SALT_BYTES_MAX);
    f->cache_salt = arena_strndup(arena, s, n);
    return f->cache_salt != NULL ? 0 : err_nomem(err, "cache_salt");
}

int sampling_token_ids(const token_id **out, uint32_t *n, const json_t *array,
                       uint32_t n_vocab, uint32_t max, const char *path,
                       struct arena *arena, struct err *err)
{
    size_t size = json_array_size(array);
    char text[64], full[64];
    if (size > max)
        return err_field(err, path,
                         "%s holds %zu token ids, more than the %u "
                         "accepted",
                         path, size, max);
    token_id *ids = arena_calloc(arena, size, sizeof *ids);
    if (ids == NULL)
        return err_nomem(err, "token ids");
    for (size_t i = 0; i < size; i++) {
        const json_t *v = json_array_get(array, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id >= (json_int_t)n_vocab) {
            snprintf(full, sizeof full, "%.40s[%zu]", path, i);
            return err_field(err, full,
                             "%s must be a token id from 0 to %u, "
                             "not %s",
                             full, n_vocab - 1, json_describe(v, text));
        }
        ids[i] = (token_id)id;
    }
    *out = ids;
    *n = (uint32_t)size;
    return 0;
}

int sampling_fields_parse(struct sampling_fields *f, const json_t *body,
                          const struct sampling_rules *rules,
                          struct arena *arena, struct err *err)
{
    json_t *ids;
    memset(f, 0, sizeof *f);
    int rc = numbers(f, body, err);
    if (rc == 0)
        rc = integers(f, body, rules, err);
    if (rc == 0)
        rc = flags(f, body, err);
    if (rc == 0)
        rc = stops(f, body, arena, err);
    if (rc == 0)
        rc = biases(f, body, rules->n_vocab, arena, err);
    if (rc == 0)
        rc = salt(f, body, arena, err);
    if (rc == 0)
        rc = json_get_array(body, "stop_token_ids", &ids, "", err);
    if (rc > 0)
        rc = sampling_token_ids(&f->stop_ids, &f->n_stop_ids, ids,
                                rules->n_vocab, SAMPLING_STOP_IDS_MAX,
                                "stop_token_ids", arena, err);
    return rc;
}
