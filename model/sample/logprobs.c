/* logprobs.c -- see logprobs.h. */
#include "model/sample/logprobs.h"

#include <float.h>
#include <math.h>

#define LANES 16u

/* Lane by lane, without a branch, so that the compiler may take many at once;
 * greedy decoding does little else. */
bool logits_max(const float *logits, uint32_t n_vocab, float *max)
{
    float most[LANES];
    int bad[LANES] = {0}, any_bad = 0;
    for (uint32_t j = 0; j < LANES; j++)
        most[j] = -INFINITY;
    uint32_t i = 0;
    for (; i + LANES <= n_vocab; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            float x = logits[i + j];
            bad[j] |= !(x <= FLT_MAX); /* NaN fails every comparison */
            most[j] = x > most[j] ? x : most[j];
        }
    }
    for (; i < n_vocab; i++) {
        bad[0] |= !(logits[i] <= FLT_MAX);
        most[0] = logits[i] > most[0] ? logits[i] : most[0];
    }
    *max = most[0];
    for (uint32_t j = 0; j < LANES; j++) {
        any_bad |= bad[j];
        *max = most[j] > *max ? most[j] : *max;
    }
    return !any_bad && *max >= -FLT_MAX;
}

bool logprobs_norm(const float *logits, uint32_t n_vocab, double *log_norm)
{
    float max;
    if (!logits_max(logits, n_vocab, &max))
        return false;
    double sum = 0.0;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += (double)expf(logits[i] - max);
    *log_norm = (double)max + log(sum);
    return true;
}

void logprobs_top(const float *logits, uint32_t n_vocab, double log_norm,
                  uint32_t n, struct sampled *out)
{
    if (n > SAMPLE_MAX_TOP)
        n = SAMPLE_MAX_TOP;
    uint32_t have = 0;
    for (uint32_t i = 0; i < n_vocab && n > 0; i++) {
        /* `logprob` holds plain logits until the list is complete. */
        if (have == n && logits[i] <= out->top[n - 1].logprob)
            continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && out->top[at - 1].logprob < logits[i]; at--)
            out->top[at] = out->top[at - 1];
        out->top[at] = (struct top_logprob){(token_id)i, logits[i]};
    }
    for (uint32_t i = 0; i < have; i++)
        out->top[i].logprob = (float)((double)out->top[i].logprob - log_norm);
    out->n_top = have;
}

uint32_t logprobs_rank(const float *logits, uint32_t n_vocab, token_id token)
{
    const uint32_t own = (uint32_t)token;
    const float x = logits[own];
    uint32_t n = 1;
    for (uint32_t i = 0; i < own; i++)
        n += logits[i] >= x;
    for (uint32_t i = own + 1; i < n_vocab; i++)
        n += logits[i] > x;
    return n;
}
