/* fuzz_regex.c -- any bytes as a pattern: compiled or refused, and what is
 * compiled can be followed to an end byte by byte. */
#include <stdint.h>
#include <stdlib.h>

#include "model/grammar/regex.h"
#include "model/grammar/matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grammar *g;
    struct matcher *m;
    struct err err = {0};
    if (grammar_from_regex(&g, (const char *)data, size, &err) != 0) {
        if (err.class_ == ERR_INTERNAL || err.text[0] == '\0')
            abort();
        return 0;
    }
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
    grammar_unref(g);
    return 0;
}
