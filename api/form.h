/* form.h -- the language of one endpoint: how its request is read, and how the
 * answer is written.
 *
 * A turn (turn.h) has a form and knows nothing else of its endpoint.  Two kinds
 * of request exist behind all of them: a chat (its reply is speech: text,
 * thoughts, calls) and a completion (its reply is text); an endpoint that
 * speaks another protocol reads its body into a chat_request and writes the
 * parts of the choices in its own words.
 *
 * What a form keeps for itself between calls is t->extra. */
#ifndef LFMD_API_FORM_H
#define LFMD_API_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/base/buf.h"
#include "model/base/err.h"

struct choice;
struct job_event;
struct turn;
struct turn_job;

struct turn_form {
    const char *id_prefix;   /* of the answer's id */
    const char *call_prefix; /* of its calls' ids; NULL: IDS_CALL */
    const char *ping;        /* keeps a silent stream alive; NULL: SSE_PING */
    bool is_chat;            /* reads into t->chat, not t->completion */
    bool keeps_told;         /* its streams say everything again at the end, so
                                parts keep what was told */

    /* Pool thread.  0, or the request is refused; either way the form leaves
     * nothing behind but t->extra. */
    int (*parse)(struct turn *t, const char *body, size_t n, size_t limit,
                 struct err *err);

    /* All that follows: loop thread.  Before the event's text goes into the
     * parts: logprobs and the like.  NULL: nothing. */
    void (*hear)(struct turn *t, const struct turn_job *tj, struct choice *c,
                 const struct job_event *e);

    /* Append to t->out.  The stream begins (NULL: says nothing); what `c` has
     * to say, which is then forgotten; the stream's end; the whole answer. */
    void (*say_begin)(struct turn *t);
    void (*say_chunks)(struct turn *t, struct choice *c);
    void (*say_end)(struct turn *t);
    void (*say_whole)(struct turn *t);

    /* The body of an error that is all of the answer; NULL: error_write. */
    void (*error_body)(struct buf *out, const struct err *err);
    /* Appends to t->out how a begun stream ends badly; NULL: the error as data.
     * t->out was emptied.  */
    void (*say_error)(struct turn *t, const struct err *err);

    void (*free_extra)(struct turn *t); /* NULL: there is none */
};

extern const struct turn_form form_chat;
extern const struct turn_form form_completion;
extern const struct turn_form form_native; /* llama-server's own */
extern const struct turn_form form_responses;
extern const struct turn_form form_messages;

/* For forms: one finished JSON text in t->json becomes an event of t->out, with
 * a name unless that is NULL. */
void form_frame(struct turn *t, const char *event);

/* The end of a stream of OpenAI's chunks: the usage as one of these (its
 * `object`) if it was asked for, and [DONE]. */
void form_say_done(struct turn *t, const char *object);

#endif
