/* sampling_fields.h -- the request fields that chat and completions share.
 *
 * Reads temperature, stop, seed, logit_bias, n and their kin out of a request
 * object, each checked once and for all; nobody looks at the JSON for them
 * again.  null is the same as absent; unknown fields are nobody's business.
 *
 * It does not know the defaults of a model (prepare.h) nor what is done with
 * the numbers.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_SAMPLING_FIELDS_H
#define LFMD_API_REQUEST_SAMPLING_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/json.h"
#include "model/base/token.h"
#include "model/sample/params.h"
#include "server/engine/job.h"

#define SAMPLING_N_MAX 8
#define SAMPLING_BIAS_MAX 1024u
#define SAMPLING_STOPS_MAX 16u
#define SAMPLING_BAD_WORDS_MAX 1000u
#define SAMPLING_WORD_BYTES_MAX 256u
#define SAMPLING_STOP_IDS_MAX 64u
#define SAMPLING_LOGPROBS_MAX 20
#define SAMPLING_DRAFT_MAX 16
#define SAMPLING_PATTERN_MAX 1024
#define SAMPLING_TRUNCATE_FIT UINT32_MAX

/* Which of the optional numbers the request gave. */
enum sampling_has {
    SAMPLING_TEMPERATURE = 1u << 0,
    SAMPLING_TOP_P = 1u << 1,
    SAMPLING_TOP_K = 1u << 2,
    SAMPLING_MIN_P = 1u << 3,
    SAMPLING_REPETITION = 1u << 4,
    SAMPLING_PRESENCE = 1u << 5,
    SAMPLING_FREQUENCY = 1u << 6,
    SAMPLING_SEED = 1u << 7,
    SAMPLING_MAX_TOKENS = 1u << 8,
    SAMPLING_DRAFT = 1u << 9,
    SAMPLING_UNLIMITED = 1u << 10, /* max_tokens: as the context allows */
    SAMPLING_PROMPT_LOGPROBS = 1u << 11
};

/* A bias of the token, or of each token, that a word is. */
struct word_bias {
    const char *word;
    float bias;
};

struct sampling_fields {
    unsigned has; /* of enum sampling_has; the others read 0 */
    float temperature, top_p, min_p;
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t top_k;           /* 0 and -1 in the request: off, 0 here */
    uint32_t penalty_window; /* repeat_last_n; SAMPLE_WINDOW_ALL when absent */
    uint64_t seed;
    uint32_t max_tokens;   /* or max_completion_tokens, which wins, or
                              llama-server's n_predict */
    bool clips_max_tokens; /* to what the context leaves, instead of refusing;
                              no field says so, but a protocol does */
    uint32_t min_tokens;
    uint32_t n;                    /* choices, 1 when absent */
    const struct logit_bias *bias; /* [n_bias], in the arena */
    uint32_t n_bias;
    const struct word_bias *word_bias; /* [n_word_bias], in the arena */
    uint32_t n_word_bias;
    const uint32_t *allowed; /* allowed_token_ids as a mask (params.h), in the
                                arena; NULL: all */
    const char *const *bad_words; /* [n_bad_words], in the arena */
    uint32_t n_bad_words;
    struct job_loops loops;     /* repetition_detection */
    uint32_t n_prompt_logprobs; /* alternatives; with its bit in `has` */
    uint32_t truncate;       /* most tokens of a prompt that are kept; 0: all;
                                SAMPLING_TRUNCATE_FIT: those that fit */
    bool truncate_right;     /* the last ones go, else the first */
    const char *const *stop; /* [n_stop], in the arena; none is empty */
    uint32_t n_stop;
    const token_id *stop_ids; /* [n_stop_ids], in the arena */
    uint32_t n_stop_ids;
    bool ignore_eos;
    bool include_stop; /* include_stop_str_in_output */
    bool skip_special; /* skip_special_tokens, true when absent */
    bool return_token_ids;
    bool tokens_as_ids;     /* return_tokens_as_token_ids: "token_id:7" */
    const char *request_id; /* in the arena, or NULL */
    bool timings_per_token; /* llama-server's */
    uint32_t n_draft; /* speculative.n_max (llama-server's; the dot is part of
                         the key): tokens to guess ahead, 0 for none */
    int32_t priority;
    const char *cache_salt; /* in the arena, or NULL */
    bool no_prefix;         /* cache_prompt is false (llama-server's) */
    bool stream;
    bool include_usage; /* stream_options, only with stream */
    bool continuous_usage;
};

/* What the two endpoints differ in. */
struct sampling_rules {
    uint32_t n_vocab;       /* ids at or above it are refused */
    int64_t min_max_tokens; /* lowest max_tokens accepted: 0 or 1 */
};

int sampling_fields_parse(struct sampling_fields *f, const json_t *body,
                          const struct sampling_rules *rules,
                          struct arena *arena, struct err *err);

#endif
