/* pace.h -- how much of somebody's prompt fits between two tokens of others.
 *
 * A step that only decodes takes a time T; prompt tokens beside it add some,
 * near the sizes in use a + b * n: experts that the decodes alone would not
 * have touched are read for any n, and a token costs more the further its
 * prompt has come.  All three are learnt from the steps as they go by, and the
 * budget is what keeps a step under the target: so a long prompt slows running
 * answers down by a known factor instead of stopping them.
 *
 * A budget is never more than twice the largest of late, and the first is the
 * least: nothing is risked on what was not seen.
 *
 * Pure arithmetic, no clock.  Engine thread. */
#ifndef LFMD_SERVER_ENGINE_PACE_H
#define LFMD_SERVER_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Without a target of the operator's: a step with prompts may take so many
 * times as long as one without. */
#define PACE_AUTO_FACTOR 2.5

struct pace {
    double target_us;    /* 0: PACE_AUTO_FACTOR * decode_us */
    double decode_us;    /* of a step without prompts, or at first of one with
                            few; 0: not seen yet */
    double per_draft_us; /* of a drafted token; 0: not seen yet */
    /* Of steps that decode and have prompts: sums over n tokens that added t
     * us, the older the lighter; `weight` is the sum of 1. */
    double weight, n, t, nn, nt;
    double reach; /* the largest n of late */
};

/* target_ms 0 is automatic. */
void pace_init(struct pace *p, uint32_t target_ms);

/* A step took `us`, with n_decodes single tokens and n_prompt tokens of
 * prompts. */
void pace_learn(struct pace *p, uint64_t us, uint32_t n_decodes,
                uint32_t n_prompt);

/* As pace_learn, for a step of decodes with n_draft drafted tokens. */
void pace_learn_draft(struct pace *p, uint64_t us, uint32_t n_draft);

/* Whether drafts of which the part `accepted` is right give more tokens in the
 * time than n_decodes sequences do without: a drafted token may take the
 * n_decodes-th part of what a step gives per token.  True until it is known. */
bool pace_draft_pays(const struct pace *p, uint32_t n_decodes, float accepted);

/* Prompt tokens for a step that decodes too, at least `least` and at most
 * `most`. */
uint32_t pace_prompt_tokens(const struct pace *p, uint32_t least,
                            uint32_t most);

#endif
