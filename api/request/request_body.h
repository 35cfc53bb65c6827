/* request_body.h -- what every endpoint reads alike in a request: that it is an
 * object, the model's name, names that the client gives.
 *
 * It knows no endpoint.  Pool thread; pure. */
#ifndef LFMD_API_REQUEST_REQUEST_BODY_H
#define LFMD_API_REQUEST_REQUEST_BODY_H

#include <stddef.h>

#include "model/base/arena.h"
#include "model/base/err.h"
#include "model/base/json.h"

/* *out is a new reference to an object, of bounded depth and size. */
int request_body_parse(json_t **out, const char *body, size_t n,
                       struct err *err);

/* Reads "model" into the arena; untouched when absent. */
int request_body_model(const char **out, const json_t *body,
                       struct arena *arena, struct err *err);

/* Reads a string of 1 to `most` bytes without NUL into the arena; untouched
 * when absent. */
int request_body_name(const char **out, const json_t *body, const char *key,
                      size_t most, struct arena *arena, struct err *err);

/* Reads cache_salt, which keeps prefixes apart. */
int request_body_salt(const char **out, const json_t *body, struct arena *arena,
                      struct err *err);

#endif
