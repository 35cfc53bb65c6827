/* draft.h -- guesses at what a sequence says next, from what it has said.
 *
 * Replies repeat: names, code, quoted documents, loops.  So the last tokens are
 * looked for where they stood before, and what followed there is the draft; no
 * second model is asked.  A wrong draft costs time and never a token: the
 * engine computes it beside the last true token and keeps what it would have
 * drawn anyway.
 *
 * How much is guessed follows from how it went: the length grows while drafts
 * are right, and a sequence whose drafts do not pay rests for a while.
 *
 * Pure: no clock, no heap.  Any thread; a drafter belongs to its sequence. */
#ifndef LFMD_SERVER_ENGINE_DRAFT_H
#define LFMD_SERVER_ENGINE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/token.h"

/* The last tokens that must agree: as many as do of the first number, and no
 * fewer than the second. */
#define DRAFT_MOST_ALIKE 8u
#define DRAFT_LEAST_ALIKE 2u
/* Of a longer sequence only so many tokens at its end are searched, which takes
 * some microseconds. */
#define DRAFT_WINDOW 16384u

/* Writes up to n_draft tokens that may follow tokens[0, n) to `draft`, which
 * may be tokens + n, and says how many: none if the last min_alike tokens have
 * not stood there before.  Of several places the one with most tokens alike
 * counts (max_alike are enough), then the latest.  What followed there may run
 * into the end, and goes on with itself: a loop is drafted as a loop.
 * 1 <= min_alike <= max_alike.  O(n). */
uint32_t draft_find(token_id *draft, uint32_t n_draft, const token_id *tokens,
                    uint32_t n, uint32_t max_alike, uint32_t min_alike);

struct drafter {
    uint32_t most;   /* tokens a draft, at most; 0: it never drafts */
    uint32_t length; /* of the next */
    float accepted;  /* of a draft, as a part of it: a moving average */
    uint32_t rest;   /* steps without a draft to come */
    uint32_t n_rests;
};

void drafter_init(struct drafter *d, uint32_t most);

/* How many tokens the next draft may have, of n_draft at most; 0 while it
 * rests.  Asked once a step. */
uint32_t drafter_room(struct drafter *d, uint32_t n_draft);

/* A draft for the next step of a sequence, as draft_find: at most n_draft
 * tokens. */
uint32_t drafter_draft(struct drafter *d, token_id *draft, uint32_t n_draft,
                       const token_id *tokens, uint32_t n);

/* Of a draft of n_draft tokens, at least 1, the first n_accepted were right.
 * `pays`: drafts that go as well as `accepted` says are worth their time. */
void drafter_learn(struct drafter *d, uint32_t n_draft, uint32_t n_accepted);
void drafter_judge(struct drafter *d, bool pays);

#endif
