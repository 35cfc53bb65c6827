/* limits.c -- what this machine can do at most: reading memory and sgemm.
 *
 * Prints, for 1 .. N threads, the rate of summing a table that fits no cache
 * (GB/s) and of single-threaded sgemm calls side by side (GFLOP/s).  Kernels
 * are judged against these in the same run on the same machine, never against
 * another day's.
 *
 *     limits [threads [megabytes]]
 *
 * Best of several passes: the limit is what the machine can do undisturbed. */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/base/alloc.h"
#include "model/base/clock.h"

#define MAX_THREADS 64u
#define PASSES 7u
#define SGEMM_SIDE 1024u

struct worker {
    pthread_t thread;
    const uint64_t *words; /* this worker's share */
    size_t n_words;
    uint64_t sum; /* kept so that the reading is not optimised away */
};

/* One line a step into eight sums that do not wait for each other, the line of
 * 16 steps later asked for: nothing but memory is left to wait for. */
static void *read_share(void *arg)
{
    struct worker *w = arg;
    uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;

    for (size_t i = 0; i + 8 <= w->n_words; i += 8) {
        const uint64_t *line = w->words + i;

        __builtin_prefetch(line + 16 * 8);
        a += line[0];
        b += line[1];
        c += line[2];
        d += line[3];
        e += line[4];
        f += line[5];
        g += line[6];
        h += line[7];
    }
    w->sum += a + b + c + d + e + f + g + h;
    return NULL;
}

static void *multiply_once(void *arg)
{
    const int n = (int)SGEMM_SIDE;
    size_t area = (size_t)SGEMM_SIDE * SGEMM_SIDE;
    float *a = mem_calloc(3 * area, sizeof(float));

    (void)arg;
    if (a == NULL)
        return NULL;
    for (int i = 0; i < 4; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1.0f, a,
                    n, a + area, n, 0.0f, a + 2 * area, n);
    mem_free(a);
    return NULL;
}

/* No two pages alike: a host that merges equal pages of its guests would serve
 * them from its cache (seen: three times the real rate). */
static void fill(uint64_t *words, size_t n)
{
    uint64_t state = 1;

    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        words[i] = state;
    }
}

/* Seconds of the fastest of several passes of n workers. */
static double best_seconds(struct worker *workers, unsigned n,
                           void *(*work)(void *))
{
    uint64_t best = UINT64_MAX;

    for (unsigned pass = 0; pass < PASSES; pass++) {
        uint64_t start = clock_now_us(), us;

        for (unsigned i = 0; i < n; i++) {
            struct worker *w = &workers[i];

            if (pthread_create(&w->thread, NULL, work, w) != 0)
                exit(1);
        }
        for (unsigned i = 0; i < n; i++)
            pthread_join(workers[i].thread, NULL);
        us = clock_now_us() - start;
        best = us < best ? us : best;
    }
    return (double)best * 1e-6;
}

static void print_limits(const uint64_t *words, size_t n_words, unsigned n)
{
    static struct worker workers[MAX_THREADS];
    size_t share = n_words / n;
    double side = SGEMM_SIDE;
    double seconds;

    for (unsigned i = 0; i < n; i++) {
        workers[i].words = words + i * share;
        workers[i].n_words = share;
    }
    seconds = best_seconds(workers, n, read_share);
    printf("%2u threads: read %6.1f GB/s", n,
           (double)(share * n * sizeof(uint64_t)) / seconds * 1e-9);
    seconds = best_seconds(workers, n, multiply_once);
    printf("   sgemm %7.1f GFLOP/s\n",
           4 * 2 * side * side * side * n / seconds * 1e-9);
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    size_t megabytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 1024;
    size_t bytes = megabytes << 20;
    uint64_t *words;

    if (threads < 1 || threads > MAX_THREADS || megabytes < 1 ||
        megabytes > 65536) {
        fprintf(stderr, "usage: limits [threads 1..64 [megabytes 1..65536]]\n");
        return 2;
    }
    words = mem_alloc(bytes);
    if (words == NULL) {
        fprintf(stderr, "limits: no memory for %zu MiB\n", megabytes);
        return 1;
    }
    fill(words, bytes / sizeof(uint64_t));
    openblas_set_num_threads(1);
    printf("OpenBLAS core %s\n", openblas_get_corename());
    for (unsigned n = 1; n <= threads; n *= 2)
        print_limits(words, bytes / sizeof(uint64_t), n);
    mem_free(words);
    return 0;
}
