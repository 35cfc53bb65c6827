/* sampler.c -- see sampler.h.
 *
 * All filters keep a prefix of the tokens in falling order of score, so each
 * is one threshold, and together they are the highest.  A threshold is found
 * without sorting: the bits of a float, flipped so that they order like the
 * number, are split in three digits (11, 11 and 10 bits); a histogram per
 * digit, from the top, says in which bucket the wanted count or mass falls.
 *
 * Top-k and min-p say beforehand below which score nothing can survive.  Then
 * the tokens above it are picked out first, some hundred of them, and all that
 * follows looks at these alone. */
#include "model/sample/sampler.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/sample/adjust.h"
#include "model/sample/rng.h"

#define DIGIT_BUCKETS 2048
#define GROUP 64u /* tokens whose largest score is looked at first */

struct sampler {
    uint32_t n_vocab;
    struct adjuster adjuster;
    float *probs;  /* [n_vocab], relative to the likeliest */
    float *raw;    /* [n_vocab], the model's logits, for the logprob */
    float *scores; /* [n_vocab], of the tokens picked out */
    token_id *ids; /* [n_vocab], these, ascending */
    float *tops;   /* [n_vocab / GROUP + 1], largest score of each group */
    double mass[DIGIT_BUCKETS];
};

int sampler_new(struct sampler **out, uint32_t n_vocab, struct err *err)
{
    *out = NULL;
    if (n_vocab == 0 || n_vocab > INT32_MAX)
        return err_set(err, ERR_INTERNAL,
                       "sampler: the vocabulary has %u tokens, expected 1 to "
                       "%d",
                       n_vocab, INT32_MAX);
    struct sampler *s = mem_calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "the sampler");
    s->n_vocab = n_vocab;
    s->probs = mem_calloc(n_vocab, sizeof *s->probs);
    s->raw = mem_calloc(n_vocab, sizeof *s->raw);
    s->scores = mem_calloc(n_vocab, sizeof *s->scores);
    s->ids = mem_calloc(n_vocab, sizeof *s->ids);
    s->tops = mem_calloc(n_vocab / GROUP + 1, sizeof *s->tops);
    bool ok = s->probs != NULL && s->raw != NULL && s->scores != NULL &&
              s->ids != NULL && s->tops != NULL;
    int rc = ok ? adjuster_init(&s->adjuster, n_vocab, err)
                : err_nomem(err, "the sampler's scratch");
    if (rc != 0) {
        sampler_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (s == NULL)
        return;
    adjuster_deinit(&s->adjuster);
    mem_free(s->probs);
    mem_free(s->raw);
    mem_free(s->scores);
    mem_free(s->ids);
    mem_free(s->tops);
    mem_free(s);
}

static bool in_vocab(const struct sampler *s, token_id id)
{
    return id >= 0 && (uint32_t)id < s->n_vocab;
}

/* The first largest, or TOKEN_NONE. */
static token_id argmax(const float *logits, uint32_t n)
{
    float max;
    if (!logits_max(logits, n, &max))
        return TOKEN_NONE;
    uint32_t i = 0;
    while (logits[i] < max)
        i++;
    return (token_id)i;
}

