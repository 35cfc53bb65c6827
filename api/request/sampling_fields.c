/* sampling_fields.c -- see sampling_fields.h. */
#include "api/request/sampling_fields.h"

#include <string.h>

#include "api/request/request_body.h"
#include "api/request/token_fields.h"

#define REQUEST_ID_MAX 128u

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
                    struct err *err)
{
    int64_t top_k = 0, n = 1, priority = 0, min_tokens = 0, n_draft = 0;
    int64_t last_n = -1, n_top = 0;
    const struct {
        int64_t *out;
        const char *key;
        int64_t low, high;
        unsigned bit;
    } rows[] = {
        {&top_k, "top_k", -1, INT32_MAX, SAMPLING_TOP_K},
        {&n, "n", 1, SAMPLING_N_MAX, 0},
        {&priority, "priority", INT32_MIN, INT32_MAX, 0},
        {&min_tokens, "min_tokens", 0, INT32_MAX, 0},
        {&n_draft, "speculative.n_max", 0, SAMPLING_DRAFT_MAX, SAMPLING_DRAFT},
        {&last_n, "repeat_last_n", -1, INT32_MAX, 0},
        {&n_top, "prompt_logprobs", 0, SAMPLING_LOGPROBS_MAX,
         SAMPLING_PROMPT_LOGPROBS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = json_get_range(body, rows[i].key, rows[i].out, rows[i].low,
                                rows[i].high, "", err);
        if (rc < 0)
            return rc;
        f->has |= rc > 0 ? rows[i].bit : 0;
    }
    f->top_k = top_k > 0 ? (int32_t)top_k : 0;
    f->n = (uint32_t)n;
    f->priority = (int32_t)priority;
    f->min_tokens = (uint32_t)min_tokens;
    f->n_draft = (uint32_t)n_draft;
    f->penalty_window = last_n < 0 ? SAMPLE_WINDOW_ALL : (uint32_t)last_n;
    f->n_prompt_logprobs = (uint32_t)n_top;
    return 0;
}

/* -1 is chance, as in vLLM and llama-server. */
static int seed(struct sampling_fields *f, const json_t *body, struct err *err)
{
    int64_t v;
    int rc = json_get_int(body, "seed", &v, "", err);
    if (rc > 0 && v != -1) {
        f->seed = (uint64_t)v;
        f->has |= SAMPLING_SEED;
    }
    return rc < 0 ? rc : 0;
}

/* Three names, of which the last that is given wins. */
static int length(struct sampling_fields *f, const json_t *body,
                  const struct sampling_rules *rules, struct err *err)
{
    int64_t v;
    int rc = json_get_range(body, "n_predict", &v, -1, INT32_MAX, "", err);
    if (rc > 0 && v >= 0 && v < rules->min_max_tokens)
        return err_field(err, "n_predict",
                         "n_predict must be -1 or at least %lld",
                         (long long)rules->min_max_tokens);
    if (rc > 0)
        f->has |= v < 0 ? SAMPLING_UNLIMITED : SAMPLING_MAX_TOKENS;
    if (rc > 0 && v >= 0)
        f->max_tokens = (uint32_t)v;
    static const char *const names[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; rc >= 0 && i < 2; i++) {
        rc = json_get_range(body, names[i], &v, rules->min_max_tokens,
                            INT32_MAX, "", err);
        if (rc > 0) {
            f->max_tokens = (uint32_t)v;
            f->has |= SAMPLING_MAX_TOKENS;
            f->has &= ~(unsigned)SAMPLING_UNLIMITED;
        }
    }
    if (rc >= 0 && (f->has & SAMPLING_MAX_TOKENS) &&
        f->min_tokens > f->max_tokens)
        return err_field(err, "min_tokens",
                         "min_tokens is %u, more than the %u of max_tokens",
                         f->min_tokens, f->max_tokens);
    return rc < 0 ? rc : 0;
}

static int stream_options(struct sampling_fields *f, const json_t *body,
                          struct err *err)
{
    static const char key[] = "stream_options";
    json_t *options;
    bool usage = false, continuous = false;
    int rc = json_get_object(body, key, &options, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_bool(options, "include_usage", &usage, key, err);
    if (rc >= 0)
        rc = json_get_bool(options, "continuous_usage_stats", &continuous, key,
                           err);
    /* OpenAI refuses them without a stream, but there are clients that always
     * send them. */
    f->include_usage = f->stream && usage;
    f->continuous_usage = f->include_usage && continuous;
    return rc < 0 ? rc : 0;
}

static int flags(struct sampling_fields *f, const json_t *body, struct err *err)
{
    bool cache_prompt = true, beams = false;
    f->skip_special = true;
    const struct {
        bool *out;
        const char *key;
    } rows[] = {
        {&f->ignore_eos, "ignore_eos"},
        {&f->include_stop, "include_stop_str_in_output"},
        {&f->skip_special, "skip_special_tokens"},
        {&f->return_token_ids, "return_token_ids"},
        {&f->tokens_as_ids, "return_tokens_as_token_ids"},
        {&f->timings_per_token, "timings_per_token"},
        {&cache_prompt, "cache_prompt"},
        {&beams, "use_beam_search"},
        {&f->stream, "stream"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int rc = json_get_bool(body, rows[i].key, rows[i].out, "", err);
        if (rc < 0)
            return rc;
    }
    f->no_prefix = !cache_prompt;
    if (beams)
        return err_field(err, "use_beam_search",
                         "use_beam_search is not supported; best_of and n "
                         "draw several answers");
    if (f->stream && f->has & SAMPLING_PROMPT_LOGPROBS)
        return err_field(err, "prompt_logprobs",
                         "prompt_logprobs are not told in a stream");
    return stream_options(f, body, err);
}

/* It becomes part of the answer's id, so it must fit into a line of a log. */
static int request_id(struct sampling_fields *f, const json_t *body,
                      struct arena *arena, struct err *err)
{
    int rc = request_body_name(&f->request_id, body, "request_id",
                               REQUEST_ID_MAX, arena, err);
    for (const char *s = f->request_id; rc == 0 && s != NULL && *s != '\0'; s++)
        if (*s <= ' ' || *s > '~')
            return err_field(err, "request_id",
                             "request_id must be of printable ASCII characters "
                             "and no spaces");
    return rc;
}

static int truncation(struct sampling_fields *f, const json_t *body,
                      struct err *err)
{
    int64_t most = 0;
    const char *side = "left";
    int rc = json_get_range(body, "truncate_prompt_tokens", &most, -1,
                            INT32_MAX, "", err);
    if (rc > 0 && most == 0)
        return err_field(err, "truncate_prompt_tokens",
                         "truncate_prompt_tokens must be -1 or at least 1");
    if (rc >= 0)
        rc = json_get_string(body, "truncation_side", &side, "", err);
    if (rc < 0)
        return rc;
    if (strcmp(side, "left") != 0 && strcmp(side, "right") != 0)
        return err_field(err, "truncation_side",
                         "truncation_side must be left or right");
    f->truncate = most < 0 ? SAMPLING_TRUNCATE_FIT : (uint32_t)most;
    f->truncate_right = *side == 'r';
    return 0;
}

/* vLLM's: 0 as the longest pattern looks for none. */
static int loops(struct sampling_fields *f, const json_t *body, struct err *err)
{
    static const char at[] = "repetition_detection";
    json_t *v;
    int64_t most = 0, least = 0, count = 0;
    int rc = json_get_object(body, at, &v, "", err);
    if (rc <= 0)
        return rc;
    rc = json_get_range(v, "max_pattern_size", &most, 0, SAMPLING_PATTERN_MAX,
                        at, err);
    if (rc >= 0)
        rc = json_get_range(v, "min_pattern_size", &least, 0, most, at, err);
    if (rc >= 0)
        rc = json_get_range(v, "min_count", &count, 0, INT32_MAX, at, err);
    if (rc < 0)
        return rc;
    if (most > 0 && count < 2)
        return err_field(err, "repetition_detection.min_count",
                         "%s.min_count must be at least 2", at);
    f->loops =
        (struct job_loops){(uint32_t)least, (uint32_t)most, (uint32_t)count};
    return 0;
}

int sampling_fields_parse(struct sampling_fields *f, const json_t *body,
                          const struct sampling_rules *rules,
                          struct arena *arena, struct err *err)
{
    memset(f, 0, sizeof *f);
    int rc = numbers(f, body, err);
    if (rc == 0)
        rc = integers(f, body, err);
    if (rc == 0)
        rc = seed(f, body, err);
    if (rc == 0)
        rc = length(f, body, rules, err);
    if (rc == 0)
        rc = flags(f, body, err);
    if (rc == 0)
        rc = request_body_salt(&f->cache_salt, body, arena, err);
    if (rc == 0)
        rc = request_id(f, body, arena, err);
    if (rc == 0)
        rc = truncation(f, body, err);
    if (rc == 0)
        rc = loops(f, body, err);
    if (rc == 0)
        rc = token_fields_parse(f, body, rules->n_vocab, arena, err);
    return rc;
}
