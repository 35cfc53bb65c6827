/* job.h -- one generation: what is asked, and who hears about it.
 *
 * Whoever prepares a job fills the public fields, everything they point to in
 * the job's own arena, and submits it; from then on they do not change.  A job
 * with n_choices replies is n sequences to the engine.
 *
 * Every choice hears: its EVENT_PROMPT_LOGPROBs in prompt order, if wanted;
 * its EVENT_TOKENs in order; and then exactly one end, EVENT_FINISH or
 * EVENT_ERROR.  Choices interleave freely.  After the last choice's end the
 * engine has forgotten the job.
 *
 * References: job_new gives the caller one.  The engine takes and drops its
 * own; the caller keeps his whatever engine_submit says, and drops it with
 * job_release when he will neither cancel, pause nor resume any more. */
#ifndef LFMD_SERVER_ENGINE_JOB_H
#define LFMD_SERVER_ENGINE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/token.h"
#include "model/forward/capture.h"
#include "model/sample/params.h"

enum event_kind {
    EVENT_PROMPT_LOGPROB, /* token, logprob, top: one per prompt token after
                             the first */
    EVENT_TOKEN,          /* token, text, and logprob and top if wanted */
    EVENT_FINISH,         /* finish, text, stop_token with logprob and top if
                             wanted, stop_string, usage; job->captured may be
                             read from here on */
    EVENT_ERROR           /* err, usage */
};

enum finish_reason {
    FINISH_NONE,   /* not an EVENT_FINISH */
    FINISH_STOP,   /* a stop id or a stop string */
    FINISH_LENGTH, /* max_tokens; 0 of them: the prompt is through */
    FINISH_LOOP,   /* it says the same again and again (job.loops) */
    FINISH_ABORT   /* deadline passed or engine stopped */
};

struct job_event {
    enum event_kind kind;
    uint32_t choice;
    token_id token;   /* TOKEN_NONE on ends */
    const char *text; /* complete UTF-8 that became certain; may be empty.
                         EVENT_FINISH too carries text: what was held back
                         as the possible start of a stop string */
    size_t n_text;
    float logprob; /* of `token`, or of `stop_token`; from the raw logits */
    uint32_t rank; /* EVENT_PROMPT_LOGPROB: of `token`, 1 for the likeliest */
    uint32_t n_top;
    const struct top_logprob *top; /* [n_top], likeliest first */
    enum finish_reason finish;
    token_id stop_token;   /* the stop id that ended it (it has no EVENT_TOKEN
                              of its own), else TOKEN_NONE */
    int32_t stop_string;   /* index of the stop string that ended it, or -1 */
    uint32_t n_prompt;     /* usage, valid in every event */
    uint32_t n_cached;     /* prompt tokens that this choice never computed */
    uint32_t n_completion; /* tokens drawn so far, the stop token included */
    uint32_t n_thought;    /* of those, the ones of a thought and its markers */
    uint64_t prefill_us;   /* from its first plan to its first token, or now */
    uint64_t decode_us;    /* from its first token to now */
    struct err err;
};

/* Loop thread, from engine_dispatch.  The event and all it points to are gone
 * when this returns.  May cancel, pause and release the job. */
typedef void job_event_fn(void *user, const struct job_event *event);

/* Ends a reply once its last min_size to max_size tokens stand there min_count
 * times in a row.  max_size 0 or min_count below 2: never; min_size 0 is 1. */
struct job_loops {
    uint32_t min_size, max_size, min_count;
};

struct grammar;
struct job_state; /* the engine's own side: job_state.h */

#define JOB_DRAFT_DEFAULT UINT32_MAX
#define JOB_DRAFT_MAX 16u
#define JOB_THOUGHT_FREE UINT32_MAX

struct job {
    struct arena *arena;    /* owned; all that follows lives in it */
    const token_id *prompt; /* [n_prompt] */
    uint32_t n_prompt;      /* at least 1 */
    struct sample_params params;
    uint32_t n_choices;  /* at least 1; job_new sets 1 */
    uint32_t max_tokens; /* per choice.  0: no reply, only what is wanted of
                            the prompt */
    uint32_t min_tokens; /* until so many are drawn stop ids are banned and
                            stop strings not looked for */
    bool ignore_eos;     /* for the record: then prepare leaves the eos ids
                            out of stop_ids */
    const token_id *stop_ids; /* [n_stop_ids], eos among them; none comes in a
                                 call that is held to a grammar */
    uint32_t n_stop_ids;
    const char *const *stop; /* [n_stop] stop strings, none empty; not looked
                                for in such calls either */
    uint32_t n_stop;
    bool include_stop;       /* the stop string stays in the text */
    struct grammar *grammar; /* a reference of the job's: what every choice
                                must be a text of; or NULL */
    token_id think_start;    /* a reply that begins with this one thinks */
    token_id think_end;      /* until that one; with a grammar it is bound only
                                after it; */
    bool in_thought;         /* as it is where the prompt ends in a thought. */
    token_id call_start;     /* One that begins with this is not bound at all,
                                unless call_grammar says how.  All three may
                                be TOKEN_NONE */
    uint32_t max_thought;    /* tokens between the two: then it must close its
                                thought; or JOB_THOUGHT_FREE */
    struct grammar *call_grammar; /* a reference of the job's: what must stand
                                     between call_start, wherever in a reply,
                                     and call_end; or NULL */
    token_id call_end;
    bool must_call;    /* with a call_grammar: the reply is a call, after a
                          thought perhaps, and `grammar` is NULL */
    bool single_block; /* nothing but its end comes after a call */
    bool want_prompt_logprobs;  /* with */
    uint32_t n_prompt_logprobs; /* alternatives each, 0..SAMPLE_MAX_TOP */
    struct capture_want want;   /* of the prompt's pass; with it one choice,
                                   max_tokens 0 and no logprobs.  Where it is of
                                   all tokens the job takes no prefix */
    struct job_loops loops;
    uint64_t cache_salt;      /* prefixes are shared between equals */
    bool no_prefix;           /* neither takes one from the cache nor leaves
                                 one there */
    uint32_t n_draft;         /* tokens to guess ahead, JOB_DRAFT_MAX at most;
                                 or JOB_DRAFT_DEFAULT, the engine's option,
                                 and JOB_DRAFT_MAX where a grammar leaves no
                                 choice */
    uint64_t tenant;          /* whose share of the machine it takes: a hash of
                                 the API key; 0 is nobody's in particular */
    int32_t priority;         /* lower is served first, as in vLLM */
    bool skip_special;        /* special tokens have no text, except: */
    const token_id *keep_ids; /* [n_keep_ids], whose text always appears */
    uint32_t n_keep_ids;
    uint64_t deadline_us; /* clock_now_us() that ends it; 0 is none */
    job_event_fn *on_event;
    void *user;

    struct capture captured; /* owned: its tables are taken by engine_submit,
                                the engine thread's until EVENT_FINISH and
                                nobody's to read after another end; they go
                                with the job */

    struct job_state *state; /* private to server/engine, made by job_new */
};

/* Neutral sampling parameters, one choice, skip_special set, default drafts, an
 * empty arena bounded by `arena_limit` (0 is none).  NULL when memory is short.
 */
struct job *job_new(size_t arena_limit);

/* Any thread. */
struct job *job_retain(struct job *job);
void job_release(struct job *job); /* NULL is fine */

#endif
