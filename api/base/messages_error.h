/* messages_error.h -- error classes in the words of Anthropic's Messages API:
 *
 *     {"type":"error","error":{"type":"invalid_request_error","message":...}}
 *
 * Statuses are those of error.h, so 503 stands where Anthropic says 529: both
 * are an overloaded_error, and clients retry both.  `param` and `code` are
 * ours, there when a field is to blame and where error.h has a word for it.
 * Any thread. */
#ifndef LFMD_API_BASE_MESSAGES_ERROR_H
#define LFMD_API_BASE_MESSAGES_ERROR_H

#include "model/base/buf.h"
#include "model/base/err.h"

/* Appends the object: a body, or the data of an `error` event. */
void messages_error_write(struct buf *out, const struct err *err);

/* The same for errors that have only a status. */
void messages_error_write_status(struct buf *out, int status,
                                 const char *message);

#endif
