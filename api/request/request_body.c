/* request_body.c -- see request_body.h. */
#include "api/request/request_body.h"

#include <string.h>

#define CACHE_SALT_BYTES_MAX 1024u

int request_body_parse(json_t **out, const char *body, size_t n,
                       struct err *err)
{
    char text[64];
    int rc =
        json_parse(out, body, n, JSON_DEPTH_DEFAULT, JSON_NODES_DEFAULT, err);
    if (rc == 0 && !json_is_object(*out)) {
        rc = err_set(err, ERR_INVALID, "the body must be a JSON object, not %s",
                     json_describe(*out, text));
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

int request_body_model(const char **out, const json_t *body,
                       struct arena *arena, struct err *err)
{
    const char *model;
    int rc = json_get_string(body, "model", &model, "", err);
    if (rc <= 0)
        return rc;
    *out = arena_strdup(arena, model);
    return *out != NULL ? 0 : err_nomem(err, "the request");
}

int request_body_name(const char **out, const json_t *body, const char *key,
                      size_t most, struct arena *arena, struct err *err)
{
    const char *s;
    int rc = json_get_string(body, key, &s, "", err);
    if (rc <= 0)
        return rc;
    size_t n = json_string_length(json_object_get(body, key));
    if (n == 0 || n > most)
        return err_field(err, key, "%s must have 1 to %zu bytes, not %zu", key,
                         most, n);
    *out = arena_strndup(arena, s, n);
    return *out != NULL ? 0 : err_nomem(err, key);
}

int request_body_salt(const char **out, const json_t *body, struct arena *arena,
                      struct err *err)
{
    return request_body_name(out, body, "cache_salt", CACHE_SALT_BYTES_MAX,
                             arena, err);
}
