/* answer.h -- what is known so far of the answer to one call.
 *
 * turn_hear.c fills it from the engine's events, the forms render it; in a
 * stream a choice holds what the next chunk will say, otherwise all of it.
 *
 * Plain data, loop thread. */
#ifndef LFMD_API_ANSWER_ANSWER_H
#define LFMD_API_ANSWER_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/answer/parts.h"
#include "api/base/ids.h"
#include "model/base/buf.h"
#include "model/base/token.h"
#include "model/dialect/speech.h"
#include "server/engine/job.h"

/* Per token, as JSON text without its brackets: each is a list of elements
 * joined by commas, so that a whole answer and a chunk are made alike. */
struct logprob_lists {
    struct buf content; /* chat: {"token","logprob","bytes","top_logprobs"} */
    struct buf tokens, values, tops, offsets; /* completions */
};

#define CHOICE_UNTOLD UINT32_MAX
#define ANSWER_ID_BYTES 160 /* a prefix and the client's own name for it */

struct answer;

struct choice {
    uint32_t index; /* CHOICE_UNTOLD: drawn, and not among the best */
    const struct answer *answer; /* borrowed: the one it belongs to */
    const struct choice *first;  /* of those of its prompt */
    const token_id *prompt;      /* [n_prompt], borrowed from the job */
    uint32_t n_prompt;
    struct speech speech; /* chat only */
    struct parts parts;   /* a completion's is one text */
    struct buf said;      /* chat with tools: all of it, as it is */
    struct logprob_lists logprobs;
    struct buf prompt_logprobs; /* as those, of all tokens but the first; only
                                   the first choice of a prompt has them */
    double logprob_sum;         /* of what was drawn, where logprobs are */
    uint32_t text_offset;       /* code points of text before the next token */
    struct buf ids;             /* token ids, joined by commas */
    bool echoed;                /* the prompt is in the text already */
    bool has_newline;           /* /completion: so has its text, told or not */
    bool started;               /* its first chunk went out */
    bool ended;
    enum finish_reason finish;
    token_id stop_token;     /* one that the request named, or TOKEN_NONE */
    const char *stop_string; /* borrowed from the job, or NULL */
    uint32_t n_cached;       /* of n_prompt */
    uint32_t n_completion;
    uint32_t n_thought; /* of those, see job.h */
    uint64_t prefill_us, decode_us;
};

struct answer {
    char id[ANSWER_ID_BYTES];
    int64_t created;
    const char *model;       /* borrowed: the served name */
    const char *fingerprint; /* borrowed */
    bool stream;
    bool want_logprobs;
    bool want_prompt_logprobs;  /* with */
    uint32_t n_prompt_logprobs; /* alternatives each */
    bool return_ids;
    bool hide_thoughts;
    bool include_usage; /* streams: "usage" on every chunk, null so far */
    bool continuous_usage;
    struct buf prompt_text; /* owned by the turn: what the model read, if the
                               answer is to tell it */
    bool verbose;           /* it is */
    bool timings_per_token; /* streams: on every chunk */
    bool tokens_as_ids;     /* logprobs: "token_id:7" for "token" */
    uint32_t n_prompt, n_cached; /* usage, over all prompts */
    struct choice *choices;      /* [n_choices], owned by the turn */
    uint32_t n_choices;
    uint32_t n_told; /* choices the client gets, numbered from 0 */
};

#endif
