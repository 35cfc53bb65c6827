/* fuzz_tokenizer_gguf.c -- any bytes as a GGUF file: what is read of it as a
 * tokenizer must also encode, and its templates are text. */
#include <assert.h>
#include <string.h>

#include "model/base/alloc.h"
#include "model/chat_source.h"
#include "model/tokenizer_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void encode(const struct tokenizer *t)
{
    static const char text[] =
        "Hello, <s>wor\tld's  12345 \n\n a\xFF <|im_end|>";
    for (unsigned flags = 0; flags < 4; flags++) {
        token_id *ids;
        size_t n_ids;
        struct err err;
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
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gguf *g;
    struct err err = {.text = ""};
    if (gguf_parse(&g, data, n, &err) != 0)
        return 0;
    struct tokenizer *t;
    if (tokenizer_from_gguf(&t, g, &err) == 0) {
        encode(t);
        tokenizer_free(t);
    } else {
        assert(t == NULL && err.text[0] != '\0');
    }
    struct chat_source src;
    if (chat_source_from_gguf(&src, g, NULL, &err) == 0)
        chat_source_deinit(&src);
    gguf_close(g);
    return 0;
}
