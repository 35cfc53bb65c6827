/* tokenize.h -- what others need of tokenize.c.  Any thread. */
#ifndef LFMD_API_TOKENIZE_H
#define LFMD_API_TOKENIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/token.h"

struct tokenizer;

/* Appends the text that the tokens spell, without special ones if these are
 * skipped; what is no UTF-8 becomes U+FFFD. */
void tokenize_join(struct buf *text, const struct tokenizer *tok,
                   const token_id *ids, uint32_t n_ids, bool skip_special);

#endif
