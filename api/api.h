/* api.h -- the OpenAI API: routes, and the state they share.
 *
 * The api exists before the model does: until api_ready it answers 503, so a
 * probe sees "loading" and not a closed port.  It owns every call in flight
 * (turn.h) and hands none of it to anybody.
 *
 * Loop thread only. */
#ifndef LFMD_API_API_H
#define LFMD_API_API_H

#include <stdbool.h>
#include <stddef.h>

#include "api/api_options.h"
#include "model/base/err.h"
#include "server/http/http.h"

struct api;
struct engine;
struct loop;
struct model;

/* Reads the keys.  `options`, `loop` and `version` are borrowed. */
int api_new(struct api **out, struct loop *loop,
            const struct api_options *options, const char *version,
            struct err *err);
void api_free(struct api *api); /* no call may be in flight; NULL is fine */

/* For http_new: the routes, the gate that checks keys, and the body of errors
 * that HTTP itself finds.  `user` is the api. */
const struct route *api_routes(size_t *n);
void api_gate(struct exchange *ex, void *user);
void api_error_body(void *user, const char *path, int status,
                    const char *message, struct buf *out);

/* How much of the model is in memory, 0..1, for /health. */
void api_progress(struct api *api, double progress);

/* From now on requests are served; both are borrowed. */
void api_ready(struct api *api, struct model *model, struct engine *engine);

/* From now on new requests are refused; what runs goes on. */
void api_drain(struct api *api);
bool api_idle(const struct api *api); /* no call is in flight */

/* Ends every call: streams with an error event, the rest with 503. */
void api_cut(struct api *api);

#endif
