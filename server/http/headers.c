/* headers.c -- which request headers we accept.
 *
 * RFC 9112 allows a server to be lenient in places; each leniency is a chance
 * that a proxy in front and we disagree on where a request ends, so there is
 * none here.  Any thread. */
#include "server/http/headers.h"

#include <string.h>
#include <strings.h>

#define MAX_LENGTH_DIGITS 10

struct counts {
    uint32_t host, length, encoding;
};

static bool is_token_char(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_token_char((unsigned char)s[i]))
            return false;
    return n > 0;
}

static bool is_value(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool same(const char *a, size_t n, const char *b)
{
    return strlen(b) == n && strncasecmp(a, b, n) == 0;
}

bool header_is(const struct header *h, const char *name)
{
    return same(h->name, h->n_name, name);
}

const struct header *headers_find(const struct header *headers, size_t n,
                                  const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (header_is(&headers[i], name))
            return &headers[i];
    return NULL;
}

bool header_sendable(const char *name, const char *value)
{
    return is_token(name, strlen(name)) && is_value(value, strlen(value));
}

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return status;
}

static bool read_length(const struct header *h, uint64_t *out)
{
    uint64_t n = 0;

    if (h->n_value == 0 || h->n_value > MAX_LENGTH_DIGITS)
        return false;
    for (size_t i = 0; i < h->n_value; i++) {
        if (h->value[i] < '0' || h->value[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(h->value[i] - '0');
    }
    *out = n;
    return true;
}

/* The name before ":port"; an IPv6 address keeps its brackets. */
static size_t host_length(const struct header *h)
{
    size_t n = h->n_value;

    if (n > 0 && h->value[0] == '[') {
        const char *end = memchr(h->value, ']', n);
        return end == NULL ? n : (size_t)(end - h->value) + 1;
    }
    const char *colon = n > 0 ? memchr(h->value, ':', n) : NULL;
    return colon == NULL ? n : (size_t)(colon - h->value);
}

static bool host_allowed(const struct header *h,
                         const struct header_rules *rules)
{
    size_t n = host_length(h);

    if (rules->allowed_hosts == NULL)
        return true;
    for (size_t i = 0; i < rules->n_allowed_hosts; i++)
        if (same(h->value, n, rules->allowed_hosts[i]))
            return true;
    return false;
}

static int check_one(const struct header *h, const struct header_rules *rules,
                     struct counts *seen, struct header_facts *facts,
                     const char **why)
{
    if (!is_token(h->name, h->n_name))
        return refuse(why, 400, "a header name is not a token");
    if (!is_value(h->value, h->n_value))
        return refuse(why, 400, "a header value has control characters");
    if (header_is(h, "Host")) {
        seen->host++;
        if (!host_allowed(h, rules))
            return refuse(why, 403, "this Host is not served here");
    } else if (header_is(h, "Content-Length")) {
        seen->length++;
        facts->has_length = true;
        if (!read_length(h, &facts->content_length))
            return refuse(why, 400,
                          "Content-Length is not a plain number of "
                          "at most 10 digits");
    } else if (header_is(h, "Transfer-Encoding")) {
        seen->encoding++;
        facts->chunked = true;
        if (!same(h->value, h->n_value, "chunked"))
            return refuse(why, 400,
                          "the only Transfer-Encoding understood "
                          "is chunked");
    } else if (header_is(h, "Content-Encoding")) {
        if (!same(h->value, h->n_value, "identity"))
            return refuse(why, 415, "request bodies must not be compressed");
    } else if (header_is(h, "Expect")) {
        if (!same(h->value, h->n_value, "100-continue"))
            return refuse(why, 417,
                          "the only Expect understood is "
                          "100-continue");
    }
    return 0;
}

int headers_check(const struct header *headers, size_t n, const char *version,
                  const struct header_rules *rules, struct header_facts *facts,
                  const char **why)
{
    struct counts seen = {0};
    bool http11 = strcmp(version, "HTTP/1.1") == 0;

    *facts = (struct header_facts){0};
    if (!http11 && strcmp(version, "HTTP/1.0") != 0)
        return refuse(why, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (n > rules->max_headers)
        return refuse(why, 431, "too many request headers");
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += headers[i].n_name + headers[i].n_value + 4;
    if (bytes > rules->max_bytes)
        return refuse(why, 431, "the request headers are too large");
    for (size_t i = 0; i < n; i++) {
        int status = check_one(&headers[i], rules, &seen, facts, why);
        if (status != 0)
            return status;
    }
    if (seen.host > 1 || (http11 && seen.host == 0))
        return refuse(why, 400, "exactly one Host header is needed");
    if (seen.length > 1)
        return refuse(why, 400, "Content-Length is given more than once");
    if (seen.encoding > 1)
        return refuse(why, 400, "Transfer-Encoding is given more than once");
    if (seen.encoding > 0 && seen.length > 0)
        return refuse(why, 400,
                      "Content-Length and Transfer-Encoding "
                      "exclude each other");
    if (seen.encoding > 0 && !http11)
        return refuse(why, 400, "Transfer-Encoding needs HTTP/1.1");
    return 0;
}
