/* router.h -- method and path to handler; else 404, or 405 and what is allowed.
 *
 * Matches the raw target, undecoded: a path with '%', control or non-ASCII
 * bytes names nothing here, so no two spellings reach one handler.
 *
 * Pure; any thread. */
#ifndef LFMD_SERVER_HTTP_ROUTER_H
#define LFMD_SERVER_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "server/http/http.h"

#define ROUTER_ALLOW_BYTES 96

struct router {
    const struct route *routes; /* borrowed */
    size_t n_routes;
};

struct route_match {
    const struct route *route;      /* NULL unless 200 */
    const char *tail;               /* into path: what "*" stands for, or "" */
    char allow[ROUTER_ALLOW_BYTES]; /* "GET, HEAD, OPTIONS"; "" when 404 */
};

/* Returns 200, 204 (OPTIONS on a known path), 404 or 405.  `path` is without
 * query.  An exact path wins over a wildcard; a longer wildcard over a shorter;
 * and what wins decides alone which methods there are.  "GET" serves HEAD. */
int router_find(const struct router *router, const char *method,
                const char *path, struct route_match *out);

/* Cuts `target` at its '?' in place; returns the query, "" if there is none. */
char *router_split(char *target);

#endif
