/* parse.c -- see parse.h. */
#define _DEFAULT_SOURCE
#include "config/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The digits at the start of `s`; `*rest` is what follows them. */
static int digits(const char *s, int64_t *out, const char **rest)
{
    if (!isdigit((unsigned char)s[0]))
        return -1;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno != 0)
        return -1;
    *out = v;
    *rest = end;
    return 0;
}

int parse_uint(const char *s, int64_t *out)
{
    const char *rest;
    return digits(s, out, &rest) == 0 && *rest == '\0' ? 0 : -1;
}

static int scaled(const char *s, int64_t *out, int64_t scale)
{
    int64_t v;
    const char *rest;
    if (digits(s, &v, &rest) != 0 || __builtin_mul_overflow(v, scale, out))
        return -1;
    return 0;
}

int parse_bytes(const char *s, int64_t *out)
{
    static const struct {
        const char *suffix;
        int64_t scale;
    } units[] = {{"", 1},          {"k", 1 << 10},   {"m", 1 << 20},
                 {"g", 1 << 30},   {"kib", 1 << 10}, {"mib", 1 << 20},
                 {"gib", 1 << 30}, {"b", 1}};
    const char *suffix = s + strspn(s, "0123456789");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(suffix, units[i].suffix) == 0)
            return scaled(s, out, units[i].scale);
    return -1;
}

int parse_time_ms(const char *s, int64_t *out)
{
    const char *suffix = s + strspn(s, "0123456789");
    if (strcmp(suffix, "ms") == 0)
        return scaled(s, out, 1);
    if (strcmp(suffix, "s") == 0 || suffix[0] == '\0')
        return scaled(s, out, 1000);
    if (strcmp(suffix, "m") == 0)
        return scaled(s, out, 60000);
    return -1;
}

int parse_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(s, yes[i]) == 0) {
            *out = true;
            return 0;
        }
        if (strcasecmp(s, no[i]) == 0) {
            *out = false;
            return 0;
        }
    }
    return -1;
}

int parse_level(const char *s, enum log_level *out)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcasecmp(s, names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    return -1;
}
