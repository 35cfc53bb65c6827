/* responses_logprobs.h -- which token belongs to which text.
 *
 * In this protocol logprobs are a text's own: those of thoughts and calls are
 * not told.  A token's text may come later than the token (as the possible
 * start of a marker, say), so tokens wait here until something was said, and
 * then are that part's.
 *
 * Loop thread. */
#ifndef LFMD_API_ANSWER_RESPONSES_LOGPROBS_H
#define LFMD_API_ANSWER_RESPONSES_LOGPROBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/answer/answer.h"

struct text_logprobs {
    uint32_t part;   /* its number among the parts */
    struct buf list; /* elements joined by commas */
    size_t n_told;   /* bytes of them, with the comma that follows */
};

struct responses_logprobs {
    struct logprob_lists waiting; /* its `content`: see logprob_render_chat */
    struct text_logprobs *texts;  /* [n], owned */
    uint32_t n, room;
    uint32_t n_parts; /* what was said when last settled: so many parts, */
    size_t n_bytes;   /* and so many bytes of the last of them */
    bool failed;      /* memory was short */
};

void responses_logprobs_deinit(struct responses_logprobs *l);

/* After an event's text is in the parts, which have forgotten nothing. */
void responses_logprobs_settle(struct responses_logprobs *l,
                               const struct parts *p);

/* The list of a part; NULL: it has none. */
struct text_logprobs *responses_logprobs_of(struct responses_logprobs *l,
                                            uint32_t part);

#endif
