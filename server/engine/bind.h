/* bind.h -- a sequence's thought and grammar at a draw: what may come, and what
 * came.
 *
 *     START --think_start--> THOUGHT --think_end--> ANSWER --> TEXT
 *     START --> TEXT     START, THOUGHT, ANSWER, NO_MORE --call_start--> CALL
 *     CALL --call_end--> CALLED, or NO_MORE where calls may come again
 *
 * Without a grammar of calls they are not bound: NO_MORE in place of CALL.  A
 * reply that must call begins its call where another one begins its answer.
 *
 * A thought that has had its tokens is closed, whether there is a grammar or
 * not; without one, what follows a thought or is none is NO_MORE at once.
 *
 * A model that would rather think or call than answer may (its likeliest token
 * says so, and the request does not bar that), a thought is free but for ending
 * the reply, and the answer is held to the grammar from its first token to its
 * last.  Stop ids are allowed where the grammar may end and nowhere else; in a
 * call, only the marker that ends it.
 *
 * It draws nothing and tells nothing (emit.h).  Engine thread; all memory is
 * taken by binder_init. */
#ifndef LFMD_SERVER_ENGINE_BIND_H
#define LFMD_SERVER_ENGINE_BIND_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/sample/sampler.h"
#include "server/engine/engine.h"
#include "server/engine/sequence.h"

struct masker;

struct binder {
    const struct engine_model *model; /* borrowed */
    struct masker *masker;            /* owned; NULL without a mask_vocab */
    uint32_t *allowed; /* owned; [n_words], the mask of one draw */
    size_t n_words;
};

/* Without the model's mask_vocab it serves no sequence with a matcher.  With it
 * about 3 MiB at 65,536 tokens.  -ERR_NOMEM. */
int binder_init(struct binder *b, const struct engine_model *model,
                struct err *err);
void binder_deinit(struct binder *b); /* zeroed is fine */

/* Before a draw from `logits`[n_vocab]: sets what is allowed and which ends are
 * banned in `context`, good until the next call.  0, or 1: the reply is
 * complete and nothing is left to say so; -ERR_INVALID when the stop ids are
 * all that could go on, -ERR_INTERNAL when nothing could.  0.5 to 500 us
 * (mask.h), and nothing for a sequence that is not bound. */
int bind_draw(struct binder *b, const struct sequence *seq, const float *logits,
              struct sample_context *context, struct err *err);

/* After `id`, which is no stop id, was drawn so: counts it if it belongs to a
 * thought.  False: the grammar does not take it, which is a bug of the mask. */
bool bind_follow(const struct binder *b, struct sequence *seq, token_id id);

#endif
