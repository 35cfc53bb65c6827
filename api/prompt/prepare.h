/* prepare.h -- from a checked request to a job the engine can run.
 *
 * Prompt text, tokens, the context check, the model's own sampling defaults
 * and its stop tokens.  Everything that can be refused for sure is refused
 * here, before any header of the answer is written.
 *
 * Sampling numbers: the request, else generation_config.json, else (only when
 * that file names no sampling number at all) the family's published values, a
 * table in prepare.c.
 *
 * Pool thread; pure but for the random seed: the model is const. */
#ifndef LFMD_API_PROMPT_PREPARE_H
#define LFMD_API_PROMPT_PREPARE_H

#include "api/api_options.h"
#include "api/request/chat_request.h"
#include "api/request/completion_request.h"
#include "model/base/err.h"
#include "model/dialect/speech.h"
#include "model/sample/params.h"

struct job;
struct model;

/* The name answers carry: the operator's, else the model's. */
const char *prepare_served_name(const struct model *m,
                                const struct api_options *o);

/* -ERR_NOT_FOUND: the request names a model other than the served one. */
int prepare_no_model(const char *served, struct err *err);

/* The same when names are strict and `name` (NULL: none) is another. */
int prepare_check_model(const struct model *m, const struct api_options *o,
                        const char *name, struct err *err);

/* On success *out is a new job with one reference and no on_event yet;
 * *speech says how its reply is to be read.  The request may be freed before
 * the job: the job holds copies.  -ERR_CONTEXT when prompt and max_tokens do
 * not fit. */
int prepare_chat(struct job **out, struct speech_options *speech,
                 const struct model *m, const struct api_options *o,
                 const struct chat_request *r, struct err *err);

/* The job of prompt number `prompt`. */
int prepare_completion(struct job **out, const struct model *m,
                       const struct api_options *o,
                       const struct completion_request *r, uint32_t prompt,
                       struct err *err);

/* The job.cache_salt of a request's cache_salt. */
uint64_t prepare_salt(const char *cache_salt);

/* The rendered text of a chat, for /apply-template and /tokenize. */
int prepare_chat_text(struct buf *out, const struct model *m,
                      const struct chat_request *r, struct err *err);

/* How many tokens that text has. */
int prepare_chat_count(size_t *n, const struct model *m,
                       const struct chat_request *r, struct err *err);

/* The sampling numbers of a request that names none. */
struct sample_params prepare_defaults(const struct model *m);

/* One line naming the sampling defaults in force, for the start banner. */
void prepare_describe_defaults(struct buf *out, const struct model *m);

#endif
