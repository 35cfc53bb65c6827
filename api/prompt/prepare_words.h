/* prepare_words.h -- the words a request wants or does not want, as tokens.
 *
 * A bad word is barred as the tokens it is at the beginning of a text and as
 * those it is after a space, as in vLLM: what a reply spells from other tokens
 * is not found.
 *
 * Pool thread; the tokenizer is const. */
#ifndef LFMD_API_PROMPT_PREPARE_WORDS_H
#define LFMD_API_PROMPT_PREPARE_WORDS_H

#include "api/request/sampling_fields.h"
#include "model/base/err.h"

struct job;
struct tokenizer;

/* Sets bias, bad_words and allowed of job->params, all in the job's arena;
 * `n_vocab` is that of the request's rules. */
int prepare_words(struct job *job, const struct tokenizer *t,
                  const struct sampling_fields *f, uint32_t n_vocab,
                  struct err *err);

#endif
