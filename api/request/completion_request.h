/* completion_request.h -- the body of POST /v1/completions, checked.
 *
 * The prompt is a string, a list of strings, a list of ids or a list of lists
 * of ids; each becomes one job, and choice numbers run through all of them:
 * index = prompt * n + choice.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_COMPLETION_REQUEST_H
#define LFMD_API_REQUEST_COMPLETION_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/request/sampling_fields.h"
#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/json.h"
#include "model/base/token.h"

#define COMPLETION_PROMPTS_MAX 64u
#define COMPLETION_MAX_TOKENS_DEFAULT 16u

struct grammar;

struct completion_prompt {
    const char *text; /* [n_text] in the arena, or NULL: ids it is */
    size_t n_text;
    const token_id *ids; /* [n_ids] in the arena */
    uint32_t n_ids;
};

struct completion_request {
    struct arena *arena; /* owned */
    /* max_tokens holds the default of 16 where neither SAMPLING_MAX_TOKENS nor
     * SAMPLING_UNLIMITED is in `has`; the context may then cut it. */
    struct sampling_fields sampling;
    const char *model;                       /* or NULL */
    const struct completion_prompt *prompts; /* [n_prompts], in the arena */
    uint32_t n_prompts;                      /* >= 1 */
    struct grammar *grammar; /* owned: what the answer must be, or NULL */
    uint32_t best_of;        /* >= n: so many are drawn, the n likeliest told */
    bool echo;
    bool warms_cache;    /* no tokens are wanted, but the prompt computed; no
                            field of completions says so */
    bool want_logprobs;  /* `logprobs` was given */
    uint32_t n_logprobs; /* 0..20 */
};

/* Reads a prompt or an array of prompts, at most `most`, into the arena; `key`
 * names the member `v` in errors.  What others than completions take, too. */
int completion_prompts_parse(const struct completion_prompt **out, uint32_t *n,
                             const json_t *v, const char *key, uint32_t most,
                             uint32_t n_vocab, struct arena *arena,
                             struct err *err);

/* On failure nothing is left to free. */
int completion_request_parse(struct completion_request *r, const char *body,
                             size_t n, uint32_t n_vocab, size_t arena_limit,
                             struct err *err);
/* The same of an object that is parsed already, and may be freed afterwards; a
 * reply of no tokens is accepted whatever it is good for. */
int completion_request_read(struct completion_request *r, const json_t *body,
                            uint32_t n_vocab, size_t arena_limit,
                            struct err *err);
void completion_request_deinit(struct completion_request *r);

#endif
