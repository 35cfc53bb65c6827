/* test_sampler.c -- against a slow sampler that sorts, and against chance. */
#include "tests/lib/test.h"

#include <math.h>

#include "model/base/alloc.h"
#include "model/sample/rng.h"
#include "model/sample/sampler.h"

#define MAX_VOCAB 3000

static uint64_t n_rolls = 1;

static uint32_t rnd(uint32_t below)
{
    return (uint32_t)(rng_bits(n_rolls++, 7, 7) % below);
}

static float rnd_float(float lo, float hi)
{
    return lo + (hi - lo) * (float)rng_uniform(n_rolls++, 3, 3);
}

/* The naive sampler: everything by sorting an array of ids. */
static const float *sort_scores;

static int by_score(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    float fx = sort_scores[*x], fy = sort_scores[*y];
    if (fx > fy || fx < fy)
        return fx > fy ? -1 : 1;
    return *x < *y ? -1 : 1;
}

static void naive_mask(float *l, uint32_t n, const uint32_t *allowed)
{
    for (uint32_t i = 0; i < n && allowed != NULL; i++)
        if ((allowed[i / 32] & 1u << i % 32) == 0)
            l[i] = -INFINITY;
}

/* With it the output would end in the word. */
static bool ends_word(const struct bad_word *w, uint32_t id,
                      const struct sample_context *c)
{
    if (w->ids[w->n - 1] != (token_id)id || w->n > c->n_output + 1)
        return false;
    for (uint32_t i = 0; i + 1 < w->n; i++)
        if (w->ids[i] != c->output[c->n_output - (w->n - 1) + i])
            return false;
    return true;
}

static void naive_adjust(float *l, uint32_t n, const struct sample_context *c)
{
    const struct sample_params *p = c->params;
    naive_mask(l, n, c->allowed);
    naive_mask(l, n, p->allowed);
    for (uint32_t i = 0; i < c->n_banned; i++)
        l[c->banned[i]] = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t n_out = 0, n_prompt = 0;
        for (uint32_t j = 0; j < p->n_bad_words; j++)
            if (ends_word(&p->bad_words[j], i, c))
                l[i] = -INFINITY;
        for (uint32_t j = 0; j < c->n_output; j++)
            n_out += c->output[j] == (token_id)i &&
                     c->n_output - j <= p->penalty_window;
        for (uint32_t j = 0; j < c->n_prompt; j++)
            n_prompt += c->prompt[j] == (token_id)i &&
                        c->n_output + c->n_prompt - j <= p->penalty_window;
        if (n_out + n_prompt > 0)
            l[i] = l[i] < 0 ? l[i] * p->repetition_penalty
                            : l[i] / p->repetition_penalty;
        if (n_out > 0)
            l[i] -= p->frequency_penalty * (float)n_out + p->presence_penalty;
        for (uint32_t j = 0; j < p->n_bias; j++) {
            if (p->bias[j].id == (token_id)i)
                l[i] += p->bias[j].bias;
        }
    }
}

/* `keep` is set for the tokens that can be drawn. */
static token_id naive_draw(float *l, uint32_t n, const struct sample_context *c,
                           bool *keep)
{
    static uint32_t ids[MAX_VOCAB];
    static float probs[MAX_VOCAB];
    const struct sample_params *p = c->params;
    naive_adjust(l, n, c);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = i;
        keep[i] = false;
    }
    sort_scores = l;
    qsort(ids, n, sizeof *ids, by_score);
    if (!(p->temperature > 0)) {
        keep[ids[0]] = true;
        return (token_id)ids[0];
    }
    uint32_t n_in = n;
    if (p->top_k > 0 && (uint32_t)p->top_k < n) {
        n_in = (uint32_t)p->top_k;
        while (n_in < n && !(l[ids[n_in]] < l[ids[n_in - 1]]))
            n_in++;
    }
    double total = 0, before = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        probs[i] = expf((l[i] - l[ids[0]]) / p->temperature);
    for (uint32_t i = 0; i < n_in; i++)
        total += (double)probs[ids[i]];
    for (uint32_t i = 0; i < n_in; i++) {
        bool in = p->top_p >= 1 || i == 0 || before < total * (double)p->top_p;
        before += (double)probs[ids[i]];
        keep[ids[i]] = in && probs[ids[i]] >= p->min_p && probs[ids[i]] > 0;
    }
    for (uint32_t i = 0; i < n; i++)
        sum += keep[i] ? (double)probs[i] : 0.0;
    double want = sum * rng_uniform(p->seed, c->choice, c->n_output);
    token_id last = TOKEN_NONE;
    for (uint32_t i = 0; i < n; i++) {
        if (!keep[i])
            continue;
        last = (token_id)i;
        want -= (double)probs[i];
        if (want < 0)
            break;
    }
    return last;
}

