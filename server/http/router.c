/* router.c -- method and path to handler.
 *
 * A linear walk: there are some thirty routes, and one request a connection.
 * Any thread. */
#include "server/http/router.h"

#include <string.h>

char *router_split(char *target)
{
    char *mark = strchr(target, '?');

    if (mark == NULL)
        return target + strlen(target);
    *mark = '\0';
    return mark + 1;
}

static bool path_plain(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '%' || *p == '\\')
            return false;
    return true;
}

/* How well `pattern` fits: 0 not at all, longer is better, exact is best. */
static size_t fit(const char *pattern, const char *path, const char **tail)
{
    size_t n = strlen(pattern);

    *tail = "";
    if (strcmp(pattern, path) == 0)
        return (size_t)-1;
    if (n == 0 || pattern[n - 1] != '*' || strncmp(pattern, path, n - 1) != 0)
        return 0;
    if (path[n - 1] == '\0')
        return 0;
    *tail = path + n - 1;
    return n;
}

static bool serves(const struct route *r, const char *method)
{
    return strcmp(r->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

static void allow_add(struct route_match *out, const char *method)
{
    size_t have = strlen(out->allow);
    size_t n = strlen(method);

    if (strstr(out->allow, method) != NULL || have + n + 3 > sizeof out->allow)
        return;
    if (have > 0) {
        memcpy(out->allow + have, ", ", 2);
        have += 2;
    }
    memcpy(out->allow + have, method, n + 1);
}

/* The best fit of any route, whatever its method. */
static size_t best_fit(const struct router *router, const char *path)
{
    const char *tail;
    size_t best = 0;

    for (size_t i = 0; i < router->n_routes; i++) {
        size_t score = fit(router->routes[i].path, path, &tail);
        best = score > best ? score : best;
    }
    return best;
}

int router_find(const struct router *router, const char *method,
                const char *path, struct route_match *out)
{
    *out = (struct route_match){.tail = ""};
    size_t best = path_plain(path) ? best_fit(router, path) : 0;
    if (best == 0)
        return 404;
    for (size_t i = 0; i < router->n_routes; i++) {
        const struct route *r = &router->routes[i];
        const char *tail;
        if (fit(r->path, path, &tail) != best)
            continue;
        allow_add(out, r->method);
        if (strcmp(r->method, "GET") == 0)
            allow_add(out, "HEAD");
        if (out->route == NULL && serves(r, method)) {
            out->route = r;
            out->tail = tail;
        }
    }
    if (out->route != NULL)
        return 200;
    allow_add(out, "OPTIONS");
    return strcmp(method, "OPTIONS") == 0 ? 204 : 405;
}
