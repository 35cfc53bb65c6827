/* auth.h -- who may ask: bearer keys.
 *
 * Keys come from the command line and from a file.  A check compares with
 * every key and takes the same time whichever matches, if any; only the
 * length of what was presented shows.  Keys are never logged.
 *
 * Const after auth_new: any thread. */
#ifndef LFMD_API_BASE_AUTH_H
#define LFMD_API_BASE_AUTH_H

#include <stdbool.h>

#include "model/base/err.h"

#define AUTH_KEYS_MAX 1024u
#define AUTH_KEY_BYTES_MAX 256u

struct auth;

/* `keys`: comma-separated, or NULL.  `file`: one key a line, blank lines and
 * lines starting with # ignored, or NULL.  With neither, everybody may. */
int auth_new(struct auth **out, const char *keys, const char *file,
             struct err *err);
void auth_free(struct auth *a);

bool auth_required(const struct auth *a);

/* The key that a request with these header values (or NULL) presents, known or
 * not, inside one of them; NULL without. */
const char *auth_presented(const char *authorization, const char *x_api_key);

/* `authorization` and `x_api_key` are the header values or NULL.
 * 0, or -ERR_AUTH with a sentence that does not quote them. */
int auth_check(const struct auth *a, const char *authorization,
               const char *x_api_key, struct err *err);

#endif
