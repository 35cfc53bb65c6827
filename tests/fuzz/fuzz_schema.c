/* fuzz_schema.c -- any JSON as a schema: compiled or refused, and what is
 * compiled can be followed to an end byte by byte. */
#include <stdint.h>
#include <stdlib.h>

#include "model/base/json.h"
#include "model/grammar/matcher.h"
#include "model/grammar/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A byte at a time: the first that is allowed, from a place that moves. */
static void follow(struct grammar *g)
{
    struct matcher *m;
    if (matcher_new(&m, g, 1, NULL) != 0)
        abort();
    for (unsigned i = 0; i < 200 && !matcher_must_end(m); i++) {
        bool found = false;
        for (unsigned j = 0; j < 256 && !found; j++) {
            char byte = (char)(i * 37 + j);
            found = matcher_accept(m, &byte, 1);
        }
        if (!found)
            abort();
    }
    matcher_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *schema;
    struct grammar *g;
    struct err err = {0};
    struct schema_options options = {.compact = size & 1};
    if (json_parse(&schema, (const char *)data, size, 64, 100000, NULL) != 0)
        return 0;
    if (grammar_from_schema(&g, schema, &options, &err) == 0)
        follow(g);
    else if (err.class_ == ERR_INTERNAL || err.text[0] == '\0')
        abort();
    grammar_unref(g);
    json_decref(schema);
    return 0;
}