/* Orders like the float; -0 and +0 are made one. */
static uint32_t key_of(float f)
{
    uint32_t bits;
    f += 0.0f;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The tokens that take part in a draw: their scores, and which they are. */
struct pool {
    const float *scores; /* [n] */
    const token_id *ids; /* [n], ascending; NULL: 0, 1, 2, ... */
    uint32_t n;
};

/* Which tokens are still in: those above `key`, and the first `n_ties` by id of
 * those at it. */
struct cut {
    uint32_t key;
    uint32_t n_ties;
};

/* The cut after the prefix whose weight first reaches `target`; weight is 1 per
 * token, or s->probs.  Only tokens at or above `floor` take part.  Returns the
 * weight that the tokens at the cut's key still have to bring. */
static double select_prefix(struct sampler *s, const struct pool *pool,
                            bool by_mass, uint32_t floor, double target,
                            uint32_t *key)
{
    static const unsigned shifts[3] = {21, 10, 0}, widths[3] = {11, 11, 10};
    uint32_t prefix = 0, above_mask = 0;
    for (unsigned d = 0; d < 3; d++) {
        uint32_t n_buckets = 1u << widths[d], low_mask = n_buckets - 1;
        memset(s->mass, 0, n_buckets * sizeof *s->mass);
        for (uint32_t i = 0; i < pool->n; i++) {
            uint32_t k = key_of(pool->scores[i]);
            if (k < floor || (k & above_mask) != prefix)
                continue;
            s->mass[k >> shifts[d] & low_mask] +=
                by_mass ? (double)s->probs[i] : 1.0;
        }
        /* From the top; a rounding shortfall ends in the lowest bucket that
         * has anything. */
        uint32_t at = 0;
        double taken = 0.0, before = 0.0;
        for (uint32_t b = n_buckets; b-- > 0;) {
            if (!(s->mass[b] > 0.0))
                continue;
            at = b;
            before = taken;
            taken += s->mass[b];
            if (taken >= target)
                break;
        }
        target -= before;
        prefix |= at << shifts[d];
        above_mask |= low_mask << shifts[d];
    }
    *key = prefix;
    return target;
}

static void cut_top_k(struct sampler *s, const struct pool *pool, int32_t k,
                      struct cut *cut)
{
    if (k <= 0 || (uint32_t)k >= pool->n)
        return;
    select_prefix(s, pool, false, 0, (double)k, &cut->key);
}

static void cut_top_p(struct sampler *s, const struct pool *pool, float top_p,
                      struct cut *cut)
{
    if (!(top_p < 1.0f))
        return;
    double total = 0.0;
    for (uint32_t i = 0; i < pool->n; i++)
        total += (double)s->probs[i];
    /* 0 asks for the smallest nucleus; an empty one would be below all. */
    double target = total * (top_p > FLT_MIN ? (double)top_p : (double)FLT_MIN);
    uint32_t key;
    double left = select_prefix(s, pool, true, cut->key, target, &key);
    cut->key = key;
    cut->n_ties = 0;
    /* Equal scores have equal probabilities. */
    for (uint32_t i = 0; i < pool->n; i++) {
        if (key_of(pool->scores[i]) != key)
            continue;
        cut->n_ties++;
        left -= (double)s->probs[i];
        if (!(left > 0.0))
            break;
    }
}

/* Sets to 0 what the cut and min-p leave out; returns the sum of the rest. */
static double apply_cut(struct sampler *s, const struct pool *pool, float min_p,
                        struct cut cut)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < pool->n; i++) {
        uint32_t k = key_of(pool->scores[i]);
        bool in = k > cut.key;
        if (k == cut.key && cut.n_ties > 0) {
            cut.n_ties--;
            in = true;
        }
        if (!in || s->probs[i] < min_p)
            s->probs[i] = 0.0f;
        sum += (double)s->probs[i];
    }
    return sum;
}

/* Below this score, relative to the likeliest and by temperature, a token's
 * probability is 0 or a filter is sure to say no. */
static float lowest(const struct sample_params *p)
{
    if (p->min_p > 0.0f && !(p->top_p < 1.0f)) /* top-p needs the full sum */
        return logf(fminf(p->min_p, 1.0f)) - 0.01f;
    return -104.0f; /* expf is 0 from there on */
}

/* Probabilities relative to the likeliest; without filters most of a draw's
 * time goes here. */
static void weigh(struct sampler *s, const struct pool *pool, float max,
                  const struct sample_params *p, uint32_t floor_key)
{
    float floor = lowest(p);
    for (uint32_t i = 0; i < pool->n; i++) {
        float x = (pool->scores[i] - max) / p->temperature;
        bool in = x >= floor && key_of(pool->scores[i]) >= floor_key;
        s->probs[i] = in ? expf(x) : 0.0f;
    }
}

/* Fills s->tops; returns how many groups there are. */
static uint32_t find_tops(struct sampler *s, const float *logits)
{
    uint32_t n = 0;
    for (uint32_t at = 0; at < s->n_vocab; at += GROUP) {
        uint32_t end = s->n_vocab - at < GROUP ? s->n_vocab : at + GROUP;
        float most[8];
        for (uint32_t j = 0; j < 8; j++)
            most[j] = -INFINITY;
        for (uint32_t i = at; end - at == GROUP && i < end; i += 8)
            for (uint32_t j = 0; j < 8; j++)
                most[j] = logits[i + j] > most[j] ? logits[i + j] : most[j];
        for (uint32_t i = at; end - at < GROUP && i < end; i++)
            most[0] = logits[i] > most[0] ? logits[i] : most[0];
        for (uint32_t j = 1; j < 8; j++)
            most[0] = most[j] > most[0] ? most[j] : most[0];
        s->tops[n++] = most[0];
    }
    return n;
}

/* The k-th largest score is no less than the k-th largest of the groups'
 * largest, which are far fewer. */
static float top_k_floor(struct sampler *s, uint32_t n_groups, int32_t k)
{
    const struct pool tops = {s->tops, NULL, n_groups};
    uint32_t key, bits;
    float floor;
    if (k <= 0 || (uint32_t)k >= n_groups)
        return -INFINITY;
    select_prefix(s, &tops, false, 0, (double)k, &key);
    bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
    memcpy(&floor, &bits, sizeof floor);
    return floor;
}

/* All tokens, or those that can survive top-k and min-p, where these leave
 * out most. */
