/* openapi.c -- GET /openapi.json: what can be asked here, for machines.
 *
 * The document is written by hand in api/openapi.json and put into the program
 * by the Makefile, blanks and all but those of sentences taken out.  It is the
 * same for every client and from start to end of a process, so a tag lets them
 * keep it. */
#include "api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "api/api_state.h"
#include "model/base/hash.h"
#include "server/http/http.h"

void api_openapi(struct exchange *ex, void *user)
{
    const char *known = exchange_header(ex, "If-None-Match");
    char tag[24];
    (void)user;
    snprintf(tag, sizeof tag, "\"%016llx\"",
             (unsigned long long)hash_bytes(openapi_json, openapi_n, 0));
    exchange_add_header(ex, "ETag", tag);
    exchange_add_header(ex, "Cache-Control", "max-age=3600");
    if (known != NULL && strstr(known, tag) != NULL)
        exchange_reply(ex, 304, NULL, "", 0);
    else
        exchange_reply(ex, 200, "application/json", openapi_json, openapi_n);
}
