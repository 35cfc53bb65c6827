/* tokenizer_source.h -- the tokenizer in a GGUF file.
 *
 * Reads tokenizer.ggml.*: model (must be "gpt2", byte-level BPE), pre, tokens,
 * token_type, merges, bos_token_id, eos_token_id, add_bos_token (true when
 * absent, as llama.cpp has it for these patterns) and add_eos_token.  What they
 * mean is model/text/tokenizer_lists.h.
 * For start only, any thread. */
#ifndef LFMD_MODEL_TOKENIZER_SOURCE_H
#define LFMD_MODEL_TOKENIZER_SOURCE_H

#include "model/base/err.h"
#include "model/text/tokenizer.h"
#include "model/weights/gguf.h"

/* Nothing of `g` is kept.  Errors name the key.  About 32 bytes of memory for
 * each token and merge, while it runs. */
int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g,
                        struct err *err);

#endif
