/* engine_options.h -- what the engine asks for at start.
 *
 * The batch the engine fills is max_step_tokens x max_sequences x
 * max_logit_rows; the model must have been opened for at least that much
 * (model_options max_batch_tokens, max_slices, max_logit_rows).  With
 * engine_new, 0 in one of these takes what the model was opened for. */
#ifndef LFMD_SERVER_ENGINE_ENGINE_OPTIONS_H
#define LFMD_SERVER_ENGINE_ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct engine_options {
    uint32_t max_sequences;   /* running at once; n choices are n sequences */
    uint32_t max_queue;       /* jobs accepted and not yet ended, at most;
                                 the next submit is -ERR_BUSY */
    uint32_t max_queue_ms;    /* a job not started after so long ends with
                                 ERR_UNAVAILABLE; 0: it waits for ever */
    uint32_t max_step_tokens; /* per forward; raised to max_sequences if less */
    uint32_t max_logit_rows;  /* per forward; raised to max_sequences if less.
                                 More rows make prompt logprobs faster, and
                                 cost n_vocab floats each */
    bool prefix_cache;        /* what one computed, others need not */
    uint32_t n_draft;         /* tokens that a job guesses ahead if it does not
                                 say, JOB_DRAFT_MAX at most; 0: none */
    uint32_t target_gap_ms;   /* a step that decodes takes no prompt tokens
                                 beyond what keeps it under this; 0:
                                 PACE_AUTO_FACTOR x what decoding takes */
    uint32_t ring_bytes;      /* per job, for events not yet delivered; 0 is
                                 the default, raised to what one step needs */
};

#endif
