/* native_request.h -- the body of POST /completion, llama-server's own.
 *
 * What it calls otherwise is renamed (n_predict, n_probs, return_tokens), and
 * its prompts are unwrapped: {"prompt_string": ...}, and arrays in which texts
 * stand between token ids; the rest is read as a completion.  Its reply is as
 * long as the server lets it be, unless it says; with n_predict 0 the prompt is
 * computed for the cache, and no more.
 *
 * Pool thread; pure. */
#ifndef LFMD_API_REQUEST_NATIVE_REQUEST_H
#define LFMD_API_REQUEST_NATIVE_REQUEST_H

#include "api/request/completion_request.h"

struct tokenizer;

/* `t` is for texts between ids.  On failure nothing is left to free. */
int native_request_parse(struct completion_request *r, const char *body,
                         size_t n, const struct tokenizer *t, uint32_t n_vocab,
                         size_t arena_limit, struct err *err);

#endif
