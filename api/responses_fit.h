/* responses_fit.h -- how long a response's prompt is, and what to leave out of
 * one that is too long.
 *
 * Pool thread; the model is const. */
#ifndef LFMD_API_RESPONSES_FIT_H
#define LFMD_API_RESPONSES_FIT_H

#include <stddef.h>

#include "model/base/err.h"

struct chat_request;
struct model;

/* The tokens of the rendered prompt. */
int responses_count(size_t *out, const struct model *m,
                    const struct chat_request *r, struct err *err);

/* truncation "auto": drops the oldest messages behind the system prompt until
 * prompt and reply fit the context, as few as will do; a result goes with its
 * call.  The reply has room for what was asked, or for an eighth of the
 * context.  The last message stays, whether it fits or not.
 *
 * Renders and counts about log2(messages) times. */
int responses_truncate(struct chat_request *r, const struct model *m,
                       struct err *err);

#endif