static void random_case(struct sample_params *p, struct logit_bias *bias,
                        uint32_t n)
{
    *p = sample_params_neutral();
    p->seed = n_rolls++;
    p->temperature = rnd(4) == 0 ? 0.0f : rnd_float(0.1f, 3.0f);
    /* Few are picked out of a large vocabulary before anything else. */
    p->top_k = rnd(2) ? 0 : (int32_t)rnd(rnd(2) ? n + 5 : n / 64 + 2);
    p->top_p = rnd(2) ? 1.0f : rnd_float(0.0f, 1.0f);
    p->min_p = rnd(2) ? 0.0f : rnd_float(0.0f, 0.5f);
    p->repetition_penalty = rnd(2) ? 1.0f : rnd_float(0.5f, 2.0f);
    p->presence_penalty = rnd(2) ? 0.0f : rnd_float(-2.0f, 2.0f);
    p->frequency_penalty = rnd(2) ? 0.0f : rnd_float(-2.0f, 2.0f);
    p->penalty_window = rnd(2) ? SAMPLE_WINDOW_ALL : rnd(60);
    p->n_bias = rnd(3);
    p->bias = bias;
    for (uint32_t i = 0; i < p->n_bias; i++) {
        bias[i].id = (token_id)((rnd(n / 2 + 1) * 2 + i) % n);
        bias[i].bias = rnd_float(-5.0f, 5.0f);
    }
}

/* Words of which some are about to be said; none is token 4 alone. */
static void random_words(struct bad_word *words, token_id (*ids)[4],
                         uint32_t n_words, const struct sample_context *c,
                         uint32_t n_vocab)
{
    for (uint32_t i = 0; i < n_words; i++) {
        words[i] = (struct bad_word){ids[i], 1 + rnd(4)};
        uint32_t n = words[i].n - 1;
        for (uint32_t j = 0; j < n; j++)
            ids[i][j] = n <= c->n_output && rnd(2)
                            ? c->output[c->n_output - n + j]
                            : (token_id)rnd(n_vocab);
        ids[i][n] = (token_id)rnd(n_vocab);
        if (ids[i][n] == 4)
            ids[i][n] = 3;
    }
}

static void random_logits(float *l, uint32_t n)
{
    bool coarse = rnd(3) == 0; /* many ties */
    for (uint32_t i = 0; i < n; i++) {
        l[i] = rnd_float(-8.0f, 8.0f);
        if (coarse)
            l[i] = roundf(l[i]);
        if (rnd(50) == 0)
            l[i] = -INFINITY;
    }
    l[rnd(n)] = 1.5f;
}

TEST(draws_what_the_sampler_that_sorts_draws)
{
    UNUSED_STATE;
    static float a[MAX_VOCAB], b[MAX_VOCAB];
    static bool keep[MAX_VOCAB];
    static uint32_t allowed[MAX_VOCAB / 32 + 1];
    static uint32_t listed[MAX_VOCAB / 32 + 1];
    token_id prompt[40], output[40], banned[2], ids[6][4];
    struct bad_word words[6];
    uint32_t n_same = 0, n_cases = 1500;
    for (uint32_t t = 0; t < n_cases; t++) {
        uint32_t n = t % 5 == 0 ? MAX_VOCAB - rnd(70) : 5 + rnd(60);
        struct sampler *s;
        assert_int_equal(sampler_new(&s, n, NULL), 0);
        struct sample_params p;
        struct logit_bias bias[3];
        random_case(&p, bias, n);
        for (uint32_t i = 0; i < 40; i++) {
            prompt[i] = (token_id)rnd(n);
            output[i] = (token_id)rnd(n);
        }
        for (uint32_t i = 0; i < MAX_VOCAB / 32 + 1; i++) {
            allowed[i] = rnd(1u << 16) << 16 | rnd(1u << 16) | 1u << 4;
            listed[i] = rnd(1u << 16) << 16 | rnd(1u << 16) | 1u << 4;
        }
        banned[0] = (token_id)rnd(4); /* token 4 is left in any case */
        banned[1] = (token_id)rnd(n);
        struct sample_context c = {
            .params = &p,
            .prompt = prompt,
            .n_prompt = rnd(40),
            .output = output,
            .n_output = rnd(40),
            .banned = banned,
            .n_banned = rnd(2),
            .allowed = t % 3 == 0 ? allowed : NULL,
            .choice = rnd(4),
        };
        random_words(words, ids, 6, &c, n);
        p.bad_words = words;
        p.n_bad_words = t % 2 == 0 ? 6 : 0;
        p.allowed = t % 7 == 0 ? listed : NULL;
        random_logits(a, n);
        memcpy(b, a, sizeof a);
        struct sampled got;
        assert_int_equal(sampler_draw(s, a, &c, &got, NULL), 0);
        token_id want = naive_draw(b, n, &c, keep);
        /* The sums are taken in different orders, so a draw within rounding
         * of a boundary may differ; what may be drawn hardly ever does. */
        n_same += got.token == want;
        sampler_free(s);
    }
    assert_true(n_same >= n_cases - 2);
}

