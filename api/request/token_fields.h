/* token_fields.h -- the request fields that name tokens or words: stop,
 * stop_token_ids, logit_bias, bad_words, allowed_token_ids.
 *
 * Words stay words here: making tokens of them is prepare.c's, which has the
 * tokenizer.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_TOKEN_FIELDS_H
#define LFMD_API_REQUEST_TOKEN_FIELDS_H

#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/json.h"
#include "model/base/token.h"

struct sampling_fields;

/* Fills those fields of `f`; everything goes into the arena. */
int token_fields_parse(struct sampling_fields *f, const json_t *body,
                       uint32_t n_vocab, struct arena *arena, struct err *err);

/* Reads an array of token ids below n_vocab into the arena; `path` names it in
 * errors. */
int token_fields_ids(const token_id **out, uint32_t *n, const json_t *array,
                     uint32_t n_vocab, uint32_t max, const char *path,
                     struct arena *arena, struct err *err);

#endif
