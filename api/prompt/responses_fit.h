/* responses_fit.h -- what to leave out of a response's prompt that is too long.
 *
 * Pool thread; the model is const. */
#ifndef LFMD_API_PROMPT_RESPONSES_FIT_H
#define LFMD_API_PROMPT_RESPONSES_FIT_H

#include "model/base/err.h"

struct chat_request;
struct model;

/* truncation "auto": drops the oldest messages behind the system prompt until
 * prompt and reply fit the context, as few as will do; a result goes with its
 * call.  The reply has room for what was asked, or for an eighth of the
 * context.  The last message stays, whether it fits or not.
 *
 * Renders and counts about log2(messages) times. */
int responses_truncate(struct chat_request *r, const struct model *m,
                       struct err *err);

#endif
