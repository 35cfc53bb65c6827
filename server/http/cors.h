/* cors.h -- which other origins may read our answers.
 *
 * Pure; any thread. */
#ifndef LFMD_SERVER_HTTP_CORS_H
#define LFMD_SERVER_HTTP_CORS_H

#include <stddef.h>

#define CORS_ORIGIN_BYTES 256

/* The value of Access-Control-Allow-Origin for a request from `origin` (NULL
 * if it sent none): "*", or the origin itself copied to `out`, or NULL for no
 * header.  `setting` is NULL, "*", or origins separated by commas. */
const char *cors_allow(const char *setting, const char *origin,
                       char out[CORS_ORIGIN_BYTES]);

#endif
