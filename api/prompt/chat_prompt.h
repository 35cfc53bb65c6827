/* chat_prompt.h -- a checked chat request as the text the model reads.
 *
 * Knows roles, tools and thinking switches; the template knows the spelling.
 * Where a template has no branch for past tool calls, they are written into
 * the message's content the way the model itself writes them.  A past reply
 * that is known word for word (replay_prompt.h) is rendered in its own words.
 * A message that is continued is left open (chat_continue.h), and a reply that
 * must not think finds its thought closed.
 *
 * Pool thread; the template is const, the request is not changed. */
#ifndef LFMD_API_PROMPT_CHAT_PROMPT_H
#define LFMD_API_PROMPT_CHAT_PROMPT_H

#include "api/request/chat_request.h"
#include "model/base/buf.h"
#include "model/base/err.h"

struct template;

/* Appends the rendered prompt, BOS text included if the template writes it.
 * `bos_text` and `eos_text` may be NULL.  What the template itself refuses
 * (raise_exception, or a role it does not know) is -ERR_INVALID. */
int chat_prompt_render(struct buf *out, const struct template *t,
                       const char *bos_text, const char *eos_text,
                       const struct chat_request *r, struct err *err);

#endif
