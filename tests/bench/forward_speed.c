/* forward_speed.c -- how fast the pass is on a model.
 *
 *     forward_speed MODEL [threads [isa]]
 *
 * Prints tokens a second: a prompt of 512 in one step, then 64 steps of decode
 * with 1 to 32 sequences that stand at position 128.  Between them the time to
 * the logits of a prompt whose first 128 tokens are cached: some of those run
 * again, and 32 new ones.  Tokens are random, so that experts are visited as
 * evenly as the checkpoint lets them. */
#include <stdio.h>
#include <stdlib.h>

#include "model/base/clock.h"
#include "model/model.h"

enum { N_PROMPT = 512, N_DECODE = 64, N_BEFORE = 128, MAX_SEQS = 32 };
enum { N_NEW = 32, N_RESUMED = 5 };

static uint32_t next_random(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static token_id random_token(const struct model *m)
{
    return (token_id)(next_random() % m->hp.n_vocab);
}

static void die(const char *text)
{
    fprintf(stderr, "forward_speed: %s\n", text);
    exit(1);
}

static void open_seq(struct model *m, struct cache_seq *seq)
{
    struct err err = {0};
    if (cache_seq_init(seq, 1024, &err) != 0 ||
        cache_open(m->cache, seq) != CACHE_OK ||
        cache_reserve(m->cache, seq, 1024) != CACHE_OK)
        die("the cache is too small");
}

static void close_seq(struct model *m, struct cache_seq *seq)
{
    cache_close(m->cache, seq);
    cache_seq_deinit(seq);
}

static void add_random(struct model *m, struct batch *b, struct cache_seq *seq,
                       uint32_t n, uint32_t position, uint32_t n_replay)
{
    token_id tokens[N_PROMPT];
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = random_token(m);
    if (!batch_add_resumed(b, seq, tokens, n, position, 1, n_replay))
        die("the batch is too small");
}

static double prefill(struct model *m, struct batch *b)
{
    struct cache_seq seq;
    open_seq(m, &seq);
    batch_clear(b);
    add_random(m, b, &seq, N_PROMPT, 0, 0);
    uint64_t start = clock_now_us();
    model_forward(m, b);
    double seconds = (double)(clock_now_us() - start) / 1e6;
    close_seq(m, &seq);
    return N_PROMPT / seconds;
}

/* Milliseconds, the best of a few times: they are short. */
static double resume(struct model *m, struct batch *b, uint32_t n_replay)
{
    struct cache_seq first, seq;
    double best = 1e9;
    open_seq(m, &first);
    batch_clear(b);
    add_random(m, b, &first, N_BEFORE, 0, 0);
    model_forward(m, b);
    for (uint32_t i = 0; i < N_RESUMED; i++) {
        if (cache_seq_init(&seq, 1024, NULL) != 0 ||
            cache_open(m->cache, &seq) != CACHE_OK)
            die("the cache is too small");
        cache_adopt(m->cache, &seq, first.blocks, N_BEFORE / KV_BLOCK_TOKENS);
        if (cache_reserve(m->cache, &seq, N_BEFORE + N_NEW) != CACHE_OK)
            die("the cache is too small");
        batch_clear(b);
        add_random(m, b, &seq, n_replay + N_NEW, N_BEFORE - n_replay, n_replay);
        uint64_t start = clock_now_us();
        model_forward(m, b);
        double ms = (double)(clock_now_us() - start) / 1e3;
        best = ms < best ? ms : best;
        close_seq(m, &seq);
    }
    close_seq(m, &first);
    return best;
}

static double decode(struct model *m, struct batch *b, uint32_t n_seqs)
{
    struct cache_seq seqs[MAX_SEQS];
    for (uint32_t i = 0; i < n_seqs; i++) {
        open_seq(m, &seqs[i]);
        batch_clear(b);
        add_random(m, b, &seqs[i], N_BEFORE, 0, 0);
        model_forward(m, b);
    }
    uint64_t start = clock_now_us();
    for (uint32_t step = 0; step < N_DECODE; step++) {
        batch_clear(b);
        for (uint32_t i = 0; i < n_seqs; i++)
            add_random(m, b, &seqs[i], 1, N_BEFORE + step, 0);
        model_forward(m, b);
    }
    double seconds = (double)(clock_now_us() - start) / 1e6;
    for (uint32_t i = 0; i < n_seqs; i++)
        close_seq(m, &seqs[i]);
    return (double)n_seqs * N_DECODE / seconds;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: forward_speed MODEL [threads [isa]]");
    const struct model_options options = {
        .path = argv[1],
        .n_threads = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0,
        .isa = argc > 3 ? argv[3] : NULL,
        .max_batch_tokens = N_PROMPT,
        .max_slices = MAX_SEQS,
        .ctx_tokens = 1024,
    };
    struct err err = {0};
    struct model *m = NULL;
    struct batch *b = NULL;
    uint64_t start = clock_now_us();
    if (model_open(&m, &options, NULL, NULL, &err) != 0)
        die(err.text);
    printf("%s: %.1f GB in %.1f s, kernels %s, %u threads, activations %.0f "
           "MB, cache %.0f MB\n",
           m->name, (double)m->weights->bytes / 1e9,
           (double)(clock_now_us() - start) / 1e6, m->kernels->name,
           (unsigned)forward_n_threads(m->forward),
           (double)forward_bytes(m->forward) / 1e6,
           (double)cache_bytes(m->cache) / 1e6);
    if (batch_new(&b, N_PROMPT, MAX_SEQS, MAX_SEQS, m->hp.n_vocab, &err) != 0)
        die(err.text);
    printf("prefill %u: %.2f tokens/s\n", N_PROMPT, prefill(m, b));
    uint32_t n_replay = forward_replay_tokens(&m->hp);
    if (n_replay <= N_BEFORE)
        printf("resumed %u+%u: %.1f ms\n", (unsigned)n_replay, N_NEW,
               resume(m, b, n_replay));
    fflush(stdout);
    for (uint32_t n = 1; n <= MAX_SEQS; n *= 2) {
        printf("decode x%u: %.2f tokens/s\n", (unsigned)n, decode(m, b, n));
        fflush(stdout);
    }
    batch_free(b);
    model_close(m);
    return 0;
}
