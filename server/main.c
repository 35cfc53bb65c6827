/* main.c -- the composition root: settings, loop, HTTP, API, and then, while
 * probes are already answered, the model and the engine.
 *
 * The only file that sees every room, and the only one that decides to exit.
 * How the daemon starts and stops is in daemon.c. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "model/base/json.h"
#include "model/base/log.h"
#include "server/daemon.h"
#include "server/healthcheck.h"

static int fail(const struct err *err)
{
    fprintf(stderr, "lfmd: %s\n", err->text);
    return EXIT_FAILURE;
}

static int serve(struct settings *s)
{
    struct err err = {0};
    struct daemon_options options = {
        .model = &s->model,
        .engine = &s->engine,
        .http = &s->http,
        .api = &s->api,
        .cache_dir = s->cache_dir,
        .drain_timeout_ms = s->drain_timeout_ms,
        .version = LFMD_VERSION,
    };
    return daemon_run(&options, &err) == 0 ? EXIT_SUCCESS : fail(&err);
}

int main(int argc, char **argv)
{
    struct settings s;
    struct err err = {0};
    int code = EXIT_SUCCESS;
    if (config_load(&s, argc, argv, environ, &err) != 0) {
        code = fail(&err);
        config_deinit(&s);
        return code;
    }
    log_set_level(s.log_level);
    json_object_seed(0); /* before threads: jansson seeds its tables once */

    switch (s.action) {
    case CONFIG_HELP:
        config_print_help();
        break;
    case CONFIG_VERSION:
        puts("lfmd " LFMD_VERSION);
        break;
    case CONFIG_PRINT:
        config_print(&s);
        break;
    case CONFIG_HEALTHCHECK:
        if (healthcheck(s.http.host, s.http.port, &err) != 0)
            code = fail(&err);
        break;
    case CONFIG_SERVE:
        code = serve(&s);
        break;
    }
    config_deinit(&s);
    return code;
}
