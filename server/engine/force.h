/* force.h -- drafts of what a grammar leaves no choice about.
 *
 * The keys of an object, the name of the function that is called: where only
 * one continuation is possible its tokens are guessed, and computed in one step
 * instead of one after the other.  They are drafts like any other: which tokens
 * spell the bytes is still the model's choice, and what it would not have said
 * is not said.
 *
 * Engine thread; no heap. */
#ifndef LFMD_SERVER_ENGINE_FORCE_H
#define LFMD_SERVER_ENGINE_FORCE_H

#include <stdint.h>

#include "model/base/token.h"
#include "server/engine/sequence.h"

struct mask_vocab;

/* Writes up to n_draft tokens that must follow what a bound sequence has said,
 * and says how many.  The last token of a forced stretch is left out, for what
 * follows may make it a longer one; whoever computes the one before it draws it
 * anyway.  Some microseconds a token. */
uint32_t force_draft(token_id *draft, uint32_t n_draft,
                     const struct sequence *seq, const struct mask_vocab *v);

#endif
