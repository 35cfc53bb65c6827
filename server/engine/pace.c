/* pace.c -- see pace.h.
 *
 * A new observation counts an eighth, so a single slow step (a page fault, a
 * busy neighbour) does not shut prompts out, and a change of load is followed
 * within some ten steps.
 *
 * The line of least squares goes through the mean point, so near the size in
 * use its prediction is right even while all steps had that size and its slope
 * is anybody's guess; the slope only says how far to go from there. */
#include "server/engine/pace.h"

#define WEIGHT 0.125
/* Of n about its mean, below which no slope is seen. */
#define LEAST_SPREAD 0.2
#define LEAST_SLOPE 0.25 /* of the mean cost of a token */
#define LEAST_US 0.001   /* what took less time than none, by chance */

void pace_init(struct pace *p, uint32_t target_ms)
{
    *p = (struct pace){.target_us = target_ms * 1e3};
}

static void follow(double *average, double seen)
{
    *average = *average > 0 ? *average + WEIGHT * (seen - *average) : seen;
}

static void learn_prompt(struct pace *p, double n, double t)
{
    const double keep = 1 - WEIGHT;
    p->weight = keep * p->weight + 1;
    p->n = keep * p->n + n;
    p->t = keep * p->t + t;
    p->nn = keep * p->nn + n * n;
    p->nt = keep * p->nt + n * t;
    p->reach = n > keep * p->reach ? n : keep * p->reach;
}

void pace_learn(struct pace *p, uint64_t us, uint32_t n_decodes,
                uint32_t n_prompt)
{
    double took = (double)us;
    if (n_decodes == 0)
        return; /* what the decodes would have read counts for the prompt */
    /* Beside a first prompt, of the least tokens, decoding is what takes most;
     * else a prompt that comes before all answers would crawl on. */
    if (n_prompt == 0 || !(p->decode_us > 0))
        follow(&p->decode_us, took);
    if (n_prompt > 0)
        learn_prompt(p, n_prompt,
                     took > p->decode_us ? took - p->decode_us : 0);
}

/* us that one token more adds. */
static double slope(const struct pace *p, double mean_n, double mean_t)
{
    double most = mean_t / mean_n; /* all of it is per token */
    double spread = p->nn / p->weight - mean_n * mean_n;
    if (!(spread > LEAST_SPREAD * LEAST_SPREAD * mean_n * mean_n))
        return most;
    double b = (p->nt / p->weight - mean_n * mean_t) / spread;
    if (!(b > LEAST_SLOPE * most))
        return LEAST_SLOPE * most;
    return b < most ? b : most;
}

void pace_learn_draft(struct pace *p, uint64_t us, uint32_t n_draft)
{
    if (!(p->decode_us > 0))
        return;
    double more = ((double)us - p->decode_us) / n_draft;
    follow(&p->per_draft_us, more > LEAST_US ? more : LEAST_US);
}

bool pace_draft_pays(const struct pace *p, uint32_t n_decodes, float accepted)
{
    if (!(p->decode_us > 0) || !(p->per_draft_us > 0))
        return true;
    return (double)accepted * p->decode_us > p->per_draft_us * n_decodes;
}

uint32_t pace_prompt_tokens(const struct pace *p, uint32_t least, uint32_t most)
{
    double n = 0;
    if (p->weight > 0) {
        double target =
            p->target_us > 0 ? p->target_us : PACE_AUTO_FACTOR * p->decode_us;
        double mean_n = p->n / p->weight, mean_t = p->t / p->weight;
        double b = slope(p, mean_n, mean_t);
        n = 2 * p->reach;
        if (b > 0 && mean_n + (target - p->decode_us - mean_t) / b < n)
            n = mean_n + (target - p->decode_us - mean_t) / b;
    }
    if (!(n > least))
        return least < most ? least : most;
    return n < most ? (uint32_t)n : most;
}
