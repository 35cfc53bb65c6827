/* turn_state.h -- the turn, shared by turn.c (its life), turn_hear.c (what it
 * is told) and the forms (what it says); nobody else includes it. */
#ifndef LFMD_API_TURN_STATE_H
#define LFMD_API_TURN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "api/answer/answer.h"
#include "api/form.h"
#include "api/request/chat_request.h"
#include "api/request/completion_request.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/list.h"
#include "model/model.h"
#include "server/engine/job.h"

struct turn_job {
    struct turn *turn;
    struct job *job; /* one reference is the turn's */
    uint32_t number; /* of its prompt */
    bool submitted;
    uint32_t n_open; /* of a submitted one: choices that have not ended */
    bool counted;    /* its prompt is in the usage */
};

struct turn {
    struct list node; /* in api->turns */
    struct api *api;
    struct exchange *ex; /* held */
    const struct turn_form *form;
    bool preparing;  /* the pool has it */
    bool gone;       /* the client left meanwhile */
    bool began;      /* the stream's headers are out */
    bool paused;     /* the reader is slow */
    bool parsed;     /* one of the requests is to be deinited */
    bool named;      /* by an X-Request-Id of the client's */
    uint64_t tenant; /* of its jobs, and whose calls are replayed */
    struct chat_request chat;
    struct completion_request completion;
    struct speech_options speech;
    uint32_t n_own; /* jobs its key had when it was refused for them */
    int rc;         /* of the preparation, with err */
    struct err err;
    struct turn_job *jobs; /* owned; [n_jobs] */
    uint32_t n_jobs;
    uint32_t n_open; /* choices that have not ended */
    struct answer answer;
    struct buf out;  /* bytes for the client */
    struct buf json; /* one chunk, before its framing */
    void *extra;     /* the form's own; freed by its free_extra */
    uint64_t wrote_ms;
};

static inline const struct sampling_fields *turn_fields(const struct turn *t)
{
    return t->form->is_chat ? &t->chat.sampling : &t->completion.sampling;
}

/* Fills the answer's head from the request; after the jobs are accepted. */
void turn_describe(struct turn *t);

/* Takes an event into its choice; -ERR_NOMEM or 0. */
int turn_hear(struct turn *t, struct turn_job *tj, struct choice *c,
              const struct job_event *e);

speech_fn turn_on_speech; /* user is the choice */

/* After a chunk: the choice has nothing to say any more. */
void turn_forget_told(struct turn *t, struct choice *c);

#endif
