/* config.h -- what the operator wants: defaults < file < environment < flags.
 *
 * The rows are in settings.def; this turns them into the option structs that
 * the rooms declare, and remembers where each value came from.  Nobody but
 * server/main.c includes it.
 *
 * Start-up only, one thread. */
#ifndef LFMD_CONFIG_CONFIG_H
#define LFMD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api_options.h"
#include "model/base/err.h"
#include "model/base/log.h"
#include "model/model_options.h"
#include "server/engine/engine_options.h"
#include "server/http/http_options.h"

struct arena;

enum config_action {
    CONFIG_SERVE,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_PRINT,      /* --print-config */
    CONFIG_HEALTHCHECK /* `lfmd healthcheck`: ask the running daemon */
};

struct settings {
    struct model_options model;
    struct engine_options engine;
    struct http_options http;
    struct api_options api;
    const char *cache_dir; /* in arena */
    uint32_t drain_timeout_ms;
    enum log_level log_level;

    enum config_action action;
    const char *config_file; /* in arena, or NULL */
    struct arena *arena;     /* owned; every string above lives in it */
    uint8_t *origin;         /* in arena; [rows], an enum config_origin */
};

enum config_origin {
    ORIGIN_DEFAULT,
    ORIGIN_FILE,
    ORIGIN_ENVIRONMENT,
    ORIGIN_FLAG
};

/* Reads everything; on error the sentence names the flag, variable or line.
 * `environ_` is a NULL-ended list of NAME=value.  config_deinit in any case. */
int config_load(struct settings *s, int argc, char **argv, char **environ_,
                struct err *err);
void config_deinit(struct settings *s);

/* To stdout: --help, and the effective settings with their origin (as an ini
 * file that --config accepts). */
void config_print_help(void);
void config_print(const struct settings *s);

#endif