static struct pool pick(struct sampler *s, const float *logits, float max,
                        const struct sample_params *p)
{
    float floor = -INFINITY;
    if (p->min_p > 0.0f && !(p->top_p < 1.0f)) /* a little lower: rounding */
        floor = max + 1.0001f * lowest(p) * p->temperature - 1e-3f -
                1e-6f * fabsf(max);
    if (p->top_k <= 0 && !(floor > -INFINITY))
        return (struct pool){logits, NULL, s->n_vocab};
    uint32_t n_groups = find_tops(s, logits), n = 0;
    floor = fmaxf(floor, top_k_floor(s, n_groups, p->top_k));
    if (!(floor > -INFINITY))
        return (struct pool){logits, NULL, s->n_vocab};
    for (uint32_t g = 0; g < n_groups; g++) {
        if (!(s->tops[g] >= floor))
            continue;
        uint32_t end = g * GROUP + GROUP;
        end = end < s->n_vocab ? end : s->n_vocab;
        for (uint32_t i = g * GROUP; i < end; i++) {
            s->scores[n] = logits[i];
            s->ids[n] = (token_id)i;
            n += logits[i] >= floor;
        }
    }
    return (struct pool){s->scores, s->ids, n};
}

static token_id draw(struct sampler *s, const float *logits, float max,
                     const struct sample_context *c)
{
    const struct sample_params *p = c->params;
    const struct pool pool = pick(s, logits, max, p);
    struct cut cut = {0, UINT32_MAX};
    cut_top_k(s, &pool, p->top_k, &cut);
    weigh(s, &pool, max, p, cut.key);
    cut_top_p(s, &pool, p->top_p, &cut);
    /* The likeliest has probability 1 here, so it survives any min_p. */
    double sum = apply_cut(s, &pool, fminf(p->min_p, 1.0f), cut);

    double want = sum * rng_uniform(p->seed, c->choice, c->n_output);
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < pool.n; i++) {
        if (!(s->probs[i] > 0.0f))
            continue;
        last = i;
        want -= (double)s->probs[i];
        if (want < 0.0)
            break;
    }
    if (last == UINT32_MAX)
        return TOKEN_NONE;
    return pool.ids != NULL ? pool.ids[last] : (token_id)last;
}

static int no_distribution(struct err *err)
{
    return err_set(err, ERR_INTERNAL,
                   "sampler: the logits hold NaN or infinity, or nothing that "
                   "may be drawn");
}

/* Nothing is left to draw: the model's fault, or that of who barred it all. */
static int nothing_left(const float *logits, uint32_t n,
                        const struct sample_context *c, struct err *err)
{
    const struct sample_params *p = c->params;
    bool barred = p->allowed != NULL || p->n_bad_words > 0 || p->n_bias > 0 ||
                  c->n_banned > 0;
    for (uint32_t i = 0; barred && i < n; i++)
        barred = logits[i] <= FLT_MAX; /* NaN fails every comparison */
    if (!barred)
        return no_distribution(err);
    return err_set(err, ERR_INVALID,
                   "allowed_token_ids, bad_words, logit_bias, min_tokens and "
                   "the form the answer must have leave together no token "
                   "that may come next");
}

int sampler_draw(struct sampler *s, float *logits,
                 const struct sample_context *c, struct sampled *out,
                 struct err *err)
{
    const struct sample_params *p = c->params;
    const bool report = p->want_logprob || p->n_logprobs > 0;
    double log_norm = 0.0;
    out->logprob = 0.0f;
    out->rank = 0;
    out->n_top = 0;
    if (report) {
        if (!logprobs_norm(logits, s->n_vocab, &log_norm))
            return no_distribution(err);
        logprobs_top(logits, s->n_vocab, log_norm, p->n_logprobs, out);
        memcpy(s->raw, logits, s->n_vocab * sizeof *logits);
    }
    adjust_logits(&s->adjuster, logits, c);
    out->token = argmax(logits, s->n_vocab);
    if (out->token == TOKEN_NONE)
        return nothing_left(logits, s->n_vocab, c, err);
    if (p->temperature > 0.0f)
        out->token = draw(s, logits, logits[out->token], c);
    if (report)
        out->logprob = (float)((double)s->raw[out->token] - log_norm);
    return 0;
}

int sampler_score(const struct sampler *s, const float *logits, token_id token,
                  uint32_t n_top, struct sampled *out, struct err *err)
{
    double log_norm;
    if (!in_vocab(s, token))
        return err_set(err, ERR_INTERNAL,
                       "sampler: token %d is outside the vocabulary of %u",
                       token, s->n_vocab);
    if (!logprobs_norm(logits, s->n_vocab, &log_norm))
        return no_distribution(err);
    out->token = token;
    out->logprob = (float)((double)logits[token] - log_norm);
    out->rank = logprobs_rank(logits, s->n_vocab, token);
    logprobs_top(logits, s->n_vocab, log_norm, n_top, out);
    return 0;
}