TEST(frequencies_follow_the_probabilities)
{
    UNUSED_STATE;
    enum { N = 8, DRAWS = 40000 };
    const float l[N] = {1.0f, 2.0f, 0.0f, -1.0f, 2.0f, 0.5f, -3.0f, 1.5f};
    struct sampler *s;
    assert_int_equal(sampler_new(&s, N, NULL), 0);
    struct sample_params p = sample_params_neutral();
    p.temperature = 0.7f;
    double expect[N], sum = 0;
    for (int i = 0; i < N; i++)
        sum += expect[i] = exp((double)l[i] / (double)p.temperature);
    for (unsigned by = 0; by < 3; by++) { /* seed, choice, position vary */
        uint32_t seen[N] = {0};
        token_id zeros[1] = {0};
        for (uint32_t d = 0; d < DRAWS; d++) {
            float copy[N];
            memcpy(copy, l, sizeof l);
            p.seed = by == 0 ? d : 42;
            struct sample_context c = {.params = &p,
                                       .output = zeros,
                                       .choice = by == 1 ? d : 0,
                                       .n_output = by == 2 ? d : 0};
            struct sampled got;
            assert_int_equal(sampler_draw(s, copy, &c, &got, NULL), 0);
            seen[got.token]++;
        }
        double chi2 = 0;
        for (int i = 0; i < N; i++) {
            double e = expect[i] / sum * DRAWS;
            chi2 += ((double)seen[i] - e) * ((double)seen[i] - e) / e;
        }
        assert_true(chi2 < 24.3); /* 7 degrees of freedom, p = 0.001 */
    }
    sampler_free(s);
}

