/* logprob_render.h -- a token and its probability, in the two shapes of OpenAI
 * and in that of vLLM's prompt_logprobs.
 *
 * In chat a token's text is its bytes as UTF-8, what is none becoming U+FFFD,
 * and "bytes" has them as they are; a completion's tokens that are no UTF-8 by
 * themselves read "bytes:\xe2\x82".  Loop thread; the tokenizer is const. */
#ifndef LFMD_API_ANSWER_LOGPROB_RENDER_H
#define LFMD_API_ANSWER_LOGPROB_RENDER_H

#include "api/answer/answer.h"
#include "server/engine/job.h"

struct tokenizer;

/* Appends one element to lists->content. */
void logprob_render_chat(struct logprob_lists *lists, const struct tokenizer *t,
                         const struct job_event *e, bool tokens_as_ids);

/* Appends vLLM's {"7": {"logprob": -1.5, "rank": 3, "decoded_token": "x"}, ...}
 * to a list: the prompt's token and the first n_top of the likeliest. */
void logprob_render_prompt(struct buf *list, const struct tokenizer *t,
                           const struct job_event *e, uint32_t n_top);

/* The same with the ids of all tokens, as llama-server has it. */
void logprob_render_native(struct logprob_lists *lists,
                           const struct tokenizer *t,
                           const struct job_event *e);

/* Appends one element to each of the four lists; `certain` is false for the
 * first token of a prompt, which nothing predicted.  Moves *offset by the code
 * points that begin in the token. */
void logprob_render_completion(struct logprob_lists *lists,
                               const struct tokenizer *t,
                               const struct job_event *e, bool certain,
                               bool tokens_as_ids, uint32_t *offset);

#endif
