/* fake_model.h -- a model without weights, for tests of the engine.
 *
 * It keeps tokens where a real model keeps keys and values, and its logits are
 * a function of all tokens it finds there.  So a reply changes as soon as a
 * block is lost, written by two, or computed out of order; and a sequence that
 * begins in the middle must replay FAKE_REPLAY tokens first. */
#ifndef LFMD_TESTS_LIB_FAKE_MODEL_H
#define LFMD_TESTS_LIB_FAKE_MODEL_H

#include <stdatomic.h>

#include "server/engine/engine.h"

/* The vocabulary. */
#define FAKE_EOS 0 /* special */
#define FAKE_LOOP                                                              \
    1                 /* as first token: what stood FAKE_LOOP_TOKENS before is \
                         said again, most of the time */
#define FAKE_POISON 2 /* any sequence with it has NaN logits */
#define FAKE_COUNT                                                           \
    3                  /* as first token: each token is followed by the next \
                          id, surely */
#define FAKE_HEAR 4    /* special, "<hear>" */
#define FAKE_A 20      /* 'a' .. 'z' */
#define FAKE_HALF_1 46 /* first and second byte of U+00E9 */
#define FAKE_HALF_2 47
#define FAKE_BYTES 48 /* "--", and so on */
#define FAKE_N_VOCAB 64u
#define FAKE_REPLAY 5u
#define FAKE_LOOP_TOKENS 7u
#define FAKE_LAYERS 2u /* the second has experts */
#define FAKE_HIDDEN 4u
#define FAKE_EXPERTS 3u

struct fake_model {
    struct engine_model face;      /* give this to engine_new_with */
    struct mask_vocab *mask_vocab; /* owned; all tokens but special ones */
    atomic_bool held; /* no step gets through meanwhile, so that jobs can be
                         submitted together */
};

/* Aborts the test when memory is short. */
void fake_model_init(struct fake_model *m, uint32_t n_blocks, uint32_t n_slots,
                     uint32_t ctx_tokens);
/* Also checks that every block and slot came back. */
void fake_model_deinit(struct fake_model *m);

/* Number `i` of a state of the last of these tokens; state FAKE_LAYERS + 1 is
 * what its router says. */
float fake_state(const token_id *tokens, uint32_t n, uint32_t state,
                 uint32_t i);

#endif
