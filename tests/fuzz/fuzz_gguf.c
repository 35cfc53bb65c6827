/* fuzz_gguf.c -- a file's bytes, as they are, through the GGUF reader and the
 * readers of its metadata.
 *
 * Whatever is accepted must lie in the file, and be found again under its
 * name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights/generation.h"
#include "model/weights/gguf.h"
#include "model/weights/hparams_gguf.h"
#include "model/weights/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tensors(const struct gguf *g, const uint8_t *data,
                          size_t size)
{
    for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        const uint8_t *at = t->data;
        if (gguf_find(g, t->name) != t)
            abort();
        if (t->known && (at < data || t->bytes > size ||
                         (size_t)(at - data) > size - t->bytes))
            abort();
    }
}

static void walk_texts(const struct gguf *g, const char *key)
{
    struct gguf_texts it;
    struct gguf_text text;
    uint64_t n = 0;
    if (gguf_texts(g, key, &it, NULL) != 1)
        return;
    while (gguf_texts_next(&it, &text))
        n++;
    if (n != it.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct hparams hp;
    struct generation_defaults defaults;
    struct weights *w;
    struct err err;
    if (gguf_parse(&g, data, size, &err) != 0)
        return 0;
    check_tensors(g, data, size);
    walk_texts(g, "tokenizer.ggml.tokens");
    walk_texts(g, "k");
    (void)generation_from_gguf(&defaults, g, &err);
    /* Vocabularies of a real size would take all the time there is. */
    if (hparams_from_gguf(&hp, g, &err) != 0 || hp.n_vocab > 4096) {
        hparams_deinit(&hp);
        gguf_close(g);
        return 0;
    }
    const struct weights_options options = {
        .quantise = size % 2 != 0,
        .quantise_to = size % 4 == 1 ? DTYPE_Q4_0 : DTYPE_Q8_0};
    if (weights_open_gguf(&w, g, &hp, &options, NULL, NULL, &err) == 0)
        weights_close(w);
    hparams_deinit(&hp);
    return 0;
}
