/* token.h -- what a token is called everywhere: an index into the vocabulary.
 * Negative values never name a token; TOKEN_NONE says "there is none". */
#ifndef LFMD_MODEL_BASE_TOKEN_H
#define LFMD_MODEL_BASE_TOKEN_H

#include <stdint.h>

typedef int32_t token_id;

#define TOKEN_NONE ((token_id)-1)

#endif
