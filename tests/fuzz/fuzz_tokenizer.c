/* fuzz_tokenizer.c -- any bytes as tokenizer.json; behind a NUL, as
 * tokenizer_config.json.  What loads must also encode. */
#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "Hello, <s>wor\tld's  12345 \n\n a\xFF ab<|x|>";
    const char *json = (const char *)data, *config = NULL;
    const char *nul = n > 0 ? memchr(json, '\0', n) : NULL;
    size_t n_json = n, n_config = 0;
    if (nul != NULL) {
        n_json = (size_t)(nul - json);
        config = nul + 1;
        n_config = n - n_json - 1;
    }
    struct tokenizer *t;
    struct err err = {.text = ""};
    if (tokenizer_parse(&t, json, n_json, config, n_config, &err) != 0) {
        assert(t == NULL && err.text[0] != '\0');
        return 0;
    }
    for (unsigned flags = 0; flags < 4; flags++) {
        token_id *ids;
        size_t n_ids;
        if (tokenizer_encode(t, text, sizeof text - 1, flags, &ids, &n_ids,
                             &err) != 0)
            continue;
        for (size_t i = 0; i < n_ids; i++) {
            size_t len;
            tokenizer_token_bytes(t, ids[i], &len);
            assert(len <= tokenizer_max_token_bytes(t));
        }
        mem_free(ids);
    }
    tokenizer_free(t);
    return 0;
}
