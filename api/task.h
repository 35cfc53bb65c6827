/* task.h -- a request that needs the model but not the engine: it is worked on
 * in the pool, since a text may have megabytes, and answered once.
 *
 * The api counts its tasks, so that it is not idle while one runs. */
#ifndef LFMD_API_TASK_H
#define LFMD_API_TASK_H

#include <stdint.h>

#include "api/base/error.h"
#include "model/base/buf.h"
#include "model/base/err.h"
#include "model/base/json.h"

struct api;
struct chat_request;
struct exchange;
struct task;

/* Pool thread: reads the body of t->ex, writes JSON to t->out; or sets t->err
 * and returns its class, negative. */
typedef int task_fn(struct task *t);

struct task {
    struct api *api;
    struct exchange *ex; /* held */
    task_fn *work;
    error_body_fn *error_body; /* NULL: OpenAI's */
    uint64_t tenant;
    struct buf out; /* the answer's body */
    int rc;
    struct err err;
};

/* Loop thread, in the handler.  Answers `ex` in every case; the second with
 * the errors of another protocol. */
void task_start(struct api *api, struct exchange *ex, task_fn *work);
void task_start_as(struct api *api, struct exchange *ex, task_fn *work,
                   error_body_fn *error_body);

/* A chat that was read as of this task: its past replies may be those of the
 * task's tenant, word for word, and its model must be the served one. */
int task_own_chat(const struct task *t, struct chat_request *r,
                  struct err *err);

/* Tells how many tokens the prompt of a chat has, in an object of that name,
 * NULL for none.  The request goes. */
int task_count_chat(struct task *t, struct chat_request *r, const char *object);

/* The body as an object: a new reference. */
int task_body(const struct task *t, json_t **out, struct err *err);

#endif
