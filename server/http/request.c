/* request.c -- what is judged before a handler sees a request, and its body.
 *
 * In this order: framing (headers.c), target, preflight, route, drain, gate,
 * length.  So a stranger learns nothing but 404s, a bad key costs no body, and
 * whatever is refused here closes the connection.
 *
 * Loop thread only. */
#include <stdio.h>
#include <string.h>

#include "model/base/alloc.h"
#include "server/http/conn.h"
#include "server/http/cors.h"
#include "server/http/exchange.h"
#include "server/http/server.h"

#define FIRST_BODY_BYTES 16384u

struct collect {
    struct header *headers;
    size_t n, max;
};

static enum MHD_Result collect_one(void *user, enum MHD_ValueKind kind,
                                   const char *name, size_t n_name,
                                   const char *value, size_t n_value)
{
    struct collect *c = user;

    (void)kind;
    c->headers[c->n++] = (struct header){name, n_name, value, n_value};
    return c->n < c->max ? MHD_YES : MHD_NO;
}

static size_t collect(struct exchange *ex)
{
    struct http *http = ex->http;
    struct collect c = {http->scratch, 0, (size_t)http->opt.max_headers + 1};

    (void)MHD_get_connection_values_n(ex->mhd, MHD_HEADER_KIND, collect_one,
                                      &c);
    return c.n;
}

static void name_it(struct exchange *ex, size_t n)
{
    const struct header *h = headers_find(ex->http->scratch, n, "X-Request-Id");

    request_id_choose(&ex->http->ids, h != NULL ? h->value : NULL,
                      h != NULL ? h->n_value : 0, ex->request_id);
}

static void allow_origin(struct exchange *ex)
{
    char room[CORS_ORIGIN_BYTES];
    const char *origin = exchange_header(ex, "Origin");
    const char *allow = cors_allow(ex->http->opt.cors_origin, origin, room);

    ex->origin = allow != NULL ? mem_strdup(allow) : NULL;
}

static void answer_options(struct exchange *ex, const char *allow)
{
    const char *wanted = exchange_header(ex, "Access-Control-Request-Headers");

    (void)exchange_add_header(ex, "Allow", allow);
    if (ex->origin != NULL) {
        if (wanted == NULL || strlen(wanted) > 1024)
            wanted = "*";
        (void)exchange_add_header(ex, "Access-Control-Allow-Methods", allow);
        (void)exchange_add_header(ex, "Access-Control-Allow-Headers", wanted);
        (void)exchange_add_header(ex, "Access-Control-Max-Age", "86400");
    }
    (void)exchange_reply(ex, 204, NULL, "", 0);
}

/* Finds the route; false when it answered itself. */
static bool find_route(struct exchange *ex)
{
    struct route_match match;

    if (strlen(ex->target) > ex->http->opt.max_target_bytes) {
        ex->query = router_split(ex->target);
        exchange_refuse(ex, 414, "the request target is too long");
        return false;
    }
    ex->query = router_split(ex->target);
    switch (router_find(&ex->http->router, ex->method, ex->target, &match)) {
    case 200:
        ex->route = match.route;
        ex->tail = match.tail;
        return true;
    case 204:
        answer_options(ex, match.allow);
        return false;
    case 405:
        (void)exchange_add_header(ex, "Allow", match.allow);
        exchange_refuse(ex, 405, "this path does not serve this method");
        return false;
    default:
        exchange_refuse(ex, 404, "there is no such path");
        return false;
    }
}

/* One fifth of the connections is kept for probes. */
static bool crowded(const struct http *http)
{
    uint64_t max = http->opt.max_connections;

    return http->n_conns * UINT64_C(5) > max * 4;
}

