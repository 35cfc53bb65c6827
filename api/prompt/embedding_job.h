/* embedding_job.h -- from one input of a checked request to a job.
 *
 * Pool thread; pure: the model is const. */
#ifndef LFMD_API_PROMPT_EMBEDDING_JOB_H
#define LFMD_API_PROMPT_EMBEDDING_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "api/request/embedding_request.h"
#include "model/base/err.h"

struct job;
struct model;

/* Of a request that is a chat: parses the same body again, as one of
 * /v1/chat/completions, and makes its text the only input. */
int embedding_read_chat(struct embedding_request *r, const struct model *m,
                        const char *body, size_t n, size_t arena_limit,
                        struct err *err);

/* The job of input `i`, with one reference that is the caller's: tokens, cut
 * where the request says so, and what is wanted of their pass; no on_event yet.
 * -ERR_CONTEXT when they do not fit, -ERR_NOMEM. */
int embedding_job(struct job **out, const struct model *m,
                  const struct embedding_request *r, uint32_t i,
                  size_t arena_limit, struct err *err);

/* Numbers that the answer will have for a job of n_prompt tokens; UINT64_MAX if
 * that overflows. */
uint64_t embedding_numbers(const struct model *m,
                           const struct embedding_request *r,
                           uint32_t n_prompt);

#endif
