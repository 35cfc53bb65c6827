/* dialect.h -- which markers this checkpoint speaks with.
 *
 * LFM2 thinks between <think> and </think> and calls tools in Python syntax
 * between <|tool_call_start|> and <|tool_call_end|>.  The ids differ between
 * checkpoints, and whether the tokenizer flags them "special" differs between
 * revisions of one checkpoint, so markers are found by their text and the flag
 * decides nothing.
 *
 * It knows the vocabulary, not the template and not the request.
 * Const after dialect_init: any thread. */
#ifndef LFMD_MODEL_DIALECT_DIALECT_H
#define LFMD_MODEL_DIALECT_DIALECT_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/token.h"

#define DIALECT_THINK_START "<think>"
#define DIALECT_THINK_END "</think>"
#define DIALECT_CALL_START "<|tool_call_start|>"
#define DIALECT_CALL_END "<|tool_call_end|>"
#define DIALECT_TURN_END "<|im_end|>"

#define DIALECT_MARKERS 4u

struct tokenizer;

struct dialect {
    /* TOKEN_NONE where the vocabulary has no such token. */
    token_id think_start, think_end, call_start, call_end, turn_end;
    bool thinks; /* both think markers are tokens */
    bool calls;  /* both call markers are tokens */
};

void dialect_init(struct dialect *d, const struct tokenizer *t);

/* The markers whose text speech.h must see even when special tokens are
 * hidden: writes at most DIALECT_MARKERS ids, returns how many. */
uint32_t dialect_keep(const struct dialect *d, token_id out[DIALECT_MARKERS]);

#endif
