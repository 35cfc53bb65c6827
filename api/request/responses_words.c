/* responses_words.c -- see responses_words.h. */
#include "api/request/responses_words.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 40u

int responses_word(const json_t *obj, const char *key, const char **out,
                   const char *const *words, const char *path, struct err *err)
{
    char full[64], list[256] = "";
    const char *s;
    int rc = json_get_string(obj, key, &s, path, err);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], s) == 0) {
            *out = s;
            return 1;
        }
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i > 0 ? ", " : "",
                 words[i]);
    }
    snprintf(full, sizeof full, "%.40s%s%.20s", path, *path ? "." : "", key);
    return err_field(err, full, "%s must be one of %s", full, list);
}

const char *responses_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-");
    return n > 0 && n <= NAME_BYTES_MAX && s[n] == '\0' ? s : "(another)";
}
