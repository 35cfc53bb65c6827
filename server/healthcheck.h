/* healthcheck.h -- `lfmd healthcheck`: asks a running daemon how it is, so that
 * a container image needs no curl.
 *
 * Blocking, at most 3 seconds; a program of its own in effect. */
#ifndef LFMD_SERVER_HEALTHCHECK_H
#define LFMD_SERVER_HEALTHCHECK_H

#include <stdint.h>

#include "model/base/err.h"

/* GET /health at `host` (0.0.0.0 and :: mean this machine; "unix:/path" too).
 * 0 when it answers 200. */
int healthcheck(const char *host, uint16_t port, struct err *err);

#endif
