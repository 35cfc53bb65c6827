/* answer_render.h -- what chat and completion objects have in common. */
#ifndef LFMD_API_ANSWER_ANSWER_RENDER_H
#define LFMD_API_ANSWER_ANSWER_RENDER_H

#include "api/answer/answer.h"
#include "api/base/writer.h"
#include "model/sample/params.h"

/* Opens the object: id, object, created, model, system_fingerprint. */
void answer_open(struct writer *w, const struct answer *a, const char *object);

/* "usage": {...}, counting every choice. */
void answer_usage(struct writer *w, const struct answer *a);

/* In a stream: null, numbers or nothing, as stream_options asks; and timings
 * where every chunk has them, or where `c` has ended and no usage chunk will
 * follow. */
void answer_chunk_usage(struct writer *w, const struct answer *a,
                        const struct choice *c);

/* "timings": {...}, llama-server's, of one choice. */
void answer_timings(struct writer *w, const struct choice *c);

/* "temperature" and its kin; the repetition penalty has a name in each
 * protocol. */
void answer_params(struct writer *w, const struct sample_params *p,
                   const char *repetition);

/* "finish_reason" and "stop_reason" of a choice that has ended. */
void answer_finish(struct writer *w, const struct choice *c);

/* "key": [elements] */
void answer_list(struct writer *w, const char *key, const struct buf *elements);

/* "key": all of that kind that the choice says, or what is new of it */
void answer_parts(struct writer *w, const char *key, const struct parts *p,
                  enum part_kind kind);
void answer_news(struct writer *w, const char *key, const struct parts *p,
                 enum part_kind kind);

/* The last chunk of a stream that asked for usage. */
void answer_usage_chunk(struct writer *w, const struct answer *a,
                        const char *object);

/* "prompt_logprobs": null, or vLLM's [null, {"7": {"logprob", "rank",
 * "decoded_token"}, ...}, ...], one a token. */
void answer_prompt_logprobs(struct writer *w, const struct answer *a,
                            const struct choice *c);

/* "prompt_token_ids": [1, 2, 3] */
void answer_prompt_ids(struct writer *w, const struct choice *c);

#endif
