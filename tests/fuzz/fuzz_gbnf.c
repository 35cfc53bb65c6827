/* fuzz_gbnf.c -- any bytes as a grammar in GBNF: compiled or refused, and what
 * is compiled can be followed to an end byte by byte. */
#include "model/grammar/gbnf.h"
#include "tests/lib/follow_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar *g = NULL;
    struct err err = {0};
    int rc = grammar_from_gbnf(&g, (const char *)data, size, &err);
    follow_grammar(rc, g, &err);
    return 0;
}
