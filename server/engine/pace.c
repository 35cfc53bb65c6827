/* pace.c -- see pace.h.
 *
 * All numbers are moving averages: a new observation counts an eighth, so a
 * single slow step (a page fault, a busy neighbour) does not shut prompts out,
 * and a change of load is followed within some ten steps. */
#include "server/engine/pace.h"

#define WEIGHT 0.125
#define LEAST_US 0.001 /* what took less time than none, by chance */

void pace_init(struct pace *p, uint32_t target_ms)
{
    *p = (struct pace){.target_us = target_ms * 1e3};
}

static void follow(double *average, double seen)
{
    *average = *average > 0 ? *average + WEIGHT * (seen - *average) : seen;
}

void pace_learn(struct pace *p, uint64_t us, uint32_t n_decodes,
                uint32_t n_prompt)
{
    double took = (double)us;
    if (n_prompt == 0) {
        if (n_decodes > 0)
            follow(&p->decode_us, took);
        return;
    }
    /* What the decodes beside it took is known only once some were alone. */
    double others = n_decodes > 0 ? p->decode_us : 0;
    if (took > others && (n_decodes == 0 || others > 0))
        follow(&p->per_token_us, (took - others) / n_prompt);
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
    double target =
        p->target_us > 0 ? p->target_us : PACE_AUTO_FACTOR * p->decode_us;
    if (!(p->per_token_us > 0) || !(p->decode_us > 0))
        return most;
    double n = (target - p->decode_us) / p->per_token_us;
    if (!(n > least))
        return least < most ? least : most;
    return n < most ? (uint32_t)n : most;
}
