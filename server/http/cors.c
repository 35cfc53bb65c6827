/* cors.c -- which other origins may read our answers.
 *
 * Any thread. */
#include "server/http/cors.h"

#include <string.h>

const char *cors_allow(const char *setting, const char *origin,
                       char out[CORS_ORIGIN_BYTES])
{
    if (setting == NULL || setting[0] == '\0')
        return NULL;
    if (strcmp(setting, "*") == 0)
        return "*";
    if (origin == NULL || origin[0] == '\0')
        return NULL;
    size_t n = strlen(origin);
    if (n >= CORS_ORIGIN_BYTES)
        return NULL;
    for (const char *p = setting; *p != '\0';) {
        p += strspn(p, ", ");
        size_t len = strcspn(p, ", ");
        if (len == n && memcmp(p, origin, n) == 0) {
            memcpy(out, origin, n + 1);
            return out;
        }
        p += len;
    }
    return NULL;
}
