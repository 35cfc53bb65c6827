/* daemon.h -- start, serve, drain, stop: the life of the process.
 *
 *     listen -> load -> serve --SIGTERM--> drain -> cut -> stop
 *
 * Probes are answered from the first moment; requests are from "serve" to
 * "drain"; "cut" ends what is not finished in time, with an error the client
 * can see.  A second signal cuts at once.  What the prefix cache remembers is
 * saved when all has stopped, and on SIGUSR1 while it serves. */
#ifndef LFMD_SERVER_DAEMON_H
#define LFMD_SERVER_DAEMON_H

#include <stdint.h>

#include "model/base/err.h"

struct api_options;
struct engine_options;
struct http_options;
struct model_options;

struct daemon_options {
    struct model_options *model;   /* borrowed; completed here */
    struct engine_options *engine; /* borrowed */
    struct http_options *http;     /* borrowed */
    struct api_options *api;       /* borrowed */
    const char *cache_dir; /* of the saved prefix cache; NULL or "": none */
    uint32_t drain_timeout_ms;
    const char *version;
};

/* Returns when the daemon has stopped: 0 after a signal, an error when it could
 * not start. */
int daemon_run(const struct daemon_options *options, struct err *err);

#endif
