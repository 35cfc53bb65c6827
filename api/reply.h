/* reply.h -- a handler's whole answer as JSON.  Loop thread only. */
#ifndef LFMD_API_REPLY_H
#define LFMD_API_REPLY_H

#include "model/base/buf.h"

struct exchange;

/* Sends what is in `body`, or 503 if memory was short on the way; frees it. */
void reply_json(struct exchange *ex, int status, struct buf *body);

#endif