TEST(logprobs_are_of_the_raw_logits_with_ties_by_lower_id)
{
    UNUSED_STATE;
    float l[6] = {1.0f, 3.0f, 2.0f, 3.0f, -INFINITY, 0.0f};
    const struct logit_bias bias = {5, 100.0f};
    struct sampler *s;
    assert_int_equal(sampler_new(&s, 6, NULL), 0);
    struct sample_params p = sample_params_neutral();
    p.temperature = 0;
    p.bias = &bias;
    p.n_bias = 1;
    p.want_logprob = true;
    p.n_logprobs = 4;
    struct sample_context c = {.params = &p};
    struct sampled got;
    assert_int_equal(sampler_draw(s, l, &c, &got, NULL), 0);
    float norm = logf(expf(1.0f) + 2 * expf(3.0f) + expf(2.0f) + 1.0f);
    assert_int_equal(got.token, 5);
    assert_float_equal(got.logprob, -norm, 1e-5f);
    assert_int_equal(got.n_top, 4);
    const token_id order[4] = {1, 3, 2, 0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(got.top[i].id, order[i]);
    assert_float_equal(got.top[0].logprob, 3.0f - norm, 1e-5f);
    float again[6] = {1.0f, 3.0f, 2.0f, 3.0f, -INFINITY, 0.0f};
    assert_int_equal(sampler_score(s, again, 2, 9, &got, NULL), 0);
    assert_int_equal(got.n_top, 6);
    assert_float_equal(got.logprob, 2.0f - norm, 1e-5f);
    assert_int_not_equal(sampler_score(s, again, 6, 0, &got, NULL), 0);
    const uint32_t ranks[6] = {4, 1, 3, 2, 6, 5};
    for (token_id id = 0; id < 6; id++) {
        assert_int_equal(sampler_score(s, again, id, 6, &got, NULL), 0);
        assert_int_equal(got.rank, ranks[id]);
        assert_int_equal(got.top[got.rank - 1].id, id);
    }
    sampler_free(s);
}

TEST(what_bars_every_token_is_the_requests_fault)
{
    UNUSED_STATE;
    const token_id ids[4] = {0, 1, 2, 3}, said[1] = {3};
    const struct bad_word words[3] = {{&ids[0], 1}, {&ids[1], 1}, {&ids[2], 1}};
    const struct bad_word pair = {&ids[2], 2}; /* only after a 2 */
    const uint32_t last = 8;
    struct sampler *s;
    assert_int_equal(sampler_new(&s, 4, NULL), 0);
    for (unsigned t = 0; t < 4; t++) {
        struct sample_params p = sample_params_neutral();
        p.bad_words = t == 3 ? &pair : words;
        p.n_bad_words = t == 3 ? 1 : 3;
        p.allowed = t == 0 ? NULL : &last;
        struct sample_context c = {.params = &p,
                                   .output = said,
                                   .n_output = 1,
                                   .banned = ids + 3,
                                   .n_banned = t == 2};
        struct sampled got;
        struct err err;
        float l[4] = {1.0f, 2.0f, 3.0f, 0.0f};
        int rc = sampler_draw(s, l, &c, &got, &err);
        assert_int_equal(rc, t == 2 ? -ERR_INVALID : 0);
        assert_true(t == 2 || got.token == 3);
        float nan[4] = {NAN, -INFINITY, -INFINITY, NAN};
        rc = sampler_draw(s, nan, &c, &got, &err);
        assert_int_equal(rc, t == 2 ? -ERR_INVALID : -ERR_INTERNAL);
    }
    sampler_free(s);
}

TEST(greedy_takes_the_first_largest)
{
    UNUSED_STATE;
    float l[5] = {0.0f, 4.0f, 4.0f, -1.0f, 4.0f};
    struct sampler *s;
    assert_int_equal(sampler_new(&s, 5, NULL), 0);
    struct sample_params p = sample_params_neutral();
    p.temperature = 0;
    struct sample_context c = {.params = &p};
    struct sampled got;
    assert_int_equal(sampler_draw(s, l, &c, &got, NULL), 0);
    assert_int_equal(got.token, 1);
    sampler_free(s);
}

TEST(logits_that_are_no_distribution_are_an_error)
{
    UNUSED_STATE;
    const float bad[3] = {NAN, INFINITY, -INFINITY};
    struct sampler *s;
    assert_int_equal(sampler_new(&s, 4, NULL), 0);
    for (unsigned t = 0; t < 12; t++) {
        float l[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        l[t % 4] = bad[t % 3];
        struct sample_params p = sample_params_neutral();
        p.temperature = t & 1 ? 0.0f : 1.0f;
        p.want_logprob = t & 2;
        struct sample_context c = {.params = &p};
        struct sampled got;
        struct err err;
        assert_int_equal(sampler_draw(s, l, &c, &got, &err), -ERR_INTERNAL);
        assert_int_equal(sampler_score(s, l, 0, 0, &got, &err), -ERR_INTERNAL);
    }
    sampler_free(s);
}

TEST(survives_the_failure_of_every_allocation)
{
    UNUSED_STATE;
    size_t live = mem_live_count();
    for (long nth = 0;; nth++) {
        struct sampler *s;
        fault_alloc_at(nth);
        int rc = sampler_new(&s, 100, NULL);
        fault_alloc_at(-1);
        if (rc == 0) {
            sampler_free(s);
            break;
        }
        assert_int_equal(rc, -ERR_NOMEM);
    }
    assert_int_equal(mem_live_count(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_the_sampler_that_sorts_draws),
        cmocka_unit_test(frequencies_follow_the_probabilities),
        cmocka_unit_test(logprobs_are_of_the_raw_logits_with_ties_by_lower_id),
        cmocka_unit_test(greedy_takes_the_first_largest),
        cmocka_unit_test(what_bars_every_token_is_the_requests_fault),
        cmocka_unit_test(logits_that_are_no_distribution_are_an_error),
        cmocka_unit_test(survives_the_failure_of_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
