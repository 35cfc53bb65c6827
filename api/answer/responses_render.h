/* responses_render.h -- the objects of the responses protocol: the response,
 * and its items, one a part of the reply.
 *
 *     {"object": "response", "status": ..., "output": [reasoning, message,
 *      function_call, ...], "usage": ..., and what the request asked}
 *
 * Streams say items empty when they begin and whole when they end; the whole
 * response is the same object in a stream's last event and as an answer.
 * Pure, loop thread. */
#ifndef LFMD_API_ANSWER_RESPONSES_RENDER_H
#define LFMD_API_ANSWER_RESPONSES_RENDER_H

#include "api/answer/answer.h"
#include "api/answer/responses_logprobs.h"
#include "api/base/writer.h"
#include "api/request/responses_request.h"
#include "model/base/err.h"

#define IDS_RESPONSE "resp_"

struct job;

/* What a response has besides the parts; t->extra. */
struct responses {
    struct responses_asked asked;
    uint32_t n_events;
    uint32_t n_thought; /* tokens of thoughts heard so far */
    struct responses_logprobs logprobs;
};

/* The reply as items.  One that ended without text or call (but for want of
 * room) has an empty message at its end: clients look for one. */
uint32_t responses_n_items(const struct choice *c);
enum part_kind responses_item_kind(const struct choice *c, uint32_t i);

/* Writes the id of item `i`: "msg_" (or another) and the letters and digits of
 * the response, then its number. */
void responses_item_id(char out[IDS_BYTES], const struct choice *c, uint32_t i);

/* The item as it begins, or with all it says; its one piece of content. */
void responses_item_begun(struct writer *w, const struct choice *c, uint32_t i);
void responses_item(struct writer *w, struct responses *x,
                    const struct choice *c, uint32_t i);
void responses_content(struct writer *w, struct responses *x,
                       const struct choice *c, uint32_t i, bool empty);

/* The response so far: in progress until the choice has ended; failed if `err`
 * says how.  `job` is its (only) one. */
void responses_object(struct writer *w, struct responses *x,
                      const struct choice *c, const struct job *job,
                      const struct err *err);

/* "completed", "incomplete" or "in_progress" */
const char *responses_status(const struct choice *c);

#endif
