/* fuzz_schema.c -- any JSON as a schema: compiled or refused, and what is
 * compiled can be followed to an end byte by byte. */
#include "model/base/json.h"
#include "model/grammar/schema.h"
#include "tests/lib/follow_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *schema;
    struct grammar *g = NULL;
    struct err err = {0};
    struct schema_options options = {.compact = size & 1};
    if (json_parse(&schema, (const char *)data, size, 64, 100000, NULL) != 0)
        return 0;
    int rc = grammar_from_schema(&g, schema, &options, &err);
    follow_grammar(rc, g, &err);
    json_decref(schema);
    return 0;
}
