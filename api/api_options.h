/* api_options.h -- what the operator decides about the API.
 *
 * Filled by config/ before start; strings are borrowed and outlive the api. */
#ifndef LFMD_API_API_OPTIONS_H
#define LFMD_API_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_options {
    const char *served_name;     /* NULL: the model's own name */
    bool strict_model_name;      /* another name in a request is 404 */
    const char *api_key;         /* one key, or several with commas; or NULL */
    const char *api_key_file;    /* one key a line, # comments; or NULL */
    uint32_t max_per_key;        /* jobs of one key (without keys: of all) that
                                    have not ended; 0: no limit */
    uint32_t default_max_tokens; /* chat requests that name none; 0: the rest
                                    of the context */
    uint32_t ping_ms;            /* ": ping" while a stream waits; 0: 10000 */
    size_t request_bytes;        /* memory one request may take; 0: 64 MiB */
};

static inline size_t api_request_bytes(const struct api_options *o)
{
    return o->request_bytes != 0 ? o->request_bytes : (size_t)64 << 20;
}

#endif
