/* fuzz_http_headers.c -- header rules, routes and SSE framing on foreign bytes.
 *
 * Input: a request head; the first line is "METHOD TARGET VERSION". */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "server/http/cors.h"
#include "server/http/headers.h"
#include "server/http/request_id.h"
#include "server/http/router.h"
#include "server/http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MAX 32

static void handler(struct exchange *ex, void *user)
{
    (void)ex;
    (void)user;
}

static const struct route routes[] = {
    {"GET", "/a", handler, 0},
    {"GET", "/a/*", handler, 0},
    {"POST", "/a/b", handler, 0},
    {"DELETE", "/*", handler, 0},
};

static char *next(char **at, const char *ends)
{
    char *word = *at;
    size_t n = strcspn(word, ends);

    *at = word + n + (word[n] != '\0');
    word[n] = '\0';
    return word;
}

static void check_sse(const char *text, size_t n)
{
    struct buf b;
    size_t breaks = 0;

    buf_init(&b, 0);
    sse_event(&b, text, n);
    /* An event ends once, at its end. */
    for (size_t i = 0; i + 1 < b.len; i++)
        breaks += b.data[i] == '\n' && b.data[i + 1] == '\n';
    if (breaks != 1 || memchr(b.data, '\r', b.len) != NULL)
        abort();
    buf_deinit(&b);
}

static void check_route(char *method, char *target)
{
    const struct router router = {routes, sizeof routes / sizeof routes[0]};
    struct route_match match;

    (void)router_split(target);
    int status = router_find(&router, method, target, &match);
    if ((status == 200) != (match.route != NULL))
        abort();
    if (status == 200 && strchr(target, '%') != NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const hosts[] = {"x", "[::1]"};
    static struct request_ids ids;
    const struct header_rules rules = {16, 4096, hosts, n % 2 ? 2 : 0};
    struct header headers[MAX];
    struct header_facts facts;
    size_t n_headers = 0;
    const char *why = NULL;
    char room[CORS_ORIGIN_BYTES], id[REQUEST_ID_BYTES];
    char *text = mem_strndup((const char *)data, n);

    if (text == NULL)
        return 0;
    check_sse((const char *)data, n);
    char *at = text, *method = next(&at, " "), *target = next(&at, " ");
    char *version = next(&at, "\n");
    while (*at != '\0' && n_headers < MAX) {
        char *name = next(&at, ":\n"), *value = next(&at, "\n");
        headers[n_headers++] =
            (struct header){name, strlen(name), value, strlen(value)};
    }
    check_route(method, target);
    int status =
        headers_check(headers, n_headers, version, &rules, &facts, &why);
    if (status != 0 && why == NULL)
        abort();
    if (status == 0 && facts.chunked && facts.has_length)
        abort();
    request_id_choose(&ids, target, strlen(target), id);
    (void)cors_allow(target, version, room);
    mem_free(text);
    return 0;
}
