/* text_scaling.c -- what tokenising costs when the text is twice as long.
 *
 * Encodes 1 MiB and 2 MiB of several kinds with a tokenizer and prints both
 * times (processor time, best of five), the ratio and the speed.  One word is
 * the hard case: n log n makes 2.1 of a doubling, and 2.3 is the most that is
 * accepted.
 *
 *     text_scaling [DIR with tokenizer.json]      (default: model/demo) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/base/alloc.h"
#include "model/text/tokenizer.h"

#define MIB (1u << 20)

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_of_five(const struct tokenizer *t, const char *text,
                           size_t n)
{
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        token_id *ids;
        size_t n_ids;
        struct err err;
        double start = seconds();
        if (tokenizer_encode(t, text, n, 0, &ids, &n_ids, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        double took = seconds() - start;
        mem_free(ids);
        if (took < best)
            best = took;
    }
    return best;
}

/* Letters of English by a fixed sequence, in words of `word` letters. */
static void letters(char *text, size_t n, size_t word)
{
    static const char often[] = "eeettaaoinshrdlu";
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = i % (word + 1) == word ? ' ' : often[x >> 28];
    }
}

static void report(const struct tokenizer *t, const char *kind,
                   const char *text)
{
    double one = best_of_five(t, text, MIB);
    double two = best_of_five(t, text, 2 * MIB);
    printf("%-12s 1 MiB %.3f s, 2 MiB %.3f s, ratio %.2f, %.1f MiB/s\n", kind,
           one, two, two / one, 2 / two);
}

int main(int argc, char **argv)
{
    struct tokenizer *t;
    struct err err;
    char *text = malloc(2 * MIB);
    if (text == NULL)
        return 1;
    if (tokenizer_load(&t, argc > 1 ? argv[1] : "model/demo", &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    letters(text, 2 * MIB, 5);
    report(t, "short words", text);
    letters(text, 2 * MIB, 2 * MIB);
    report(t, "one word", text);
    memset(text, 'a', 2 * MIB);
    report(t, "one letter", text);
    memset(text, ' ', 2 * MIB);
    report(t, "spaces", text);
    memset(text, '\n', 2 * MIB);
    report(t, "newlines", text);
    memset(text, '7', 2 * MIB);
    report(t, "digits", text);
    memset(text, '<', 2 * MIB);
    report(t, "signs", text);
    tokenizer_free(t);
    free(text);
    return 0;
}
