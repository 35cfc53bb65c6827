/* engine_rig.h -- an engine over a model without weights, and ears for its
 * jobs.
 *
 * The test is the loop thread: it waits for the wake and dispatches.  All abort
 * the test when something is not as it must be. */
#ifndef LFMD_TESTS_LIB_ENGINE_RIG_H
#define LFMD_TESTS_LIB_ENGINE_RIG_H

#include <semaphore.h>
#include <stdbool.h>

#include "server/engine/engine.h"
#include "tests/lib/fake_model.h"

#define RIG_CHOICES 4
#define RIG_TEXT 4096

struct heard {
    char text[RIG_TEXT];
    size_t n_text;
    token_id tokens[512], prompt_tokens[512];
    float logprobs[512], prompt_logprobs[512];
    uint32_t n_tokens, n_prompt_tokens, n_ends;
    uint32_t n_completion, n_cached, n_thought;
    enum event_kind end;
    enum finish_reason finish;
    token_id stop_token;
    int32_t stop_string;
    enum err_class error;
    uint64_t digest; /* of everything, in order */
};

struct call {
    struct job *job;
    struct heard heard[RIG_CHOICES];
    uint32_t n_choices, n_events, cancel_after; /* 0: never */
    struct engine *engine;
    bool cancelled;
};

struct rig {
    struct fake_model model; /* face.cache is NULL beside a real one */
    struct engine *engine;
    sem_t woken;
};

void rig_init(struct rig *rig, uint32_t n_blocks,
              const struct engine_options *options);
/* Over a real model, which is the caller's and outlives the rig. */
void rig_init_model(struct rig *rig, struct model *model,
                    const struct engine_options *options);
void rig_deinit(struct rig *rig);
engine_wake_fn rig_wake;

/* One turn of the loop; false when nothing came for a while. */
bool rig_turn(struct rig *rig, unsigned wait_ms);

/* Makes `call` the one that hears `job`. */
void rig_call(struct call *call, struct job *job);
void rig_submit(struct rig *rig, struct call *call);
bool rig_is_over(const struct call *call);
void rig_wait_for(struct rig *rig, struct call *calls, uint32_t n);
void rig_wait_idle(struct rig *rig);

/* All of it, and what the first choice said; the job is released. */
struct heard *rig_say(struct rig *rig, struct call *call, struct job *job);

/* What a job over the model without weights captured is what its prompt says.
 */
void rig_check_captured(const struct job *job);

/* A job whose reply counts up from the last prompt token. */
struct job *rig_counting_job(token_id from, uint32_t max_tokens);

#endif
