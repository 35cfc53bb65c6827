/* replay_prompt.h -- past replies in the prompt as the model wrote them.
 *
 * A template is given a mark instead of a reply's content and calls, and in
 * what it renders the mark becomes the reply's own text.  A mark holds random
 * letters drawn for this prompt alone, so no message can contain it.
 *
 * Only a reply that the client sends back unchanged is replayed: the same ids
 * in order, and the same content, names and values as its text is read to
 * say.  Thoughts stay where the template puts them, or leaves them out.
 *
 * A message may be short and its reply long, for thoughts need not be sent: so
 * no more is read for a prompt than a store holds (REPLAY_BYTES).  That is
 * enough for all that differ; the same ones again are shown as the template
 * has them.
 *
 * Pool thread. */
#ifndef LFMD_API_PROMPT_REPLAY_PROMPT_H
#define LFMD_API_PROMPT_REPLAY_PROMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "api/prompt/replay.h"
#include "model/base/buf.h"
#include "model/base/json.h"

struct replayed {
    struct buf said;
    size_t thoughts, n_thoughts; /* where they are in `said`, between tags */
    size_t rest;                 /* where what follows them begins */
};

struct replay_prompt {
    char nonce[IDS_BYTES];
    struct replayed *replies; /* owned; [n_replies] of the prompt, in order */
    uint32_t n_replies;
};

/* The messages, with marks for those that are replayed; a new reference, NULL
 * if memory is short.  To be deinited either way. */
json_t *replay_prompt_mark(struct replay_prompt *p, struct replay *store,
                           uint64_t tenant, json_t *messages);
void replay_prompt_deinit(struct replay_prompt *p);

/* Appends `text` with replies for marks.  False, with `out` as it was, when
 * the template did not show each reply once. */
bool replay_prompt_expand(struct buf *out, const struct replay_prompt *p,
                          const struct buf *text);

#endif
