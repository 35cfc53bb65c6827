/* logits.c -- every logit of a model on given tokens, for quality.py.
 *
 *     logits MODEL TOKENS CHUNK OUT [threads [step [isa]]]
 *
 * TOKENS holds int32 ids, CHUNK of them a sequence of its own.  OUT gets, for
 * each chunk, the float32 logits at the positions CHUNK / 2 .. CHUNK - 2: those
 * that llama-perplexity scores.  `step` tokens are computed at once: a whole
 * chunk takes the way of a prompt, 1 that of decode. */
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

enum { MAX_CHUNK = 4096 };

static void die(const char *text)
{
    fprintf(stderr, "logits: %s\n", text);
    exit(1);
}

static uint32_t number(const char *text, uint32_t least, uint32_t most)
{
    unsigned long n = strtoul(text, NULL, 10);

    if (n < least || n > most)
        die("usage: logits MODEL TOKENS CHUNK OUT [threads [step [isa]]]");
    return (uint32_t)n;
}

/* The rows of one step whose position is scored; they are its last ones, but
 * the very last position of a chunk predicts nothing we have. */
static void write_rows(FILE *out, const struct batch *b, uint32_t position,
                       uint32_t n_rows, uint32_t chunk)
{
    const struct batch_slice *s = &b->slices[0];
    uint32_t first = position + s->n_tokens - n_rows;

    for (uint32_t i = 0; i < n_rows && first + i < chunk - 1; i++)
        if (fwrite(batch_logits(b, s, i), sizeof(float), b->n_vocab, out) !=
            b->n_vocab)
            die("cannot write OUT");
}

static void run_chunk(struct model *m, struct batch *b, const token_id *tokens,
                      uint32_t chunk, uint32_t step, FILE *out)
{
    struct cache_seq seq;
    struct err err = {0};

    if (cache_seq_init(&seq, chunk, &err) != 0 ||
        cache_open(m->cache, &seq) != CACHE_OK ||
        cache_reserve(m->cache, &seq, chunk) != CACHE_OK)
        die("the cache is too small");
    for (uint32_t at = 0; at < chunk; at += step) {
        uint32_t n = step < chunk - at ? step : chunk - at;
        uint32_t end = at + n;
        uint32_t scored = end > chunk / 2 ? end - chunk / 2 : 0;
        uint32_t n_rows = scored < n ? scored : n;

        batch_clear(b);
        if (!batch_add(b, &seq, tokens + at, n, at, n_rows))
            die("the batch is too small");
        model_forward(m, b);
        write_rows(out, b, at, n_rows, chunk);
    }
    cache_close(m->cache, &seq);
    cache_seq_deinit(&seq);
}

/* Reads the next chunk; false at the end of the file. */
static bool read_chunk(FILE *in, token_id *tokens, uint32_t chunk,
                       uint32_t n_vocab)
{
    int32_t ids[MAX_CHUNK];

    if (fread(ids, sizeof(ids[0]), chunk, in) != chunk)
        return false;
    for (uint32_t i = 0; i < chunk; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= n_vocab)
            die("TOKENS holds an id beyond the vocabulary");
        tokens[i] = (token_id)ids[i];
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        die("usage: logits MODEL TOKENS CHUNK OUT [threads [step [isa]]]");
    uint32_t chunk = number(argv[3], 2, MAX_CHUNK);
    uint32_t step = argc > 6 ? number(argv[6], 1, chunk) : chunk;
    const struct model_options options = {
        .path = argv[1],
        .n_threads = argc > 5 ? number(argv[5], 0, 64) : 0,
        .isa = argc > 7 ? argv[7] : NULL,
        .max_batch_tokens = step,
        .max_slices = 1,
        .max_logit_rows = step,
        .ctx_tokens = chunk,
    };
    struct err err = {0};
    struct model *m = NULL;
    struct batch *b = NULL;
    token_id tokens[MAX_CHUNK];
    FILE *in = fopen(argv[2], "rb");
    FILE *out = fopen(argv[4], "wb");

    if (in == NULL || out == NULL)
        die("cannot open TOKENS or OUT");
    if (model_open(&m, &options, NULL, NULL, &err) != 0 ||
        batch_new(&b, step, 1, step, m->hp.n_vocab, &err) != 0)
        die(err.text);
    while (read_chunk(in, tokens, chunk, m->hp.n_vocab))
        run_chunk(m, b, tokens, chunk, step, out);
    batch_free(b);
    model_close(m);
    fclose(in);
    return fclose(out) == 0 ? 0 : 1;
}