static bool open_to(struct exchange *ex)
{
    const struct http *http = ex->http;

    if (http->draining && !(ex->route->flags & ROUTE_DRAINING)) {
        (void)exchange_add_header(ex, "Retry-After", "2");
        exchange_refuse(ex, 503, "the server is shutting down");
        return false;
    }
    if (crowded(http) && !(ex->route->flags & ROUTE_PUBLIC)) {
        (void)exchange_add_header(ex, "Retry-After", "1");
        exchange_refuse(ex, 503, "too many connections are open");
        return false;
    }
    return true;
}

static bool gate_passed(struct exchange *ex)
{
    if (ex->http->gate == NULL)
        return true;
    exchange_open(ex);
    ex->http->gate(ex, ex->http->user);
    if (ex->open)
        exchange_close(ex);
    return ex->answer == ANSWER_NONE;
}

void request_judge(struct exchange *ex, const char *method, const char *version)
{
    struct http *http = ex->http;
    const struct header_rules rules = {
        http->opt.max_headers, http->opt.max_header_bytes,
        http->opt.allowed_hosts, http->opt.n_allowed_hosts};
    struct header_facts facts;
    const char *why = "";
    size_t n = collect(ex);

    (void)snprintf(ex->method, sizeof ex->method, "%s", method);
    name_it(ex, n);
    int status = headers_check(http->scratch, n, version, &rules, &facts, &why);
    if (status != 0) {
        ex->query = router_split(ex->target);
        exchange_refuse(ex, status, why);
        return;
    }
    allow_origin(ex);
    if (!find_route(ex) || !open_to(ex) || !gate_passed(ex))
        return;
    if (facts.has_length && facts.content_length > http->opt.max_body_bytes)
        exchange_refuse(ex, 413, "the request body is too large");
}

static bool grow(struct exchange *ex, size_t n)
{
    size_t need = ex->n_body + n + 1; /* both bounded by max_body_bytes */
    size_t cap = ex->cap_body > 0 ? ex->cap_body : FIRST_BODY_BYTES;

    while (cap < need)
        cap *= 2;
    if (cap == ex->cap_body)
        return true;
    char *body = mem_realloc(ex->body, cap);
    if (body == NULL)
        return false;
    ex->body = body;
    ex->cap_body = cap;
    return true;
}

static void drop_body(struct exchange *ex, int status)
{
    ex->refuse_status = status;
    ex->n_dropped = ex->n_body;
    mem_free(ex->body);
    ex->body = NULL;
    ex->n_body = ex->cap_body = 0;
}

bool request_take(struct exchange *ex, const char *bytes, size_t n)
{
    size_t max = ex->http->opt.max_body_bytes;

    if (ex->queued)
        return true;
    if (ex->refuse_status == 0) {
        if (n > max || ex->n_body > max - n)
            drop_body(ex, 413);
        else if (!grow(ex, n))
            drop_body(ex, 503);
    }
    if (ex->refuse_status != 0) {
        /* Read on for a while: MHD can answer only when the body is over. */
        ex->n_dropped += n;
        return ex->n_dropped / 2 <= max;
    }
    memcpy(ex->body + ex->n_body, bytes, n);
    ex->n_body += n;
    ex->body[ex->n_body] = '\0';
    return true;
}

/* -- As handlers see it. ----------------------------------------------------
 */

const char *exchange_method(const struct exchange *ex)
{
    return ex->method;
}

const char *exchange_path(const struct exchange *ex)
{
    return ex->target;
}

const char *exchange_query(const struct exchange *ex)
{
    return ex->query;
}

const char *exchange_tail(const struct exchange *ex)
{
    return ex->tail;
}

unsigned exchange_flags(const struct exchange *ex)
{
    return ex->route != NULL ? ex->route->flags : 0;
}

const char *exchange_request_id(const struct exchange *ex)
{
    return ex->request_id;
}

const char *exchange_header(const struct exchange *ex, const char *name)
{
    if (ex->mhd == NULL)
        return NULL;
    return MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, name);
}

const char *exchange_body(const struct exchange *ex, size_t *n)
{
    *n = ex->n_body;
    return ex->body != NULL ? ex->body : "";
}
