/* emit.h -- from logits to what the job hears.
 *
 * Draw, look for the stop ids, make text of the token, look for the stop
 * strings, tell.  It knows no cache and no plan: it says which sequences have
 * ended, the engine takes their memory back.
 *
 * Engine thread; never allocates. */
#ifndef LFMD_SERVER_ENGINE_EMIT_H
#define LFMD_SERVER_ENGINE_EMIT_H

#include <stddef.h>
#include <stdint.h>

#include "model/base/err.h"
#include "model/sample/sampler.h"
#include "server/engine/bind.h"
#include "server/engine/engine.h"
#include "server/engine/sequence.h"

struct emitter {
    const struct engine_model *model; /* borrowed */
    struct sampler *sampler;          /* owned */
    struct binder binder;
    char *raw;  /* owned; text before the stop strings */
    char *text; /* owned; text as it is told */
};

int emitter_init(struct emitter *em, const struct engine_model *model,
                 struct err *err);
void emitter_deinit(struct emitter *em);

/* Ring bytes of the largest event this job can cause. */
size_t emit_worst_bytes(const struct engine_model *model,
                        const struct job *job);

/* Tells the logprob of the next prompt token from `logits`[n_vocab], the row of
 * the token before it. */
void emit_prompt_logprob(struct emitter *em, struct sequence *seq,
                         const float *logits);

/* Draws the next token from `logits`, which are clobbered, and tells it. */
void emit_token(struct emitter *em, struct sequence *seq, float *logits);

/* Ends of a choice; no more may be told of it. */
void emit_finish(struct sequence *seq, enum finish_reason reason);
void emit_error(struct sequence *seq, const struct err *err);

#endif
