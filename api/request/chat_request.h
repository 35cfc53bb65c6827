/* chat_request.h -- the body of POST /v1/chat/completions, checked.
 *
 * Everything a client may get wrong in its JSON is found here, once, and named
 * by its path ("messages[2].tool_calls[0].function.arguments"); what comes
 * after may rely on it.  Messages come out normalised: `content` is a string,
 * `developer` is system, leading system messages are one, arguments of past
 * calls are objects, reasoning is under `thinking` and `reasoning_content`.
 *
 * It knows no template, no tokens (beyond the size of the vocabulary) and no
 * model.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_CHAT_REQUEST_H
#define LFMD_API_REQUEST_CHAT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/request/sampling_fields.h"
#include "api/request/thinking.h"
#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/json.h"

#define CHAT_TOOLS_MAX 128u

struct grammar;
struct replay;

enum tool_choice {
    TOOL_CHOICE_AUTO, /* also when absent */
    TOOL_CHOICE_NONE,
    TOOL_CHOICE_REQUIRED,
    TOOL_CHOICE_NAMED /* tool_name says which */
};

struct chat_request {
    struct arena *arena; /* owned: strings and arrays live in it */
    struct sampling_fields sampling;
    const char *model;    /* as the client wrote it, or NULL */
    json_t *messages;     /* owned: array of objects, normalised, >= 1 */
    json_t *tools;        /* owned: array, NULL when none are in play
                             (absent, empty, or tool_choice "none");
                             allowed_tools has already filtered it */
    json_t *listed_tools; /* owned: all of the request, NULL when there are
                             none; tools itself unless it was filtered */
    enum tool_choice tool_choice;
    const char *tool_name;    /* TOOL_CHOICE_NAMED, else NULL */
    bool parallel_tool_calls; /* true when absent */
    bool has_past_calls;      /* some message holds tool_calls */
    struct replay *replay;    /* borrowed: past replies as the model wrote
                                 them, or NULL; set by whoever has one */
    uint64_t tenant;          /* of those replies */
    json_t *template_kwargs;  /* owned: object or NULL; reasoning_effort is in
                                 it already */
    struct grammar *grammar;  /* owned: what the answer must be, or NULL */
    struct thinking thinking;
    bool add_generation_prompt; /* true when absent */
    bool continues;             /* the reply goes on where the last message, an
                                   assistant's without calls, ends */
    bool echo;                  /* ... and its content begins with that one's */
    bool verbose; /* the answer tells the prompt, as llama-server's does */
    bool want_logprobs;
    uint32_t n_top_logprobs; /* 0..20 */
};

/* Parses `body`.  On failure nothing is left to free. */
int chat_request_parse(struct chat_request *r, const char *body, size_t n,
                       uint32_t n_vocab, size_t arena_limit, struct err *err);

/* The same from an object that is parsed already, or was made from the request
 * of another protocol.  `body` is the caller's, and may go afterwards. */
int chat_request_read(struct chat_request *r, const json_t *body,
                      uint32_t n_vocab, size_t arena_limit, struct err *err);
void chat_request_deinit(struct chat_request *r);

/* Call blocks of the reply are to be read as calls: where there are tools, or
 * were and no form is asked of the answer. */
bool chat_request_reads_calls(const struct chat_request *r);

#endif
