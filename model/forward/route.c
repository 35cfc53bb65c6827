/* route.c -- sigmoid, top-k with a bias that only chooses, and a counting sort.
 *
 * Any part. */
#include "model/forward/route.h"

#include <math.h>
#include <string.h>

#include "model/weights/hparams.h"

/* What transformers adds to the winners' sum before dividing. */
#define SUM_EPS 1e-6f

static float biased(const float *scores, const float *bias, uint32_t i)
{
    return bias != NULL ? scores[i] + bias[i] : scores[i];
}

/* Inserts `e` into the ascending list of n. */
static void insert_sorted(uint32_t *list, uint32_t n, uint32_t e)
{
    uint32_t i = n;
    while (i > 0 && list[i - 1] > e) {
        list[i] = list[i - 1];
        i--;
    }
    list[i] = e;
}

/* The position in `list` of the winner that is beaten first: the smallest
 * biased score, the higher index on a tie. */
static uint32_t weakest(const float *scores, const float *bias,
                        const uint32_t *list, uint32_t n)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < n; i++)
        if (biased(scores, bias, list[i]) <= biased(scores, bias, list[at]))
            at = i;
    return at;
}

static void choose(const float *scores, const float *bias, uint32_t n,
                   uint32_t n_used, uint32_t *winners)
{
    for (uint32_t e = 0; e < n; e++) {
        if (e < n_used) {
            winners[e] = e;
            continue;
        }
        uint32_t at = weakest(scores, bias, winners, n_used);
        if (biased(scores, bias, e) <= biased(scores, bias, winners[at]))
            continue;
        memmove(winners + at, winners + at + 1,
                (n_used - 1 - at) * sizeof *winners);
        insert_sorted(winners, n_used - 1, e);
    }
}

void route_token(const struct hparams *hp, float *logits, const float *bias,
                 uint32_t *experts, float *weights)
{
    for (uint32_t e = 0; e < hp->n_experts; e++)
        logits[e] = 1.0f / (1.0f + expf(-logits[e]));
    choose(logits, bias, hp->n_experts, hp->n_experts_used, experts);

    float sum = 0.0f;
    for (uint32_t j = 0; j < hp->n_experts_used; j++)
        sum += logits[experts[j]];
    for (uint32_t j = 0; j < hp->n_experts_used; j++) {
        float w = logits[experts[j]];
        if (hp->norm_topk_prob)
            w /= sum + SUM_EPS;
        weights[j] = w * hp->routed_scaling;
    }
}

void route_group(struct routing *r, uint32_t n_tokens)
{
    uint32_t n_visits = n_tokens * r->n_used;
    memset(r->first, 0, (r->n_experts + 1) * sizeof *r->first);
    for (uint32_t v = 0; v < n_visits; v++)
        r->first[r->experts[v] + 1]++;
    for (uint32_t e = 0; e < r->n_experts; e++)
        r->first[e + 1] += r->first[e];

    /* first[e] moves to the end of expert e while its rows are dealt out, that
     * is to the beginning of e + 1; shifting by one restores it. */
    for (uint32_t v = 0; v < n_visits; v++) {
        uint32_t row = r->first[r->experts[v]]++;
        r->row_of[v] = row;
        r->token_of[row] = v / r->n_used;
    }
    memmove(r->first + 1, r->first, r->n_experts * sizeof *r->first);
    r->first[0] = 0;
}
