/* tokenize.h -- what others need of tokenize.c.  Any thread. */
#ifndef LFMD_API_TOKENIZE_H
#define LFMD_API_TOKENIZE_H

#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/token.h"

struct tokenizer;

/* Memory that the fields of one chat may take. */
#define TOKENIZE_CHAT_BYTES ((size_t)64 << 20)

/* Appends the text that the tokens spell; what is no UTF-8 becomes U+FFFD. */
void tokenize_join(struct buf *text, const struct tokenizer *tok,
                   const token_id *ids, uint32_t n_ids);

#endif
