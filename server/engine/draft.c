/* draft.c -- see draft.h. */
#include "server/engine/draft.h"

#define FIRST_LENGTH 4u
#define FIRST_ACCEPTED 0.5f /* until it is known */
#define WEIGHT 0.25f        /* of the last draft in the average */
#define LEAST_ACCEPTED 0.2f
#define FIRST_REST 8u
#define LONGEST_REST 256u

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* How many tokens before a and b are the same, of at most `most`. */
static uint32_t alike(const token_id *a, const token_id *b, uint32_t most)
{
    uint32_t n = 0;
    while (n < most && a[-1 - (int64_t)n] == b[-1 - (int64_t)n])
        n++;
    return n;
}

uint32_t draft_find(token_id *draft, uint32_t n_draft, const token_id *tokens,
                    uint32_t n, uint32_t max_alike, uint32_t min_alike)
{
    const token_id *end = tokens + n;
    uint32_t best = min_alike - 1, back = 0;
    uint32_t first = n > DRAFT_WINDOW ? n - DRAFT_WINDOW : 0;
    /* tokens[at - 1] would be the last; the whole search is this loop. */
    for (uint32_t at = n > 0 ? n - 1 : 0; at > first && best < max_alike;
         at--) {
        if (tokens[at - 1] != end[-1])
            continue;
        uint32_t m = alike(tokens + at, end, smaller(max_alike, at));
        if (m > best) {
            best = m;
            back = n - at;
        }
    }
    if (back == 0)
        return 0;
    for (uint32_t i = 0; i < n_draft; i++)
        draft[i] = i < back ? end[(int64_t)i - back] : draft[i - back];
    return n_draft;
}

void drafter_init(struct drafter *d, uint32_t most)
{
    *d = (struct drafter){
        .most = most,
        .length = smaller(FIRST_LENGTH, most),
        .accepted = FIRST_ACCEPTED,
    };
}

uint32_t drafter_room(struct drafter *d, uint32_t n_draft)
{
    if (d->rest == 0)
        return smaller(n_draft, d->length);
    d->rest--;
    return 0;
}

uint32_t drafter_draft(struct drafter *d, token_id *draft, uint32_t n_draft,
                       const token_id *tokens, uint32_t n)
{
    n_draft = drafter_room(d, n_draft);
    if (n_draft == 0)
        return 0;
    return draft_find(draft, n_draft, tokens, n, DRAFT_MOST_ALIKE,
                      DRAFT_LEAST_ALIKE);
}

void drafter_learn(struct drafter *d, uint32_t n_draft, uint32_t n_accepted)
{
    float part = (float)n_accepted / (float)n_draft;
    d->accepted += WEIGHT * (part - d->accepted);
    if (n_accepted < n_draft)
        d->length = smaller(d->length, n_accepted + 1);
    else if (n_draft == d->length)
        d->length = smaller(2 * d->length, d->most);
}

void drafter_judge(struct drafter *d, bool pays)
{
    if (pays && d->accepted >= LEAST_ACCEPTED) {
        if (d->accepted > FIRST_ACCEPTED)
            d->n_rests = 0;
        return;
    }
    uint32_t rest = FIRST_REST << smaller(d->n_rests, 8);
    d->n_rests++;
    d->rest = smaller(rest, LONGEST_REST);
    /* What comes after a rest is another passage. */
    d->accepted = FIRST_ACCEPTED;
    d->length = smaller(FIRST_LENGTH, d->most);
}
